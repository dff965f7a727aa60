//! Molds, seen from the master: which forks they were asked for, and how the
//! answers become workers.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use monoceros_sys::process::{Process, is_ancestor_of};
use monoceros_sys::reason;
use monoceros_wire::Generation;
use monoceros_wire::channel::{MasterEnd, pair};
use monoceros_wire::message::{Start, ToWorker};
use monoceros_wire::scoreboard::Scoreboard;
use monoceros_wire::stacks::Stacks;

use super::own::Shown;
use super::recipe::Recipe;
use super::spawn::WorkerProcess;
use super::state::WorkerId;

/// Forks that were asked for and not answered yet. Each is answered once: by the
/// mold, by its end, or because nobody wants it any more.
#[derive(Debug)]
pub(crate) struct Forks<T> {
    asked: BTreeMap<WorkerId, (WorkerId, T)>,
}

impl<T> Default for Forks<T> {
    fn default() -> Self {
        Self { asked: BTreeMap::new() }
    }
}

impl<T> Forks<T> {
    /// Notes that a mold was asked for a worker.
    pub(crate) fn ask(&mut self, mold: WorkerId, worker: WorkerId, prepared: T) {
        self.asked.insert(worker, (mold, prepared));
    }

    /// What is prepared for a worker that is still to come.
    pub(crate) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut T> {
        self.asked.get_mut(&worker).map(|(_, prepared)| prepared)
    }

    /// Takes out what was prepared for a worker, if this mold was asked for it:
    /// its answer has come. An answer to nothing is one that came too late.
    pub(crate) fn answer(&mut self, mold: WorkerId, worker: WorkerId) -> Option<T> {
        self.asked.get(&worker).filter(|(asked, _)| *asked == mold)?;
        self.withdraw(worker)
    }

    /// Takes out what was prepared for a worker: it is not wanted any more.
    pub(crate) fn withdraw(&mut self, worker: WorkerId) -> Option<T> {
        self.asked.remove(&worker).map(|(_, prepared)| prepared)
    }

    /// Takes out everything that a mold was asked for: it is gone.
    pub(crate) fn orphan(&mut self, mold: WorkerId) -> Vec<WorkerId> {
        let of_mold = self.asked.iter().filter(|(_, (asked, _))| *asked == mold);
        let workers: Vec<_> = of_mold.map(|(worker, _)| *worker).collect();
        workers.iter().for_each(|worker| drop(self.withdraw(*worker)));
        workers
    }
}

/// What the master has of a worker before there is a process. Dropping it ends
/// a process that comes all the same: its channel is closed, and it has not
/// begun to serve.
#[derive(Debug)]
pub(crate) struct Unborn {
    generation: Generation,
    start: Start,
    channel: MasterEnd,
    shown: Shown,
    /// What it is to be told when it exists.
    later: Vec<ToWorker>,
}

impl Unborn {
    /// Asks a mold to fork a worker.
    pub(crate) fn ask(
        mold: &WorkerProcess,
        recipe: &Recipe,
        worker: WorkerId,
        start: Start,
    ) -> Result<Self, String> {
        let cannot = |error: io::Error| format!("cannot ask the mold: {}", reason(&error));
        let (channel, theirs) = pair().map_err(cannot)?;
        let Start { slot, generation, .. } = start;
        let scoreboard =
            Scoreboard::create(slot, generation, recipe.settings.threads).map_err(cannot)?;
        let stacks = Stacks::create().map_err(cannot)?;
        let mut given = vec![theirs.as_fd(), scoreboard.as_fd(), stacks.as_fd()];
        if recipe.listeners.iter().any(|it| it.is_anew()) {
            // The mold may have been given others.
            given.extend(recipe.listeners.iter().flat_map(|it| it.sockets()));
        }
        mold.ask_fork(worker, &given).map_err(cannot)?;
        let (shown, later) = (Shown { scoreboard: Some(scoreboard), stacks }, Vec::new());
        Ok(Self { generation, start, channel, shown, later })
    }

    /// Keeps a message until there is somebody to read it.
    pub(crate) fn tell(&mut self, message: ToWorker) {
        self.later.push(message);
    }

    /// The process is there: lets it begin. It may have ended already; that is
    /// found out when it is reaped.
    pub(crate) fn adopt(self, pid: i32) -> Result<WorkerProcess, String> {
        let process = address(pid)?;
        let Self { generation, start, channel, shown, later } = self;
        let slot = start.slot;
        let sent = channel.send(&ToWorker::Start(start));
        let worker = WorkerProcess::forked(slot, generation, channel, process, shown);
        if sent.is_ok() {
            later.iter().for_each(|message| worker.tell(message));
        }
        Ok(worker)
    }
}

/// Ends a process that a mold has forked for nobody. It serves no client.
pub(crate) fn discard(pid: i32) {
    let ended = address(pid).and_then(|process| {
        process.signal(libc::SIGKILL).map_err(|error| format!("cannot kill it: {}", reason(&error)))
    });
    if let Err(text) = ended {
        // It has no channel any more, and leaves by itself.
        log::debug!("pid {pid} was forked too late: {text}");
    }
}

/// A mold runs the application, and its word alone must not make the master send
/// signals to just any process.
fn address(pid: i32) -> Result<Process, String> {
    let process = Process::adopt(pid).map_err(|error| {
        format!("cannot address pid {pid}, a forked worker: {}", reason(&error))
    })?;
    if !is_ancestor_of(pid) {
        return Err(format!("pid {pid} is said to be a forked worker, but is none of this server"));
    }
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WorkerId = WorkerId(1);
    const TWO: WorkerId = WorkerId(2);

    fn asked() -> Forks<&'static str> {
        let mut forks = Forks::default();
        forks.ask(ONE, WorkerId(10), "a");
        forks.ask(TWO, WorkerId(20), "b");
        forks.ask(ONE, WorkerId(11), "c");
        forks
    }

    #[test]
    fn each_fork_is_answered_once() {
        let mut forks = asked();
        assert_eq!(forks.answer(ONE, WorkerId(11)), Some("c"));
        assert_eq!(forks.answer(ONE, WorkerId(11)), None);
        assert_eq!(forks.answer(ONE, WorkerId(12)), None, "nobody asked for it");
        assert_eq!(forks.withdraw(WorkerId(10)), Some("a"));
        assert_eq!(forks.answer(ONE, WorkerId(10)), None, "the answer comes too late");
    }

    #[test]
    fn a_mold_answers_only_what_it_was_asked() {
        let mut forks = asked();
        assert_eq!(forks.answer(TWO, WorkerId(10)), None);
        assert_eq!(forks.answer(ONE, WorkerId(10)), Some("a"));
    }

    #[test]
    fn the_end_of_a_mold_answers_what_is_left() {
        let mut forks = asked();
        assert_eq!(forks.answer(ONE, WorkerId(10)), Some("a"));
        assert_eq!(forks.orphan(ONE), [WorkerId(11)]);
        assert_eq!(forks.orphan(ONE), []);
        assert_eq!(forks.get_mut(WorkerId(20)), Some(&mut "b"));
    }

    #[test]
    fn a_process_of_somebody_else_is_not_addressed() {
        let error = address(1).unwrap_err();
        assert!(error.contains("none of this server"), "{error}");
    }
}
