//! The event loop of the master: what happens becomes an event, and every action that
//! `decide` returns is carried out. Decides nothing.

mod forks;
mod generations;
mod handover;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use monoceros_config::{SIGNALS, SignalCommand};
use monoceros_log::{LogFile, printable};
use monoceros_sys::daemon::Starter;
use monoceros_sys::process::{self, ExitStatus};
use monoceros_sys::signal::{self, Signals};
use monoceros_sys::{reason, title};
use monoceros_wire::Generation;
use monoceros_wire::message::FromWorker;

use crate::master::act::control_socket::Control;
use crate::master::act::invocation::Invocation;
use crate::master::act::listener::OwnedListener;
use crate::master::act::logs;
use crate::master::act::memory::OutOfMemory;
use crate::master::act::notify_sender::NotifySender;
use crate::master::act::pending_fork::{Forks, PendingFork};
use crate::master::act::pid_file::PidFile;
use crate::master::act::upgrade::{Inherited, Predecessor, SuccessorProcess};
use crate::master::act::worker_process::{WorkerProcess, number_of};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::action::Action;
use crate::master::decide::event::{MasterEvent, SpawnError, WorkerExit};
use crate::master::decide::id::WorkerId;
use crate::master::decide::master::Master;
use crate::master::decide::sample::WorkerSample;
use crate::master::kind::link::WorkerReport;

/// The exit code of a master that cannot begin.
pub(crate) const CANNOT_START: u8 = 1;
/// The token of the signals. The tokens of workers come after it.
const SIGNAL: Token = Token(0);
/// The token of the channel to the successor.
const SUCCESSOR: Token = Token(usize::MAX - 1);
/// The token of the channel to the predecessor.
const PREDECESSOR: Token = Token(usize::MAX - 2);
/// The token of the end of the successor.
const SUCCESSOR_END: Token = Token(usize::MAX - 3);
/// The first token of the control socket.
const CONTROL: Token = Token(usize::MAX - 3 - Control::TOKENS);
/// The most messages of one worker that are read before others have their turn.
const MAX_MESSAGES: usize = 100;

/// The event loop, and everything of the system that the master owns.
pub(crate) struct MasterLoop {
    poll: Poll,
    ready: Events,
    signals: Signals,
    invocation: Invocation,
    log: Arc<LogFile>,
    /// The process that waits for this server to serve, when it goes to the background.
    starter: Option<Starter>,
    /// What workers are made of, by generation: the one that serves, and one that may
    /// replace it.
    specs: BTreeMap<Generation, WorkerSpec>,
    /// The listeners of all generations.
    listeners: Vec<Rc<OwnedListener>>,
    /// Listeners that were passed in by `LISTEN_FDS`. They replace those of the settings.
    activated: Vec<Rc<OwnedListener>>,
    /// The processes of workers and molds.
    workers: BTreeMap<WorkerId, WorkerProcess>,
    successor: Option<SuccessorProcess>,
    /// The predecessor, until it has passed everything on.
    predecessor: Option<Predecessor>,
    /// Everything was passed on to a successor: no file is removed.
    passed_on: bool,
    pid_file: Option<PidFile>,
    /// The path of the pid file.
    pid_path: Option<PathBuf>,
    notify_sender: NotifySender,
    control: Control,
    out_of_memory: OutOfMemory,
    /// The workers that molds were asked to fork.
    forks: Forks<PendingFork>,
    code: Option<u8>,
}

/// What an event loop is made from.
pub(crate) struct LoopParts {
    /// How this process was called.
    pub(crate) invocation: Invocation,
    /// What the first generation is made of.
    pub(crate) spec: WorkerSpec,
    /// Sockets that were passed in by `LISTEN_FDS`.
    pub(crate) activated: Vec<Rc<OwnedListener>>,
    /// The error log.
    pub(crate) log: Arc<LogFile>,
    /// The process that waits for this server to serve.
    pub(crate) starter: Option<Starter>,
    /// The sender of notices to the init system.
    pub(crate) notify_sender: NotifySender,
    /// The path of the pid file.
    pub(crate) pid_path: Option<PathBuf>,
    /// What a predecessor passes on.
    pub(crate) inherited: Option<Inherited>,
}

