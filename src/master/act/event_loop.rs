//! The master's loop: everything that happens comes in as an event, everything
//! decided goes out as an action. Decides nothing.

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
/// The token of the signals; those of workers' channels come after it.
const SIGNAL: Token = Token(0);
/// The token of the channel to the master that is to take over.
const SUCCESSOR: Token = Token(usize::MAX - 1);
/// The token of the channel to the master that was before this one.
const PREDECESSOR: Token = Token(usize::MAX - 2);
/// The token of what tells the end of the master that is to take over.
const SUCCESSOR_END: Token = Token(usize::MAX - 3);
/// The first token of operators' commands.
const CONTROL: Token = Token(usize::MAX - 3 - Control::TOKENS);
/// So many messages of one worker are heard before others have their turn.
const MOST_HEARD: usize = 100;

/// The master's hands.
pub(crate) struct MasterLoop {
    poll: Poll,
    ready: Events,
    signals: Signals,
    invocation: Invocation,
    log: Arc<LogFile>,
    /// Lets the starting process go, when the server went to the background.
    starter: Option<Starter>,
    /// What workers are made of, by generation: the one that serves, and one
    /// that may take its place.
    specs: BTreeMap<Generation, WorkerSpec>,
    /// Every socket of any recipe.
    listeners: Vec<Rc<OwnedListener>>,
    /// Sockets that were passed in take the place of those in the settings.
    activated: Vec<Rc<OwnedListener>>,
    /// Workers, and molds.
    workers: BTreeMap<WorkerId, WorkerProcess>,
    successor: Option<SuccessorProcess>,
    /// Until it has passed everything on.
    predecessor: Option<Predecessor>,
    /// Everything outlives this master: nothing is to be removed.
    passed_on: bool,
    pid_file: Option<PidFile>,
    /// Where the pid file is to be.
    pid_path: Option<PathBuf>,
    notify_sender: NotifySender,
    control: Control,
    out_of_memory: OutOfMemory,
    /// The workers that molds were asked for.
    forks: Forks<PendingFork>,
    code: Option<u8>,
}

/// What a shell is made from.
pub(crate) struct LoopParts {
    /// Where settings are read from.
    pub(crate) invocation: Invocation,
    /// What the first generation is made of.
    pub(crate) spec: WorkerSpec,
    /// Sockets that were passed in by `LISTEN_FDS`.
    pub(crate) activated: Vec<Rc<OwnedListener>>,
    /// The error log.
    pub(crate) log: Arc<LogFile>,
    /// Who waits for this server to serve.
    pub(crate) starter: Option<Starter>,
    /// The way to the init system.
    pub(crate) notify_sender: NotifySender,
    /// Where the pid file is to be.
    pub(crate) pid_path: Option<PathBuf>,
    /// What another master passes on.
    pub(crate) inherited: Option<Inherited>,
}

