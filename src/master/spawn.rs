//! One worker's process, or a mold's, seen from the master: how it is started,
//! what it says, and what it is told.

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use monoceros_sys::clock::monotonic_ms;
use monoceros_sys::process::{FIRST_DESCRIPTOR, Process, Program};
use monoceros_sys::reason;
use monoceros_wire::channel::{MasterEnd, Received, pair};
use monoceros_wire::message::{FromWorker, Start, StartMold, ToWorker};
use monoceros_wire::scoreboard::Scoreboard;
use monoceros_wire::stacks::{self, Stacks};
use monoceros_wire::{Generation, Slot, variable};

use super::recipe::Recipe;
use super::state::{Exit, Run, Signal, Vital, WorkerId};
use super::{memory, stat};

/// A worker that is silent for so long may have been stopped by a signal.
const DOUBT: Duration = Duration::from_secs(2);

/// A worker's process or a mold's, and what the master shares with it.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    /// Its place; a mold has none.
    pub(crate) slot: Option<Slot>,
    /// Whose recipe it was made by.
    pub(crate) generation: Generation,
    channel: MasterEnd,
    /// Nothing was said after the first message, by either side.
    fresh: Cell<bool>,
    draining: Cell<bool>,
    process: Process,
    shown: Shown,
    /// The requests that were last seen to run, and the processor time that
    /// their threads had used when they were first seen.
    seen: Vec<(u64, Duration)>,
}

/// What a worker or a mold shows without saying anything.
#[derive(Debug)]
pub(crate) struct Shown {
    /// A mold has none.
    pub(crate) scoreboard: Option<Scoreboard>,
    pub(crate) stacks: Stacks,
}

/// Starts a worker. Its first message waits for it before it runs.
pub(crate) fn spawn(recipe: &Recipe, start: Start) -> Result<WorkerProcess, String> {
    let Start { slot, generation, .. } = start;
    let cannot = |error: io::Error| format!("cannot start a process: {}", reason(&error));
    let (channel, theirs) = pair().map_err(cannot)?;
    let scoreboard =
        Scoreboard::create(slot, generation, recipe.settings.threads).map_err(cannot)?;
    let stacks = Stacks::create().map_err(cannot)?;
    channel.send(&ToWorker::Start(start)).map_err(cannot)?;
    let given = [
        (variable::CHANNEL, theirs.as_fd()),
        (variable::SCOREBOARD, scoreboard.as_fd()),
        (variable::STACKS, stacks.as_fd()),
    ];
    let process = execute(recipe, Some(slot), generation, &given).map_err(cannot)?;
    let shown = Shown { scoreboard: Some(scoreboard), stacks };
    Ok(WorkerProcess::new(Some(slot), generation, channel, process, shown))
}

/// Starts a mold. Its first message waits for it before it runs.
pub(crate) fn spawn_mold(recipe: &Recipe, generation: Generation) -> Result<WorkerProcess, String> {
    let cannot = |error: io::Error| format!("cannot start a process: {}", reason(&error));
    let (channel, theirs) = pair().map_err(cannot)?;
    let (app, settings) = (recipe.app.clone(), recipe.pairs.clone());
    let start = StartMold { generation, app, settings };
    channel.send(&ToWorker::StartMold(start)).map_err(cannot)?;
    let stacks = Stacks::create().map_err(cannot)?;
    let given = [(variable::CHANNEL, theirs.as_fd()), (variable::STACKS, stacks.as_fd())];
    let process = execute(recipe, None, generation, &given).map_err(cannot)?;
    let shown = Shown { scoreboard: None, stacks };
    Ok(WorkerProcess::new(None, generation, channel, process, shown))
}

/// Executes the program with the listeners and what else is `given`, by the
/// variables that name the descriptors.
fn execute(
    recipe: &Recipe,
    slot: Option<Slot>,
    generation: Generation,
    given: &[(&str, BorrowedFd)],
) -> io::Result<Process> {
    let mut descriptors: Vec<_> = recipe.listeners.iter().flat_map(|it| it.sockets()).collect();
    let mut program = recipe.program.clone();
    let names = given.iter().map(|(name, _)| *name);
    program.environment.extend(variables(recipe, slot, generation, descriptors.len(), names));
    descriptors.extend(given.iter().map(|(_, descriptor)| *descriptor));
    Process::start(&program, &descriptors)
}

/// What tells a process who it is, and where its descriptors are: the sockets
/// first, then those of these names.
fn variables<'a>(
    recipe: &Recipe,
    slot: Option<Slot>,
    generation: Generation,
    sockets: usize,
    given: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = CString> {
    let names = recipe.listeners.iter().flat_map(|it| it.sockets().map(|_| it.name()));
    let names = names.collect::<Vec<_>>().join(":");
    let after = usize::try_from(FIRST_DESCRIPTOR).unwrap_or_default() + sockets;
    let mut texts = vec![
        format!("LISTEN_FDS={sockets}"),
        format!("LISTEN_FDNAMES={names}"),
        format!("{}={generation}", variable::GENERATION),
    ];
    texts.extend(slot.map(|slot| format!("{}={slot}", variable::SLOT)));
    texts.extend(given.zip(after..).map(|(name, number)| format!("{name}={number}")));
    texts.into_iter().filter_map(|text| CString::new(text).ok())
}

