//! Tests of reloads after changes of files.

use super::*;

/// The messages of these actions that show a failure, or that there is none.
fn shown(actions: &[Action]) -> Vec<(u64, Option<&str>)> {
    let shown = actions.iter().filter_map(|action| match action {
        Action::Send { worker, message: ToWorker::ShowFailure(cause) } => {
            Some((worker.0, cause.as_deref()))
        }
        _ => None,
    });
    shown.collect()
}

fn change(bench: &mut MasterBench) -> Vec<Action> {
    bench.hear(MasterEvent::SourcesChanged { text: "a.py has changed".to_owned() })
}

fn watching(workers: u16) -> MasterSettings {
    MasterSettings { reload: true, ..settings(workers) }
}

#[test]
fn a_change_reloads_and_one_before_the_server_serves_does_when_it_does() {
    let mut bench = MasterBench::booting(Purpose::Serve, 1);
    assert!(change(&mut bench).is_empty());
    assert_eq!(bench.logged("reloading: a.py has changed"), 1);
    let actions = bench.ready(0);
    assert!(matches!(actions.last(), Some(Action::ReadSettings { generation: Generation(2) })));
    assert!(change(&mut bench).is_empty(), "the settings are being read");
    let actions = bench.read(2, settings(1));
    let is_next = |it: &Action| matches!(it, Action::ReadSettings { generation: Generation(3) });
    assert!(actions.iter().any(is_next));
    bench.ask(SignalCommand::Drain);
    assert!(change(&mut bench).is_empty(), "the server ends");
}

#[test]
fn workers_show_why_a_reload_has_failed_until_newer_code_serves() {
    let mut bench = MasterBench::serving(2);
    bench.master.reload.set_settings(watching(2));
    change(&mut bench);
    bench.read(2, watching(2));
    assert_eq!(shown(&bench.fail(2)), [(0, Some("Traceback")), (1, Some("Traceback"))]);
    bench.exit(2, ExitStatus::Code(3));
    // The old code goes on in a new worker.
    bench.exit(1, ExitStatus::Signal(9));
    bench.pass(5 * SECOND);
    assert_eq!(shown(&bench.ready(3)), [(3, Some("Traceback"))]);
    change(&mut bench);
    let unread =
        MasterEvent::SettingsRead { generation: Generation(3), settings: Err("wrong".to_owned()) };
    assert_eq!(shown(&bench.hear(unread)), [(0, Some("wrong")), (3, Some("wrong"))]);
    change(&mut bench);
    bench.read(4, watching(2));
    assert_eq!(shown(&bench.ready(4)), [(0, None), (3, None)]);
    assert_eq!(shown(&bench.ready(5)), []);
}

#[test]
fn without_reload_workers_show_nothing() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(1));
    assert_eq!(shown(&bench.fail(1)), []);
}
