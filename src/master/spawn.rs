//! One worker's process, or a mold's, seen from the master: how it is started,
//! what it says, and what it is told.

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use monoceros_sys::process::{FIRST_DESCRIPTOR, Process, Program, lacks_room};
use monoceros_sys::{reason, user};
use monoceros_wire::channel::{Incoming, MasterEnd, pair};
use monoceros_wire::message::{FromWorker, Start, StartMold, ToWorker};
use monoceros_wire::scoreboard::{Losses, Scoreboard};
use monoceros_wire::stacks::{self, Stacks};
use monoceros_wire::{Generation, Slot, variable};

use super::herald::Herald;
use super::logs;
use super::memory;
use super::own::{Own, Shown};
use super::recipe::Recipe;
use super::state::{Exit, Refusal, Signal, Vital, WorkerId};

/// A worker's process or a mold's, and what the master shares with it.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    /// Its place; a mold has none.
    pub(crate) slot: Option<Slot>,
    /// Whose recipe it was made by.
    pub(crate) generation: Generation,
    draining: Cell<bool>,
    process: Process,
    kind: Kind,
}

/// How the master and the process speak.
#[derive(Debug)]
enum Kind {
    /// It is ours.
    Own(Own),
    /// It is a program of class exec, which can announce itself, and
    /// understands signals.
    Program {
        herald: Herald,
        /// The program's name.
        name: String,
    },
}

/// What was heard of a process.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Something to act upon.
    Message(FromWorker),
    /// Something else.
    Noise,
    /// Nothing more.
    Nothing,
    /// Nothing more for ever.
    Closed,
}

/// Starts a worker of the recipe's class.
pub(crate) fn spawn(recipe: &Recipe, start: Start) -> Result<WorkerProcess, Refusal> {
    if recipe.is_foreign() { spawn_program(recipe, &start) } else { spawn_own(recipe, start) }
}

/// Starts a program of class exec, with what every program understands.
fn spawn_program(recipe: &Recipe, start: &Start) -> Result<WorkerProcess, Refusal> {
    let (slot, generation) = (Some(start.slot), start.generation);
    let uid = recipe.owner.as_ref().map_or_else(user::own_uid, |it| it.uid);
    let herald = Herald::open(uid).map_err(refusal)?;
    let mut program = recipe.program.clone();
    let address = CString::new(format!("NOTIFY_SOCKET={}", herald.address()));
    program.environment.extend(address.ok());
    let process = execute(program, recipe, slot, generation, &[]).map_err(refusal)?;
    let name = recipe.app.clone().unwrap_or_default();
    Ok(WorkerProcess::new(slot, generation, process, Kind::Program { herald, name }))
}

/// Starts a worker of ours. Its first message waits for it before it runs.
fn spawn_own(recipe: &Recipe, start: Start) -> Result<WorkerProcess, Refusal> {
    let Start { slot, generation, .. } = start;
    let (channel, theirs) = pair().map_err(refusal)?;
    let scoreboard =
        Scoreboard::create(slot, generation, recipe.settings.threads).map_err(refusal)?;
    let stacks = Stacks::create().map_err(refusal)?;
    channel.send(&ToWorker::Start(start)).map_err(refusal)?;
    let given = [
        (variable::CHANNEL, theirs.as_fd()),
        (variable::SCOREBOARD, scoreboard.as_fd()),
        (variable::STACKS, stacks.as_fd()),
    ];
    let process = execute(recipe.program.clone(), recipe, Some(slot), generation, &given);
    let process = process.map_err(refusal)?;
    let shown = Shown { scoreboard: Some(scoreboard), stacks };
    let kind = Kind::Own(Own::new(channel, shown));
    Ok(WorkerProcess::new(Some(slot), generation, process, kind))
}

/// Starts a mold. Its first message waits for it before it runs.
pub(crate) fn spawn_mold(
    recipe: &Recipe,
    generation: Generation,
) -> Result<WorkerProcess, Refusal> {
    let (channel, theirs) = pair().map_err(refusal)?;
    let (app, settings) = (recipe.app.clone(), recipe.pairs.clone());
    let start = StartMold { generation, app, settings };
    channel.send(&ToWorker::StartMold(start)).map_err(refusal)?;
    let stacks = Stacks::create().map_err(refusal)?;
    let given = [(variable::CHANNEL, theirs.as_fd()), (variable::STACKS, stacks.as_fd())];
    let process = execute(recipe.program.clone(), recipe, None, generation, &given);
    let process = process.map_err(refusal)?;
    let shown = Shown { scoreboard: None, stacks };
    let kind = Kind::Own(Own::new(channel, shown));
    Ok(WorkerProcess::new(None, generation, process, kind))
}

/// The system has refused what a process needs.
#[expect(clippy::needless_pass_by_value, reason = "it is for map_err")]
fn refusal(error: io::Error) -> Refusal {
    let text = format!("cannot start a process: {}", reason(&error));
    Refusal { text, passes: lacks_room(&error) }
}

