//! One worker's process, seen from the master: how it is started, what it says,
//! and what it is told.

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use monoceros_sys::clock::monotonic_ms;
use monoceros_sys::process::{FIRST_DESCRIPTOR, Process, Program};
use monoceros_sys::reason;
use monoceros_wire::channel::{MasterEnd, Received, pair};
use monoceros_wire::message::{FromWorker, Start, ToWorker};
use monoceros_wire::scoreboard::Scoreboard;
use monoceros_wire::stacks::{self, Stacks};
use monoceros_wire::{Generation, Slot, variable};

use super::recipe::Recipe;
use super::state::{Exit, Run, Signal, Vital, WorkerId};
use super::{memory, stat};

/// A worker that is silent for so long may have been stopped by a signal.
const DOUBT: Duration = Duration::from_secs(2);

/// A worker's process, and what the master shares with it.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    /// Its place.
    pub(crate) slot: Slot,
    /// Whose recipe it was made by.
    pub(crate) generation: Generation,
    channel: MasterEnd,
    /// Nothing was said after the first message, by either side.
    fresh: Cell<bool>,
    process: Process,
    scoreboard: Scoreboard,
    stacks: Stacks,
    /// The requests that were last seen to run, and the processor time that
    /// their threads had used when they were first seen.
    seen: Vec<(u64, Duration)>,
}

/// Starts a worker. Its first message waits for it before it runs.
pub(crate) fn spawn(
    recipe: &Recipe,
    slot: Slot,
    generation: Generation,
    workers: u16,
) -> Result<WorkerProcess, String> {
    let cannot = |error: io::Error| format!("cannot start a process: {}", reason(&error));
    let (channel, theirs) = pair().map_err(cannot)?;
    let scoreboard =
        Scoreboard::create(slot, generation, recipe.settings.threads).map_err(cannot)?;
    let stacks = Stacks::create().map_err(cannot)?;
    let (app, settings) = (recipe.app.clone(), recipe.pairs.clone());
    let start = Start { slot, generation, workers, app, settings };
    channel.send(&ToWorker::Start(start)).map_err(cannot)?;

    let mut descriptors: Vec<_> = recipe.listeners.iter().flat_map(|it| it.sockets()).collect();
    let mut program = recipe.program.clone();
    program.environment.extend(variables(recipe, slot, generation, descriptors.len()));
    descriptors.extend([theirs.as_fd(), scoreboard.as_fd(), stacks.as_fd()]);
    let process = Process::start(&program, &descriptors).map_err(cannot)?;
    let fresh = Cell::new(true);
    let seen = Vec::new();
    Ok(WorkerProcess { slot, generation, channel, fresh, process, scoreboard, stacks, seen })
}

/// What tells a worker who it is, and where its descriptors are.
fn variables(
    recipe: &Recipe,
    slot: Slot,
    generation: Generation,
    sockets: usize,
) -> impl Iterator<Item = CString> {
    let names = recipe.listeners.iter().flat_map(|it| it.sockets().map(|_| it.name()));
    let names = names.collect::<Vec<_>>().join(":");
    let after = usize::try_from(FIRST_DESCRIPTOR).unwrap_or_default() + sockets;
    let texts = [
        format!("LISTEN_FDS={sockets}"),
        format!("LISTEN_FDNAMES={names}"),
        format!("{}={slot}", variable::SLOT),
        format!("{}={generation}", variable::GENERATION),
        format!("{}={after}", variable::CHANNEL),
        format!("{}={}", variable::SCOREBOARD, after + 1),
        format!("{}={}", variable::STACKS, after + 2),
    ];
    texts.into_iter().filter_map(|text| CString::new(text).ok())
}

/// The number of a signal (`signal(7)`).
pub(crate) fn number_of(signal: Signal) -> i32 {
    match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Quit => libc::SIGQUIT,
        Signal::Abort => libc::SIGABRT,
        Signal::Kill => libc::SIGKILL,
    }
}

