//! What the master decides, event by event.

mod commands;
mod delays;
mod hangs;
mod hooks;
mod molds;
mod sources;
mod upgrades;

use std::time::{Duration, Instant};

use log::Level;
use monoceros_config::SignalCommand;
use monoceros_wire::Generation;
use monoceros_wire::message::{BootFailure, Drain, ToWorker};
use monoceros_wire::report::Totals;

use crate::master::decide::action::{Action, Notification, WorkerSignal};
use crate::master::decide::event::{MasterEvent, SpawnError, WorkerExit};
use crate::master::decide::id::WorkerId;
use crate::master::decide::master::{Master, StartContext};
use crate::master::decide::sample::{RunningRequest, StacksRead, WorkerSample};
use crate::master::decide::settings::{MasterSettings, RecyclingLimits, RolloutLimits};
use crate::master::decide::state::Purpose;
use crate::master::decide::succession::Succession;
use crate::master::decide::watchdog::Watchdog;
use monoceros_sys::process::ExitStatus;

const SECOND: Duration = Duration::from_secs(1);

struct MasterBench {
    master: Master,
    now: Instant,
    log: Vec<String>,
    notifications: Vec<Notification>,
    /// The workers that were sent that the server is about to end.
    end_announced: Vec<u64>,
}

impl MasterBench {
    /// A master that has bound its addresses and spawned its first workers.
    fn booting(purpose: Purpose, workers: u16) -> Self {
        let now = Instant::now();
        let master = Master::new(beginning(purpose), settings(workers), now);
        let (log, notifications, end_announced) = Default::default();
        let mut bench = Self { master, now, log, notifications, end_announced };
        assert!(matches!(bench.master.begin()[..], [Action::Bind]));
        let actions = bench.hear(MasterEvent::Bound(Ok(())));
        assert_eq!(spawned(&actions).len(), usize::from(workers));
        bench
    }

    /// As [`MasterBench::booting`], and all are ready.
    fn serving(workers: u16) -> Self {
        let mut bench = Self::booting(Purpose::Serve, workers);
        for worker in 0..u64::from(workers) {
            bench.ready(worker);
        }
        bench
    }

    fn hear(&mut self, event: MasterEvent) -> Vec<Action> {
        let mut actions = self.master.step(event, self.now);
        actions.retain(|action| match action {
            Action::Log(line) => {
                self.log.push(format!("{} {}", line.level, line.text));
                false
            }
            Action::Notify(notification) => {
                self.notifications.push(notification.clone());
                false
            }
            Action::Send { worker, message: ToWorker::Leave } => {
                self.end_announced.push(worker.0);
                false
            }
            Action::Inspect | Action::RefuseConnections { .. } => false,
            _ => true,
        });
        actions
    }

    fn ask(&mut self, command: SignalCommand) -> Vec<Action> {
        self.hear(MasterEvent::Signalled(command))
    }

    fn ready(&mut self, worker: u64) -> Vec<Action> {
        self.hear(MasterEvent::Ready { worker: WorkerId(worker), app: "shop".to_owned() })
    }

    fn fail(&mut self, worker: u64) -> Vec<Action> {
        let (failure, text) = (BootFailure::Application, "Traceback".to_owned());
        self.hear(MasterEvent::Failed { worker: WorkerId(worker), failure, text })
    }

    fn exit(&mut self, worker: u64, exit: ExitStatus) -> Vec<Action> {
        self.die(worker, exit, Totals::default())
    }

    fn die(&mut self, worker: u64, exit: ExitStatus, counts: Totals) -> Vec<Action> {
        let exit = WorkerExit { counts: Box::new(counts), ..WorkerExit::of(exit) };
        self.hear(MasterEvent::Exited { worker: WorkerId(worker), exit })
    }

    /// Settings for generation `number` are read.
    fn read(&mut self, number: u32, settings: MasterSettings) -> Vec<Action> {
        self.hear(MasterEvent::SettingsRead {
            generation: Generation(number),
            settings: Ok(settings),
        })
    }

    /// Lets time pass, hearing every deadline in it.
    fn pass(&mut self, span: Duration) -> Vec<Action> {
        let (end, mut actions, mut turns) = (self.now + span, Vec::new(), 0);
        while let Some(at) = self.master.next_deadline().filter(|at| *at <= end) {
            turns += 1;
            assert!(turns < 1_000, "the master spins");
            self.now = at;
            actions.extend(self.hear(MasterEvent::Elapsed));
        }
        self.now = end;
        actions
    }

