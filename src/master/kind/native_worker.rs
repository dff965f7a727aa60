//! What the master shares with a Python worker or its mold: a channel, and memory that the
//! process writes and the master reads.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use monoceros_config::variable;
use monoceros_sys::clock::monotonic_ms;
use monoceros_wire::Generation;
use monoceros_wire::channel::{Incoming, MasterEnd};
use monoceros_wire::message::{FromWorker, ToWorker};
use monoceros_wire::report::Totals;
use monoceros_wire::scoreboard::{ResponseStage, Scoreboard};
use monoceros_wire::stacks;

use crate::master::act::proc_stat;
use crate::master::decide::id::WorkerId;
use crate::master::decide::sample::{ResponseProgress, RunningRequest, StacksRead, WorkerSample};
use crate::master::kind::client_memory::ClientMemory;
use crate::master::kind::stacks_reader::StacksReader;

/// A worker without a heartbeat for this long may have been stopped by a signal.
const SILENCE_OF_STOPPED: Duration = Duration::from_secs(2);
/// Why a process shows no stacks that its extension could show later.
const NO_HANDLER: &str = "its interpreter has not started yet";

/// The master's ends.
#[derive(Debug)]
pub(crate) struct NativeWorker {
    channel: MasterEnd,
    /// No message was sent after the first one, by either side.
    fresh: Cell<bool>,
    shared: SharedMemory,
    /// The requests of the last sample, and the processor time that their threads had used
    /// in the first sample with them.
    seen: Vec<(u64, Duration)>,
}

/// The memory that the process writes.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    /// A mold has none.
    pub(crate) scoreboard: Option<Scoreboard>,
    /// The addresses of the listeners that the scoreboard has rows for, in their order.
    pub(crate) listeners: Vec<String>,
    pub(crate) stacks: StacksReader,
    /// What it shares with other workers about clients, if it limits them.
    pub(crate) clients: Option<ClientMemory>,
}

impl NativeWorker {
    /// Of a process that has been sent its first message only.
    pub(crate) fn new(channel: MasterEnd, shared: SharedMemory) -> Self {
        Self { channel, fresh: Cell::new(true), shared, seen: Vec::new() }
    }

    /// Of a process that has sent a message already.
    pub(crate) fn known(channel: MasterEnd, shared: SharedMemory) -> Self {
        Self { fresh: Cell::new(false), ..Self::new(channel, shared) }
    }

    /// The descriptors that the process inherits beside its channel, by the variables that
    /// name them.
    pub(crate) fn given(&self) -> Vec<(&'static str, BorrowedFd<'_>)> {
        let SharedMemory { scoreboard, stacks, .. } = &self.shared;
        let scoreboard = scoreboard.as_ref().map(|it| (variable::SCOREBOARD, it.as_fd()));
        let stacks = stacks.file().as_fd();
        scoreboard.into_iter().chain([(variable::STACKS, stacks)]).collect()
    }

    /// Reads its next message.
    pub(crate) fn read(&self) -> io::Result<Incoming<FromWorker>> {
        let received = self.channel.receive()?;
        if matches!(received, Incoming::Message(_)) {
            self.fresh.set(false);
        }
        Ok(received)
    }

    /// Sends a message; fails if it does not read its channel.
    pub(crate) fn send(&self, message: &ToWorker) -> io::Result<()> {
        self.fresh.set(false);
        self.channel.send(message)
    }

    /// Sends a message with copies of descriptors; fails if it does not read its channel.
    pub(crate) fn send_with(&self, message: &ToWorker, files: &[BorrowedFd]) -> io::Result<()> {
        self.fresh.set(false);
        self.channel.send_with(message, files)
    }

    /// Asks a mold to fork a worker of this generation, which gets these descriptors.
    pub(crate) fn ask_fork(
        &self,
        (worker, age): (WorkerId, u64),
        generation: Generation,
        given: &[BorrowedFd],
    ) -> io::Result<()> {
        self.send_with(&ToWorker::Fork { worker: worker.0, generation, age }, given)
    }

    /// The process has ended without having read its first message, which a worker does
    /// first of all: the program was not the one that was meant.
    pub(crate) fn was_foreign(&self) -> bool {
        self.fresh.get() && self.channel.left_unread()
    }

    /// The thread that writes the stacks of all threads when it gets a signal.
    pub(crate) fn trace(&self) -> Option<i32> {
        let thread = self.shared.scoreboard.as_ref()?.stacks_thread();
        self.shared.stacks.await_for_sample(thread.is_some());
        thread
    }

