//! What is decided while a new master gets ready to take over.

use super::*;

#[test]
fn an_upgrade_hands_over_when_the_new_master_serves() {
    let mut bench = MasterBench::serving(1);
    let actions = bench.ask(SignalCommand::Upgrade);
    let newest = Generation(1);
    assert!(
        matches!(actions[..], [Action::StartSuccessor { newest: it, workers: None }] if it == newest)
    );
    bench.hear(MasterEvent::SuccessorStarted { pid: 7 });
    assert!(bench.ask(SignalCommand::Upgrade).is_empty());
    let actions = bench.hear(MasterEvent::SuccessorReady);
    assert!(matches!(actions[0], Action::PassOn { workers: None, .. }), "{actions:?}");
    assert_eq!(drained(&actions), [(0, Drain::Retire)]);
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Code(0))), Some(0));
}

#[test]
fn workers_that_are_asked_for_during_an_upgrade_are_asked_of_the_new_master() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Upgrade);
    bench.ask(SignalCommand::Add);
    let actions = bench.hear(MasterEvent::SuccessorReady);
    assert!(matches!(actions[0], Action::PassOn { workers: Some(2), .. }), "{actions:?}");
    let mut next = MasterBench::serving(1);
    assert_eq!(spawned(&next.hear(took_over(Some(2)))), [(1, 1)]);
}

/// The init system counts from the last `WATCHDOG=1` of the old master, which may have
/// been sent long ago.
#[test]
fn the_watchdog_is_notified_of_the_new_master_at_once() {
    let mut next = MasterBench::serving(1);
    next.hear(took_over(None));
    assert!(!next.notifications.contains(&Notification::Alive), "there is no watchdog");
    next.master.watchdog = Watchdog::new(Some(60 * SECOND), next.now);
    next.hear(took_over(None));
    assert!(next.notifications.contains(&Notification::Alive), "{:?}", next.notifications);
}

#[test]
fn an_upgrade_that_fails_or_hangs_changes_nothing() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Add);
    bench.ready(1);
    let actions = bench.ask(SignalCommand::Upgrade);
    assert!(matches!(actions[..], [Action::StartSuccessor { workers: Some(2), .. }]));
    let text = "exit code 3".to_owned();
    assert!(bench.hear(MasterEvent::SuccessorEnded { text: text.clone() }).is_empty());
    assert_eq!(bench.logged("upgrade failed, all goes on as before: exit code 3"), 1);
    bench.ask(SignalCommand::Upgrade);
    let asked = |actions: &[Action], wanted| {
        actions.iter().any(|it| matches!(it, Action::SignalSuccessor(signal) if *signal == wanted))
    };
    assert!(asked(&bench.pass(60 * SECOND), WorkerSignal::Quit));
    assert!(asked(&bench.pass(2 * SECOND), WorkerSignal::Kill));
    assert!(bench.hear(MasterEvent::SuccessorReady).is_empty());
    bench.hear(MasterEvent::SuccessorEnded { text });
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Code(0))), None);
}

#[test]
fn a_master_that_stops_waits_for_its_successors_end() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Upgrade);
    bench.ask(SignalCommand::Drain);
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Code(0))), None);
    let text = "SIGQUIT".to_owned();
    assert_eq!(exit_code(&bench.hear(MasterEvent::SuccessorEnded { text })), Some(0));
}

fn took_over(workers: Option<u16>) -> MasterEvent {
    MasterEvent::TookOver { workers, totals: Box::default(), changes: Vec::new(), draining: 0 }
}
