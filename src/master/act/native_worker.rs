//! What the master shares with a process of its own, a worker or a mold: a
//! channel, and what the process shows without saying anything.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use monoceros_sys::clock::monotonic_ms;
use monoceros_wire::channel::{Incoming, MasterEnd};
use monoceros_wire::message::{FromWorker, ToWorker};
use monoceros_wire::scoreboard::{Losses, ResponseStage, Scoreboard};
use monoceros_wire::stacks::Stacks;

use crate::master::act::proc_stat;
use crate::master::decide::id::WorkerId;
use crate::master::decide::sample::{ResponseProgress, RunningRequest, WorkerSample};

/// A worker that is silent for so long may have been stopped by a signal.
const DOUBT: Duration = Duration::from_secs(2);

/// A process of ours, as far as it is shared.
#[derive(Debug)]
pub(crate) struct NativeWorker {
    channel: MasterEnd,
    /// Nothing was said after the first message, by either side.
    fresh: Cell<bool>,
    shared: SharedMemory,
    /// It was asked for the stacks of its threads.
    traced: Cell<bool>,
    /// The requests that were last seen to run, and the processor time that
    /// their threads had used when they were first seen.
    seen: Vec<(u64, Duration)>,
}

/// What a worker or a mold shows without saying anything.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    /// A mold has none.
    pub(crate) scoreboard: Option<Scoreboard>,
    pub(crate) stacks: Stacks,
}

impl NativeWorker {
    /// Of a process to which nothing has been said but the first message.
    pub(crate) fn new(channel: MasterEnd, shared: SharedMemory) -> Self {
        let (fresh, traced) = (Cell::new(true), Cell::new(false));
        Self { channel, fresh, shared, traced, seen: Vec::new() }
    }

    /// Of a process that is known to be ours.
    pub(crate) fn known(channel: MasterEnd, shared: SharedMemory) -> Self {
        Self { fresh: Cell::new(false), ..Self::new(channel, shared) }
    }

    /// What it has said.
    pub(crate) fn hear(&self) -> io::Result<Incoming<FromWorker>> {
        let received = self.channel.receive()?;
        if matches!(received, Incoming::Message(_)) {
            self.fresh.set(false);
        }
        Ok(received)
    }

    /// Sends a message; fails if it does not read its channel.
    pub(crate) fn tell(&self, message: &ToWorker) -> io::Result<()> {
        self.fresh.set(false);
        self.channel.send(message)
    }

    /// Asks a mold to fork a worker, which gets these descriptors.
    pub(crate) fn ask_fork(&self, worker: WorkerId, given: &[BorrowedFd]) -> io::Result<()> {
        self.fresh.set(false);
        self.channel.send_with(&ToWorker::Fork { worker: worker.0 }, given)
    }

    /// It has ended and was not what was meant: a worker reads its first
    /// message before anything else.
    pub(crate) fn was_foreign(&self) -> bool {
        self.fresh.get() && self.channel.left_unread()
    }

    /// The thread that is now asked for the stacks of all.
    pub(crate) fn trace(&self) -> Option<i32> {
        let thread = self.shared.scoreboard.as_ref()?.stacks_thread();
        self.traced.set(thread.is_some());
        thread
    }

    /// The stacks that it was asked for, once they are there. Those of a crash
    /// are left for its end: it may still be writing them.
    fn traced(&self) -> Option<String> {
        let stacks = self.traced.get().then(|| self.shared.stacks.take());
        let stacks = stacks.filter(|stacks| !stacks.is_empty())?;
        self.traced.set(false);
        Some(stacks)
    }

    /// The requests that it is running.
    pub(crate) fn running(&self) -> Vec<String> {
        let running = self.shared.scoreboard.as_ref().map(Scoreboard::running).unwrap_or_default();
        running.iter().map(ToString::to_string).collect()
    }

    /// What it has given up by its own decision.
    pub(crate) fn losses(&self) -> Losses {
        self.shared.scoreboard.as_ref().map(Scoreboard::losses).unwrap_or_default()
    }

    /// Where its threads were when it crashed or was last asked.
    pub(crate) fn stacks(&self) -> String {
        self.shared.stacks.take()
    }

    /// How it does, but for its memory; a mold shows nothing.
    pub(crate) fn sample(&mut self, worker: WorkerId, pid: i32) -> WorkerSample {
        let now = monotonic_ms();
        let running = self.watch_runs(now, pid);
        let Some(scoreboard) = &self.shared.scoreboard else {
            return WorkerSample { worker, ..WorkerSample::default() };
        };
        let since = |then: u64| Duration::from_millis(now.saturating_sub(then));
        let stacks = self.traced();
        let beat = scoreboard.last_beat_ms();
        let silent = if beat > 0 { since(beat) } else { Duration::MAX };
        WorkerSample {
            worker,
            silent: Some(silent),
            stopped: silent > DOUBT && proc_stat::is_stopped(pid),
            running,
            threads: scoreboard.threads(),
            stuck: scoreboard.stuck_since_ms().map(since),
            requests: scoreboard.requests(),
            losses: scoreboard.losses(),
            memory: None,
            stacks,
            asked: self.traced.get(),
        }
    }

    /// What its threads run, and how much processor time they have used since
    /// they were first seen to do so.
    fn watch_runs(&mut self, now: u64, pid: i32) -> Vec<RunningRequest> {
        let running = self.shared.scoreboard.as_ref().map(Scoreboard::running).unwrap_or_default();
        let before = std::mem::take(&mut self.seen);
        let runs = running.into_iter().map(|it| {
            let time = proc_stat::processor_time(pid, it.tid.cast_signed());
            let first = before.iter().find(|(number, _)| *number == it.number);
            let first = first.map(|(_, time)| *time).or(time);
            self.seen.extend(first.map(|time| (it.number, time)));
            RunningRequest {
                thread: u16::try_from(it.thread).unwrap_or(u16::MAX),
                number: it.number,
                label: it.to_string(),
                lasted: Duration::from_millis(now.saturating_sub(it.since_ms)),
                used: time.zip(first).map(|(time, first)| time.saturating_sub(first)),
                response: match it.stage {
                    ResponseStage::Whole => ResponseProgress::Whole,
                    ResponseStage::Streams => ResponseProgress::Streams,
                    ResponseStage::Left { since_ms } => {
                        ResponseProgress::Left(Duration::from_millis(now.saturating_sub(since_ms)))
                    }
                },
            }
        });
        runs.collect()
    }
}

impl AsFd for NativeWorker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
