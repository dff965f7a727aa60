//! Owns the commands that wait for the stacks of processes. Their interpreters write the
//! stacks to memory, without a message to the master, so the master reads that memory again
//! and again for a short time. Called by the master only.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use monoceros_wire::control::ProcessStacks;

use crate::master::decide::action::{Action, Actions};
use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::roster::{Roster, WorkerEntry};
use crate::master::decide::sample::StacksRead;

/// The time that a process has to write its stacks.
const STACKS_LIMIT: Duration = Duration::from_secs(3);
/// The time until the first reading, which is doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest time between two readings.
const LONGEST_PAUSE: Duration = Duration::from_millis(80);

/// The commands that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct StackRequests {
    waiting: Vec<StackRequest>,
    /// When the stacks are read next.
    next: Option<Instant>,
    pause: Duration,
}

/// A command, and the processes whose stacks it waits for.
#[derive(Clone, Debug)]
struct StackRequest {
    client: ClientId,
    /// When it waits no longer.
    until: Instant,
    left: BTreeSet<WorkerId>,
    shown: Vec<ProcessStacks>,
}

impl StackRequests {
    /// Asks these processes for their stacks. A client waits for them.
    pub(crate) fn ask<'a>(
        &mut self,
        client: ClientId,
        workers: impl Iterator<Item = &'a WorkerEntry>,
        now: Instant,
        actions: &mut Actions,
    ) {
        let left: BTreeSet<_> = workers.map(|worker| worker.id).collect();
        for worker in &left {
            actions.push(Action::DumpStacks { worker: *worker });
        }
        let until = now + STACKS_LIMIT;
        self.waiting.push(StackRequest { client, until, left, shown: Vec::new() });
        self.pause = FIRST_PAUSE;
        self.next = Some(now + FIRST_PAUSE);
    }

    /// When the stacks are read next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Moves the times by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.next = self.next.map(|at| at + by);
        self.waiting.iter_mut().for_each(|it| it.until += by);
    }

    /// Has the stacks read, if it is time for that.
    pub(crate) fn note_deadline(&mut self, now: Instant, actions: &mut Actions) {
        if self.next.is_some_and(|at| at <= now) {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            self.next = Some(now + self.pause);
            let workers: BTreeSet<_> = self.waiting.iter().flat_map(|it| &it.left).collect();
            actions.push(Action::ReadStacks { workers: workers.into_iter().copied().collect() });
        }
    }

    /// Stacks were read.
    pub(crate) fn note(&mut self, roster: &Roster, read: &[(WorkerId, StacksRead)]) {
        for (worker, read) in read {
            let (stacks, error) = match read {
                StacksRead::Pending => continue,
                StacksRead::Written(stacks) => (Some(stacks.clone()), None),
                StacksRead::Unable(reason) => (None, Some(reason.clone())),
            };
            for it in &mut self.waiting {
                if it.left.remove(worker)
                    && let Some(entry) = roster.get(*worker)
                {
                    it.show(entry, stacks.clone(), error.clone());
                }
            }
        }
    }

    /// Replies to the commands that have all stacks, and to those whose time is over.
    pub(crate) fn settle(&mut self, roster: &Roster, now: Instant, actions: &mut Actions) {
        for mut it in std::mem::take(&mut self.waiting) {
            // The stacks of a process that has ended are in the log, if there are any.
            it.left.retain(|id| roster.get(*id).is_some());
            if it.until <= now {
                for entry in std::mem::take(&mut it.left).iter().filter_map(|id| roster.get(*id)) {
                    let seconds = STACKS_LIMIT.as_secs();
                    let text = format!(
                        "it has not written its stacks within {seconds} s: a signal may have \
                         stopped it, or the machine is busy"
                    );
                    it.show(entry, None, Some(text));
                }
            }
            if it.left.is_empty() {
                it.shown.sort_by_key(|shown| (shown.slot, shown.generation, shown.pid));
                actions.push(Action::ShowStacks { client: it.client, stacks: it.shown });
            } else {
                self.waiting.push(it);
            }
        }
        if self.waiting.is_empty() {
            self.next = None;
        }
    }
}