impl WorkerProcess {
    /// Its pid, which is its own until it is reaped.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// What it has said.
    pub(crate) fn hear(&self) -> io::Result<Received<FromWorker>> {
        let received = self.channel.receive()?;
        if matches!(received, Received::Message(_)) {
            self.fresh.set(false);
        }
        Ok(received)
    }

    /// Its channel, to wait for.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.raise(number_of(signal));
    }

    /// Sends a message; a worker that does not read its channel gets the signal
    /// that means the same.
    pub(crate) fn tell(&self, message: &ToWorker) {
        self.fresh.set(false);
        if self.channel.send(message).is_ok() {
            return;
        }
        match message {
            ToWorker::Drain { .. } => self.raise(libc::SIGTERM),
            ToWorker::Reopen => self.raise(libc::SIGUSR1),
            // No signal means any of them.
            ToWorker::Start(_) | ToWorker::Workers(_) | ToWorker::Expire { .. } => {}
        }
    }

    fn raise(&self, signal: i32) {
        if let Err(error) = self.process.signal(signal) {
            let (name, pid) = (monoceros_sys::signal::name(signal), self.pid());
            log::error!("cannot send {name} to pid {pid}: {}", reason(&error));
        }
    }

    /// Why it did not become a worker at all, if it did not; known when it has
    /// ended, like this.
    pub(crate) fn trouble(&self, program: &Program, exit: Exit) -> Option<String> {
        if let Some(trouble) = self.process.trouble() {
            return Some(trouble.describe(program));
        }
        // A worker reads its first message before anything else.
        let path = program.path.to_string_lossy();
        (self.fresh.get() && self.channel.left_unread()).then(|| {
            format!("{path} ended with {exit} and ran no worker; is it CPython 3.10 or later?")
        })
    }

    /// Asks for the stacks of its threads; the next look at it shows them.
    pub(crate) fn ask_for_stacks(&self) {
        // Before it has a handler it would die of the signal.
        if self.scoreboard.has_stacks() {
            self.raise(stacks::SIGNAL);
        }
    }

    /// The requests that it is running.
    pub(crate) fn running(&self) -> Vec<String> {
        self.scoreboard.running().iter().map(ToString::to_string).collect()
    }

    /// How it does; its memory if it may have more than `limit` bytes, and that
    /// is not 0.
    pub(crate) fn vital(&mut self, worker: WorkerId, limit: u64) -> Vital {
        let now = monotonic_ms();
        let since = |then: u64| Duration::from_millis(now.saturating_sub(then));
        let beat = self.scoreboard.last_beat_ms();
        let silent = if beat > 0 { since(beat) } else { Duration::MAX };
        Vital {
            worker,
            silent: Some(silent),
            stopped: silent > DOUBT && stat::is_stopped(self.pid()),
            running: self.watch_runs(now),
            stuck: self.scoreboard.stuck_since_ms().map(since),
            requests: self.scoreboard.requests(),
            memory: (limit > 0).then(|| memory::measure(self.pid(), limit)).flatten(),
            stacks: Some(self.stacks.take()).filter(|stacks| !stacks.is_empty()),
        }
    }

    /// What its threads run, and how much processor time they have used since
    /// they were first seen to do so.
    fn watch_runs(&mut self, now: u64) -> Vec<Run> {
        let (running, pid) = (self.scoreboard.running(), self.pid());
        let before = std::mem::take(&mut self.seen);
        let runs = running.into_iter().map(|it| {
            let time = stat::processor_time(pid, it.tid.cast_signed());
            let first = before.iter().find(|(number, _)| *number == it.number);
            let first = first.map(|(_, time)| *time).or(time);
            self.seen.extend(first.map(|time| (it.number, time)));
            Run {
                thread: u16::try_from(it.thread).unwrap_or(u16::MAX),
                number: it.number,
                label: it.to_string(),
                lasted: Duration::from_millis(now.saturating_sub(it.since_ms)),
                used: time.zip(first).map(|(time, first)| time.saturating_sub(first)),
            }
        });
        runs.collect()
    }
}
