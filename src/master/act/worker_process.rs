//! One process of a worker or a mold, seen from the master: how it is started, what is read
//! from it, and what is sent to it. Owned by `processes.rs`, and called by it only.

use std::cell::Cell;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use monoceros_config::variable;
use monoceros_sys::descriptor;
use monoceros_sys::process::{ExitStatus, Process, Program, lacks_room};
use monoceros_sys::{reason, user};
use monoceros_wire::channel::MasterEnd;
use monoceros_wire::client_table::ClientTable;
use monoceros_wire::message::{Start, StartMold, ToWorker};
use monoceros_wire::report::Totals;
use monoceros_wire::scoreboard::Scoreboard;
use monoceros_wire::spool_count::SpoolCount;
use monoceros_wire::stacks;
use monoceros_wire::{Generation, Slot};

use crate::master::act::former_workers::{FormerRecord, PassedWorker};
use crate::master::act::logs::OpenLogs;
use crate::master::act::metrics_server::WorkerMetrics;
use crate::master::act::python_file::MoldFile;
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::act::{memory, proc_stat};
use crate::master::decide::action::WorkerSignal;
use crate::master::decide::event::SpawnError;
use crate::master::decide::id::WorkerId;
use crate::master::decide::sample::{StacksRead, WorkerSample};
use crate::master::kind::client_memory::ClientMemory;
use crate::master::kind::extension::ExtensionFile;
use crate::master::kind::link::{Endpoints, Link, LinkInput};
use crate::master::kind::native_worker::{NativeWorker, SharedMemory};
use crate::master::kind::python_kind;
use crate::master::kind::worker_kind::StartFacts;

/// The process of a worker or a mold, and the master's end of the link to it.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    /// Its slot; a mold has none.
    pub(crate) slot: Option<Slot>,
    /// Its generation.
    pub(crate) generation: Generation,
    draining: Cell<bool>,
    /// It did not get the newest certificates: its channel was full.
    lacks_certificates: Cell<bool>,
    /// It did not get the logs that were opened last, for the same reason.
    lacks_logs: Cell<bool>,
    /// The logs of its generation.
    pub(crate) logs: Rc<OpenLogs>,
    /// It is a mold that runs a configuration file in Python.
    has_file: bool,
    process: Process,
    link: Link,
}

/// Starts a worker. Its first message waits for it before it runs.
pub(crate) fn spawn(
    spec: &WorkerSpec,
    mut start: Start,
    spool_count: Option<&SpoolCount>,
    clients: Option<&Rc<ClientTable>>,
) -> Result<WorkerProcess, SpawnError> {
    let (slot, generation) = (Some(start.slot), start.generation);
    let uid = spec.owner.as_ref().map_or_else(user::own_uid, |owner| owner.uid);
    let certificates = spec.sealed_certificates().map(|file| file.as_fd());
    let spool_count = spool_count.map(AsFd::as_fd);
    let clients = clients.map(|table| ClientMemory::create(table, spec.counted_connections()));
    let clients = clients.transpose().map_err(spawn_error)?;
    let threads = spec.settings.threads;
    start.logs = spec.logs.roles();
    let logs = spec.logs.descriptors();
    let facts = StartFacts { threads, uid, certificates, spool_count, clients, logs };
    let endpoints = spec.kind.connect(start, facts).map_err(spawn_error)?;
    execute(spec, slot, generation, endpoints).map_err(spawn_error)
}

/// Starts a mold. Its first message waits for it before it runs.
pub(crate) fn spawn_mold(
    spec: &WorkerSpec,
    generation: Generation,
) -> Result<WorkerProcess, SpawnError> {
    let (app, settings) = (spec.app.clone(), spec.pairs.clone());
    let (roles, logs) = (spec.logs.roles(), spec.logs.descriptors());
    let start = StartMold { generation, app, settings, logs: roles, config: None };
    let endpoints = spec.kind.connect_mold(start, &logs).map_err(spawn_error)?;
    execute(spec, None, generation, endpoints).map_err(spawn_error)
}

