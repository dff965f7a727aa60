//! The decisions of the master under thousands of random schedules: simulated processes, a
//! virtual clock, faults of every kind, and the rules that must hold in each.

mod molds;
mod processes;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use monoceros_config::SignalCommand;
use monoceros_wire::control::{ControlRequest, PoolChange};
use monoceros_wire::message::{Drain, ToWorker};
use monoceros_wire::{Generation, Slot};

use self::processes::{SimulatedProcess, SimulatedSuccessor, counts};
use self::rules::Notified;
use crate::master::decide::action::Action;
use crate::master::decide::event::{BindError, MasterEvent};
use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::master::{Master, StartContext};
use crate::master::decide::rules::random::Random;
use crate::master::decide::settings::{MasterSettings, RecyclingLimits, RolloutLimits};
use crate::master::decide::state::{MasterState, Purpose};

/// How many schedules are tried.
const SCHEDULES: u64 = 10_000;
/// How many random things happen in each.
const FAULTS: usize = 40;

/// Runs every schedule; `SIMULATION_SEED=N` runs only that one.
#[test]
fn the_rules_hold_under_random_schedules() {
    let only: Option<u64> = std::env::var("SIMULATION_SEED").ok().and_then(|it| it.parse().ok());
    let next = AtomicU64::new(only.unwrap_or(0));
    let end = only.map_or(SCHEDULES, |seed| seed + 1);
    let run = || {
        while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|it| *it < end) {
            let run = std::panic::catch_unwind(|| World::new(seed).run());
            if run.is_err() {
                // The other threads begin no other schedule.
                next.store(end, Ordering::Relaxed);
            }
            assert!(run.is_ok(), "a rule is broken: replay with SIMULATION_SEED={seed}");
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(run))));
}

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.up_to(limit - 1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

struct World {
    random: Random,
    start: Instant,
    now: Duration,
    /// What is to happen, by time and order of planning.
    queue: BTreeMap<(Duration, u64), MasterEvent>,
    planned: u64,
    processes: BTreeMap<WorkerId, SimulatedProcess>,
    successor: Option<SimulatedSuccessor>,
    /// A predecessor has not passed everything on yet.
    follows: bool,
    reaped: Vec<WorkerId>,
    /// The requests of all workers that have ended, and of the predecessor.
    counted: u64,
    /// The workers of the predecessor that have ended.
    former_ended: u64,
    master: Master,
    /// The commands that wait, and for a reload the first generation that it
    /// can be replied to with.
    clients: BTreeMap<ClientId, (ControlRequest, Generation)>,
    asked: u64,
    exit: Option<u8>,
    announced: bool,
    /// The addresses are bound.
    bound: bool,
    passed_on: bool,
    /// How many milliseconds pass from reading settings to the event about it: other
    /// events may come between.
    reading: u64,
    /// The generations whose settings the event loop has.
    specs: BTreeSet<Generation>,
    /// The workers whose listeners refuse connections, since they are about to drain, and
    /// whether all of their listeners do.
    refusing: BTreeMap<WorkerId, bool>,
    /// Until when the server has to serve, though it is to end.
    serves_until: Option<Duration>,
    /// What the init system was notified of.
    notified: Notified,
    /// A SIGTERM has arrived since the successor has taken over.
    drained_again: bool,
    /// The master slept since an event: deadlines have moved.
    paused: Duration,
    /// The odds of faults, in percent; zero when the world is to calm down.
    spawn_fails: u64,
    boot_fails: u64,
    stubborn: u64,
    lost: u64,
    /// There is a configuration file in Python.
    has_file: bool,
    /// Generations whose code cannot be loaded.
    broken: Vec<Generation>,
    calm: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let start = Instant::now();
        let has_file = random.chance(40);
        let settings = MasterSettings { has_file, ..settings(&mut random) };
        let watchdog = random.chance(50).then_some(Duration::from_secs(4));
        let workers = random.chance(10).then_some(2);
        let (purpose, generation, follows) = (Purpose::Serve, Generation(1), random.chance(20));
        let beginning = StartContext { purpose, generation, follows, workers, watchdog, seed };
        let master = Master::new(beginning, settings, start);
        Self {
            spawn_fails: random.below(2) * random.below(30),
            boot_fails: random.below(2) * random.below(30),
            stubborn: random.below(2) * random.below(40),
            lost: random.below(2) * random.below(10),
            reading: random.below(2) * 300,
            random,
            start,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            planned: 0,
            processes: BTreeMap::new(),
            successor: None,
            follows,
            reaped: Vec::new(),
            counted: 0,
            former_ended: 0,
            master,
            clients: BTreeMap::new(),
            asked: 0,
            exit: None,
            announced: false,
            bound: false,
            passed_on: false,
            specs: BTreeSet::from([generation]),
            refusing: BTreeMap::new(),
            serves_until: None,
            notified: Notified::default(),
            drained_again: false,
            paused: Duration::ZERO,
            has_file,
            broken: Vec::new(),
            calm: false,
        }
    }

    fn run(mut self) {
        if self.follows {
            let workers = self.random.chance(30).then_some(3);
            let after = self.random.below(10_000);
            let totals = Box::new(counts(1_000));
            let changes = Vec::new();
            let took_over = MasterEvent::TookOver { workers, totals, changes, draining: 0 };
            self.plan(took_over, after);
            for _ in 0..self.random.below(4) {
                let counts = Box::new(counts(self.random.below(100)));
                let later = after + self.random.below(20_000);
                self.plan(MasterEvent::FormerWorkerEnded { counts, draining: 0 }, later);
            }
        }
        for action in self.master.begin() {
            self.act(action);
        }
        for _ in 0..FAULTS {
            self.disturb();
            let span = self.random.below(4_000);
            self.pass(Duration::from_millis(span));
            if self.exit.is_some() {
                return self.check_end();
            }
        }
        self.calm_down();
        self.stop();
    }

    /// Without further faults, everything asked for is there after a while.
    fn calm_down(&mut self) {
        (self.spawn_fails, self.boot_fails, self.stubborn, self.lost) = (0, 0, 0, 0);
        self.broken.clear();
        self.calm = true;
        self.go_on();
        self.pass(Duration::from_secs(400));
        if self.master.state == MasterState::Serving {
            assert!(self.announced);
            assert!(self.master.reload.rolling_to().is_none(), "a rollout does not end");
            assert!(self.clients.is_empty(), "commands without an answer: {:?}", self.clients);
            self.notified.check_serving();
            let current = BTreeSet::from([self.master.reload.current()]);
            assert_eq!(self.specs, current, "settings are kept that no worker has");
            let target = self.master.target();
            let now = self.start + self.now;
            let roster = self.master.pool.roster();
            let recycles = !self.master.settings().recycling.lifetime.is_zero();
            assert!(recycles || target.is_reached(roster, now), "{roster:?}");
            self.check_hangs();
            let settings = self.master.settings();
            let wanted = usize::from(settings.preload || settings.has_file);
            assert_eq!(self.count_molds(), wanted, "{roster:?}");
            assert_eq!(self.processes.len(), roster.everyone().count());
        }
    }

    /// Every stop ends, within the time that it may take.
    fn stop(mut self) {
        let (command, mut limit) = match self.random.below(2) {
            // A mold follows its workers.
            0 => {
                let MasterSettings { shutdown_delay, graceful_timeout, .. } =
                    *self.master.settings();
                (SignalCommand::Drain, shutdown_delay + graceful_timeout + Duration::from_secs(2))
            }
            _ => (SignalCommand::Stop, Duration::from_secs(2)),
        };
        // Hooks run after the workers: the last `child_exit`, then `on_exit`.
        if self.processes.values().any(|process| process.has_file) {
            let most = self.master.settings().graceful_timeout.max(Duration::from_secs(2));
            limit += 2 * most + Duration::from_secs(8);
        }
        // A successor may have to be killed.
        limit = limit.max(Duration::from_secs(2)) + Duration::from_secs(1);
        self.hear(MasterEvent::Signalled(command));
        self.pass(limit);
        self.check_end();
    }

    /// Lets something random happen.
    fn disturb(&mut self) {
        match self.random.below(20) {
            0 | 1 => self.hear(MasterEvent::Signalled(SignalCommand::Reload)),
            2 => self.hear(MasterEvent::Signalled(SignalCommand::Add)),
            3 => self.hear(MasterEvent::Signalled(SignalCommand::Remove)),
            4 => self.hear(MasterEvent::Signalled(SignalCommand::Reopen)),
            5 if self.random.chance(10) => self.hear(MasterEvent::Signalled(SignalCommand::Drain)),
            6 if self.random.chance(5) => self.hear(MasterEvent::Signalled(SignalCommand::Stop)),
            7 => self.pause(),
            8 => self.strike(|process| process.stuck = true),
            9 => self.strike(|process| process.numb = true),
            10 => self.strike(|process| process.stubborn = true),
            11 | 12 => self.crash(),
            13 => self.strike(|process| process.stopped = true),
            14 if self.random.chance(30) => {
                self.hear(MasterEvent::Signalled(SignalCommand::Upgrade))
            }
            15 if self.random.chance(30) => {
                self.hear(MasterEvent::Signalled(SignalCommand::Withdraw))
            }
            16 | 17 => self.request(),
            18 => self.hear(MasterEvent::SourcesChanged { text: "a.py has changed".to_owned() }),
            _ => {}
        }
    }

    /// A client sends a command, and waits for the reply.
    fn request(&mut self) {
        let slot = self.random.chance(50).then_some(Slot(1));
        let request = match self.random.below(10) {
            0 => ControlRequest::Status,
            7 => ControlRequest::Report { recent: false },
            1 => ControlRequest::Upgrade,
            2 if self.random.chance(5) => ControlRequest::Stop,
            3 => ControlRequest::Stacks { slot },
            4 if self.random.chance(50) => ControlRequest::LogLevel(log::LevelFilter::Debug),
            4 => ControlRequest::Reopen,
            5 => ControlRequest::Recycle { slot },
            6 => ControlRequest::Workers(match self.random.below(3) {
                0 => PoolChange::More(1),
                1 => PoolChange::Fewer(1),
                _ => PoolChange::To(u16::try_from(self.random.below(5)).unwrap()),
            }),
            _ => ControlRequest::Reload,
        };
        self.asked += 1;
        let client = ClientId(self.asked);
        self.clients.insert(client, (request, Generation(self.master.reload.newest().0 + 1)));
        self.hear(MasterEvent::Requested { client, request });
        let waits = self.clients.contains_key(&client);
        let may_wait = matches!(
            request,
            ControlRequest::Stacks { .. } | ControlRequest::Reopen | ControlRequest::LogLevel(_)
        );
        assert!(
            !waits || may_wait || !self.notified.stopping,
            "{request:?} waits for a server that is to end"
        );
    }

    /// The master does not run for a while; the others do.
    fn pause(&mut self) {
        let span = Duration::from_millis(self.random.below(60_000));
        self.now += span;
        self.paused += span;
    }

    /// Lets this much time pass, with everything that falls into it.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        let mut idle = 0;
        while self.exit.is_none() {
            let event = self.queue.keys().next().map(|(at, _)| *at);
            let elapsed = self.master.next_deadline().map(|at| at.duration_since(self.start));
            let Some(next) = [event, elapsed].into_iter().flatten().min() else { break };
            if next > end {
                break;
            }
            idle = if next > self.now { 0 } else { idle + 1 };
            assert!(idle < 1_000, "the master spins: {:?}", self.master);
            self.now = self.now.max(next);
            // What has arrived comes before the clock, as in the event loop.
            match self.queue.first_entry() {
                Some(entry) if entry.key().0 <= self.now => {
                    let event = entry.remove();
                    self.hear(event);
                }
                _ => self.hear(MasterEvent::Elapsed),
            }
        }
        self.now = self.now.max(end);
    }

    fn hear(&mut self, event: MasterEvent) {
        if let MasterEvent::Exited { worker, .. } = &event {
            assert!(self.processes.remove(worker).is_some(), "reaped twice");
            self.reaped.push(*worker);
        }
        if let MasterEvent::SuccessorEnded { .. } = &event {
            self.successor = None;
        }
        self.note_hook(&event);
        let before = self.master.pool.roster().clone();
        self.note_counts(&event);
        let serving = self.serves();
        self.note_end(&event);
        if let MasterEvent::TookOver { .. } = &event {
            self.follows = false;
            if self.serves() || self.master.state == MasterState::Booting {
                // The notifications before the takeover went to no init system.
                self.notified = Notified::default();
            }
        }
        self.bound |= matches!(event, MasterEvent::Bound(Ok(())));
        let took_over = matches!(event, MasterEvent::TookOver { .. });
        let is_drain = matches!(event, MasterEvent::Signalled(SignalCommand::Drain));
        let gone = matches!(event, MasterEvent::Exited { .. } | MasterEvent::Inspected(_));
        let broken = self.find_broken(&event);
        let actions = self.master.step(event, self.start + self.now);
        self.check_numbers(&before, gone || !serving);
        if is_drain && self.passed_on {
            self.check_first_drain(&actions);
        }
        for action in actions {
            self.act(action);
        }
        self.check_deadlines();
        self.check_successor();
        self.check_counts();
        assert!(broken.is_none() || self.master.reload.rolling_to() != broken, "broken code stays");
        if took_over && self.serves() {
            self.notified.check_known();
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Bind => self.bind(),
            Action::Spawn { worker, generation, mold, .. } => {
                self.check_origin(mold);
                self.spawn_known(worker, generation);
            }
            Action::SpawnMold { worker, generation } => self.spawn_known(worker, generation),
            Action::RefuseConnections { worker, at_all } => {
                self.check_refusal(at_all);
                self.refusing.insert(worker, at_all);
            }
            Action::AdoptMold { worker } => self.adopt_mold(worker),
            Action::SpawnReader { worker, generation } => self.spawn(worker, generation),
            Action::RunFile { worker } => self.run_file(worker),
            Action::Configure { worker, .. } => self.configure(worker),
            Action::LoadSettings { generation, .. } => self.load_settings(generation, true),
            Action::Send { worker, message: ToWorker::Hook { number, hook } } => {
                self.run_hook(worker, number, hook);
            }
            Action::Send { worker, message: ToWorker::Drain(_) } if self.has_file_in(worker) => {
                self.ask(worker);
                self.end(worker, 100);
            }
            Action::Send { worker, message: ToWorker::Drain(drain) } => self.drain(worker, drain),
            Action::Signal { worker, signal } => self.signal(worker, signal),
            Action::RequestStacks { worker } => self.trace(worker),
            Action::DumpStacks { worker } => self.begin_dump(worker),
            Action::ReadStacks { workers } => self.read_stacks(&workers),
            Action::ShowStacks { client, stacks } => self.show_stacks(client, &stacks),
            Action::Send { worker, message: ToWorker::Confirm { number } } => {
                self.confirm(worker, number);
            }
            Action::Inspect => self.inspect(),
            Action::ReadSettings { generation } => {
                assert!(!self.notified.stopping, "a reload begins at the end");
                self.read_settings(generation);
            }
            Action::StartSuccessor { .. } => {
                assert!(!self.notified.stopping, "an upgrade begins at the end");
                assert!(!self.follows, "an upgrade begins before the last one is over");
                self.start_successor();
            }
            Action::SignalSuccessor(signal) => self.signal_successor(signal),
            Action::PassOn { .. } => {
                self.check_pass_on();
                self.passed_on = true;
            }
            Action::Exit(code) => {
                assert_eq!(self.exit.replace(code), None, "the master exits once");
            }
            Action::Announce { .. } => {
                assert!(!std::mem::replace(&mut self.announced, true), "announced once");
            }
            Action::Reply { client, reply } => self.answer(client, &reply),
            Action::CloseListeners => self.check_delay(),
            Action::Notify(notification) => self.notified.hear(&notification),
            Action::KeepGeneration { generation, last_read } => {
                self.specs.retain(|known| *known == generation || *known > last_read);
            }
            Action::Report { reader, facts } => self.take_report(reader, &facts),
            Action::Send { .. }
            | Action::PassListeners { .. }
            | Action::Reopen
            | Action::SetLogLevel(_)
            | Action::Log(..)
            | Action::LogSlow { .. }
            | Action::Concern { .. } => {}
        }
    }

    fn spawn_known(&mut self, worker: WorkerId, generation: Generation) {
        assert!(self.specs.contains(&generation), "the settings of {generation} are gone");
        self.spawn(worker, generation);
    }

    fn drain(&mut self, worker: WorkerId, drain: Drain) {
        let refuse = self.refusing.remove(&worker);
        let refuse = refuse.expect("a queue that a worker drains still fills");
        let all = drain == Drain::ServeQueue;
        assert_eq!(refuse, all, "which listeners refuse before {drain:?}");
        self.ask(worker);
        self.end(worker, 8_000);
    }

    fn trace(&mut self, worker: WorkerId) {
        if let Some(process) = self.processes.get_mut(&worker) {
            process.traced = true;
        }
    }

    fn bind(&mut self) {
        let result = match self.random.below(20) {
            0 => Err(BindError { text: "in use".to_owned(), in_use: true }),
            1 => Err(BindError { text: "denied".to_owned(), in_use: false }),
            _ => Ok(()),
        };
        self.plan(MasterEvent::Bound(result), 0);
    }

    fn read_settings(&mut self, generation: Generation) {
        // The file has come or gone.
        self.has_file ^= self.random.chance(10);
        if self.has_file {
            let name = "gunicorn.conf.py".to_owned();
            return self.plan(MasterEvent::FileFound { generation, name }, self.reading);
        }
        self.load_settings(generation, false);
    }

    fn load_settings(&mut self, generation: Generation, has_file: bool) {
        let settings = match self.random.below(8) {
            0 => Err("broken file".to_owned()),
            1 => Ok(MasterSettings { has_file, ..settings(&mut self.random) }),
            _ => Ok(MasterSettings { has_file, ..self.master.settings().clone() }),
        };
        if self.random.chance(self.boot_fails) {
            self.broken.push(generation);
        }
        if settings.is_ok() {
            self.specs.insert(generation);
        }
        self.plan(MasterEvent::SettingsRead { generation, settings }, self.reading);
    }

    fn plan(&mut self, event: MasterEvent, after: u64) {
        self.plan_at(event, self.now + Duration::from_millis(after));
    }

    fn plan_at(&mut self, event: MasterEvent, at: Duration) {
        self.planned += 1;
        self.queue.insert((at, self.planned), event);
    }
}

fn settings(random: &mut Random) -> MasterSettings {
    let limit = |random: &mut Random| u16::try_from(random.below(3)).unwrap();
    let seconds = |random: &mut Random, below| Duration::from_secs(random.below(below));
    MasterSettings {
        workers: 1 + u16::try_from(random.below(5)).unwrap(),
        limits: RolloutLimits { max_surge: limit(random), max_unavailable: limit(random) },
        min_ready: seconds(random, 2) * 3,
        progress_deadline: seconds(random, 3) * 30,
        timeout: seconds(random, 2) * 30,
        slow_request: seconds(random, 2) * 8,
        graceful_timeout: seconds(random, 10),
        shutdown_delay: seconds(random, 2) * 7,
        boot_timeout: Duration::from_secs(20),
        upgrade_timeout: Duration::from_secs(5),
        ready_after: random.chance(20).then_some(Duration::from_secs(1)),
        preload: random.chance(30),
        has_file: false,
        reload: random.chance(30),
        recycling: RecyclingLimits {
            requests: u32::try_from(random.below(2) * 190).unwrap(),
            requests_jitter: 10,
            lifetime: seconds(random, 2) * 60,
            lifetime_jitter: seconds(random, 20),
            memory: random.below(2) * 150,
        },
    }
}