    /// This process was asked to go.
    fn roster_leaves(&self, worker: u64) -> bool {
        self.master.pool.roster().get(WorkerId(worker)).is_some_and(|it| !it.is_live())
    }

    fn logged(&self, text: &str) -> usize {
        self.log.iter().filter(|line| line.contains(text)).count()
    }
}

fn settings(workers: u16) -> MasterSettings {
    MasterSettings {
        workers,
        limits: RolloutLimits::default(),
        timeout: 10 * SECOND,
        slow_request: Duration::ZERO,
        graceful_timeout: 5 * SECOND,
        shutdown_delay: Duration::ZERO,
        boot_timeout: 20 * SECOND,
        min_ready: Duration::ZERO,
        progress_deadline: 600 * SECOND,
        upgrade_timeout: 60 * SECOND,
        ready_after: None,
        preload: false,
        has_file: false,
        reload: false,
        recycling: RecyclingLimits::default(),
    }
}

fn beginning(purpose: Purpose) -> StartContext {
    let generation = Generation(1);
    StartContext { purpose, generation, follows: false, workers: None, watchdog: None, seed: 1 }
}

/// There is no process, and there may be one later.
fn no_room(worker: u64) -> MasterEvent {
    let error = SpawnError { text: "no room".to_owned(), is_temporary: true, code: None };
    MasterEvent::SpawnFailed { worker: WorkerId(worker), error }
}

fn spawned(actions: &[Action]) -> Vec<(u16, u32)> {
    let spawned = actions.iter().filter_map(|action| match action {
        Action::Spawn { slot, generation, .. } => Some((slot.0, generation.0)),
        _ => None,
    });
    spawned.collect()
}

fn drained(actions: &[Action]) -> Vec<(u64, Drain)> {
    let drained = actions.iter().filter_map(|action| match action {
        Action::Send { worker, message: ToWorker::Drain(drain) } => Some((worker.0, *drain)),
        _ => None,
    });
    drained.collect()
}

fn signalled(actions: &[Action], wanted: WorkerSignal) -> Vec<u64> {
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
    let mut bench = MasterBench::booting(Purpose::Serve, 2);
    let is_activated = |actions: &[Action]| {
        actions.iter().any(|it| matches!(it, Action::Announce { app, workers: 2 } if app == "shop"))
    };
    assert!(!is_activated(&bench.ready(1)));
    assert!(is_activated(&bench.ready(0)));
}

#[test]
fn a_failed_first_boot_stops_all_workers_with_the_first_failures_code() {
    let mut bench = MasterBench::booting(Purpose::Serve, 3);
    let actions = bench.fail(1);
    assert_eq!(signalled(&actions, WorkerSignal::Term), [0, 2]);
    assert_eq!(bench.exit(2, ExitStatus::Code(3)).len(), 0);
    bench.fail(2);
    bench.exit(0, ExitStatus::Code(0));
    assert_eq!(exit_code(&bench.exit(1, ExitStatus::Code(4))), Some(4));
    assert_eq!(bench.logged("Traceback"), 1);
}

#[test]
fn at_the_first_boot_one_that_fails_beside_one_that_serves_is_tried_again() {
    let mut bench = MasterBench::booting(Purpose::Serve, 2);
    bench.ready(0);
    assert!(bench.fail(1).is_empty());
    bench.exit(1, ExitStatus::Code(4));
    assert_eq!(spawned(&bench.pass(SECOND)), [(1, 1)]);
    assert!(bench.ready(2).iter().any(|it| matches!(it, Action::Announce { .. })));
}

#[test]
fn at_the_first_boot_a_machine_without_room_is_waited_for() {
    let mut bench = MasterBench::booting(Purpose::Serve, 2);
    for worker in [0, 1] {
        assert_eq!(spawned(&bench.hear(no_room(worker))), [], "not at once");
    }
    assert_eq!(spawned(&bench.pass(SECOND)).len(), 2);
    assert_eq!(bench.logged("no room; trying again"), 1);
    bench.hear(no_room(2));
    bench.ready(3);
    assert_eq!(spawned(&bench.pass(SECOND)).len(), 1);
    assert!(bench.ready(4).iter().any(|it| matches!(it, Action::Announce { .. })));
}