impl MasterLoop {
    /// Collects signals from now on.
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
        let (poll, signals) = (Poll::new()?, Signals::collect(&heard())?);
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
            control: Control::deaf(CONTROL),
            out_of_memory: OutOfMemory::watch(),
            forks: Forks::default(),
            code: None,
        })
    }

    /// Hears operators' commands from now on.
    pub(crate) fn hear_commands(&mut self) {
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

    /// Waits for events. The deadline is heard last: what has happened before
    /// it may have made it pointless.
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
                SIGNAL => self.hear_signals(events),
                SUCCESSOR => self.hear_successor(events),
                SUCCESSOR_END => self.note_end_of_successor(events),
                PREDECESSOR => self.hear_predecessor(events),
                _ if token >= CONTROL => events.extend(self.control.hear(token, Instant::now())),
                _ => self.hear_worker(id_of(token), events),
            }
        }
        self.control.close_silent(Instant::now());
        if deadline.is_some_and(|at| at <= Instant::now()) {
            events.push_back(MasterEvent::Elapsed);
        }
    }

    fn hear_signals(&mut self, events: &mut VecDeque<MasterEvent>) {
        for number in self.signals.take() {
            let wish = SIGNALS.iter().find(|signal| signal::number(signal.name) == Some(number));
            match wish.map(|signal| signal.command) {
                None => self.reap(events),
                Some(SignalCommand::Withdraw) => self.hear_window_change(events),
                Some(wish) => events.push_back(MasterEvent::Signalled(wish)),
            }
        }
    }

    /// A terminal sends this whenever its window changes; only without one it
    /// is an operator's wish.
    fn hear_window_change(&self, events: &mut VecDeque<MasterEvent>) {
        if process::has_terminal() {
            log::debug!("SIGWINCH is ignored: this process has a terminal, whose window changed");
        } else {
            events.push_back(MasterEvent::Signalled(SignalCommand::Withdraw));
        }
    }

    /// What a worker has said so far.
    fn hear_worker(&mut self, worker: WorkerId, events: &mut VecDeque<MasterEvent>) {
        for _ in 0..MOST_HEARD {
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
                    return self.stop_listening(worker);
                }
                Ok(WorkerReport::Noise) => {}
                Ok(WorkerReport::Nothing) => return,
                Ok(WorkerReport::Closed) => return self.stop_listening(worker),
                Err(error) => {
                    log::error!("cannot understand pid {}: {error}", process.pid());
                    return self.stop_listening(worker);
                }
            }
        }
        // mio tells of what arrives, not of what is left: only once more.
        let Some(process) = self.workers.get(&worker) else { return };
        let fd = process.descriptor().as_raw_fd();
        let (fd_source, token) = (&mut SourceFd(&fd), token_of(worker));
        if let Err(error) = self.poll.registry().reregister(fd_source, token, Interest::READABLE) {
            log::error!("cannot wait for a worker: {}", reason(&error));
        }
    }

    fn listen(&self, worker: WorkerId, fd: RawFd) {
        let fd_source = &mut SourceFd(&fd);
        let heard = self.poll.registry().register(fd_source, token_of(worker), Interest::READABLE);
        if let Err(error) = heard {
            // Its READY would not be heard; its boot-timeout ends it.
            log::error!("cannot wait for a worker: {}", reason(&error));
        }
    }

    fn stop_listening(&self, worker: WorkerId) {
        if let Some(process) = self.workers.get(&worker) {
            let fd = process.descriptor().as_raw_fd();
            // It is not in the set any more if the worker has hung up before.
            drop(self.poll.registry().deregister(&mut SourceFd(&fd)));
        }
    }

    /// Takes leave of every process that has ended. Those that are not workers
    /// came to this process because it is the first one (PID 1), or because it
    /// takes all orphans for the workers that molds fork.
    fn reap(&mut self, events: &mut VecDeque<MasterEvent>) {
        loop {
            let pid = match process::ended() {
                Ok(Some(pid)) => pid,
                Ok(None) => return,
                Err(error) => return log::error!("cannot reap: {}", reason(&error)),
            };
            let mut known = self.find_worker(pid);
            if known.is_none() {
                // A forked worker says so before it does anything else.
                self.read_all_pending_forks(events);
                known = self.find_worker(pid);
            }
            if let Some(worker) = known {
                // Its last words come first.
                self.hear_worker(worker, events);
            }
            let end = match process::reap(pid) {
                Ok(end) => end,
                Err(error) => return log::error!("cannot reap pid {pid}: {}", reason(&error)),
            };
            if let Some(worker) = known {
                events.extend(self.collect_exit(worker, end));
                self.note_end_of_mold(worker, events);
            }
        }
    }

    fn find_worker(&self, pid: i32) -> Option<WorkerId> {
        let found = self.workers.iter().find(|(_, process)| process.pid() == pid);
        found.map(|(worker, _)| *worker)
    }

    fn collect_exit(&mut self, worker: WorkerId, end: ExitStatus) -> Option<MasterEvent> {
        self.stop_listening(worker);
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

    /// Carries out an action; what comes of it is an event.
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
                None => self.forks.get_mut(worker)?.tell(message),
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
            Action::Notify(notice) => self.notify_sender.say(&notice),
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
        self.listen(worker, process.descriptor().as_raw_fd());
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
        // A program need not have said what it is.
        let said = spec.app.as_deref().unwrap_or_default();
        let app = if app.is_empty() { said } else { app };
        title::set(&format!("monoceros: master [{}]", spec.name(Some(app))));
        let addresses: Vec<_> = spec.listeners.iter().flat_map(|it| it.addresses()).collect();
        let (addresses, pid) = (addresses.join(", "), std::process::id());
        let (version, plural) = (env!("CARGO_PKG_VERSION"), if workers == 1 { "" } else { "s" });
        log::info!(
            "serving {app} at {addresses} with {workers} worker{plural} \
             (pid {pid}, monoceros {version})"
        );
        self.tell_predecessor();
        if let Some(starter) = self.starter.take() {
            starter.answer(0);
            // From now on there is no terminal.
            self.reopen();
        }
    }

    fn leave(&mut self, code: u8) {
        self.close_listeners();
        // What ends it with another code has been told.
        if code == 0 {
            log::info!("stopped");
        }
        if let Some(pid_file) = self.pid_file.take() {
            pid_file.remove();
        }
        if let Some(starter) = self.starter.take() {
            // To the starter 0 says that the server serves.
            starter.answer(code.max(CANNOT_START));
        }
    }
}

/// Makes the log files of a recipe there for its workers. One that cannot be
/// opened does not keep a worker from serving: it writes to its standard streams.
fn prepare_logs(spec: &WorkerSpec) {
    logs::prepare(spec).iter().for_each(|text| log::error!("{text}"));
}

fn token_of(worker: WorkerId) -> Token {
    Token(usize::try_from(worker.0).unwrap_or(usize::MAX).saturating_add(1))
}

fn id_of(token: Token) -> WorkerId {
    WorkerId((token.0 - 1) as u64)
}

/// The signals that are heard: those of the table, and of processes that end.
fn heard() -> Vec<i32> {
    let table = SIGNALS.iter().filter_map(|signal| signal::number(signal.name));
    table.chain([signal::CHLD]).collect()
}
