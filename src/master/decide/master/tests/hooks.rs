//! Molds that run a configuration file in Python: its hooks, and reloads.

use monoceros_wire::gunicorn::{GunicornValues, HookFailure, ServerHook};

use super::*;

const MOLD: u64 = 0;

fn with_file(workers: u16) -> MasterSettings {
    MasterSettings { has_file: true, ..settings(workers) }
}

/// The hooks that a mold is asked for, with the numbers of the requests.
fn asked(actions: &[Action]) -> Vec<(u64, ServerHook)> {
    let asked = actions.iter().filter_map(|action| match action {
        Action::Send { message: ToWorker::Hook { number, hook }, .. } => Some((*number, *hook)),
        _ => None,
    });
    asked.collect()
}

fn names(actions: &[Action]) -> Vec<&'static str> {
    asked(actions).into_iter().map(|(_, hook)| hook.name()).collect()
}

fn binds(actions: &[Action]) -> bool {
    actions.iter().any(|it| matches!(it, Action::Bind))
}

impl MasterBench {
    /// A master whose first mold has run the file.
    fn starting(settings: MasterSettings, purpose: Purpose) -> Self {
        let now = Instant::now();
        let master = Master::new(beginning(purpose), settings, now);
        let (log, notifications, end_announced) = Default::default();
        let bench = Self { master, now, log, notifications, end_announced };
        let actions = bench.master.begin();
        assert!(
            matches!(actions[..], [Action::AdoptMold { .. }, Action::Configure { .. }]),
            "{actions:?}"
        );
        bench
    }

    fn end(&mut self, number: u64) -> Vec<Action> {
        self.end_with(number, None)
    }

    fn end_with(&mut self, number: u64, failure: Option<&str>) -> Vec<Action> {
        let failure = failure.map(|text| HookFailure { text: text.to_owned(), code: 9 });
        let worker = WorkerId(MOLD);
        self.hear(MasterEvent::HookEnded { worker, number, failure })
    }

    /// Ends all hooks of these actions. Returns the actions that follow.
    fn end_all(&mut self, actions: &[Action]) -> Vec<Action> {
        asked(actions).into_iter().flat_map(|(number, _)| self.end(number)).collect()
    }

    /// One worker serves, which the mold of the server has forked.
    fn serving_with_file() -> Self {
        let mut bench = Self::starting(with_file(1), Purpose::Serve);
        let actions = bench.ready(MOLD);
        bench.end_all(&actions);
        let actions = bench.hear(MasterEvent::Bound(Ok(())));
        bench.end_all(&actions);
        bench.ready(1);
        bench
    }

    fn find_file(&mut self, generation: u32) -> Vec<Action> {
        let (generation, name) = (Generation(generation), "gunicorn.conf.py".to_owned());
        self.hear(MasterEvent::FileFound { generation, name })
    }

    fn report_config(&mut self, worker: u64) -> Vec<Action> {
        let values = Box::new(GunicornValues::default());
        self.hear(MasterEvent::ConfigRead { worker: WorkerId(worker), values })
    }
}

#[test]
fn the_hooks_of_a_start_come_in_the_order_of_gunicorn() {
    let mut bench = MasterBench::starting(with_file(2), Purpose::Serve);
    let actions = bench.ready(MOLD);
    let hooks = [ServerHook::NumWorkersChanged { new: 2, old: None }, ServerHook::OnStarting];
    assert_eq!(asked(&actions).iter().map(|it| it.1).collect::<Vec<_>>(), hooks);
    assert!(!binds(&actions) && !binds(&bench.end(0)));
    assert!(binds(&bench.end(1)), "the addresses are bound when on_starting has ended");
    let actions = bench.hear(MasterEvent::Bound(Ok(())));
    assert!(actions.iter().any(|it| matches!(it, Action::PassListeners { .. })));
    assert_eq!((names(&actions), spawned(&actions)), (vec!["when_ready"], vec![]));
    let actions = bench.end(2);
    let forked = |it: &&Action| matches!(it, Action::Spawn { mold: Some(WorkerId(MOLD)), .. });
    assert_eq!(actions.iter().filter(forked).count(), 2);
}

