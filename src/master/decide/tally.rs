//! Owns what the server has counted: the sums of the workers that have ended, what has happened
//! to workers, and the last reloads and upgrades. A predecessor's sums are part of them. Called
//! by the master only.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use monoceros_wire::Generation;
use monoceros_wire::report::{CHANGES, ChangeReport, Totals};

use crate::master::decide::exit_reason::ExitReason;

/// The longest text of a change, in bytes. All texts together fit into a message between two
/// masters.
const TEXT_LIMIT: usize = 4 * 1024;

/// The counts of the server, and what is under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    totals: Totals,
    /// When the settings for each generation were asked for whose reload is under way.
    reloads: BTreeMap<Generation, Instant>,
    /// When the upgrade that is under way was begun.
    upgrade: Option<Instant>,
    /// The last changes, the newest last.
    changes: VecDeque<Change>,
    /// The changes of predecessors, the newest first.
    earlier: Vec<ChangeReport>,
}

/// A reload or an upgrade that is over.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// What it was.
    pub(crate) kind: ChangeKind,
    /// Its result.
    pub(crate) outcome: ChangeOutcome,
    /// When it was begun.
    pub(crate) began: Instant,
    /// How long it took.
    pub(crate) took: Duration,
    /// The generation that it was for.
    pub(crate) generation: Generation,
    /// Why it has failed.
    pub(crate) text: Option<String>,
}

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// A generation replaces another one.
    Reload,
    /// A master replaces another one.
    Upgrade,
}

/// The results of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeOutcome {
    /// It was carried out.
    Done,
    /// It has failed, and the server goes on as before.
    Failed,
    /// A later change has taken its place.
    Superseded,
}

/// What a server has counted so far, for a report or for a successor.
#[derive(Clone, Debug, Default)]
pub(crate) struct TallySnapshot {
    /// The sums, without those of the workers that live.
    pub(crate) totals: Totals,
    /// The changes of this master, the newest first.
    pub(crate) changes: Vec<Change>,
    /// The changes of predecessors, the newest first.
    pub(crate) earlier: Vec<ChangeReport>,
}

impl ChangeKind {
    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Upgrade => "upgrade",
        }
    }
}

impl ChangeOutcome {
    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }
}

impl Tally {
    /// The sums, without those of the workers that live.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Everything that was counted, for a report or for a successor.
    pub(crate) fn snapshot(&self) -> TallySnapshot {
        TallySnapshot {
            totals: self.totals.clone(),
            changes: self.changes.iter().rev().cloned().collect(),
            earlier: self.earlier.clone(),
        }
    }

    /// Takes over what a predecessor has counted.
    pub(crate) fn take_over(&mut self, totals: &Totals, changes: Vec<ChangeReport>) {
        self.totals.add(totals);
        self.earlier = changes;
        self.earlier.truncate(CHANGES);
    }

    /// The process of a worker exists.
    pub(crate) fn note_spawn(&mut self) {
        self.totals.spawns += 1;
    }

    /// A worker has become ready after this time.
    pub(crate) fn note_boot(&mut self, took: Duration) {
        self.totals.boots += 1;
        self.totals.boot_seconds += took.as_secs_f64();
    }

    /// The process of a worker has ended.
    pub(crate) fn note_exit(&mut self, reason: ExitReason) {
        *self.totals.exits.entry(reason.name()).or_default() += 1;
    }

    /// Adds the counts of a worker that has ended.
    pub(crate) fn add(&mut self, counts: &Totals) {
        self.totals.add(counts);
    }

    /// A reload begins: the settings of a generation are read.
    pub(crate) fn begin_reload(&mut self, generation: Generation, now: Instant) {
        self.reloads.insert(generation, now);
    }

    /// The reload to a generation is over.
    pub(crate) fn end_reload(
        &mut self,
        generation: Generation,
        outcome: ChangeOutcome,
        text: Option<&str>,
        now: Instant,
    ) {
        let Some(began) = self.reloads.remove(&generation) else { return };
        let took = now.saturating_duration_since(began);
        *self.totals.reloads.entry(outcome.name().to_owned()).or_default() += 1;
        self.totals.reload_seconds += took.as_secs_f64();
        let text = text.map(cut);
        self.keep(Change { kind: ChangeKind::Reload, outcome, began, took, generation, text });
    }