#[test]
fn a_check_and_a_successor_do_not_wait_for_room() {
    let mut checking = MasterBench::booting(Purpose::Check, 1);
    assert_eq!(exit_code(&checking.hear(no_room(0))), Some(1));
    let mut following = MasterBench::booting(Purpose::Serve, 1);
    following.master.succession = Succession::new(true);
    let code = BootFailure::Interpreter.exit_code();
    assert_eq!(exit_code(&following.hear(no_room(0))), Some(code));
}

#[test]
fn a_worker_that_dies_without_a_report_at_first_boot_means_three() {
    let mut bench = MasterBench::booting(Purpose::Serve, 1);
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Signal(11))), Some(3));
    assert_eq!(bench.logged("SIGSEGV before it was ready"), 1);
}

#[test]
fn a_check_ends_with_the_first_ready_worker() {
    let mut bench = MasterBench::booting(Purpose::Check, 1);
    assert_eq!(signalled(&bench.ready(0), WorkerSignal::Quit), [0]);
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Code(0))), Some(0));
    let mut bench = MasterBench::booting(Purpose::Check, 1);
    bench.fail(0);
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Code(4))), Some(1));
}

#[test]
fn a_dead_worker_is_replaced_after_a_wait_that_grows() {
    let mut bench = MasterBench::serving(2);
    let mut waits = Vec::new();
    for worker in 2..6 {
        let dead = if worker == 2 { 0 } else { worker - 1 };
        assert_eq!(spawned(&bench.exit(dead, ExitStatus::Signal(9))), []);
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
    let mut bench = MasterBench::serving(2);
    let asked = bench.ask(SignalCommand::Reload);
    assert!(matches!(asked[..], [Action::ReadSettings { generation: Generation(2) }]));
    let actions = bench.read(2, settings(2));
    assert_eq!((spawned(&actions), drained(&actions)), (vec![(0, 2)], vec![]));
    let actions = bench.ready(2);
    assert_eq!((spawned(&actions), drained(&actions)), (vec![(1, 2)], vec![(0, Drain::Retire)]));
    let actions = bench.ready(3);
    assert_eq!(drained(&actions), [(1, Drain::Retire)]);
    assert!(
        actions
            .iter()
            .any(|it| matches!(it, Action::KeepGeneration { generation: Generation(2), .. }))
    );
}

#[test]
fn a_reload_that_fails_leaves_the_old_generation_and_the_next_one_works() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(1));
    let actions = bench.fail(1);
    assert!(matches!(actions[..], [Action::KeepGeneration { generation: Generation(1), .. }]));
    bench.exit(1, ExitStatus::Code(4));
    assert_eq!(bench.logged("reload failed"), 1);
    bench.ask(SignalCommand::Reload);
    assert_eq!(spawned(&bench.read(3, settings(1))), [(0, 3)]);
    assert_eq!(drained(&bench.ready(2)), [(0, Drain::Retire)]);
}

#[test]
fn a_reload_during_a_reload_takes_its_place() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(1));
    bench.ask(SignalCommand::Reload);
    let actions = bench.read(3, settings(1));
    assert_eq!(signalled(&actions, WorkerSignal::Term), [1]);
    assert_eq!(spawned(&actions), [(0, 3)]);
}

#[test]
fn a_worker_that_gets_ready_when_it_is_asked_to_end_may_finish_what_it_has() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(1));
    bench.ask(SignalCommand::Reload);
    assert_eq!(signalled(&bench.read(3, settings(1)), WorkerSignal::Term), [1]);
    bench.ready(1);
    assert!(signalled(&bench.pass(4 * SECOND), WorkerSignal::Kill).is_empty());
    assert_eq!(signalled(&bench.pass(SECOND), WorkerSignal::Kill), [1]);
}

#[test]
fn settings_that_cannot_be_read_change_nothing() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    let settings = Err("timeout: cannot read".to_owned());
    let actions = bench.hear(MasterEvent::SettingsRead { generation: Generation(2), settings });
    assert!(actions.is_empty());
    assert_eq!(bench.logged("timeout: cannot read"), 1);
}

#[test]
fn added_workers_survive_a_reload_that_does_not_change_their_number() {
    let mut bench = MasterBench::serving(1);
    assert_eq!(spawned(&bench.ask(SignalCommand::Add)), [(1, 1)]);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(1));
    assert_eq!(bench.master.pool.size().workers(), 2);
    bench.read(3, settings(3));
    assert_eq!(bench.master.pool.size().workers(), 3);
}

#[test]
fn the_last_worker_is_not_removed() {
    let mut bench = MasterBench::serving(2);
    assert_eq!(drained(&bench.ask(SignalCommand::Remove)), [(1, Drain::Retire)]);
    assert_eq!(drained(&bench.ask(SignalCommand::Remove)), []);
}

