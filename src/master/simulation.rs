//! The master's decisions under thousands of random schedules: a world of
//! pretended processes, a virtual clock, faults of every kind, and the rules
//! that must hold whatever happens.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use monoceros_wire::Generation;
use monoceros_wire::message::{BootFailure, ToWorker};

use super::state::{
    Action, BindFailure, Command, Event, Exit, Limits, Signal, State, Terms, Vital, WorkerId,
};
use super::{Master, Purpose};

/// How many schedules are tried.
const SCHEDULES: u64 = 2_000;
/// How many random things happen in each.
const FAULTS: usize = 40;

/// Runs every schedule; `SIMULATION_SEED=N` runs only that one.
#[test]
fn the_rules_hold_under_random_schedules() {
    let only: Option<u64> = std::env::var("SIMULATION_SEED").ok().and_then(|it| it.parse().ok());
    let seeds = only.map_or(0..SCHEDULES, |seed| seed..seed + 1);
    for seed in seeds {
        let run = std::panic::catch_unwind(|| World::new(seed).run());
        assert!(run.is_ok(), "a rule is broken: replay with SIMULATION_SEED={seed}");
    }
}

/// A small generator of random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A pretended process.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    /// Was told, or has decided, to end at the time of this event.
    ending: bool,
    /// Will not end by anything but SIGKILL.
    stubborn: bool,
    /// Runs a request that does not end.
    stuck: bool,
}