#[test]
fn a_check_runs_no_hook() {
    let mut bench = MasterBench::starting(with_file(1), Purpose::Check);
    let actions = bench.ready(MOLD);
    assert!(binds(&actions) && names(&actions).is_empty());
    let actions = bench.hear(MasterEvent::Bound(Ok(())));
    assert_eq!((names(&actions), spawned(&actions).len()), (vec![], 1));
    bench.ready(1);
    assert!(names(&bench.exit(1, ExitStatus::Code(0))).is_empty());
    assert_eq!(exit_code(&bench.exit(MOLD, ExitStatus::Code(0))), Some(0));
}

#[test]
fn a_hook_that_raises_or_hangs_fails_a_start_and_on_exit_does_not_run() {
    for hangs in [false, true] {
        let mut bench = MasterBench::starting(with_file(1), Purpose::Serve);
        bench.ready(MOLD);
        bench.end(0);
        if hangs {
            bench.pass(20 * SECOND);
            let text = "hook on_starting has not ended within boot-timeout (20 s)";
            assert_eq!(bench.logged(text), 1);
        } else {
            bench.end_with(1, Some("Traceback\nValueError: x"));
            assert_eq!(bench.logged("hook on_starting has raised\nTraceback"), 1);
        }
        let code = if hangs { 1 } else { 9 };
        assert_eq!(exit_code(&bench.exit(MOLD, ExitStatus::Code(0))), Some(code));
    }
}

#[test]
fn the_mold_of_the_server_runs_the_file_again_and_forks_the_next_generation() {
    let mut bench = MasterBench::serving_with_file();
    bench.ask(SignalCommand::Reload);
    let actions = bench.find_file(2);
    assert!(matches!(actions[..], [Action::RunFile { worker: WorkerId(MOLD) }]), "{actions:?}");
    assert!(matches!(bench.report_config(MOLD)[..], [Action::LoadSettings { .. }]));
    let actions = bench.read(2, with_file(1));
    assert_eq!(names(&actions), ["nworkers_changed", "on_reload"]);
    let configured = |it: &Action| {
        matches!(it, Action::Configure { worker: WorkerId(MOLD), generation: Generation(2) })
    };
    assert!(actions.iter().any(configured) && spawned(&actions).is_empty());
    assert_eq!(spawned(&bench.end_all(&actions)), [(0, 2)]);
    assert_eq!(drained(&bench.ready(2)), [(1, Drain::Retire)]);
    assert_eq!(names(&bench.exit(1, ExitStatus::Code(0))), ["child_exit"]);
}

#[test]
fn a_file_that_fails_or_hangs_changes_nothing() {
    let mut bench = MasterBench::serving_with_file();
    bench.ask(SignalCommand::Reload);
    bench.find_file(2);
    let (worker, text) = (WorkerId(MOLD), "NameError: x".to_owned());
    bench.hear(MasterEvent::ConfigFailed { worker, text, code: 1 });
    assert_eq!(bench.logged("reload failed, nothing is changed: NameError: x"), 1);
    bench.ask(SignalCommand::Reload);
    bench.find_file(3);
    let actions = bench.pass(600 * SECOND);
    assert_eq!(signalled(&actions, WorkerSignal::Abort), [MOLD]);
    assert_eq!(bench.logged("has not ended within progress-deadline (600 s)"), 1);
    bench.exit(MOLD, ExitStatus::Signal(6));
    let again = |it: &Action| matches!(it, Action::SpawnMold { .. });
    assert!(bench.pass(SECOND).iter().any(again), "another mold is started");
    assert!(!bench.roster_leaves(1), "the worker serves on");
}

