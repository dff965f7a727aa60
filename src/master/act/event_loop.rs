//! The event loop of the master: what happens becomes an event, and every action that
//! `decide` returns is carried out. Decides nothing. It owns one part for each kind of
//! thing that the master has, and passes each event source and each action to its part;
//! what concerns several parts is a sequence here.

mod molds;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use monoceros_log::RecordWriter;
use monoceros_sys::daemon::Starter;
use monoceros_sys::{reason, seqpacket};
use monoceros_wire::control::{ControlReply, to_json};
use monoceros_wire::message::Start;
use monoceros_wire::report::RequestReport;
use monoceros_wire::{Generation, Slot};

use crate::master::act::application_metrics::ApplicationMetrics;
use crate::master::act::client_limits::ClientLimits;
use crate::master::act::concern_report::ConcernReport;
use crate::master::act::config_reader::FirstMold;
use crate::master::act::control_socket::Control;
use crate::master::act::former_workers::FormerWorkers;
use crate::master::act::generations::Generations;
use crate::master::act::handover::Handover;
use crate::master::act::invocation::Invocation;
use crate::master::act::listener::OwnedListener;
use crate::master::act::live_reports::LiveReports;
use crate::master::act::metrics_server::MetricsServer;
use crate::master::act::notify_sender::NotifySender;
use crate::master::act::observer::{Observer, Sources, changes};
use crate::master::act::pid_file_setting::PidFileSetting;
use crate::master::act::poller::{PollSource, Poller};
use crate::master::act::processes::Processes;
use crate::master::act::proportional_sizes::ProportionalSizes;
use crate::master::act::renewals::Renewals;
use crate::master::act::server_figures::ServerFigures;
use crate::master::act::signal_reader::{ReceivedSignal, SignalReader};
use crate::master::act::slow_log::SlowLog;
use crate::master::act::source_watch::SourceFilesWatch;
use crate::master::act::spare_memory::SpareMemory;
use crate::master::act::startup::{CANNOT_START, Startup, announce};
use crate::master::act::upgrade::{Inherited, PassedOn, SuccessorStart};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::action::Action;
use crate::master::decide::event::MasterEvent;
use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::master::Master;
use crate::master::decide::server_facts::{ReportReader, ServerFacts};
use crate::master::decide::tally::TallySnapshot;
use crate::master::page::history::History;

