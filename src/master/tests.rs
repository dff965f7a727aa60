//! What the master decides, event by event.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::Generation;
use monoceros_wire::message::{BootFailure, ToWorker};

use super::state::{Action, Command, Event, Exit, Limits, Signal, Terms, Vital, WorkerId};
use super::{Master, Purpose};

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    master: Master,
    now: Instant,
    log: Vec<String>,
}

impl Bench {
    /// A master that has bound its addresses and spawned its first workers.
    fn booting(purpose: Purpose, workers: u16) -> Self {
        let now = Instant::now();
        let mut bench =
            Self { master: Master::new(purpose, terms(workers), now), now, log: Vec::new() };
        assert!(matches!(bench.master.begin()[..], [Action::Bind]));
        let actions = bench.hear(Event::Bound(Ok(())));
        assert_eq!(spawned(&actions).len(), usize::from(workers));
        bench
    }

    /// As [`Bench::booting`], and all are ready.
    fn serving(workers: u16) -> Self {
        let mut bench = Self::booting(Purpose::Serve, workers);
        for worker in 0..u64::from(workers) {
            bench.ready(worker);
        }
        bench
    }

    fn hear(&mut self, event: Event) -> Vec<Action> {
        let mut actions = self.master.step(event, self.now);
        actions.retain(|action| match action {
            Action::Log(level, text) => {
                self.log.push(format!("{level} {text}"));
                false
            }
            _ => true,
        });
        actions
    }

    fn ask(&mut self, command: Command) -> Vec<Action> {
        self.hear(Event::Asked(command))
    }

    fn ready(&mut self, worker: u64) -> Vec<Action> {
        self.hear(Event::Ready { worker: WorkerId(worker), app: "shop".to_owned() })
    }

    fn fail(&mut self, worker: u64) -> Vec<Action> {
        let (failure, text) = (BootFailure::Application, "Traceback".to_owned());
        self.hear(Event::Failed { worker: WorkerId(worker), failure, text })
    }

    fn exit(&mut self, worker: u64, exit: Exit) -> Vec<Action> {
        self.hear(Event::Exited { worker: WorkerId(worker), exit, running: Vec::new() })
    }

    /// Settings for generation `number` are read.
    fn read(&mut self, number: u32, terms: Terms) -> Vec<Action> {
        self.hear(Event::Read { generation: Generation(number), terms: Ok(terms) })
    }

    /// Lets time pass, hearing every deadline in it.
    fn pass(&mut self, span: Duration) -> Vec<Action> {
        let (end, mut actions, mut turns) = (self.now + span, Vec::new(), 0);
        while let Some(at) = self.master.next_deadline().filter(|at| *at <= end) {
            turns += 1;
            assert!(turns < 1_000, "the master spins");
            self.now = at;
            actions.extend(self.hear(Event::Elapsed));
        }
        self.now = end;
        actions
    }

    fn logged(&self, text: &str) -> usize {
        self.log.iter().filter(|line| line.contains(text)).count()
    }
}

fn terms(workers: u16) -> Terms {
    Terms {
        workers,
        limits: Limits::default(),
        timeout: 10 * SECOND,
        graceful_timeout: 5 * SECOND,
        boot_timeout: 20 * SECOND,
    }
}

fn spawned(actions: &[Action]) -> Vec<(u16, u32)> {
    let spawned = actions.iter().filter_map(|action| match action {
        Action::Spawn { slot, generation, .. } => Some((slot.0, generation.0)),
        _ => None,
    });
    spawned.collect()
}

fn drained(actions: &[Action]) -> Vec<(u64, bool)> {
    let drained = actions.iter().filter_map(|action| match action {
        Action::Tell { worker, message: ToWorker::Drain { serve_queue } } => {
            Some((worker.0, *serve_queue))
        }
        _ => None,
    });
    drained.collect()
}

fn signalled(actions: &[Action], wanted: Signal) -> Vec<u64> {
    let signalled = actions.iter().filter_map(|action| match action {
        Action::Signal { worker, signal } if *signal == wanted => Some(worker.0),
        _ => None,
    });
    signalled.collect()
}

fn exit_code(actions: &[Action]) -> Option<u8> {
    actions.iter().find_map(|action| match action {
        Action::Exit(code) => Some(*code),
        _ => None,
    })
}

#[test]
fn it_is_announced_when_all_are_ready() {
    let mut bench = Bench::booting(Purpose::Serve, 2);
    let is_announced = |actions: &[Action]| {
        actions.iter().any(|it| matches!(it, Action::Announce { app, workers: 2 } if app == "shop"))
    };
    assert!(!is_announced(&bench.ready(1)));
    assert!(is_announced(&bench.ready(0)));
}