    /// The reloads to generations before this one are not carried out: it takes their place.
    pub(crate) fn supersede_reloads(&mut self, before: Generation, now: Instant) {
        let earlier: Vec<_> = self.reloads.range(..before).map(|(it, _)| *it).collect();
        for generation in earlier {
            self.end_reload(generation, ChangeOutcome::Superseded, None, now);
        }
    }

    /// An upgrade begins.
    pub(crate) fn begin_upgrade(&mut self, now: Instant) {
        self.upgrade = Some(now);
    }

    /// The upgrade is over. An end that is reported a second time is not counted.
    pub(crate) fn end_upgrade(
        &mut self,
        outcome: ChangeOutcome,
        generation: Generation,
        text: Option<&str>,
        now: Instant,
    ) {
        let Some(began) = self.upgrade.take() else { return };
        let took = now.saturating_duration_since(began);
        *self.totals.upgrades.entry(outcome.name().to_owned()).or_default() += 1;
        self.totals.upgrade_seconds += took.as_secs_f64();
        let text = text.map(cut);
        self.keep(Change { kind: ChangeKind::Upgrade, outcome, began, took, generation, text });
    }

    fn keep(&mut self, change: Change) {
        self.changes.push_back(change);
        if self.changes.len() > CHANGES {
            self.changes.pop_front();
        }
    }
}

/// The end of a text within the limit: the last lines of a traceback name the error.
fn cut(text: &str) -> String {
    let start = text.len().saturating_sub(TEXT_LIMIT);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at));
    text[start.unwrap_or_default()..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn outcomes(tally: &Tally) -> Vec<(u32, &'static str)> {
        let changes = tally.changes.iter();
        changes.map(|it| (it.generation.0, it.outcome.name())).collect()
    }

    #[test]
    fn each_reload_has_one_outcome() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        tally.begin_reload(Generation(2), now);
        tally.begin_reload(Generation(3), now + SECOND);
        tally.supersede_reloads(Generation(3), now + 2 * SECOND);
        tally.end_reload(Generation(3), ChangeOutcome::Failed, Some("no module"), now + 4 * SECOND);
        tally.end_reload(Generation(3), ChangeOutcome::Done, None, now + 5 * SECOND);
        assert_eq!(outcomes(&tally), [(2, "superseded"), (3, "failed")]);
        let totals = tally.totals();
        assert_eq!(totals.reloads["superseded"] + totals.reloads["failed"], 2);
        assert!((totals.reload_seconds - 5.0).abs() < 1e-9);
        assert_eq!(tally.snapshot().changes[0].text.as_deref(), Some("no module"));
    }

    #[test]
    fn the_last_changes_are_kept_and_the_end_of_their_texts() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        let long = format!("{}{}error: no", "é".repeat(TEXT_LIMIT), "a");
        for _ in 0..15 {
            tally.begin_upgrade(now);
            tally.end_upgrade(ChangeOutcome::Failed, Generation(1), Some(&long), now);
            tally.end_upgrade(ChangeOutcome::Done, Generation(1), None, now);
        }
        assert_eq!(tally.changes.len(), CHANGES);
        assert_eq!(tally.totals().upgrades, BTreeMap::from([("failed".to_owned(), 15)]));
        let text = tally.snapshot().changes[0].text.clone().unwrap();
        assert!(text.len() <= TEXT_LIMIT && text.ends_with("aerror: no"));
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn the_counts_of_a_predecessor_are_part_of_the_totals() {
        let mut tally = Tally::default();
        tally.note_spawn();
        tally.note_exit(ExitReason::Stop);
        let mut totals = tally.totals().clone();
        totals.exits.insert("upgrade".to_owned(), 4);
        tally.take_over(&totals, vec![ChangeReport::default(); 12]);
        tally.note_boot(SECOND);
        let snapshot = tally.snapshot();
        assert_eq!((snapshot.totals.spawns, snapshot.totals.boots), (2, 1));
        assert_eq!(snapshot.totals.exits["stop"] + snapshot.totals.exits["upgrade"], 6);
        assert_eq!(snapshot.earlier.len(), CHANGES);
    }
}