struct World {
    random: Random,
    start: Instant,
    now: Duration,
    /// What is to happen, by time and order of planning.
    queue: BTreeMap<(Duration, u64), Event>,
    planned: u64,
    processes: BTreeMap<WorkerId, Process>,
    reaped: Vec<WorkerId>,
    master: Master,
    exit: Option<u8>,
    announced: bool,
    /// The odds of faults, in percent; zero when the world is to calm down.
    spawn_fails: u64,
    boot_fails: u64,
    stubborn: u64,
    /// Generations whose code cannot be loaded.
    broken: Vec<Generation>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let start = Instant::now();
        let terms = terms(&mut random);
        let master = Master::new(Purpose::Serve, terms, start);
        Self {
            spawn_fails: random.below(2) * random.below(30),
            boot_fails: random.below(2) * random.below(30),
            stubborn: random.below(2) * random.below(40),
            random,
            start,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            planned: 0,
            processes: BTreeMap::new(),
            reaped: Vec::new(),
            master,
            exit: None,
            announced: false,
            broken: Vec::new(),
        }
    }

    fn run(mut self) {
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
        (self.spawn_fails, self.boot_fails, self.stubborn) = (0, 0, 0);
        self.broken.clear();
        self.pass(Duration::from_secs(200));
        if self.master.state == State::Serving {
            assert!(self.announced);
            assert!(self.master.rolling.is_none(), "a rollout does not end");
            let target = self.master.target();
            assert!(target.is_reached(&self.master.roster), "{:?}", self.master.roster);
            assert_eq!(self.processes.len(), usize::from(target.workers));
        }
    }

    /// Every stop ends, within the time that it may take.
    fn stop(mut self) {
        let (command, mut limit) = match self.random.below(2) {
            0 => (Command::Drain, self.master.terms().graceful_timeout),
            _ => (Command::Stop, Duration::from_secs(2)),
        };
        limit += Duration::from_secs(1);
        self.hear(Event::Asked(command));
        self.pass(limit);
        self.check_end();
    }

    fn check_end(&self) {
        assert!(self.exit.is_some(), "the master goes on: {:?}", self.master);
        assert!(self.processes.is_empty(), "the master left a process behind");
        assert_eq!(self.master.next_deadline(), None);
        let mut once = self.reaped.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), self.reaped.len());
    }

    /// Lets something random happen.
    fn disturb(&mut self) {
        match self.random.below(14) {
            0 | 1 => self.hear(Event::Asked(Command::Reload)),
            2 => self.hear(Event::Asked(Command::Add)),
            3 => self.hear(Event::Asked(Command::Remove)),
            4 => self.hear(Event::Asked(Command::Reopen)),
            5 if self.random.chance(5) => self.hear(Event::Asked(Command::Drain)),
            6 if self.random.chance(5) => self.hear(Event::Asked(Command::Stop)),
            7 => self.pause(),
            8 | 9 => self.strike(|process| process.stuck = true),
            10 => self.strike(|process| process.stubborn = true),
            11 | 12 => self.crash(),
            _ => {}
        }
    }

    /// The master does not run for a while; the others do.
    fn pause(&mut self) {
        self.now += Duration::from_millis(self.random.below(60_000));
    }

    fn strike(&mut self, change: impl FnOnce(&mut Process)) {
        let count = self.processes.len() as u64;
        if count > 0 {
            let index = usize::try_from(self.random.below(count)).unwrap();
            change(self.processes.values_mut().nth(index).unwrap());
        }
    }

    fn crash(&mut self) {
        let ids: Vec<_> = self.processes.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[usize::try_from(self.random.below(ids.len() as u64)).unwrap()];
        let exit = if self.random.chance(50) { Exit::Code(0) } else { Exit::Signal(11) };
        self.plan_exit(id, exit, 0);
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
            // What has arrived is heard before the clock, as in the shell.
            match self.queue.first_entry() {
                Some(entry) if entry.key().0 <= self.now => {
                    let event = entry.remove();
                    self.hear(event);
                }
                _ => self.hear(Event::Elapsed),
            }
        }
        self.now = self.now.max(end);
    }

    fn hear(&mut self, event: Event) {
        if let Event::Exited { worker, .. } = &event {
            assert!(self.processes.remove(worker).is_some(), "reaped twice");
            self.reaped.push(*worker);
        }
        let before = (self.master.roster.ready().count(), self.master.roster.live().count());
        let gone = matches!(event, Event::Exited { .. } | Event::Inspected(_));
        let actions = self.master.step(event, self.start + self.now);
        self.check_numbers(before, gone);
        for action in actions {
            self.act(action);
        }
    }

    /// By the master's own doing never fewer are ready, and never more alive,
    /// than is allowed.
    fn check_numbers(&self, (ready_before, live_before): (usize, usize), gone: bool) {
        if self.master.state != State::Serving {
            return;
        }
        let (workers, limits) = (self.master.workers, self.master.terms().limits);
        let ready = self.master.roster.ready().count();
        let least = usize::from(workers.saturating_sub(limits.max_unavailable));
        assert!(gone || ready >= ready_before || ready >= least, "{ready} of {least} are ready");
        let surge = limits.max_surge.max(u16::from(limits.max_unavailable == 0));
        let live = self.master.roster.live().count();
        let most = live_before.max(usize::from(workers + surge));
        assert!(live <= most, "{live} of at most {most} are alive");
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Bind => self.bind(),
            Action::Spawn { worker, generation, .. } => self.spawn(worker, generation),
            Action::Tell { worker, message: ToWorker::Drain { .. } } => self.end(worker, 8_000),
            Action::Signal { worker, signal } => self.signal(worker, signal),
            Action::Inspect => self.inspect(),
            Action::ReadSettings { generation } => self.read_settings(generation),
            Action::Exit(code) => {
                assert_eq!(self.exit.replace(code), None, "the master exits once");
            }
            Action::Announce { .. } => {
                assert!(!std::mem::replace(&mut self.announced, true), "announced once");
            }
            Action::Tell { .. }
            | Action::Settle { .. }
            | Action::Reopen
            | Action::CloseListeners
            | Action::Log(..) => {}
        }
    }

    fn bind(&mut self) {
        let result = match self.random.below(20) {
            0 => Err(BindFailure { text: "in use".to_owned(), in_use: true }),
            1 => Err(BindFailure { text: "denied".to_owned(), in_use: false }),
            _ => Ok(()),
        };
        self.plan(Event::Bound(result), 0);
    }

    fn spawn(&mut self, worker: WorkerId, generation: Generation) {
        if self.random.chance(self.spawn_fails) {
            return self.plan(Event::SpawnFailed { worker, text: "no process".to_owned() }, 0);
        }
        let stubborn = self.random.chance(self.stubborn);
        self.processes.insert(worker, Process { stubborn, ..Process::default() });
        self.plan(Event::Spawned { worker, pid: 1 }, 0);
        let boot = 50 + self.random.below(3_000);
        if self.broken.contains(&generation) || self.random.chance(self.boot_fails) {
            match self.random.below(3) {
                0 => return self.plan_exit(worker, Exit::Code(1), boot),
                1 => return, // hangs
                _ => {}
            }
            let failure = BootFailure::Application;
            self.plan(Event::Failed { worker, failure, text: "traceback".to_owned() }, boot);
            return self.plan_exit(worker, Exit::Code(4), boot + 10);
        }
        self.plan(Event::Ready { worker, app: "app".to_owned() }, boot);
    }

    fn signal(&mut self, worker: WorkerId, signal: Signal) {
        match signal {
            Signal::Kill => {
                self.plan_exit(worker, Exit::Signal(9), 1);
            }
            Signal::Terminate | Signal::Quit | Signal::Abort => self.end(worker, 100),
        }
    }

    /// A process ends within this many milliseconds, if it listens.
    fn end(&mut self, worker: WorkerId, within: u64) {
        let after = self.random.below(within);
        match self.processes.get(&worker) {
            Some(process) if !process.stubborn => self.plan_exit(worker, Exit::Code(0), after),
            _ => {}
        }
    }

    fn inspect(&mut self) {
        let vital = |(worker, process): (&WorkerId, &Process)| Vital {
            worker: *worker,
            silent: Some(Duration::ZERO),
            longest: process.stuck.then(|| ("GET /".to_owned(), Duration::from_secs(3_600))),
            stuck: None,
        };
        let vitals = self.processes.iter().map(vital).collect();
        self.plan(Event::Inspected(vitals), 0);
    }

    fn read_settings(&mut self, generation: Generation) {
        let terms = match self.random.below(8) {
            0 => Err("broken file".to_owned()),
            1 => Ok(terms(&mut self.random)),
            _ => Ok(self.master.terms().clone()),
        };
        if self.random.chance(self.boot_fails) {
            self.broken.push(generation);
        }
        self.plan(Event::Read { generation, terms }, 0);
    }

    /// A process ends once: SIGKILL is earlier than anything else it planned.
    fn plan_exit(&mut self, worker: WorkerId, exit: Exit, after: u64) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        if std::mem::replace(&mut process.ending, true) {
            if exit != Exit::Signal(9) {
                return;
            }
            self.queue.retain(
                |_, event| !matches!(event, Event::Exited { worker: it, .. } if *it == worker),
            );
        }
        self.plan(Event::Exited { worker, exit, running: Vec::new() }, after);
    }

    fn plan(&mut self, event: Event, after: u64) {
        self.planned += 1;
        let at = self.now + Duration::from_millis(after);
        self.queue.insert((at, self.planned), event);
    }
}

fn terms(random: &mut Random) -> Terms {
    let limit = |random: &mut Random| u16::try_from(random.below(3)).unwrap();
    Terms {
        workers: 1 + u16::try_from(random.below(5)).unwrap(),
        limits: Limits { max_surge: limit(random), max_unavailable: limit(random) },
        timeout: Duration::from_secs(random.below(2) * 30),
        graceful_timeout: Duration::from_secs(random.below(10)),
        boot_timeout: Duration::from_secs(20),
    }
}