/// The number of a signal (`signal(7)`).
pub(crate) fn number_of(signal: Signal) -> i32 {
    match signal {
        Signal::Reload => libc::SIGHUP,
        Signal::Terminate => libc::SIGTERM,
        Signal::Quit => libc::SIGQUIT,
        Signal::Abort => libc::SIGABRT,
        Signal::Kill => libc::SIGKILL,
    }
}

impl WorkerProcess {
    /// A process that is there, and to which nothing has been said but the
    /// first message.
    fn new(
        slot: Option<Slot>,
        generation: Generation,
        channel: MasterEnd,
        process: Process,
        shown: Shown,
    ) -> Self {
        let (fresh, draining, seen) = (Cell::new(true), Cell::new(false), Vec::new());
        Self { slot, generation, channel, fresh, draining, process, shown, seen }
    }

    /// A worker that a mold has forked, which is known to be one.
    pub(crate) fn forked(
        slot: Slot,
        generation: Generation,
        channel: MasterEnd,
        process: Process,
        shown: Shown,
    ) -> Self {
        let worker = Self::new(Some(slot), generation, channel, process, shown);
        worker.fresh.set(false);
        worker
    }

    /// It forks workers and serves nobody.
    pub(crate) fn is_mold(&self) -> bool {
        self.slot.is_none()
    }

    /// Asks a mold to fork a worker, which gets these descriptors.
    pub(crate) fn ask_fork(&self, worker: WorkerId, given: &[BorrowedFd]) -> io::Result<()> {
        self.fresh.set(false);
        self.channel.send_with(&ToWorker::Fork { worker: worker.0 }, given)
    }

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

    /// Sends a signal; each of them ends it, sooner or later.
    pub(crate) fn signal(&self, signal: Signal) {
        self.draining.set(true);
        self.raise(number_of(signal));
    }

    /// Sends a message; a worker that does not read its channel gets the signal
    /// that means the same.
    pub(crate) fn tell(&self, message: &ToWorker) {
        self.fresh.set(false);
        if matches!(message, ToWorker::Drain { .. }) {
            self.draining.set(true);
        }
        if self.channel.send(message).is_ok() {
            return;
        }
        match message {
            ToWorker::Drain { .. } => self.raise(libc::SIGTERM),
            ToWorker::Reopen => self.raise(libc::SIGUSR1),
            // No signal means any of them.
            ToWorker::Start(_)
            | ToWorker::StartMold(_)
            | ToWorker::Fork { .. }
            | ToWorker::Workers(_)
            | ToWorker::Expire { .. } => {}
        }
    }

    /// It accepts no new connections any more, or is about to stop.
    pub(crate) fn was_told_to_drain(&self) -> bool {
        self.draining.get()
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
        let by_itself = matches!(exit, Exit::Code(_));
        (by_itself && self.fresh.get() && self.channel.left_unread()).then(|| {
            format!("{path} ended with {exit} and ran no worker; is it CPython 3.10 or later?")
        })
    }

    /// Asks for the stacks of its threads; the next look at it shows them.
    pub(crate) fn ask_for_stacks(&self) {
        // Before it has a handler it would die of the signal.
        if self.shown.scoreboard.as_ref().is_some_and(Scoreboard::has_stacks) {
            self.raise(stacks::SIGNAL);
        }
    }

    /// The requests that it is running.
    pub(crate) fn running(&self) -> Vec<String> {
        let running = self.shown.scoreboard.as_ref().map(Scoreboard::running).unwrap_or_default();
        running.iter().map(ToString::to_string).collect()
    }

    /// Where its threads were when it crashed or was last asked.
    pub(crate) fn stacks(&self) -> String {
        self.shown.stacks.take()
    }

    /// How it does; its memory if it may have more than `limit` bytes, and that
    /// is not 0.
    pub(crate) fn vital(&mut self, worker: WorkerId, limit: u64) -> Vital {
        let now = monotonic_ms();
        let running = self.watch_runs(now);
        let Some(scoreboard) = &self.shown.scoreboard else {
            return Vital { worker, ..Vital::default() };
        };
        let since = |then: u64| Duration::from_millis(now.saturating_sub(then));
        let beat = scoreboard.last_beat_ms();
        let silent = if beat > 0 { since(beat) } else { Duration::MAX };
        Vital {
            worker,
            silent: Some(silent),
            stopped: silent > DOUBT && stat::is_stopped(self.pid()),
            running,
            stuck: scoreboard.stuck_since_ms().map(since),
            requests: scoreboard.requests(),
            memory: (limit > 0).then(|| memory::measure(self.pid(), limit)).flatten(),
            stacks: Some(self.shown.stacks.take()).filter(|stacks| !stacks.is_empty()),
        }
    }

    /// What its threads run, and how much processor time they have used since
    /// they were first seen to do so.
    fn watch_runs(&mut self, now: u64) -> Vec<Run> {
        let running = self.shown.scoreboard.as_ref().map(Scoreboard::running).unwrap_or_default();
        let (before, pid) = (std::mem::take(&mut self.seen), self.pid());
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