/// Starts a mold that runs a configuration file in Python before anything else. Its first message
/// waits for it before it runs.
pub(crate) fn spawn_reader(
    file: &MoldFile,
    extension: &ExtensionFile,
    generation: Generation,
) -> Result<WorkerProcess, SpawnError> {
    let connected = python_kind().connect_mold(file.first_message(generation), &[]);
    let endpoints = connected.map_err(spawn_error)?;
    let given: Vec<_> =
        endpoints.given().into_iter().chain([(variable::EXTENSION, extension.as_fd())]).collect();
    let numbers = given.iter().map(|(name, _)| *name).zip(descriptor::FIRST..);
    let texts = numbers.map(|(name, number)| format!("{name}={number}"));
    let mut program = file.program.clone();
    program.environment.extend(endpoints.variables.iter().cloned());
    program.environment.extend(texts.filter_map(|text| CString::new(text).ok()));
    let descriptors: Vec<_> = given.iter().map(|(_, descriptor)| *descriptor).collect();
    let process = Process::start(&program, &descriptors).map_err(spawn_error)?;
    let mold = WorkerProcess::new(None, generation, process, endpoints.link, Rc::default());
    Ok(WorkerProcess { has_file: true, ..mold })
}

/// The error of a system call that a new process needs.
#[expect(clippy::needless_pass_by_value, reason = "it is for map_err")]
fn spawn_error(error: io::Error) -> SpawnError {
    let text = format!("cannot start a process: {}", reason(&error));
    SpawnError { text, is_temporary: lacks_room(&error), code: None }
}

/// Executes the program with the listeners and its end of the link.
fn execute(
    spec: &WorkerSpec,
    slot: Option<Slot>,
    generation: Generation,
    endpoints: Endpoints,
) -> io::Result<WorkerProcess> {
    let extension = spec.extension.as_ref().map(|it| (variable::EXTENSION, it.as_fd()));
    let given: Vec<_> = endpoints.given().into_iter().chain(extension).collect();
    let mut descriptors: Vec<_> = spec.listeners.iter().flat_map(|it| it.sockets()).collect();
    let names = given.iter().map(|(name, _)| *name);
    let mut program = spec.program.clone();
    program.environment.extend(endpoints.variables.iter().cloned());
    program.environment.extend(variables(spec, slot, generation, descriptors.len(), names));
    descriptors.extend(given.iter().map(|(_, descriptor)| *descriptor));
    let process = Process::start(&program, &descriptors)?;
    Ok(WorkerProcess::new(slot, generation, process, endpoints.link, Rc::clone(&spec.logs)))
}