/// The event loop, and everything of the system that the master owns.
pub(crate) struct MasterLoop {
    invocation: Invocation,
    poller: Poller,
    signals: SignalReader,
    generations: Generations,
    renewals: Renewals,
    sources: SourceFilesWatch,
    clients: ClientLimits,
    application_metrics: ApplicationMetrics,
    processes: Processes,
    /// The mold that has run the configuration file in Python, until the decisions take it over.
    first_mold: Option<FirstMold>,
    former: FormerWorkers,
    observer: Observer,
    sizes: ProportionalSizes,
    metrics: MetricsServer,
    history: History,
    handover: Handover,
    control: Control,
    pid_file: PidFileSetting,
    notify_sender: NotifySender,
    concerns: ConcernReport,
    startup: Startup,
    slow_log: SlowLog,
    figures: ServerFigures,
    memory: SpareMemory,
    /// Workers have begun to serve.
    has_announced: bool,
    /// The exit code, when the master is to end.
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
    pub(crate) log: Arc<RecordWriter>,
    /// The process that waits for this server to serve.
    pub(crate) starter: Option<Starter>,
    /// The sender of notifications to the init system.
    pub(crate) notify_sender: NotifySender,
    /// Where concerns go.
    pub(crate) concerns: ConcernReport,
    /// The path of the pid file.
    pub(crate) pid_path: Option<PathBuf>,
    /// What a predecessor passes on.
    pub(crate) inherited: Option<Inherited>,
    /// The mold that has run the configuration file in Python.
    pub(crate) mold: Option<FirstMold>,
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
            concerns,
            pid_path,
            inherited,
            mold,
        } = parts;
        let poller = Poller::new()?;
        let signals = SignalReader::new(&poller, spec.settings.development)?;
        let first = inherited.as_ref().map_or(Generation(1), |it| it.generation);
        let mut inherited = inherited;
        let clients = inherited.as_mut().and_then(|it| it.clients.take());
        let metrics_directories =
            inherited.as_mut().map(|it| std::mem::take(&mut it.metrics_directories));
        let metrics = inherited.as_mut().map(|it| std::mem::take(&mut it.metrics));
        let (ticket_keys, inherited) =
            inherited.map(|it| (it.ticket_keys, (it.listeners, it.predecessor))).unzip();
        let (listeners, predecessor) = inherited.unzip();
        // The process that has made the channel.
        let earlier = predecessor.as_ref().and_then(|it| seqpacket::peer(it.as_fd()).ok());
        let handover = Handover::new(predecessor, &poller)?;
        Ok(Self {
            sources: SourceFilesWatch::new(invocation.directory.clone()),
            invocation,
            poller,
            signals,
            generations: Generations::new(first, spec, listeners.unwrap_or_default(), activated),
            renewals: Renewals::new(ticket_keys.unwrap_or_default()),
            clients: ClientLimits::new(clients),
            application_metrics: ApplicationMetrics::new(metrics_directories),
            processes: Processes::new(&log),
            first_mold: mold,
            former: FormerWorkers::default(),
            observer: Observer::new(earlier.map(|peer| peer.pid)),
            sizes: ProportionalSizes::default(),
            metrics: MetricsServer::new(metrics),
            history: History::default(),
            handover,
            control: Control::default(),
            pid_file: PidFileSetting::new(pid_path),
            notify_sender,
            concerns,
            startup: Startup::new(log, starter),
            slow_log: SlowLog::default(),
            figures: ServerFigures::default(),
            memory: SpareMemory::default(),
            has_announced: false,
            code: None,
        })
    }

    /// From now on commands are accepted.
    pub(crate) fn open_control_socket(&mut self) {
        self.control.open(&self.poller);
    }

    /// Runs the master to its end, and returns its exit code.
    pub(crate) fn run(mut self, mut master: Master) -> u8 {
        if !self.handover.follows()
            && let Err(text) = self.pid_file.write(self.generations.owner())
        {
            log::error!("{text}");
            self.leave(CANNOT_START);
            return CANNOT_START;
        }
        let mut events = VecDeque::new();
        if let Err(text) = self.note_generation() {
            log::error!("{text}");
            self.leave(CANNOT_START);
            return CANNOT_START;
        }
        self.follow_settings();
        events.push_back(self.report_certificates());
        for action in master.begin() {
            events.extend(self.act(action));
        }
        loop {
            while let Some(event) = events.pop_front() {
                for action in master.step(event, Instant::now()) {
                    events.extend(self.act(action));
                }
            }
            self.serve_metrics(&master);
            if let Some(code) = self.code
                && !self.metrics.is_finishing()
            {
                self.leave(code);
                return self.concerns.exit_code(code);
            }
            self.wait(master.next_deadline(), &mut events);
        }
    }

    /// Waits for events. The deadline comes last: an earlier event may have removed its
    /// cause.
    fn wait(&mut self, deadline: Option<Instant>, events: &mut VecDeque<MasterEvent>) {
        let others = self.control.deadline().into_iter();
        let others = others.chain(self.renewals.deadline(&self.generations));
        let others = others.chain(self.metrics.deadline(Instant::now()));
        let others = others.chain(self.figures.deadline());
        let others = others.chain(self.history.deadline());
        let others = others.chain(self.sources.deadline());
        let next = others.chain(deadline).min();
        let timeout = next.map(|at| at.saturating_duration_since(Instant::now()));
        self.memory.release(Instant::now(), self.processes.boards().map(|(board, _)| board));
        let mut sources = self.poller.wait(timeout);
        // Processes that have ended come first, workers of a predecessor too: what they have
        // counted is known before a report is asked for, or before the successor takes the counts
        // over.
        let is_end = |it: &_| matches!(it, PollSource::Signals | PollSource::FormerWorker(_));
        sources.sort_by_key(|source| !is_end(source));
        for source in sources {
            self.read(source, events);
        }
        self.control.close_overdue(&self.poller, Instant::now());
        self.look_at_certificates(events);
        let reports = self.processes.take_sources();
        self.sources.note_reports(reports, &self.generations, &self.poller);
        events.extend(self.sources.look(&self.poller));
        let spec = self.generations.current();
        self.figures.look(self.processes.workers(), spec, Instant::now());
        if deadline.is_some_and(|at| at <= Instant::now()) {
            events.push_back(MasterEvent::Elapsed);
        }
    }

    /// The settings that serve are known, or others now.
    fn follow_settings(&mut self) {
        if let Some(spec) = self.generations.current() {
            self.slow_log.follow(spec);
            self.figures.follow(&spec.settings);
        }
    }

    /// Looks at the files of certificates, if it is time for that.
    fn look_at_certificates(&mut self, events: &mut VecDeque<MasterEvent>) {
        let (generations, processes) = (&mut self.generations, &mut self.processes);
        if self.renewals.look(generations, processes, &self.poller, Instant::now()) {
            events.push_back(self.report_certificates());
        }
    }

    /// Reports what concerns the operator about certificates.
    fn report_certificates(&self) -> MasterEvent {
        let concern = self.renewals.concern(&self.generations);
        MasterEvent::CertificatesChecked { concern }
    }

    /// Reads what has arrived at one source.
    fn read(&mut self, source: PollSource, events: &mut VecDeque<MasterEvent>) {
        let (poller, successor) = (&self.poller, self.handover.successor());
        match source {
            PollSource::Signals => {
                for signal in self.signals.take() {
                    match signal {
                        ReceivedSignal::Command(command) => {
                            events.push_back(MasterEvent::Signalled(command));
                        }
                        ReceivedSignal::ChildEnded => {
                            self.processes.reap(successor, &self.generations, poller, events);
                            self.application_metrics.mark_dead(&self.generations);
                            self.memory.note_work();
                        }
                    }
                }
            }
            PollSource::Worker(worker) => self.processes.read(worker, successor, poller, events),
            PollSource::Certificates => self.renewals.note_changes(Instant::now()),
            PollSource::SourceFiles => self.sources.note_changes(Instant::now()),
            PollSource::MetricsListeners => self.metrics.accept(poller, Instant::now()),
            PollSource::MetricsClient(index) => self.metrics.stir(index),
            PollSource::ControlSocket => self.control.accept(poller, Instant::now(), events),
            PollSource::ControlClient(index) => self.control.read(index, poller, events),
            PollSource::Successor => events.extend(self.handover.read_successor(poller)),
            PollSource::SuccessorEnd => {
                events.extend(self.handover.note_end_of_successor(poller));
            }
            PollSource::Predecessor => events.extend(self.take_over()),
            PollSource::FormerWorker(number) => {
                events.extend(self.former.note_end(number, &self.poller));
            }
        }
    }

    /// Carries out an action. Returns the event that answers it, if there is one.
    fn act(&mut self, action: Action) -> Option<MasterEvent> {
        let poller = &self.poller;
        match action {
            Action::Bind => return Some(MasterEvent::Bound(self.generations.bind_first())),
            Action::Spawn { worker, slot, generation, workers, mold, shows_failure } => {
                let start = Start { slot, generation, workers, shows_failure, ..Start::default() };
                return self.spawn(worker, start, mold);
            }
            Action::AdoptMold { worker } => return Some(self.adopt_mold(worker)),
            Action::SpawnReader { worker, generation } => {
                return Some(self.spawn_reader(worker, generation));
            }
            Action::RunFile { worker } => return self.run_file(worker),
            Action::Configure { worker, generation } => self.configure(worker, generation),
            Action::PassListeners { worker, generation } => {
                self.pass_listeners(worker, generation);
            }
            Action::SpawnMold { worker, generation } => {
                return Some(self.spawn_mold(worker, generation));
            }
            Action::RequestStacks { worker } => self.processes.ask_for_stacks(worker),
            Action::DumpStacks { worker } => self.processes.begin_dump(worker),
            Action::ReadStacks { workers } => {
                return Some(MasterEvent::StacksRead(self.processes.read_dumps(&workers)));
            }
            Action::ShowStacks { client, stacks } => {
                self.reply_with(client, to_json(&stacks));
            }
            Action::StartSuccessor { newest, workers } => {
                return Some(self.start_successor(newest, workers));
            }
            Action::SignalSuccessor(signal) => self.handover.signal(signal),
            Action::PassOn { workers, tally } => self.pass_on(workers, *tally),
            Action::Report { reader, facts } => self.report(reader, &facts),
            Action::Send { worker, message } => return self.processes.send(worker, message),
            Action::RefuseConnections { worker, at_all } => {
                let generation = self.processes.generation_of(worker)?;
                let others = self.processes.generations_beside(worker);
                self.generations.refuse_connections(generation, &others, at_all);
            }
            Action::Signal { worker, signal } => return self.processes.signal(worker, signal),
            Action::Inspect => return Some(self.inspect()),
            Action::Reply { client, reply } => self.control.reply(client, &reply, poller),
            Action::Notify(notification) => self.notify_sender.send_notification(&notification),
            Action::ReadSettings { generation } => return Some(self.read_settings(generation)),
            Action::LoadSettings { generation, values } => {
                return Some(self.load_settings(generation, *values));
            }
            Action::KeepGeneration { generation, last_read } => {
                return Some(self.keep_generation(generation, last_read));
            }
            Action::SetLogLevel(level) => self.generations.set_level(level),
            Action::Reopen => match self.reopen_logs() {
                Ok(()) => log::info!("log files opened again"),
                Err(error) => log::error!("{error}; still writing to the old file"),
            },
            Action::CloseListeners => {
                self.generations.close_listeners();
                self.processes.close_listeners();
            }
            Action::Announce { app, workers } => self.announce(&app, workers),
            Action::Log(line) => line.write(),
            Action::LogSlow { id, trace, text } => self.slow_log.write(id, trace, &text),
            Action::Concern { text, is_grave } => self.concerns.write(&text, is_grave),
            Action::Exit(code) => self.code = Some(code),
        }
        None
    }

    fn spawn(
        &mut self,
        worker: WorkerId,
        asked: Start,
        mold: Option<WorkerId>,
    ) -> Option<MasterEvent> {
        let Start { slot, generation, shows_failure, .. } = asked;
        let spec = match self.generations.find(generation) {
            Ok(spec) => spec,
            Err(text) => return Some(MasterEvent::SpawnFailed { worker, error: text.into() }),
        };
        let (app, settings) = (spec.app.clone(), spec.pairs.clone());
        let listeners = spec.descriptions().collect();
        let has_tls = spec.sealed_certificates().is_some();
        let check = spec.check.clone();
        let clients = self.clients.table_for(spec);
        // In an upgrade the workers of the predecessor serve, and the generation is a later one.
        let is_first = !self.has_announced && slot == Slot(0) && generation == Generation(1);
        let start = Start {
            app,
            settings,
            listeners,
            has_tls,
            has_limits: clients.is_some(),
            is_first,
            // In an upgrade a failure is that of the successor, whose generation is a later one.
            shows_failure: shows_failure || generation == Generation(1),
            check,
            ..asked
        };
        let start = Self::with_own_steps(start, spec);
        self.processes.spawn(worker, spec, start, clients, mold, &self.poller)
    }

    fn spawn_mold(&mut self, worker: WorkerId, generation: Generation) -> MasterEvent {
        match self.generations.find(generation) {
            Ok(spec) => self.processes.spawn_mold(worker, generation, spec, &self.poller),
            Err(text) => MasterEvent::SpawnFailed { worker, error: text.into() },
        }
    }

    /// Goes on with one generation, and forgets the others.
    fn keep_generation(&mut self, generation: Generation, last_read: Generation) -> MasterEvent {
        self.generations.keep(generation, last_read);
        self.metrics.keep(&self.generations, &self.poller);
        self.sources.follow(&self.generations, &self.processes, &self.poller);
        if let Ok(spec) = self.generations.find(generation) {
            self.startup.follow(spec);
        }
        self.follow_settings();
        self.memory.note_work();
        self.renewals.warn(&mut self.generations);
        self.report_certificates()
    }

    /// Opens the log files again: the master's own, and those that it has opened for workers.
    fn reopen_logs(&self) -> Result<(), String> {
        let reopened = self.startup.reopen(&self.generations);
        self.processes.reopen_logs(&self.generations);
        self.slow_log.reopen(self.generations.owner());
        reopened
    }

    /// A generation was read: makes what its workers share with those of other generations.
    fn note_generation(&mut self) -> Result<(), String> {
        self.renewals.begin(&mut self.generations, &self.poller)?;
        self.application_metrics.begin(&mut self.generations, &self.invocation);
        self.clients.begin(&self.generations)?;
        self.sources.follow(&self.generations, &self.processes, &self.poller);
        self.metrics.open(&self.generations, &self.poller).map_err(|error| error.text)
    }

    /// Does what clients of the metrics addresses, and workers whose clients ask for metrics, wait
    /// for. The events have been handled: a report has their effects.
    fn serve_metrics(&mut self, master: &Master) {
        self.processes.take_metrics_asks().into_iter().for_each(|ask| self.metrics.ask(ask));
        let sources = Sources {
            generations: &self.generations,
            processes: &self.processes,
            former: &self.former,
        };
        let (observer, sizes, history) = (&self.observer, &mut self.sizes, &mut self.history);
        let application = &mut self.application_metrics;
        let memory = &mut self.memory;
        let mut reports =
            LiveReports { master, observer, sizes, application, history, memory, sources };
        reports.keep_history(self.metrics.is_open());
        for metrics in self.metrics.serve(&mut reports, &self.poller) {
            self.processes.send_metrics(&metrics);
        }
    }

    /// Looks at the scoreboards of all workers.
    fn inspect(&mut self) -> MasterEvent {
        // Before the server serves, a start needs what it has mapped.
        if self.has_announced {
            self.memory.note_work();
        }
        self.notify_sender.try_again();
        monoceros_log::flush();
        MasterEvent::Inspected(self.processes.inspect(&self.generations))
    }

    /// Sends a report about the server, or about its requests.
    fn report(&mut self, reader: ReportReader, facts: &ServerFacts) {
        self.memory.note_work();
        let sources = Sources {
            generations: &self.generations,
            processes: &self.processes,
            former: &self.former,
        };
        let ReportReader::Command { client, recent } = reader;
        let document = if recent {
            RequestReport::list_to_json(&self.observer.requests(facts, &sources))
        } else {
            let mut report = self.observer.report(facts, &sources);
            self.sizes.add_to(&mut report, Instant::now());
            report.to_json()
        };
        self.reply_with(client, document);
    }

    /// Replies to a command with a text that may be long.
    fn reply_with(&mut self, client: ClientId, document: io::Result<String>) {
        match document {
            Ok(document) => self.control.reply_with(client, &document, &self.poller),
            Err(error) => {
                let reply = ControlReply::failed(&error.to_string());
                self.control.reply(client, &reply, &self.poller);
            }
        }
    }

    fn announce(&mut self, app: &str, workers: u16) {
        let Some(spec) = self.generations.current() else { return };
        announce(spec, app, workers);
        self.has_announced = true;
        self.memory.note_work();
        self.handover.notify_predecessor(&self.generations);
        self.startup.release(&self.generations);
    }

    fn start_successor(&mut self, newest: Generation, workers: Option<u16>) -> MasterEvent {
        let (pid_path, ticket_keys) = (self.pid_file.path(), self.renewals.ticket_keys());
        let clients = self.clients.for_successor();
        let metrics_directories = &self.application_metrics.for_successor();
        let metrics = self.metrics.for_successor();
        let start = SuccessorStart {
            newest,
            workers,
            pid_path,
            ticket_keys,
            clients,
            metrics,
            metrics_directories,
        };
        self.handover.start(&start, &self.generations, &self.invocation, &self.poller)
    }

    /// Leaves the pid file, the files of unix sockets and the init system to the successor.
    /// The init system is notified when the successor is its own child: it would not wait
    /// for the child of another process (`systemd.kill(5)`). The message to the successor
    /// comes last, when this master holds nothing any more.
    fn pass_on(&mut self, workers: Option<u16>, tally: TallySnapshot) {
        let Some(successor) = self.handover.release_successor(&self.poller) else { return };
        self.generations.pass_on(|listener| successor.has_given_up(listener));
        self.metrics.pass_on(&self.poller, Instant::now());
        self.pid_file.leave();
        self.application_metrics.leave();
        std::mem::take(&mut self.notify_sender).pass_on(successor.pid());
        successor.pass_workers(self.processes.passed().chain(self.former.passed()));
        let changes = changes(&tally);
        successor.pass_on(PassedOn { workers, totals: Box::new(tally.totals), changes });
    }

    /// Takes over from the predecessor, once it has passed everything on.
    fn take_over(&mut self) -> Option<MasterEvent> {
        let (mut predecessor, passed_on) = self.handover.take_predecessor(&self.poller)?;
        self.former.take_over(predecessor.take_workers(), &self.poller);
        let owner = self.generations.owner();
        if let Err(text) = self.pid_file.take_over(predecessor.pid_path(), owner) {
            log::error!("{text}");
        }
        match NotifySender::open(self.invocation.variable("NOTIFY_SOCKET").as_deref()) {
            Ok(notify_sender) => self.notify_sender = notify_sender,
            Err(error) => log::error!("cannot use NOTIFY_SOCKET: {}", reason(&error)),
        }
        self.generations.take_over();
        self.application_metrics.take_over();
        self.metrics.take_over(&self.poller);
        self.history.begin_again();
        let PassedOn { workers, totals, changes } = passed_on;
        let draining = self.former.iter().map(|worker| worker.passed).fold(0, u64::saturating_add);
        Some(MasterEvent::TookOver { workers, totals, changes, draining })
    }

    fn leave(&mut self, code: u8) {
        self.generations.close_listeners();
        self.metrics.close(&self.poller);
        // The cause of any other code is in the log already.
        if code == 0 {
            log::info!("stopped");
        }
        self.pid_file.remove();
        self.application_metrics.remove();
        self.startup.fail(code);
    }
}