/// Executes the program with the listeners and what else is `given`, by the
/// variables that name the descriptors.
fn execute(
    mut program: Program,
    recipe: &Recipe,
    slot: Option<Slot>,
    generation: Generation,
    given: &[(&str, BorrowedFd)],
) -> io::Result<Process> {
    let extension = recipe.extension.as_ref().map(|it| (variable::EXTENSION, it.as_fd()));
    let logs = if recipe.is_foreign() { Vec::new() } else { logs::given(recipe) };
    let logs = logs.iter().map(|(name, fd)| (*name, fd.as_fd()));
    let given: Vec<_> = given.iter().copied().chain(extension).chain(logs).collect();
    let mut descriptors: Vec<_> = recipe.listeners.iter().flat_map(|it| it.sockets()).collect();
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
    fn new(slot: Option<Slot>, generation: Generation, process: Process, kind: Kind) -> Self {
        Self { slot, generation, draining: Cell::new(false), process, kind }
    }

    /// A worker that a mold has forked, which is known to be one.
    pub(crate) fn forked(
        slot: Slot,
        generation: Generation,
        channel: MasterEnd,
        process: Process,
        shown: Shown,
    ) -> Self {
        Self::new(Some(slot), generation, process, Kind::Own(Own::known(channel, shown)))
    }

    /// It forks workers and serves nobody.
    pub(crate) fn is_mold(&self) -> bool {
        self.slot.is_none()
    }

    /// Asks a mold to fork a worker, which gets these descriptors.
    pub(crate) fn ask_fork(&self, worker: WorkerId, given: &[BorrowedFd]) -> io::Result<()> {
        self.own().ok_or(io::ErrorKind::Unsupported)?.ask_fork(worker, given)
    }

    /// Its pid, which is its own until it is reaped.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// What it has said.
    pub(crate) fn hear(&self) -> io::Result<Heard> {
        match &self.kind {
            Kind::Own(own) => Ok(match own.hear()? {
                Incoming::Message(message) => Heard::Message(message),
                Incoming::Nothing => Heard::Nothing,
                Incoming::Closed => Heard::Closed,
            }),
            Kind::Program { herald, name } => self.hear_program(herald, name),
        }
    }

    fn hear_program(&self, herald: &Herald, name: &str) -> io::Result<Heard> {
        let notice = match herald.hear() {
            Ok(notice) => notice,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Heard::Nothing),
            Err(error) => return Err(error),
        };
        if let Some(status) = &notice.status {
            log::debug!("pid {} says: {status}", self.pid());
        }
        if notice.stopping {
            log::debug!("pid {} says that it stops", self.pid());
        }
        let ready = FromWorker::Ready { app: name.to_owned() };
        Ok(if notice.ready { Heard::Message(ready) } else { Heard::Noise })
    }

    /// Where it speaks, to wait for.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Own(own) => own.as_fd(),
            Kind::Program { herald, .. } => herald.as_fd(),
        }
    }

    /// Sends a signal; each of them ends it, sooner or later.
    pub(crate) fn signal(&self, signal: Signal) {
        self.draining.set(true);
        self.raise(number_of(signal));
    }

    /// Sends a message; a worker that does not read its channel gets the signal
    /// that means the same.
    pub(crate) fn tell(&self, message: &ToWorker) {
        if matches!(message, ToWorker::Drain(_)) {
            self.draining.set(true);
        }
        if self.own().is_some_and(|own| own.tell(message).is_ok()) {
            return;
        }
        match message {
            ToWorker::Drain(_) => self.raise(libc::SIGTERM),
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
    pub(crate) fn exec_error(&self, program: &Program, exit: Exit) -> Option<String> {
        if let Some(exec_error) = self.process.exec_error() {
            return Some(exec_error.describe(program));
        }
        let path = program.path.to_string_lossy();
        let by_itself = matches!(exit, Exit::Code(_));
        (by_itself && self.own().is_some_and(Own::was_foreign)).then(|| {
            format!("{path} ended with {exit} and ran no worker; is it CPython 3.10 or later?")
        })
    }

    /// Asks for the stacks of its threads; the next look at it shows them.
    pub(crate) fn ask_for_stacks(&self) {
        let Some(thread) = self.own().and_then(Own::trace) else { return };
        if let Err(error) = self.process.signal_thread(thread, stacks::SIGNAL) {
            log::error!("cannot ask pid {} for its stacks: {}", self.pid(), reason(&error));
        }
    }

    /// The requests that it is running, as far as it shows.
    pub(crate) fn running(&self) -> Vec<String> {
        self.own().map(Own::running).unwrap_or_default()
    }

    /// What it has given up by its own decision, as far as it shows.
    pub(crate) fn losses(&self) -> Losses {
        self.own().map(Own::losses).unwrap_or_default()
    }

    /// Where its threads were when it crashed or was last asked, if it shows.
    pub(crate) fn stacks(&self) -> String {
        self.own().map(Own::stacks).unwrap_or_default()
    }

    /// How it does, as far as it shows; its memory if it may have more than
    /// `limit` bytes, and that is not 0.
    pub(crate) fn vital(&mut self, worker: WorkerId, limit: u64) -> Vital {
        let pid = self.pid();
        let limited = limit > 0 && !self.is_mold();
        let memory = limited.then(|| memory::measure(pid, limit)).flatten();
        let vital = match &mut self.kind {
            Kind::Own(own) => own.vital(worker, pid),
            Kind::Program { .. } => Vital { worker, ..Vital::default() },
        };
        Vital { memory, ..vital }
    }

    fn own(&self) -> Option<&Own> {
        match &self.kind {
            Kind::Own(own) => Some(own),
            Kind::Program { .. } => None,
        }
    }
}