#[test]
fn a_mold_that_replaces_another_one_runs_the_hooks_of_a_start() {
    let mut bench = MasterBench::serving_with_file();
    bench.exit(MOLD, ExitStatus::Signal(9));
    bench.pass(SECOND);
    let actions = bench.report_config(2);
    assert!(matches!(actions[..], [Action::Configure { worker: WorkerId(2), .. }]), "{actions:?}");
    let actions = bench.ready(2);
    assert_eq!(names(&actions), ["nworkers_changed", "on_starting", "when_ready"]);
}

#[test]
fn at_the_end_on_exit_runs_after_the_last_child_exit() {
    let mut bench = MasterBench::serving_with_file();
    bench.ask(SignalCommand::Drain);
    let actions = bench.exit(1, ExitStatus::Code(0));
    assert_eq!(names(&actions), ["child_exit"]);
    let actions = bench.end_all(&actions);
    assert_eq!(names(&actions), ["on_exit"]);
    assert_eq!(drained(&bench.end_all(&actions)), [(MOLD, Drain::Retire)]);
    assert_eq!(exit_code(&bench.exit(MOLD, ExitStatus::Code(0))), Some(0));
}

#[test]
fn a_changed_number_of_workers_is_known_to_hooks_before_the_fork() {
    let mut bench = MasterBench::serving_with_file();
    let actions = bench.ask(SignalCommand::Add);
    let (number, hook) = asked(&actions)[0];
    assert_eq!(hook, ServerHook::NumWorkersChanged { new: 2, old: Some(1) });
    assert!(spawned(&actions).is_empty());
    assert_eq!(spawned(&bench.end_with(number, Some("ValueError"))), [(1, 1)]);
    assert_eq!(bench.logged("hook nworkers_changed has raised, and the server goes on"), 1);
}

#[test]
fn a_successor_starts_after_pre_exec() {
    let mut bench = MasterBench::serving_with_file();
    let starts =
        |actions: &[Action]| actions.iter().any(|it| matches!(it, Action::StartSuccessor { .. }));
    let actions = bench.ask(SignalCommand::Upgrade);
    assert!(names(&actions) == ["pre_exec"] && !starts(&actions));
    assert!(bench.ask(SignalCommand::Upgrade).is_empty(), "one upgrade at a time");
    assert!(starts(&bench.end_all(&actions)));
}

#[test]
fn with_preload_a_reload_starts_a_mold_whose_when_ready_waits_for_the_end_of_the_old_one() {
    let preload = || MasterSettings { preload: true, ..with_file(1) };
    let mut bench = MasterBench::starting(preload(), Purpose::Serve);
    let actions = bench.ready(MOLD);
    bench.end_all(&actions);
    let actions = bench.hear(MasterEvent::Bound(Ok(())));
    bench.end_all(&actions);
    bench.ready(1);
    bench.ask(SignalCommand::Reload);
    let actions = bench.find_file(2);
    assert!(matches!(actions[..], [Action::SpawnReader { worker: WorkerId(2), .. }]));
    bench.report_config(2);
    bench.read(2, preload());
    let actions = bench.ready(2);
    assert_eq!(names(&actions), ["nworkers_changed", "on_starting", "on_reload"]);
    let mut last = Vec::new();
    for (number, _) in asked(&actions) {
        let worker = WorkerId(2);
        last = bench.hear(MasterEvent::HookEnded { worker, number, failure: None });
    }
    assert_eq!(spawned(&last), [(0, 2)]);
    bench.ready(3);
    let actions = bench.exit(1, ExitStatus::Code(0));
    assert_eq!(names(&actions), ["child_exit"]);
    assert_eq!(drained(&bench.end_all(&actions)), [(MOLD, Drain::Retire)]);
    assert_eq!(names(&bench.exit(MOLD, ExitStatus::Code(0))), ["when_ready"]);
}
