//! Owns which failures to boot are in the log already, so that each is written in full
//! once. Called by `pool.rs` only.

use std::collections::BTreeSet;

use log::Level;

use crate::master::decide::action::Actions;
use crate::master::decide::roster::WorkerEntry;
use crate::master::decide::rules::contention;

/// The most texts that are remembered.
const MAX_TEXTS: usize = 16;

/// The failures that were logged since the last reload.
#[derive(Debug, Default)]
pub(crate) struct BootFailures {
    logged: BTreeSet<String>,
}

impl BootFailures {
    /// Logs why a worker cannot boot; a reason that is known is not repeated.
    pub(crate) fn report(&mut self, worker: &WorkerEntry, text: &str, actions: &mut Actions) {
        if self.logged.len() >= MAX_TEXTS {
            self.logged.clear();
        }
        let new = self.logged.insert(text.to_owned());
        let rest = if new { text } else { "the reason is the same" };
        actions.log(Level::Error, format!("{worker} cannot boot: {rest}"));
    }

    /// Forgets all failures: new code is tried.
    pub(crate) fn forget(&mut self) {
        self.logged.clear();
    }
}

/// The state of the server when a worker fails to boot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surroundings {
    /// A predecessor serves with workers of its own.
    pub(crate) predecessor: bool,
    /// Another worker of this server serves.
    pub(crate) other_worker: bool,
    /// A mold has loaded the application.
    pub(crate) mold: bool,
    /// A new worker starts before the old one has ended.
    pub(crate) surge: bool,
}

/// Advice, if the failure looks as if another process holds a resource that the worker
/// needs.
pub(crate) fn hint(last_line: &str, beside: Surroundings) -> Option<&'static str> {
    if !contention::is_likely(last_line) {
        None
    } else if beside.predecessor {
        Some("the workers of the old master may have it: restart in place of the upgrade")
    } else if !beside.other_worker {
        None
    } else if beside.mold {
        Some("another process of this server may have it: open it in each worker instead")
    } else if beside.surge {
        Some(
            "another worker may have it: with --max-surge 0 --max-unavailable 1 a new worker \
             starts when an old one has ended",
        )
    } else {
        None
    }
}

/// How new code that cannot be loaded may still be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// It needs what the old worker has, such as a port: the old worker ends first.
    OldEndsFirst,
    /// What the old worker had may be free a moment later: it is tried again.
    Retry,
    /// No worker serves: the new one responds with its failure until the next reload.
    ShowFailure,
}

/// What helps a worker with new code that has failed to boot, where changes of files reload and
/// one worker serves. `is_exclusive`: the old worker has ended before.
pub(crate) fn remedy(last_line: &str, beside: Surroundings, is_exclusive: bool) -> Option<Remedy> {
    let is_held = contention::is_likely(last_line);
    match (is_exclusive, is_held, beside.other_worker) {
        _ if beside.predecessor || beside.mold => None,
        (false, true, true) => Some(Remedy::OldEndsFirst),
        (true, true, false) => Some(Remedy::Retry),
        (true, false, false) => Some(Remedy::ShowFailure),
        (false, false, _) | (false, true, false) | (true, _, true) => None,
    }
}

/// The most informative line of a text: the last one of a traceback.
pub(crate) fn last_line(text: &str) -> &str {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use monoceros_wire::{Generation, Slot};

    use super::*;
    use crate::master::decide::action::{Action, LogLine};
    use crate::master::decide::roster::{Role, Roster, WorkerState};
    use crate::master::decide::state::Purpose;

    #[test]
    fn a_reason_is_written_in_full_once() {
        let mut roster = Roster::default();
        let state = WorkerState::Booting { until: None, ready_at: None };
        let id = roster.add(Role::Worker(Slot(0)), Generation(1), state);
        let worker = roster.get(id).unwrap();
        let (mut failures, mut actions) = (BootFailures::default(), Actions::new(Purpose::Serve));
        let mut text = |failures: &mut BootFailures| {
            failures.report(worker, "no module", &mut actions);
            match &actions.take()[..] {
                [Action::Log(LogLine { level: Level::Error, text, .. })] => text.clone(),
                other => panic!("{other:?}"),
            }
        };
        assert!(text(&mut failures).ends_with("cannot boot: no module"));
        assert!(text(&mut failures).ends_with("the reason is the same"));
        failures.forget();
        assert!(text(&mut failures).ends_with("cannot boot: no module"));
    }

    #[test]
    fn a_hint_names_what_may_hold_the_resource() {
        let locked = "OSError: [Errno 98] Address already in use";
        let all = Surroundings { predecessor: true, other_worker: true, mold: true, surge: true };
        assert!(hint(locked, all).unwrap().contains("old master"));
        let alone = Surroundings { predecessor: false, other_worker: false, ..all };
        assert_eq!(hint(locked, alone), None);
        let mold = Surroundings { predecessor: false, ..all };
        assert!(hint(locked, mold).unwrap().contains("in each worker"));
        let surge = Surroundings { mold: false, ..mold };
        assert!(hint(locked, surge).unwrap().contains("--max-surge 0"));
        assert_eq!(hint(locked, Surroundings { surge: false, ..surge }), None);
        assert_eq!(hint("ImportError: no module", all), None);
    }

    #[test]
    fn new_code_that_needs_what_the_old_worker_has_gets_it() {
        let (held, mistake) = ("[Errno 98] Address already in use", "SyntaxError: invalid syntax");
        let alone = Surroundings { surge: true, ..Surroundings::default() };
        let beside = Surroundings { other_worker: true, ..alone };
        assert_eq!(remedy(held, beside, false), Some(Remedy::OldEndsFirst));
        assert_eq!(remedy(mistake, beside, false), None, "the old code goes on");
        assert_eq!(remedy(held, alone, true), Some(Remedy::Retry));
        assert_eq!(remedy(mistake, alone, true), Some(Remedy::ShowFailure));
        assert_eq!(remedy(held, Surroundings { mold: true, ..beside }, false), None);
    }

    #[test]
    fn the_last_line_with_text_is_the_reason() {
        assert_eq!(last_line("Traceback\n  File\nValueError: x\n \n"), "ValueError: x");
        assert_eq!(last_line(""), "");
    }
}