/// The variables with a process's slot and generation, and with the numbers of its
/// descriptors: the sockets first, then those of these names.
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
    let metrics = spec.metrics_directory.as_ref().filter(|directory| directory.is_own());
    texts.extend(
        metrics.map(|it| format!("{}={}", variable::APPLICATION_METRICS, it.path().display())),
    );
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
    fn new(
        slot: Option<Slot>,
        generation: Generation,
        process: Process,
        link: Link,
        logs: Rc<OpenLogs>,
    ) -> Self {
        let (draining, lacks_certificates, lacks_logs) = Default::default();
        Self {
            slot,
            generation,
            draining,
            lacks_certificates,
            lacks_logs,
            logs,
            has_file: false,
            process,
            link,
        }
    }

    /// A worker that a mold has forked.
    pub(crate) fn forked(
        slot: Slot,
        generation: Generation,
        channel: MasterEnd,
        process: Process,
        shared: SharedMemory,
        logs: Rc<OpenLogs>,
    ) -> Self {
        let link = Link::Channel(NativeWorker::known(channel, shared).into());
        Self::new(Some(slot), generation, process, link, logs)
    }

    /// It is a mold.
    pub(crate) fn is_mold(&self) -> bool {
        self.slot.is_none()
    }

    /// Asks a mold to fork a worker of this generation, which gets these descriptors.
    pub(crate) fn ask_fork(
        &self,
        (worker, age): (WorkerId, u64),
        generation: Generation,
        given: &[BorrowedFd],
    ) -> io::Result<()> {
        self.link.ask_fork((worker, age), generation, given)
    }

    /// It is a mold that runs a configuration file in Python.
    pub(crate) fn has_file(&self) -> bool {
        self.has_file
    }

    /// Sends a message with copies of descriptors. A mold that does not read its channel gets
    /// none, and is ended for what it does in place of that.
    pub(crate) fn send_with(&self, message: &ToWorker, files: &[BorrowedFd]) {
        match self.link.send_with(message, files) {
            Ok(()) => {}
            // It has ended, which is reported otherwise.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(_) => log::error!("pid {} does not read its messages", self.pid()),
        }
    }

    /// The descriptor that refers to the process.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Its pid, which no other process has until it is reaped.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Reads its next message.
    pub(crate) fn read(&self) -> io::Result<LinkInput> {
        self.link.read(self.pid())
    }

    /// The descriptor on which its messages arrive.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Sends a signal. Every `WorkerSignal` ends the process, at once or after a drain.
    pub(crate) fn signal(&self, signal: WorkerSignal) {
        self.draining.set(true);
        self.raise(number_of(signal));
    }

    /// Sends a message; a worker that does not read its channel gets the signal
    /// that means the same. Logs are sent with their descriptors, and again later if there was no
    /// room.
    pub(crate) fn send(&self, message: &ToWorker) {
        if *message == ToWorker::Reopen && self.link.has_channel() {
            return self
                .lacks_logs
                .set(self.link.send_with(message, &self.logs.descriptors()).is_err());
        }
        if matches!(message, ToWorker::Drain(_)) {
            self.draining.set(true);
        }
        if self.link.send(message) {
            return;
        }
        match message {
            ToWorker::Drain(_) => self.raise(libc::SIGTERM),
            ToWorker::Reopen => self.raise(libc::SIGUSR1),
            // No signal has the meaning of these.
            ToWorker::Start(_)
            | ToWorker::StartMold(_)
            | ToWorker::Fork { .. }
            | ToWorker::ReadConfig(_)
            | ToWorker::Configure(_)
            | ToWorker::Listeners { .. }
            | ToWorker::Hook { .. }
            | ToWorker::Tls
            | ToWorker::Limits
            | ToWorker::Workers(_)
            | ToWorker::LogLevel(_)
            | ToWorker::Leave
            | ToWorker::Metrics { .. }
            | ToWorker::Confirm { .. }
            | ToWorker::Record(_)
            | ToWorker::Expire { .. }
            | ToWorker::ShowFailure(_) => {}
        }
    }

    /// Sends certificates and keys if they are new, or if an earlier attempt has failed.
    pub(crate) fn send_certificates(&self, file: &File, are_new: bool) {
        if (are_new || self.lacks_certificates.get()) && !self.is_mold() {
            self.lacks_certificates
                .set(self.link.send_with(&ToWorker::Tls, &[file.as_fd()]).is_err());
        }
    }

    /// Sends the metrics that it has asked for. One that does not read its channel gets none.
    pub(crate) fn send_metrics(&self, metrics: &WorkerMetrics) {
        let WorkerMetrics { ask, file } = metrics;
        let content_type = ask.format.content_type().to_owned();
        let message = ToWorker::Metrics { number: ask.number, content_type };
        self.link.send_with(&message, &[file.as_fd()]).ok();
    }

    /// Sends the logs if an earlier attempt has failed.
    pub(crate) fn send_missing_logs(&self) {
        if self.lacks_logs.get() {
            self.send(&ToWorker::Reopen);
        }
    }

    /// It was asked to drain or to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    fn raise(&self, signal: i32) {
        if let Err(error) = self.process.signal(signal) {
            let (name, pid) = (monoceros_sys::signal::name(signal), self.pid());
            log::error!("cannot send {name} to pid {pid}: {}", reason(&error));
        }
    }

    /// Why the process never became a worker, if it did not; known when it has ended with
    /// this status.
    pub(crate) fn start_error(&self, program: &Program, exit: ExitStatus) -> Option<String> {
        if let Some(trouble) = self.process.exec_error() {
            return Some(program.describe(&trouble));
        }
        let path = program.path.to_string_lossy();
        let by_itself = matches!(exit, ExitStatus::Code(_));
        (by_itself && self.link.was_foreign()).then(|| {
            format!("{path} ended with {exit} and ran no worker; is it CPython 3.10 or later?")
        })
    }

    /// Asks for the stacks of its threads; a later sample has them.
    pub(crate) fn ask_for_stacks(&self) {
        let Some(thread) = self.link.trace() else { return };
        if let Err(error) = self.process.signal_thread(thread, stacks::SIGNAL) {
            log::error!("cannot ask pid {} for its stacks: {}", self.pid(), reason(&error));
        }
    }

    /// A command asks for the stacks of its threads. A process that has no handler for the
    /// signal is not asked: the signal would end it.
    pub(crate) fn begin_dump(&self) {
        let pid = self.pid();
        if !proc_stat::catches(pid, stacks::SIGNAL) {
            return;
        }
        let sent = match self.link.begin_dump() {
            Some(Some(thread)) => self.process.signal_thread(thread, stacks::SIGNAL),
            // It loads its application, or is a mold.
            Some(None) => self.process.signal(stacks::SIGNAL),
            None => return,
        };
        if let Err(error) = sent {
            log::error!("cannot ask pid {pid} for its stacks: {}", reason(&error));
        }
    }

    /// The stacks that a command has asked for, as far as they are written.
    pub(crate) fn read_dump(&self) -> StacksRead {
        self.link.read_dump()
    }

    /// It has a channel, and so confirms messages.
    pub(crate) fn has_channel(&self) -> bool {
        self.link.has_channel()
    }

    /// The requests that it is running, as far as it shows them.
    pub(crate) fn running(&self) -> Vec<String> {
        self.link.running()
    }

    /// Its scoreboard, and the addresses of the listeners in it.
    pub(crate) fn board(&self) -> Option<(&Scoreboard, &[String])> {
        self.link.board()
    }

    /// What it has counted, as far as it shows that.
    pub(crate) fn counts(&self) -> Totals {
        self.link.counts()
    }

    /// It is any program, of which only its end is known.
    pub(crate) fn is_program(&self) -> bool {
        self.link.is_program()
    }

    /// What a successor is sent about it, if it has a scoreboard.
    pub(crate) fn passed(&self) -> Option<PassedWorker<BorrowedFd<'_>>> {
        let ((board, listeners), slot) = (self.board()?, self.slot?);
        let record = FormerRecord {
            slot,
            generation: self.generation,
            pid: self.pid(),
            listeners: listeners.to_vec(),
            counts: self.counts(),
        };
        Some(PassedWorker { record, board: board.as_fd(), process: self.process.as_fd() })
    }

    /// It has ended: its connections do not count for its clients any more.
    pub(crate) fn disconnect_clients(&self) {
        self.link.disconnect_clients();
    }

    /// The stacks of its threads when it crashed or was last asked, if it shows them.
    pub(crate) fn stacks(&self) -> String {
        self.link.stacks()
    }

    /// A sample, as far as the process shows it. Its memory is measured if `limit` is not
    /// 0.
    pub(crate) fn sample(&mut self, worker: WorkerId, limit: u64) -> WorkerSample {
        let pid = self.pid();
        let limited = limit > 0 && !self.is_mold();
        let memory = limited.then(|| memory::measure(pid, limit)).flatten();
        let sample = self.link.sample(worker, pid);
        WorkerSample { memory, ..sample }
    }
}