#[test]
fn a_failed_first_boot_stops_everybody_with_the_first_failures_code() {
    let mut bench = Bench::booting(Purpose::Serve, 3);
    bench.ready(0);
    let actions = bench.fail(1);
    assert_eq!(signalled(&actions, Signal::Quit), [0]);
    assert_eq!(signalled(&actions, Signal::Terminate), [2]);
    assert_eq!(bench.exit(2, Exit::Code(3)).len(), 0);
    bench.fail(2);
    bench.exit(0, Exit::Code(0));
    assert_eq!(exit_code(&bench.exit(1, Exit::Code(4))), Some(4));
    assert_eq!(bench.logged("Traceback"), 1);
}

#[test]
fn a_worker_that_dies_without_a_word_at_first_boot_means_three() {
    let mut bench = Bench::booting(Purpose::Serve, 1);
    assert_eq!(exit_code(&bench.exit(0, Exit::Signal(11))), Some(3));
    assert_eq!(bench.logged("SIGSEGV before it was ready"), 1);
}

#[test]
fn a_check_ends_with_the_first_ready_worker() {
    let mut bench = Bench::booting(Purpose::Check, 1);
    assert_eq!(signalled(&bench.ready(0), Signal::Quit), [0]);
    assert_eq!(exit_code(&bench.exit(0, Exit::Code(0))), Some(0));
    let mut bench = Bench::booting(Purpose::Check, 1);
    bench.fail(0);
    assert_eq!(exit_code(&bench.exit(0, Exit::Code(4))), Some(1));
}

#[test]
fn a_dead_worker_is_replaced_after_a_wait_that_grows() {
    let mut bench = Bench::serving(2);
    let mut waits = Vec::new();
    for worker in 2..6 {
        let dead = if worker == 2 { 0 } else { worker - 1 };
        assert_eq!(spawned(&bench.exit(dead, Exit::Signal(9))), []);
        let before = bench.now;
        while spawned(&bench.pass(SECOND / 100)).is_empty() {}
        waits.push(bench.now - before);
        bench.ready(worker);
    }
    assert!(waits.is_sorted() && waits[0] < waits[3], "{waits:?}");
    assert_eq!(bench.logged("died: SIGKILL"), 4);
}

#[test]
fn a_reload_has_each_new_worker_ready_before_an_old_one_drains() {
    let mut bench = Bench::serving(2);
    let asked = bench.ask(Command::Reload);
    assert!(matches!(asked[..], [Action::ReadSettings { generation: Generation(2) }]));
    let actions = bench.read(2, terms(2));
    assert_eq!((spawned(&actions), drained(&actions)), (vec![(0, 2)], vec![]));
    let actions = bench.ready(2);
    assert_eq!((spawned(&actions), drained(&actions)), (vec![(1, 2)], vec![(0, false)]));
    let actions = bench.ready(3);
    assert_eq!(drained(&actions), [(1, false)]);
    assert!(actions.iter().any(|it| matches!(it, Action::Settle { generation: Generation(2) })));
}

#[test]
fn a_reload_that_fails_leaves_the_old_generation_and_the_next_one_works() {
    let mut bench = Bench::serving(1);
    bench.ask(Command::Reload);
    bench.read(2, terms(1));
    let actions = bench.fail(1);
    assert!(matches!(actions[..], [Action::Settle { generation: Generation(1) }]));
    bench.exit(1, Exit::Code(4));
    assert_eq!(bench.logged("reload failed"), 1);
    bench.ask(Command::Reload);
    assert_eq!(spawned(&bench.read(3, terms(1))), [(0, 3)]);
    assert_eq!(drained(&bench.ready(2)), [(0, false)]);
}

#[test]
fn a_reload_during_a_reload_takes_its_place() {
    let mut bench = Bench::serving(1);
    bench.ask(Command::Reload);
    bench.read(2, terms(1));
    bench.ask(Command::Reload);
    let actions = bench.read(3, terms(1));
    assert_eq!(signalled(&actions, Signal::Terminate), [1]);
    assert_eq!(spawned(&actions), [(0, 3)]);
}

#[test]
fn settings_that_cannot_be_read_change_nothing() {
    let mut bench = Bench::serving(1);
    bench.ask(Command::Reload);
    let terms = Err("timeout: cannot read".to_owned());
    let actions = bench.hear(Event::Read { generation: Generation(2), terms });
    assert!(actions.is_empty());
    assert_eq!(bench.logged("timeout: cannot read"), 1);
}