#[test]
fn a_worker_that_serves_before_its_signal_arrives_drains() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Add);
    assert_eq!(signalled(&bench.ask(SignalCommand::Remove), WorkerSignal::Term), [1]);
    assert_eq!(drained(&bench.ready(1)), [(1, Drain::Retire)]);
    assert!(signalled(&bench.pass(4 * SECOND), WorkerSignal::Kill).is_empty());
    assert_eq!(signalled(&bench.pass(2 * SECOND), WorkerSignal::Kill), [1]);
}

#[test]
fn a_drain_serves_the_queue_and_kills_what_does_not_end() {
    let mut bench = MasterBench::serving(2);
    let actions = bench.ask(SignalCommand::Drain);
    assert_eq!(drained(&actions), [(0, Drain::ServeQueue), (1, Drain::ServeQueue)]);
    assert!(actions.iter().any(|it| matches!(it, Action::CloseListeners)));
    bench.exit(0, ExitStatus::Code(0));
    assert!(bench.pass(4 * SECOND).is_empty());
    assert_eq!(signalled(&bench.pass(2 * SECOND), WorkerSignal::Kill), [1]);
    assert_eq!(exit_code(&bench.exit(1, ExitStatus::Signal(9))), Some(0));
    assert_eq!(bench.logged("did not finish within graceful-timeout"), 1);
}

#[test]
fn a_drain_during_a_reload_counts_graceful_timeout_once() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(1));
    assert_eq!(drained(&bench.ready(1)), [(0, Drain::Retire)]);
    bench.pass(3 * SECOND);
    assert_eq!(drained(&bench.ask(SignalCommand::Drain)), [(1, Drain::ServeQueue)]);
    bench.exit(1, ExitStatus::Code(0));
    assert!(signalled(&bench.pass(SECOND), WorkerSignal::Kill).is_empty());
    assert_eq!(signalled(&bench.pass(SECOND), WorkerSignal::Kill), [0]);
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Signal(9))), Some(0));
}

#[test]
fn a_second_sigterm_stops() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Drain);
    assert_eq!(signalled(&bench.ask(SignalCommand::Drain), WorkerSignal::Quit), [0]);
    assert_eq!(signalled(&bench.pass(2 * SECOND), WorkerSignal::Kill), [0]);
}

#[test]
fn a_worker_that_has_served_enough_is_replaced_one_at_a_time() {
    let recycling = RecyclingLimits { requests: 100, memory: 1000, ..RecyclingLimits::default() };
    let mut bench = MasterBench::serving(2);
    bench.ask(SignalCommand::Reload);
    bench.read(2, MasterSettings { recycling, ..settings(2) });
    bench.ready(2);
    bench.exit(0, ExitStatus::Code(0));
    bench.ready(3);
    bench.exit(1, ExitStatus::Code(0));
    let sample = |worker, requests, memory| WorkerSample {
        worker: WorkerId(worker),
        silent: Some(SECOND),
        requests,
        memory: Some(memory),
        ..WorkerSample::default()
    };
    let look = |bench: &mut MasterBench, requests, memory| {
        let samples = vec![sample(2, requests, 0), sample(3, 0, memory)];
        spawned(&bench.hear(MasterEvent::Inspected(samples)))
    };
    assert_eq!(look(&mut bench, 99, 1001), []);
    assert_eq!(look(&mut bench, 99, 1001), []);
    assert_eq!(look(&mut bench, 99, 1001), [(1, 2)]);
    assert_eq!(look(&mut bench, 100, 1001), []);
    assert_eq!(bench.logged("is due"), 2);
    let actions = bench.ready(4);
    assert_eq!((drained(&actions), spawned(&actions)), (vec![(3, Drain::Retire)], vec![]));
    assert_eq!(spawned(&bench.exit(3, ExitStatus::Code(0))), [(0, 2)]);
}

#[test]
fn workers_can_be_withdrawn_and_a_reload_brings_them_back() {
    let mut bench = MasterBench::serving(2);
    assert_eq!(
        drained(&bench.ask(SignalCommand::Withdraw)),
        [(0, Drain::Retire), (1, Drain::Retire)]
    );
    bench.exit(0, ExitStatus::Code(0));
    bench.exit(1, ExitStatus::Code(0));
    assert!(bench.ask(SignalCommand::Remove).is_empty());
    assert!(spawned(&bench.pass(60 * SECOND)).is_empty());
    bench.ask(SignalCommand::Reload);
    assert_eq!(spawned(&bench.read(2, settings(2))).len(), 2);
    bench.ask(SignalCommand::Withdraw);
    assert_eq!(spawned(&bench.ask(SignalCommand::Add)), [(0, 2)]);
}