    /// A command asks for the stacks of all threads. Returns the thread that writes them when it
    /// gets a signal; `None` if any thread of the process may be the one.
    pub(crate) fn begin_dump(&self) -> Option<i32> {
        self.shared.stacks.await_for_command(monotonic_ms());
        self.shared.scoreboard.as_ref().and_then(Scoreboard::stacks_thread)
    }

    /// The stacks that a command has asked for, as far as they are written.
    pub(crate) fn read_dump(&self) -> StacksRead {
        if !self.shared.stacks.awaits_for_command() {
            return StacksRead::Unable(NO_HANDLER.to_owned());
        }
        let beat_ms = self.shared.scoreboard.as_ref().map_or(0, Scoreboard::last_beat_ms);
        let written = self.shared.stacks.take_for_command(beat_ms, monotonic_ms());
        written.map_or(StacksRead::Pending, |text| StacksRead::Written(self.with_thread_ids(&text)))
    }

    /// The requests that it is running.
    pub(crate) fn running(&self) -> Vec<String> {
        let running = self.shared.scoreboard.as_ref().map(Scoreboard::running).unwrap_or_default();
        running.iter().map(ToString::to_string).collect()
    }

    /// Its scoreboard, and the addresses of the listeners in it.
    pub(crate) fn board(&self) -> Option<(&Scoreboard, &[String])> {
        Some((self.shared.scoreboard.as_ref()?, &self.shared.listeners))
    }

    /// What it has counted.
    pub(crate) fn counts(&self) -> Totals {
        let board = self.board();
        board.map(|(board, listeners)| Totals::of_board(board, listeners)).unwrap_or_default()
    }

    /// It has ended: its connections do not count for its clients any more.
    pub(crate) fn disconnect_clients(&self) {
        self.shared.clients.iter().for_each(ClientMemory::disconnect);
    }

    /// The stacks of its threads when it crashed or was last asked.
    pub(crate) fn stacks(&self) -> String {
        self.with_thread_ids(&self.shared.stacks.rest())
    }

    fn with_thread_ids(&self, stacks: &str) -> String {
        let threads = self.shared.scoreboard.as_ref().map(Scoreboard::threads);
        stacks::with_thread_ids(stacks, &threads.unwrap_or_default())
    }

    /// A sample without its memory; that of a mold is empty.
    pub(crate) fn sample(&mut self, worker: WorkerId, pid: i32) -> WorkerSample {
        let now = monotonic_ms();
        let running = self.watch_runs(now, pid);
        let Some(scoreboard) = &self.shared.scoreboard else {
            return WorkerSample { worker, ..WorkerSample::default() };
        };
        let since = |then: u64| Duration::from_millis(now.saturating_sub(then));
        // Those of a crash are read after its end: it may still be writing them.
        let stacks = self.shared.stacks.take_for_sample();
        let stacks = stacks.map(|text| self.with_thread_ids(&text));
        let beat = scoreboard.last_beat_ms();
        let silent = if beat > 0 { since(beat) } else { Duration::MAX };
        WorkerSample {
            worker,
            silent: Some(silent),
            stopped: silent > SILENCE_OF_STOPPED && proc_stat::is_stopped(pid),
            running,
            sides: scoreboard.sides(),
            queued: scoreboard.queued(),
            stuck: scoreboard.stuck_since_ms().map(since),
            requests: scoreboard.requests(),
            losses: scoreboard.losses(),
            memory: None,
            stacks,
            asked: self.shared.stacks.awaits_for_sample(),
        }
    }

    /// The requests that it runs, and the processor time that their threads have used since
    /// the first sample with them.
    fn watch_runs(&mut self, now: u64, pid: i32) -> Vec<RunningRequest> {
        let running = self.shared.scoreboard.as_ref().map(Scoreboard::running).unwrap_or_default();
        let before = std::mem::take(&mut self.seen);
        let runs = running.into_iter().map(|it| {
            let time = proc_stat::processor_time(pid, it.tid.cast_signed());
            let first = before.iter().find(|(number, _)| *number == it.number);
            let first = first.map(|(_, time)| *time).or(time);
            self.seen.extend(first.map(|time| (it.number, time)));
            RunningRequest {
                number: it.number,
                label: it.to_string(),
                id: it.id.clone(),
                trace: it.trace,
                client: it.client.map_or_else(String::new, |ip| ip.to_string()),
                pthread: it.pthread,
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