#[test]
fn added_workers_survive_a_reload_that_does_not_change_their_number() {
    let mut bench = Bench::serving(1);
    assert_eq!(spawned(&bench.ask(Command::Add)), [(1, 1)]);
    bench.ask(Command::Reload);
    bench.read(2, terms(1));
    assert_eq!(bench.master.workers, 2);
    bench.read(3, terms(3));
    assert_eq!(bench.master.workers, 3);
}

#[test]
fn the_last_worker_is_not_removed() {
    let mut bench = Bench::serving(2);
    assert_eq!(drained(&bench.ask(Command::Remove)), [(1, false)]);
    assert_eq!(drained(&bench.ask(Command::Remove)), []);
}

#[test]
fn a_drain_serves_the_queue_and_kills_what_does_not_end() {
    let mut bench = Bench::serving(2);
    let actions = bench.ask(Command::Drain);
    assert_eq!(drained(&actions), [(0, true), (1, true)]);
    assert!(actions.iter().any(|it| matches!(it, Action::CloseListeners)));
    bench.exit(0, Exit::Code(0));
    assert!(bench.pass(4 * SECOND).is_empty());
    assert_eq!(signalled(&bench.pass(2 * SECOND), Signal::Kill), [1]);
    assert_eq!(exit_code(&bench.exit(1, Exit::Signal(9))), Some(0));
    assert_eq!(bench.logged("did not finish within graceful-timeout"), 1);
}

#[test]
fn a_second_wish_to_drain_stops() {
    let mut bench = Bench::serving(1);
    bench.ask(Command::Drain);
    assert_eq!(signalled(&bench.ask(Command::Drain), Signal::Quit), [0]);
    assert_eq!(signalled(&bench.pass(2 * SECOND), Signal::Kill), [0]);
}

#[test]
fn a_hung_worker_is_aborted_then_killed_and_the_log_says_who_did_it() {
    let mut bench = Bench::serving(1);
    bench.pass(20 * SECOND);
    let longest = Some(("GET /slow".to_owned(), 11 * SECOND));
    let vital = Vital { worker: WorkerId(0), silent: Some(SECOND), longest, stuck: None };
    let actions = bench.hear(Event::Inspected(vec![vital]));
    assert_eq!(signalled(&actions, Signal::Abort), [0]);
    assert_eq!(signalled(&bench.pass(SECOND), Signal::Kill), [0]);
    bench.exit(0, Exit::Signal(9));
    assert_eq!(bench.logged("has been running GET /slow for 11 s"), 1);
    assert_eq!(bench.logged("killed by the master: it hung"), 1);
}

#[test]
fn a_worker_that_takes_no_request_is_aborted_too() {
    let mut bench = Bench::serving(1);
    bench.pass(20 * SECOND);
    let stuck = Some(11 * SECOND);
    let vital = Vital { worker: WorkerId(0), silent: Some(SECOND), longest: None, stuck };
    let actions = bench.hear(Event::Inspected(vec![vital]));
    assert_eq!(signalled(&actions, Signal::Abort), [0]);
    assert_eq!(bench.logged("has not taken a request for 11 s"), 1);
}

#[test]
fn a_worker_that_is_late_ends_the_first_boot_but_not_a_later_one() {
    let mut bench = Bench::booting(Purpose::Serve, 1);
    assert_eq!(signalled(&bench.pass(20 * SECOND), Signal::Abort), [0]);
    assert_eq!(exit_code(&bench.exit(0, Exit::Signal(6))), Some(3));
    let mut bench = Bench::serving(1);
    bench.ask(Command::Reload);
    bench.read(2, terms(1));
    assert_eq!(signalled(&bench.pass(20 * SECOND), Signal::Abort), [1]);
    assert_eq!(bench.logged("reload failed"), 1);
}

#[test]
fn a_master_that_was_stopped_blames_nobody_for_it() {
    let mut bench = Bench::serving(1);
    bench.ask(Command::Reload);
    bench.read(2, terms(1));
    bench.now += 100 * SECOND;
    let actions = bench.hear(Event::Elapsed);
    assert!(signalled(&actions, Signal::Abort).is_empty());
    let longest = Some(("GET /".to_owned(), 100 * SECOND));
    let vital = Vital { worker: WorkerId(0), silent: Some(100 * SECOND), longest, stuck: None };
    assert!(bench.hear(Event::Inspected(vec![vital])).is_empty());
    assert_eq!(bench.log.last().map(|line| line.starts_with(Level::Warn.as_str())), Some(true));
}