#[test]
fn a_worker_that_does_not_notify_is_ready_after_a_while() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, MasterSettings { ready_after: Some(SECOND), ..settings(1) });
    assert!(drained(&bench.pass(SECOND / 2)).is_empty());
    assert_eq!(drained(&bench.pass(SECOND / 2)), [(0, Drain::Retire)]);
}

#[test]
fn a_reload_without_progress_is_given_up() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, MasterSettings { progress_deadline: 5 * SECOND, ..settings(1) });
    assert_eq!(signalled(&bench.pass(5 * SECOND), WorkerSignal::Term), [1]);
    assert_eq!(bench.logged("gen=2 made no progress within progress-deadline; gen=1 goes on"), 1);
    assert!(bench.master.status_line().contains("reload failed: gen=2 made no progress"));
}

#[test]
fn a_new_worker_that_does_not_last_for_min_ready_seconds_has_failed() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, MasterSettings { min_ready: 5 * SECOND, ..settings(1) });
    assert!(bench.ready(1).is_empty());
    assert!(drained(&bench.pass(4 * SECOND)).is_empty());
    bench.exit(1, ExitStatus::Signal(11));
    assert_eq!(bench.logged("reload failed: gen=2 does not last; gen=1 goes on"), 1);
    bench.ask(SignalCommand::Reload);
    bench.read(3, MasterSettings { min_ready: 5 * SECOND, ..settings(1) });
    bench.ready(2);
    assert_eq!(drained(&bench.pass(5 * SECOND)), [(0, Drain::Retire)]);
}

#[test]
fn the_init_system_is_notified_of_a_reload_however_it_ends() {
    let mut bench = MasterBench::serving(1);
    assert!(bench.notifications.ends_with(&[Notification::Ready]));
    bench.notifications.clear();
    bench.ask(SignalCommand::Reload);
    assert_eq!(bench.notifications, [Notification::Reloading]);
    let settings = Err("timeout: cannot read".to_owned());
    bench.hear(MasterEvent::SettingsRead { generation: Generation(2), settings });
    assert_eq!(bench.notifications.last(), Some(&Notification::Ready));
    let failed = |notification: &Notification| matches!(notification, Notification::Status(text) if text.ends_with("reload failed: timeout: cannot read"));
    assert!(bench.notifications.iter().any(failed), "{:?}", bench.notifications);
    bench.ask(SignalCommand::Drain);
    assert!(bench.notifications.contains(&Notification::Stopping));
}

#[test]
fn the_watchdog_is_not_notified_when_no_worker_can_be_relied_on() {
    let mut bench = MasterBench::serving(1);
    bench.master.watchdog = Watchdog::new(Some(2 * SECOND), bench.now);
    bench.notifications.clear();
    bench.pass(3 * SECOND);
    assert_eq!(bench.notifications.iter().filter(|it| **it == Notification::Alive).count(), 3);
    bench.exit(0, ExitStatus::Signal(9));
    bench.notifications.clear();
    bench.pass(3 * SECOND);
    assert!(!bench.notifications.contains(&Notification::Alive));
}

#[test]
fn a_worker_that_is_late_ends_the_first_boot_but_not_a_later_one() {
    let mut bench = MasterBench::booting(Purpose::Serve, 1);
    assert_eq!(signalled(&bench.pass(20 * SECOND), WorkerSignal::Abort), [0]);
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Signal(6))), Some(3));
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(1));
    assert_eq!(signalled(&bench.pass(20 * SECOND), WorkerSignal::Abort), [1]);
    assert_eq!(bench.logged("reload failed"), 1);
}

#[test]
fn a_master_that_was_stopped_blames_no_worker_for_it() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(1));
    bench.now += 100 * SECOND;
    let actions = bench.hear(MasterEvent::Elapsed);
    assert!(signalled(&actions, WorkerSignal::Abort).is_empty());
    let sample = WorkerSample { silent: Some(100 * SECOND), ..hangs::busy(0, 100 * SECOND) };
    assert!(bench.hear(MasterEvent::Inspected(vec![sample])).is_empty());
    assert_eq!(bench.log.last().map(|line| line.starts_with(Level::Warn.as_str())), Some(true));
}