impl StackRequest {
    fn show(&mut self, entry: &WorkerEntry, stacks: Option<String>, error: Option<String>) {
        let WorkerEntry { generation, pid, .. } = *entry;
        self.shown.push(ProcessStacks { slot: entry.slot(), generation, pid, stacks, error });
    }
}

#[cfg(test)]
mod tests {
    use monoceros_wire::Slot;

    use super::*;
    use crate::master::decide::state::Purpose;

    struct StackBench {
        requests: StackRequests,
        roster: Roster,
        actions: Actions,
        now: Instant,
    }

    impl StackBench {
        fn of(workers: u16) -> Self {
            let now = Instant::now();
            let roster = Roster::of_ready(workers, now);
            let actions = Actions::new(Purpose::Serve);
            Self { requests: StackRequests::default(), roster, actions, now }
        }

        fn ask(&mut self, client: u64) {
            let Self { requests, roster, actions, now } = self;
            requests.ask(ClientId(client), roster.everyone(), *now, actions);
            let asked = actions.take();
            assert!(asked.iter().all(|it| matches!(it, Action::DumpStacks { .. })), "{asked:?}");
        }

        /// Lets time pass until the next reading; returns which processes are read.
        fn read(&mut self) -> Vec<WorkerId> {
            self.now = self.requests.deadline().unwrap();
            self.requests.note_deadline(self.now, &mut self.actions);
            match &self.actions.take()[..] {
                [Action::ReadStacks { workers }] => workers.clone(),
                other => panic!("{other:?}"),
            }
        }

        fn note(&mut self, worker: u64, read: StacksRead) -> Vec<(u64, Vec<ProcessStacks>)> {
            self.requests.note(&self.roster, &[(WorkerId(worker), read)]);
            self.settle()
        }

        fn settle(&mut self) -> Vec<(u64, Vec<ProcessStacks>)> {
            let Self { requests, roster, actions, now } = self;
            requests.settle(roster, *now, actions);
            let shown = actions.take().into_iter().map(|action| match action {
                Action::ShowStacks { client, stacks } => (client.0, stacks),
                other => panic!("{other:?}"),
            });
            shown.collect()
        }
    }

    #[test]
    fn stacks_are_shown_when_every_process_has_written_them() {
        let mut bench = StackBench::of(2);
        bench.ask(1);
        assert_eq!(bench.read(), [WorkerId(0), WorkerId(1)]);
        assert_eq!(bench.note(0, StacksRead::Pending), []);
        assert_eq!(bench.note(1, StacksRead::Written("b".to_owned())), []);
        assert_eq!(bench.read(), [WorkerId(0)]);
        let shown = bench.note(0, StacksRead::Unable("none".to_owned()));
        let [(1, shown)] = &shown[..] else { panic!("{shown:?}") };
        let slots: Vec<_> = shown.iter().map(|it| it.slot).collect();
        assert_eq!(slots, [Some(Slot(0)), Some(Slot(1))]);
        assert_eq!(shown[0].error.as_deref(), Some("none"));
        assert_eq!(shown[1].stacks.as_deref(), Some("b"));
        assert_eq!(bench.requests.deadline(), None);
    }

    #[test]
    fn a_process_that_writes_nothing_is_waited_for_only_so_long() {
        let mut bench = StackBench::of(1);
        bench.ask(1);
        let end = bench.now + STACKS_LIMIT;
        let mut readings = 0;
        let shown = loop {
            bench.read();
            readings += 1;
            let shown = bench.note(0, StacksRead::Pending);
            if !shown.is_empty() {
                break shown;
            }
        };
        assert!(bench.now >= end && bench.now < end + LONGEST_PAUSE);
        assert!(readings < 50, "{readings}");
        assert!(shown[0].1[0].error.as_ref().unwrap().contains("within 3 s"), "{shown:?}");
    }

    #[test]
    fn a_process_that_ends_is_not_waited_for() {
        let mut bench = StackBench::of(2);
        bench.ask(1);
        bench.ask(2);
        bench.roster.remove(WorkerId(0));
        let shown = bench.note(1, StacksRead::Written("b".to_owned()));
        assert_eq!(shown.iter().map(|it| (it.0, it.1.len())).collect::<Vec<_>>(), [(1, 1), (2, 1)]);
    }
}
