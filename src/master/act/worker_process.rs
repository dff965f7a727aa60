//! One worker's process, or a mold's, seen from the master: how it is started,
//! what it says, and what it is told.

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use monoceros_config::variable;
use monoceros_sys::descriptor;
use monoceros_sys::process::{Process, Program, lacks_room};
use monoceros_sys::{reason, user};
use monoceros_wire::channel::{Incoming, MasterEnd, pair};
use monoceros_wire::message::{FromWorker, Start, StartMold, ToWorker};
use monoceros_wire::scoreboard::{Losses, Scoreboard};
use monoceros_wire::stacks::{self, Stacks};
use monoceros_wire::{Generation, Slot};

use crate::master::act::native_worker::{NativeWorker, SharedMemory};
use crate::master::act::notify_receiver::NotifyReceiver;
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::act::{logs, memory};
use crate::master::decide::action::WorkerSignal;
use crate::master::decide::event::SpawnError;
use crate::master::decide::id::WorkerId;
use crate::master::decide::sample::WorkerSample;
use monoceros_sys::process::ExitStatus;

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
    NativeWorker(NativeWorker),
    /// It is a program of class exec, which can announce itself, and
    /// understands signals.
    Program {
        receiver: NotifyReceiver,
        /// The program's name.
        name: String,
    },
}

/// What was heard of a process.
#[derive(Debug)]
pub(crate) enum WorkerReport {
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
pub(crate) fn spawn(spec: &WorkerSpec, start: Start) -> Result<WorkerProcess, SpawnError> {
    if spec.is_foreign() { spawn_program(spec, &start) } else { spawn_own(spec, start) }
}

/// Starts a program of class exec, with what every program understands.
fn spawn_program(spec: &WorkerSpec, start: &Start) -> Result<WorkerProcess, SpawnError> {
    let (slot, generation) = (Some(start.slot), start.generation);
    let uid = spec.owner.as_ref().map_or_else(user::own_uid, |it| it.uid);
    let receiver = NotifyReceiver::open(uid).map_err(spawn_error)?;
    let mut program = spec.program.clone();
    let address = CString::new(format!("NOTIFY_SOCKET={}", receiver.address()));
    program.environment.extend(address.ok());
    let process = execute(program, spec, slot, generation, &[]).map_err(spawn_error)?;
    let name = spec.app.clone().unwrap_or_default();
    Ok(WorkerProcess::new(slot, generation, process, Kind::Program { receiver, name }))
}

/// Starts a worker of ours. Its first message waits for it before it runs.
fn spawn_own(spec: &WorkerSpec, start: Start) -> Result<WorkerProcess, SpawnError> {
    let Start { slot, generation, .. } = start;
    let (channel, theirs) = pair().map_err(spawn_error)?;
    let scoreboard =
        Scoreboard::create(slot, generation, spec.settings.threads).map_err(spawn_error)?;
    let stacks = Stacks::create().map_err(spawn_error)?;
    channel.send(&ToWorker::Start(start)).map_err(spawn_error)?;
    let given = [
        (variable::CHANNEL, theirs.as_fd()),
        (variable::SCOREBOARD, scoreboard.as_fd()),
        (variable::STACKS, stacks.as_fd()),
    ];
    let process = execute(spec.program.clone(), spec, Some(slot), generation, &given);
    let process = process.map_err(spawn_error)?;
    let shared = SharedMemory { scoreboard: Some(scoreboard), stacks };
    let kind = Kind::NativeWorker(NativeWorker::new(channel, shared));
    Ok(WorkerProcess::new(Some(slot), generation, process, kind))
}

/// Starts a mold. Its first message waits for it before it runs.
pub(crate) fn spawn_mold(
    spec: &WorkerSpec,
    generation: Generation,
) -> Result<WorkerProcess, SpawnError> {
    let (channel, theirs) = pair().map_err(spawn_error)?;
    let (app, settings) = (spec.app.clone(), spec.pairs.clone());
    let start = StartMold { generation, app, settings };
    channel.send(&ToWorker::StartMold(start)).map_err(spawn_error)?;
    let stacks = Stacks::create().map_err(spawn_error)?;
    let given = [(variable::CHANNEL, theirs.as_fd()), (variable::STACKS, stacks.as_fd())];
    let process = execute(spec.program.clone(), spec, None, generation, &given);
    let process = process.map_err(spawn_error)?;
    let shared = SharedMemory { scoreboard: None, stacks };
    let kind = Kind::NativeWorker(NativeWorker::new(channel, shared));
    Ok(WorkerProcess::new(None, generation, process, kind))
}

/// The system has refused what a process needs.
#[expect(clippy::needless_pass_by_value, reason = "it is for map_err")]
fn spawn_error(error: io::Error) -> SpawnError {
    let text = format!("cannot start a process: {}", reason(&error));
    SpawnError { text, is_temporary: lacks_room(&error) }
}

/// Executes the program with the listeners and what else is `given`, by the
/// variables that name the descriptors.
fn execute(
    mut program: Program,
    spec: &WorkerSpec,
    slot: Option<Slot>,
    generation: Generation,
    given: &[(&str, BorrowedFd)],
) -> io::Result<Process> {
    let extension = spec.extension.as_ref().map(|it| (variable::EXTENSION, it.as_fd()));
    let logs = if spec.is_foreign() { Vec::new() } else { logs::given(spec) };
    let logs = logs.iter().map(|(name, fd)| (*name, fd.as_fd()));
    let given: Vec<_> = given.iter().copied().chain(extension).chain(logs).collect();
    let mut descriptors: Vec<_> = spec.listeners.iter().flat_map(|it| it.sockets()).collect();
    let names = given.iter().map(|(name, _)| *name);
    program.environment.extend(variables(spec, slot, generation, descriptors.len(), names));
    descriptors.extend(given.iter().map(|(_, descriptor)| *descriptor));
    Process::start(&program, &descriptors)
}

/// What tells a process who it is, and where its descriptors are: the sockets
/// first, then those of these names.
fn variables<'a>(
    spec: &WorkerSpec,
    slot: Option<Slot>,
    generation: Generation,
    sockets: usize,
    given: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = CString> {
    let names = spec.listeners.iter().flat_map(|it| it.sockets().map(|_| it.name()));
    let names = names.collect::<Vec<_>>().join(":");
    let after = usize::try_from(descriptor::FIRST).unwrap_or_default() + sockets;
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
pub(crate) fn number_of(signal: WorkerSignal) -> i32 {
    match signal {
        WorkerSignal::Hup => libc::SIGHUP,
        WorkerSignal::Term => libc::SIGTERM,
        WorkerSignal::Quit => libc::SIGQUIT,
        WorkerSignal::Abort => libc::SIGABRT,
        WorkerSignal::Kill => libc::SIGKILL,
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
        shared: SharedMemory,
    ) -> Self {
        Self::new(
            Some(slot),
            generation,
            process,
            Kind::NativeWorker(NativeWorker::known(channel, shared)),
        )
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
    pub(crate) fn hear(&self) -> io::Result<WorkerReport> {
        match &self.kind {
            Kind::NativeWorker(own) => Ok(match own.hear()? {
                Incoming::Message(message) => WorkerReport::Message(message),
                Incoming::Nothing => WorkerReport::Nothing,
                Incoming::Closed => WorkerReport::Closed,
            }),
            Kind::Program { receiver, name } => self.read_notification(receiver, name),
        }
    }

    fn read_notification(&self, receiver: &NotifyReceiver, name: &str) -> io::Result<WorkerReport> {
        let notice = match receiver.hear() {
            Ok(notice) => notice,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(WorkerReport::Nothing);
            }
            Err(error) => return Err(error),
        };
        if let Some(status) = &notice.status {
            log::debug!("pid {} says: {status}", self.pid());
        }
        if notice.stopping {
            log::debug!("pid {} says that it stops", self.pid());
        }
        let ready = FromWorker::Ready { app: name.to_owned() };
        Ok(if notice.ready { WorkerReport::Message(ready) } else { WorkerReport::Noise })
    }

    /// Where it speaks, to wait for.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::NativeWorker(own) => own.as_fd(),
            Kind::Program { receiver, .. } => receiver.as_fd(),
        }
    }

