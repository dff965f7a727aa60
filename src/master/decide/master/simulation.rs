//! The decisions of the master under thousands of random schedules: simulated processes, a
//! virtual clock, faults of every kind, and the rules that must hold in each.

mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use monoceros_config::SignalCommand;
use monoceros_wire::Generation;
use monoceros_wire::control::{ControlReply, ControlRequest};
use monoceros_wire::message::ToWorker;

use self::processes::SimulatedProcess;
use crate::master::decide::action::{Action, Notice, WorkerSignal};
use crate::master::decide::event::{BindError, MasterEvent};
use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::master::{Master, StartContext};
use crate::master::decide::roster::{Roster, WorkerEntry};
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
    /// Whether there is a successor, and whether it is about to end.
    successor: Option<bool>,
    reaped: Vec<WorkerId>,
    master: Master,
    /// The commands that wait, and for a reload the first generation that it
    /// can be answered by.
    clients: BTreeMap<ClientId, (ControlRequest, Generation)>,
    asked: u64,
    exit: Option<u8>,
    announced: bool,
    passed_on: bool,
    /// The generations whose settings the event loop has.
    specs: BTreeSet<Generation>,
    /// The workers whose listeners refuse connections, since they are about to drain.
    refusing: BTreeSet<WorkerId>,
    /// Until when the server has to serve, though it is to end.
    serves_until: Option<Duration>,
    /// The init system has heard that it is to end.
    said_stopping: bool,
    /// The master slept since an event: deadlines have moved.
    paused: Duration,
    /// The odds of faults, in percent; zero when the world is to calm down.
    spawn_fails: u64,
    boot_fails: u64,
    stubborn: u64,
    lost: u64,
    /// Generations whose code cannot be loaded.
    broken: Vec<Generation>,
    calm: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let start = Instant::now();
        let settings = settings(&mut random);
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
            random,
            start,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            planned: 0,
            processes: BTreeMap::new(),
            successor: None,
            reaped: Vec::new(),
            master,
            clients: BTreeMap::new(),
            asked: 0,
            exit: None,
            announced: false,
            passed_on: false,
            specs: BTreeSet::from([generation]),
            refusing: BTreeSet::new(),
            serves_until: None,
            said_stopping: false,
            paused: Duration::ZERO,
            broken: Vec::new(),
            calm: false,
        }
    }

    fn run(mut self) {
        if self.master.succession.follows() {
            let workers = self.random.chance(30).then_some(3);
            let after = self.random.below(10_000);
            self.plan(MasterEvent::TookOver { workers }, after);
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
        self.pass(Duration::from_secs(400));
        if self.master.state == MasterState::Serving {
            assert!(self.announced);
            assert!(self.master.reload.rolling_to().is_none(), "a rollout does not end");
            assert!(self.clients.is_empty(), "commands without an answer: {:?}", self.clients);
            let target = self.master.target();
            let now = self.start + self.now;
            let roster = self.master.pool.roster();
            let recycles = !self.master.settings().recycling.lifetime.is_zero();
            assert!(recycles || target.is_reached(roster, now), "{roster:?}");
            let molds = roster.molds().filter(|mold| mold.is_ready()).count();
            assert_eq!(molds, usize::from(self.master.settings().preload));
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
        // A successor may have to be killed.
        limit = limit.max(Duration::from_secs(2)) + Duration::from_secs(1);
        self.hear(MasterEvent::Signalled(command));
        self.pass(limit);
        self.check_end();
    }

    fn check_end(&self) {
        assert!(self.exit.is_some(), "the master goes on: {:?}", self.master);
        assert!(self.processes.is_empty(), "the master left a process behind");
        assert!(self.successor.is_none() || self.passed_on, "the master left a successor behind");
        assert!(self.clients.is_empty(), "commands without an answer: {:?}", self.clients);
        assert_eq!(self.master.next_deadline(), None);
        let mut once = self.reaped.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), self.reaped.len());
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
            _ => {}
        }
    }

    /// A command asks, and waits.
    fn request(&mut self) {
        let request = match self.random.below(4) {
            0 => ControlRequest::Status,
            1 => ControlRequest::Upgrade,
            2 if self.random.chance(5) => ControlRequest::Stop,
            _ => ControlRequest::Reload,
        };
        self.asked += 1;
        let client = ClientId(self.asked);
        self.clients.insert(client, (request, Generation(self.master.reload.newest().0 + 1)));
        self.hear(MasterEvent::Requested { client, request });
    }

    /// A command gets one reply: what it asked for, or a failure.
    fn answer(&mut self, client: ClientId, answer: &ControlReply) {
        let asked = self.clients.remove(&client);
        let (request, least) = asked.expect("no client waits for this reply");
        match (request, answer) {
            (ControlRequest::Reload, ControlReply::Reloaded { generation, .. }) => {
                assert!(*generation >= least, "answered by what was read before");
                assert_eq!(*generation, self.master.reload.current());
            }
            (ControlRequest::Upgrade, ControlReply::Upgraded { .. }) => {
                assert!(self.passed_on, "no successor has taken over");
            }
            (ControlRequest::Status, ControlReply::Status(status)) => {
                // More may have been spawned at once.
                assert!(status.workers.len() <= self.master.pool.roster().everyone().count());
            }
            (ControlRequest::Stop, ControlReply::Stopping) => {
                let state = self.master.state;
                let goes_on = matches!(state, MasterState::Binding { .. } | MasterState::Booting);
                assert!(!goes_on && state != MasterState::Serving, "it goes on");
            }
            (ControlRequest::Stop, ControlReply::Failed(_)) => {
                assert!(self.passed_on, "it can always stop")
            }
            (ControlRequest::Reload | ControlRequest::Upgrade, ControlReply::Failed(_)) => {}
            (
                ControlRequest::Reload
                | ControlRequest::Upgrade
                | ControlRequest::Stop
                | ControlRequest::Status,
                _,
            ) => {
                panic!("{answer:?} to {request:?}")
            }
        }
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
        let before = self.master.pool.roster().clone();
        let serving = self.serves();
        self.note_end(&event);
        if let MasterEvent::TookOver { .. } = &event {
            // The notices before the takeover went to no init system.
            self.said_stopping = false;
        }
        let gone = matches!(event, MasterEvent::Exited { .. } | MasterEvent::Inspected(_));
        let actions = self.master.step(event, self.start + self.now);
        self.check_numbers(&before, gone || !serving);
        for action in actions {
            self.act(action);
        }
        self.check_deadlines();
    }

    fn serves(&self) -> bool {
        matches!(self.master.state, MasterState::Serving | MasterState::Delaying { .. })
    }

    /// Notes how long clients may rely on a server that is asked to end.
    fn note_end(&mut self, event: &MasterEvent) {
        let is_stop = matches!(event, MasterEvent::Requested { request: ControlRequest::Stop, .. });
        match event {
            MasterEvent::Signalled(SignalCommand::Stop) => self.serves_until = None,
            // A second SIGTERM ends the delay.
            MasterEvent::Signalled(SignalCommand::Drain) if self.serves_until.is_some() => {
                self.serves_until = None
            }
            MasterEvent::Signalled(SignalCommand::Drain) | MasterEvent::Requested { .. }
                if self.master.state == MasterState::Serving
                    && self.master.pool.size().workers() > 0
                    && (is_stop || matches!(event, MasterEvent::Signalled(_))) =>
            {
                self.serves_until = Some(self.now + self.master.settings().shutdown_delay);
            }
            _ => {}
        }
    }

    /// Clients that rely on `shutdown-delay` are served until it is over.
    fn check_delay(&self) {
        let over = self.serves_until.is_none_or(|until| until <= self.now);
        assert!(over, "the server ends before its delay is over: {:?}", self.master);
    }

    /// After `STOPPING=1` the init system is not told that the server is ready.
    fn hear_notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Stopping => {
                assert!(!std::mem::replace(&mut self.said_stopping, true), "said once");
            }
            Notice::Ready | Notice::Reloading => {
                assert!(!self.said_stopping, "{notice:?} of a server that is to end");
            }
            Notice::Alive | Notice::Status(_) | Notice::Extend(_) => {}
        }
    }

    /// How many serve, as the master's target is now.
    fn count_serving(&self, roster: &Roster) -> usize {
        let (now, target) = (self.start + self.now, self.master.target());
        let serves = |worker: &&WorkerEntry| {
            let counts = !target.wants(worker) || worker.is_available(target.min_ready, now);
            counts && !worker.is_doomed()
        };
        roster.ready().filter(serves).count()
    }

    /// The master itself never makes fewer workers serve, or more live, than is allowed.
    fn check_numbers(&self, before: &Roster, gone: bool) {
        if !self.serves() {
            return;
        }
        let (workers, limits) = (self.master.pool.size().workers(), self.master.settings().limits);
        let serving = self.count_serving(self.master.pool.roster());
        let serving_before = self.count_serving(before);
        let least = usize::from(workers.saturating_sub(limits.max_unavailable));
        assert!(
            gone || serving >= serving_before || serving >= least,
            "{serving} of {least} serve, {serving_before} did: {:?}",
            self.master.pool.roster()
        );
        let live = self.master.pool.roster().live().count();
        let most = before.live().count().max(usize::from(workers + limits.surge()));
        assert!(live <= most, "{live} of at most {most} are alive");
    }

    /// No process outlives its deadline: one that was told to end has ended, or was sent
    /// SIGKILL, within the longest time that it may have.
    fn check_deadlines(&self) {
        let longest = Duration::from_secs(10 + 4);
        for (worker, process) in &self.processes {
            let Some(asked) = process.asked else { continue };
            let over = self.now.saturating_sub(asked) > longest + self.paused;
            assert!(!over || process.killed, "{worker:?} outlives its deadline");
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Bind => self.bind(),
            Action::Spawn { worker, generation, .. } | Action::SpawnMold { worker, generation } => {
                assert!(self.specs.contains(&generation), "the settings of {generation} are gone");
                self.spawn(worker, generation);
            }
            Action::RefuseConnections { worker, at_all } => {
                assert!(!at_all || !self.serves(), "all refuse while the server serves");
                self.refusing.insert(worker);
            }
            Action::Send { worker, message: ToWorker::Drain(_) } => {
                assert!(self.refusing.remove(&worker), "it drains a queue that still fills");
                self.ask(worker);
                self.end(worker, 8_000);
            }
            Action::Signal { worker, signal } => self.signal(worker, signal),
            Action::RequestStacks { worker } => {
                if let Some(process) = self.processes.get_mut(&worker) {
                    process.traced = true;
                }
            }
            Action::Inspect => self.inspect(),
            Action::ReadSettings { generation } => {
                assert!(!self.said_stopping, "a reload begins at the end");
                self.read_settings(generation);
            }
            Action::StartSuccessor { .. } => {
                assert!(!self.said_stopping, "an upgrade begins at the end");
                self.start_successor();
            }
            Action::SignalSuccessor(signal) => self.signal_successor(signal),
            Action::PassOn { .. } => {
                assert!(
                    self.successor.is_some() && !self.passed_on,
                    "there is no successor to pass on to"
                );
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
            Action::Notify(notice) => self.hear_notice(&notice),
            Action::KeepGeneration { generation, last_read } => {
                self.specs.retain(|known| *known == generation || *known > last_read);
            }
            Action::Send { .. } | Action::Reopen | Action::Log(..) => {}
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
        let settings = match self.random.below(8) {
            0 => Err("broken file".to_owned()),
            1 => Ok(settings(&mut self.random)),
            _ => Ok(self.master.settings().clone()),
        };
        if self.random.chance(self.boot_fails) {
            self.broken.push(generation);
        }
        if settings.is_ok() {
            self.specs.insert(generation);
        }
        self.plan(MasterEvent::SettingsRead { generation, settings }, 0);
    }

    /// A successor that is ready, fails, or hangs.
    fn start_successor(&mut self) {
        assert_eq!(self.successor, None, "one upgrade at a time");
        let failed = || MasterEvent::SuccessorEnded { text: "no".to_owned() };
        match self.random.below(5) {
            0 => return self.plan(failed(), 0),
            1 => self.plan(failed(), 2_000),
            2 => {}
            _ => self.plan(MasterEvent::SuccessorReady, 3_000),
        }
        self.successor = Some(false);
        self.plan(MasterEvent::SuccessorStarted { pid: 9 }, 0);
    }

    fn signal_successor(&mut self, signal: WorkerSignal) {
        let Some(ending) = &mut self.successor else { return };
        let listens = signal == WorkerSignal::Kill || self.random.chance(50);
        if listens && !std::mem::replace(ending, true) {
            self.queue.retain(|_, it| !matches!(it, MasterEvent::SuccessorEnded { .. }));
            self.plan(MasterEvent::SuccessorEnded { text: "ended".to_owned() }, 1);
        }
    }

    fn plan(&mut self, event: MasterEvent, after: u64) {
        self.planned += 1;
        let at = self.now + Duration::from_millis(after);
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
        graceful_timeout: seconds(random, 10),
        shutdown_delay: seconds(random, 2) * 7,
        boot_timeout: Duration::from_secs(20),
        upgrade_timeout: Duration::from_secs(5),
        ready_after: random.chance(20).then_some(Duration::from_secs(1)),
        preload: random.chance(30),
        recycling: RecyclingLimits {
            requests: u32::try_from(random.below(2) * 190).unwrap(),
            requests_jitter: 10,
            lifetime: seconds(random, 2) * 60,
            lifetime_jitter: seconds(random, 20),
            memory: random.below(2) * 150,
        },
    }
}
