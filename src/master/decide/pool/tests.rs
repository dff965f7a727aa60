//! What the end of a worker means for the server.

use monoceros_wire::Generation;

use super::*;
use crate::master::decide::action::{Action, WorkerSignal};
use crate::master::decide::config_run::ConfigRuns;
use crate::master::decide::hooks::ServerHooks;
use crate::master::decide::settings::{MasterSettings, RecyclingLimits, RolloutLimits};
use crate::master::decide::state::Purpose;

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> MasterSettings {
    MasterSettings {
        workers: 2,
        limits: RolloutLimits::default(),
        min_ready: Duration::ZERO,
        progress_deadline: 600 * SECOND,
        timeout: 30 * SECOND,
        slow_request: Duration::ZERO,
        graceful_timeout: 5 * SECOND,
        shutdown_delay: Duration::ZERO,
        boot_timeout: 20 * SECOND,
        upgrade_timeout: 60 * SECOND,
        ready_after: None,
        preload: false,
        has_file: false,
        reload: false,
        recycling: RecyclingLimits::default(),
    }
}

/// A pool with everything that its context refers to.
struct PoolBench {
    pool: WorkerPool,
    reload: Reload,
    suspends: Suspends,
    hooks: ServerHooks,
    runs: ConfigRuns,
    actions: Actions,
    is_booting: bool,
    is_check: bool,
    follows: bool,
    now: Instant,
}

impl PoolBench {
    /// Two workers that boot.
    fn booting() -> Self {
        let now = Instant::now();
        let mut bench = Self {
            pool: WorkerPool::new(2, 1),
            reload: Reload::new(Generation(1), settings()),
            suspends: Suspends::since(now),
            hooks: ServerHooks::default(),
            runs: ConfigRuns::default(),
            actions: Actions::new(Purpose::Serve),
            is_booting: true,
            is_check: false,
            follows: false,
            now,
        };
        bench.with(|pool, context, actions| pool.reconcile(context, actions));
        assert_eq!(bench.pool.roster().live().count(), 2);
        bench
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut WorkerPool, PoolContext, &mut Actions) -> T) -> T {
        let context = PoolContext {
            reload: &self.reload,
            suspends: &self.suspends,
            tasks: MoldTasks { hooks: &self.hooks, runs: &self.runs },
            is_booting: self.is_booting,
            is_check: self.is_check,
            follows: self.follows,
            has_failed: false,
            now: self.now,
        };
        act(&mut self.pool, context, &mut self.actions)
    }

    fn ready(&mut self, worker: u64) {
        self.with(|pool, context, actions| {
            pool.note_ready(WorkerId(worker), "shop".to_owned(), context, actions);
        });
    }

    fn exit(&mut self, worker: u64, status: ExitStatus) -> Option<Setback> {
        let exit = WorkerExit::of(status);
        self.with(|pool, context, actions| {
            pool.note_exit(WorkerId(worker), &exit, context, actions)
        })
    }

    fn spawn_failure(&mut self, worker: u64, is_temporary: bool) -> Option<Setback> {
        let error = SpawnError { text: "no room".to_owned(), is_temporary, code: None };
        self.with(|pool, context, actions| {
            pool.note_spawn_failure(WorkerId(worker), &error, context, actions)
        })
    }

    fn roll_out(&mut self) {
        let (size, roster) = self.pool.size_and_roster();
        let (reload, actions) = (&mut self.reload, &mut self.actions);
        reload.begin(Generation(2), settings(), size, roster, self.now, actions);
        self.with(|pool, context, actions| pool.reconcile(context, actions));
    }
}

#[test]
fn the_server_cannot_start_when_its_first_worker_cannot() {
    let code = BootFailure::Boot.exit_code();
    for (is_check, code) in [(false, code), (true, 1)] {
        let mut bench = PoolBench::booting();
        bench.is_check = is_check;
        let setback = bench.exit(0, ExitStatus::Signal(11)).unwrap();
        let Setback::CannotStart { code: found, reason } = setback else {
            panic!("{setback:?}");
        };
        assert_eq!(found, code);
        assert!(reason.ends_with("SIGSEGV before it was ready"), "{reason}");
    }
}

#[test]
fn a_failure_beside_a_worker_that_serves_concerns_that_worker_only() {
    let mut bench = PoolBench::booting();
    bench.ready(0);
    let text = "worker=1 gen=1 cannot serve: it ended with exit code 3 before it was ready";
    let failed = Some(Setback::WorkerFails(text.to_owned()));
    assert_eq!(bench.exit(1, ExitStatus::Code(3)), failed);
    assert!(bench.pool.roster().wait(Role::Worker(monoceros_wire::Slot(1)), bench.now).is_some());
    assert!(bench.pool.roster().get(WorkerId(1)).is_none());
}

#[test]
fn a_machine_without_room_is_waited_for_at_the_first_start_only() {
    let mut bench = PoolBench::booting();
    assert_eq!(bench.spawn_failure(0, true), None);
    assert!(matches!(bench.spawn_failure(1, false), Some(Setback::CannotStart { .. })));
    let mut following = PoolBench::booting();
    following.follows = true;
    assert!(matches!(following.spawn_failure(0, true), Some(Setback::CannotStart { .. })));
}

#[test]
fn new_code_that_dies_before_it_is_proven_fails_the_reload() {
    let mut bench = PoolBench::booting();
    bench.ready(0);
    bench.ready(1);
    bench.is_booting = false;
    bench.roll_out();
    bench.ready(2);
    let failed = bench.exit(2, ExitStatus::Signal(9));
    let Some(Setback::ReloadFails { reason, cause }) = failed else { panic!("{failed:?}") };
    assert_eq!(reason, "does not last");
    assert!(cause.contains("died: SIGKILL"), "{cause}");
    // The old code has served.
    assert_eq!(bench.exit(0, ExitStatus::Signal(9)), None);
}

#[test]
fn a_deadline_that_has_passed_aborts_one_that_boots_and_kills_one_that_leaves() {
    let mut bench = PoolBench::booting();
    bench.ready(0);
    let check = |bench: &mut PoolBench, id| {
        bench.actions.take();
        let setback =
            bench.with(|pool, context, actions| pool.note_deadline(WorkerId(id), context, actions));
        assert!(matches!(setback, None | Some(Setback::WorkerFails(_))), "another worker serves");
        let signals = bench.actions.take().into_iter().filter_map(|it| match it {
            Action::Signal { signal, .. } => Some(signal),
            _ => None,
        });
        signals.collect::<Vec<_>>()
    };
    assert_eq!(check(&mut bench, 1), [], "it is not due");
    bench.now += settings().boot_timeout;
    assert_eq!(check(&mut bench, 0), [], "one that serves has no deadline");
    assert_eq!(check(&mut bench, 1), [WorkerSignal::Abort]);
    bench.now += settings().boot_timeout;
    assert_eq!(check(&mut bench, 1), [WorkerSignal::Kill]);
}