    /// Sends a signal; each of them ends it, sooner or later.
    pub(crate) fn signal(&self, signal: WorkerSignal) {
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
    pub(crate) fn trouble(&self, program: &Program, exit: ExitStatus) -> Option<String> {
        if let Some(trouble) = self.process.exec_error() {
            return Some(program.describe(&trouble));
        }
        let path = program.path.to_string_lossy();
        let by_itself = matches!(exit, ExitStatus::Code(_));
        (by_itself && self.own().is_some_and(NativeWorker::was_foreign)).then(|| {
            format!("{path} ended with {exit} and ran no worker; is it CPython 3.10 or later?")
        })
    }

    /// Asks for the stacks of its threads; the next look at it shows them.
    pub(crate) fn ask_for_stacks(&self) {
        let Some(thread) = self.own().and_then(NativeWorker::trace) else { return };
        if let Err(error) = self.process.signal_thread(thread, stacks::SIGNAL) {
            log::error!("cannot ask pid {} for its stacks: {}", self.pid(), reason(&error));
        }
    }

    /// The requests that it is running, as far as it shows.
    pub(crate) fn running(&self) -> Vec<String> {
        self.own().map(NativeWorker::running).unwrap_or_default()
    }

    /// What it has given up by its own decision, as far as it shows.
    pub(crate) fn losses(&self) -> Losses {
        self.own().map(NativeWorker::losses).unwrap_or_default()
    }

    /// Where its threads were when it crashed or was last asked, if it shows.
    pub(crate) fn stacks(&self) -> String {
        self.own().map(NativeWorker::stacks).unwrap_or_default()
    }

    /// How it does, as far as it shows; its memory if it may have more than
    /// `limit` bytes, and that is not 0.
    pub(crate) fn sample(&mut self, worker: WorkerId, limit: u64) -> WorkerSample {
        let pid = self.pid();
        let limited = limit > 0 && !self.is_mold();
        let memory = limited.then(|| memory::measure(pid, limit)).flatten();
        let sample = match &mut self.kind {
            Kind::NativeWorker(own) => own.sample(worker, pid),
            Kind::Program { .. } => WorkerSample { worker, ..WorkerSample::default() },
        };
        WorkerSample { memory, ..sample }
    }

    fn own(&self) -> Option<&NativeWorker> {
        match &self.kind {
            Kind::NativeWorker(own) => Some(own),
            Kind::Program { .. } => None,
        }
    }
}