impl MasterLoop {
    /// From now on signals are collected as events.
    pub(crate) fn new(parts: LoopParts) -> io::Result<Self> {
        let LoopParts {
            invocation,
            spec,
            activated,
            log,
            starter,
            notify_sender,
            pid_path,
            inherited,
        } = parts;
        let (poll, signals) = (Poll::new()?, Signals::collect(&collected_signals())?);
        let fd = signals.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), SIGNAL, Interest::READABLE)?;
        let generation = inherited.as_ref().map_or(Generation(1), |it| it.generation);
        let (listeners, predecessor) = inherited.map(|it| (it.listeners, it.predecessor)).unzip();
        if let Some(predecessor) = &predecessor {
            let fd = predecessor.as_fd().as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), PREDECESSOR, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            ready: Events::with_capacity(64),
            signals,
            invocation,
            log,
            starter,
            specs: BTreeMap::from([(generation, spec)]),
            listeners: listeners.unwrap_or_default(),
            activated,
            workers: BTreeMap::new(),
            successor: None,
            predecessor,
            passed_on: false,
            pid_file: None,
            pid_path,
            notify_sender,
            control: Control::closed(CONTROL),
            out_of_memory: OutOfMemory::watch(),
            forks: Forks::default(),
            code: None,
        })
    }

    /// From now on commands are accepted.
    pub(crate) fn open_control_socket(&mut self) {
        self.control.open(self.poll.registry());
    }

    /// Runs the master to its end, and returns its exit code.
    pub(crate) fn run(mut self, mut master: Master) -> u8 {
        if self.predecessor.is_none()
            && let Err(text) = self.write_pid_file(PidFile::write)
        {
            log::error!("{text}");
            self.leave(CANNOT_START);
            return CANNOT_START;
        }
        let mut events = VecDeque::new();
        for action in master.begin() {
            events.extend(self.act(action));
        }
        loop {
            while let Some(event) = events.pop_front() {
                for action in master.step(event, Instant::now()) {
                    events.extend(self.act(action));
                }
            }
            if let Some(code) = self.code {
                self.leave(code);
                return code;
            }
            self.wait(master.next_deadline(), &mut events);
        }
    }

    /// Waits for events. The deadline comes last: an earlier event may have removed its
    /// cause.
    fn wait(&mut self, deadline: Option<Instant>, events: &mut VecDeque<MasterEvent>) {
        let next = deadline.into_iter().chain(self.control.deadline()).min();
        let timeout = next.map(|at| at.saturating_duration_since(Instant::now()));
        match self.poll.poll(&mut self.ready, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => log::error!("cannot wait for events: {}", reason(&error)),
        }
        let tokens: Vec<_> = self.ready.iter().map(mio::event::Event::token).collect();
        for token in tokens {
            match token {
                SIGNAL => self.read_signals(events),
                SUCCESSOR => self.read_successor(events),
                SUCCESSOR_END => self.note_end_of_successor(events),
                PREDECESSOR => self.read_predecessor(events),
                _ if token >= CONTROL => events.extend(self.control.read(token, Instant::now())),
                _ => self.read_worker(id_of(token), events),
            }
        }
        self.control.close_overdue(Instant::now());
        if deadline.is_some_and(|at| at <= Instant::now()) {
            events.push_back(MasterEvent::Elapsed);
        }
    }

    fn read_signals(&mut self, events: &mut VecDeque<MasterEvent>) {
        for number in self.signals.take() {
            let row = SIGNALS.iter().find(|signal| signal::number(signal.name) == Some(number));
            match row.map(|row| row.command) {
                None => self.reap(events),
                Some(SignalCommand::Withdraw) => self.note_window_change(events),
                Some(command) => events.push_back(MasterEvent::Signalled(command)),
            }
        }
    }

    /// A terminal sends SIGWINCH whenever its window changes. Only for a process without a
    /// terminal it is a command.
    fn note_window_change(&self, events: &mut VecDeque<MasterEvent>) {
        if process::has_terminal() {
            log::debug!("SIGWINCH is ignored: this process has a terminal, whose window changed");
        } else {
            events.push_back(MasterEvent::Signalled(SignalCommand::Withdraw));
        }
    }

    /// Reads the messages of a worker.
    fn read_worker(&mut self, worker: WorkerId, events: &mut VecDeque<MasterEvent>) {
        for _ in 0..MAX_MESSAGES {
            let Some(process) = self.workers.get(&worker) else {
                let Some(event) = self.read_pending_fork(worker) else { return };
                events.push_back(event);
                continue;
            };
            match process.read() {
                Ok(WorkerReport::Message(FromWorker::Ready { app })) => {
                    events.push_back(MasterEvent::Ready { worker, app: printable::line(&app) });
                }
                Ok(WorkerReport::Message(FromWorker::Failed { failure, text })) => {
                    let text = printable::text(&text);
                    events.push_back(MasterEvent::Failed { worker, failure, text });
                }
                Ok(WorkerReport::Message(FromWorker::NotForked {
                    worker: forked,
                    text,
                    passes,
                })) if process.is_mold() => {
                    let error = SpawnError { text: printable::line(&text), is_temporary: passes };
                    events.extend(self.note_not_forked(worker, WorkerId(forked), error));
                }
                Ok(WorkerReport::Message(FromWorker::Forked | FromWorker::NotForked { .. })) => {
                    log::error!("pid {} says what it may not say", process.pid());
                    return self.unwatch(worker);
                }
                Ok(WorkerReport::Noise) => {}
                Ok(WorkerReport::Nothing) => return,
                Ok(WorkerReport::Closed) => return self.unwatch(worker),
                Err(error) => {
                    log::error!("cannot understand pid {}: {error}", process.pid());
                    return self.unwatch(worker);
                }
            }
        }
        // mio reports what arrives, and not what is left to read. Registering again reports
        // it once more.
        let Some(process) = self.workers.get(&worker) else { return };
        let fd = process.descriptor().as_raw_fd();
        let (fd_source, token) = (&mut SourceFd(&fd), token_of(worker));
        if let Err(error) = self.poll.registry().reregister(fd_source, token, Interest::READABLE) {
            log::error!("cannot wait for a worker: {}", reason(&error));
        }
    }

    fn watch(&self, worker: WorkerId, fd: RawFd) {
        let fd_source = &mut SourceFd(&fd);
        let heard = self.poll.registry().register(fd_source, token_of(worker), Interest::READABLE);
        if let Err(error) = heard {
            // Its READY would not be read; `boot-timeout` ends it.
            log::error!("cannot wait for a worker: {}", reason(&error));
        }
    }

    fn unwatch(&self, worker: WorkerId) {
        if let Some(process) = self.workers.get(&worker) {
            let fd = process.descriptor().as_raw_fd();
            // It is not in the set any more if the worker has hung up before.
            drop(self.poll.registry().deregister(&mut SourceFd(&fd)));
        }
    }

    /// Reaps every process that has ended. Processes that are not workers have become
    /// children of this process because it is the first one (PID 1), or because it adopts
    /// all orphans for the workers that molds fork.
    fn reap(&mut self, events: &mut VecDeque<MasterEvent>) {
        loop {
            let pid = match process::ended() {
                Ok(Some(pid)) => pid,
                Ok(None) => return,
                Err(error) => return log::error!("cannot reap: {}", reason(&error)),
            };
            let mut known = self.find_worker(pid);
            if known.is_none() {
                // A forked worker sends `Forked` first of all, so it may be known now.
                self.read_all_pending_forks(events);
                known = self.find_worker(pid);
            }
            if let Some(worker) = known {
                // Read the remaining messages before the exit is reported, so that the
                // cause of a failure is not lost.
                self.read_worker(worker, events);
            }
            let end = match process::reap(pid) {
                Ok(end) => end,
                Err(error) => return log::error!("cannot reap pid {pid}: {}", reason(&error)),
            };
            if let Some(worker) = known {
                events.extend(self.collect_exit(worker, end));
                self.fail_forks_of(worker, events);
            }
        }
    }

    fn find_worker(&self, pid: i32) -> Option<WorkerId> {
        let found = self.workers.iter().find(|(_, process)| process.pid() == pid);
        found.map(|(worker, _)| *worker)
    }

    fn collect_exit(&mut self, worker: WorkerId, end: ExitStatus) -> Option<MasterEvent> {
        self.unwatch(worker);
        let process = self.workers.remove(&worker)?;
        let spec = self.specs.get(&process.generation);
        if let Some(text) = spec.and_then(|it| process.start_error(&it.program, end)) {
            return Some(MasterEvent::SpawnFailed { worker, error: text.into() });
        }
        let out_of_memory = self.out_of_memory.has_struck();
        let (running, stacks, losses) = (process.running(), process.stacks(), process.losses());
        let exit = WorkerExit { status: end, out_of_memory, running, stacks, losses };
        Some(MasterEvent::Exited { worker, exit })
    }

    /// Carries out an action. Returns the event that answers it, if there is one.
    fn act(&mut self, action: Action) -> Option<MasterEvent> {
        match action {
            Action::Bind => {
                let first = self.specs.keys().next().copied();
                return first.map(|generation| MasterEvent::Bound(self.bind(generation)));
            }
            Action::Spawn { worker, slot, generation, workers } => {
                let answer = self.spawn(worker, slot, generation, workers);
                return answer
                    .unwrap_or_else(|error| Some(MasterEvent::SpawnFailed { worker, error }));
            }
            Action::SpawnMold { worker, generation } => {
                return Some(self.spawn_mold(worker, generation));
            }
            Action::RequestStacks { worker } => self.workers.get(&worker)?.ask_for_stacks(),
            Action::StartSuccessor { newest, workers } => {
                return Some(self.start_successor(newest, workers));
            }
            Action::SignalSuccessor(signal) => {
                self.successor.as_ref()?.signal(number_of(signal));
            }
            Action::PassOn { workers } => self.pass_on(workers),
            Action::Send { worker, message } => match self.workers.get(&worker) {
                Some(process) => process.send(&message),
                None => self.forks.get_mut(worker)?.send_later(message),
            },
            Action::RefuseConnections { worker, at_all } => {
                self.refuse_connections(worker, at_all);
            }
            Action::Signal { worker, signal } => match self.workers.get(&worker) {
                Some(process) => process.signal(signal),
                None => return self.withdraw(worker),
            },
            Action::Inspect => {
                self.notify_sender.try_again();
                return Some(MasterEvent::Inspected(self.inspect()));
            }
            Action::Reply { client, reply } => self.control.answer(client, &reply),
            Action::Notify(notice) => self.notify_sender.send_notice(&notice),
            Action::ReadSettings { generation } => {
                return Some(MasterEvent::SettingsRead {
                    generation,
                    settings: self.read_settings(generation),
                });
            }
            Action::KeepGeneration { generation, last_read } => {
                self.keep_generation(generation, last_read)
            }
            Action::Reopen => self.reopen(),
            Action::CloseListeners => self.close_listeners(),
            Action::Announce { app, workers } => self.announce(&app, workers),
            Action::Log(level, text) => log::log!(level, "{text}"),
            Action::Exit(code) => self.code = Some(code),
        }
        None
    }

    fn inspect(&mut self) -> Vec<WorkerSample> {
        let specs = &self.specs;
        let limit = |generation| specs.get(&generation).map_or(0, |it| it.settings.max_rss.0);
        let workers = self.workers.iter_mut();
        workers
            .map(|(worker, process)| process.sample(*worker, limit(process.generation)))
            .collect()
    }

    fn keep(&mut self, worker: WorkerId, process: WorkerProcess) -> MasterEvent {
        self.watch(worker, process.descriptor().as_raw_fd());
        let pid = process.pid();
        self.workers.insert(worker, process);
        MasterEvent::Spawned { worker, pid }
    }

    /// Opens the log files again, before the workers do so by their names.
    fn reopen(&self) {
        let capture = self.specs.values().any(|spec| spec.settings.capture_output);
        let owner = self.owner();
        let reopened = self
            .log
            .reopen_by(|path| logs::open(path, owner))
            .and_then(|()| if capture { self.log.capture_output() } else { Ok(()) });
        match reopened {
            Ok(()) => log::info!("log files opened again"),
            Err(error) => log::error!("{}; the old one is written on", reason(&error)),
        }
        self.specs.values().for_each(prepare_logs);
    }

    fn announce(&mut self, app: &str, workers: u16) {
        let Some(spec) = self.specs.values().next() else { return };
        // A program need not name what it serves.
        let said = spec.app.as_deref().unwrap_or_default();
        let app = if app.is_empty() { said } else { app };
        title::set(&format!("monoceros: master [{}]", spec.name(Some(app))));
        let addresses: Vec<_> = spec.descriptions().map(|it| it.to_string()).collect();
        let (addresses, pid) = (addresses.join(", "), std::process::id());
        let (version, plural) = (env!("CARGO_PKG_VERSION"), if workers == 1 { "" } else { "s" });
        log::info!(
            "serving {app} at {addresses} with {workers} worker{plural} \
             (pid {pid}, monoceros {version})"
        );
        self.notify_predecessor();
        if let Some(starter) = self.starter.take() {
            starter.answer(0);
            // The log had kept the terminal open until now.
            self.reopen();
        }
    }

    fn leave(&mut self, code: u8) {
        self.close_listeners();
        // The cause of any other code is in the log already.
        if code == 0 {
            log::info!("stopped");
        }
        if let Some(pid_file) = self.pid_file.take() {
            pid_file.remove();
        }
        if let Some(starter) = self.starter.take() {
            // The starting process takes 0 for success.
            starter.answer(code.max(CANNOT_START));
        }
    }
}

/// Makes the log files for the workers of a generation. A worker serves although one cannot
/// be opened: it writes to its standard streams.
fn prepare_logs(spec: &WorkerSpec) {
    logs::prepare(spec).iter().for_each(|text| log::error!("{text}"));
}

fn token_of(worker: WorkerId) -> Token {
    Token(usize::try_from(worker.0).unwrap_or(usize::MAX).saturating_add(1))
}

fn id_of(token: Token) -> WorkerId {
    WorkerId((token.0 - 1) as u64)
}

/// The signals that are collected: those of the table, and SIGCHLD.
fn collected_signals() -> Vec<i32> {
    let table = SIGNALS.iter().filter_map(|signal| signal::number(signal.name));
    table.chain([signal::CHLD]).collect()
}
