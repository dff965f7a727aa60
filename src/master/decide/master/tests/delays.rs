//! What is decided between SIGTERM and the drain, with `shutdown-delay`.

use monoceros_wire::control::{ControlReply, ControlRequest};

use super::*;
use crate::master::decide::id::ClientId;
use crate::master::decide::lifecycle::STOP_LIMIT;
use crate::master::decide::roster::Disposition;
use crate::master::decide::state::MasterState;

const DELAY: Duration = Duration::from_secs(8);

fn delayed(workers: u16) -> MasterSettings {
    MasterSettings { shutdown_delay: DELAY, ..settings(workers) }
}

/// A master whose workers are ready, with the delay.
fn serving(workers: u16) -> MasterBench {
    let mut bench = MasterBench::serving(workers);
    bench.master.reload.set_settings(delayed(workers));
    bench
}

fn is_delaying(bench: &MasterBench) -> bool {
    matches!(bench.master.state, MasterState::Delaying { .. })
}

fn count(bench: &MasterBench, notification: &Notification) -> usize {
    bench.notifications.iter().filter(|it| *it == notification).count()
}

#[test]
fn it_serves_until_the_delay_is_over_and_then_drains() {
    let mut bench = serving(2);
    assert!(bench.ask(SignalCommand::Drain).is_empty());
    assert_eq!(bench.end_announced, [0, 1]);
    assert!(bench.pass(DELAY - SECOND / 10).is_empty());
    let actions = bench.pass(SECOND / 10);
    assert_eq!(drained(&actions), [(0, Drain::ServeQueue), (1, Drain::ServeQueue)]);
    assert!(actions.iter().any(|it| matches!(it, Action::CloseListeners)));
    // The time that a drain may take counts from here.
    let actions = bench.pass(5 * SECOND);
    assert_eq!(signalled(&actions, WorkerSignal::Kill), [0, 1]);
}

#[test]
fn each_further_signal_goes_a_step_further() {
    let mut bench = serving(1);
    bench.ask(SignalCommand::Drain);
    assert_eq!(drained(&bench.ask(SignalCommand::Drain)), [(0, Drain::ServeQueue)]);
    let actions = bench.ask(SignalCommand::Drain);
    assert!(matches!(actions[0], Action::Signal { signal: WorkerSignal::Quit, .. }), "{actions:?}");
    let mut bench = serving(1);
    bench.ask(SignalCommand::Drain);
    let actions = bench.ask(SignalCommand::Stop);
    assert!(matches!(actions[0], Action::Signal { signal: WorkerSignal::Quit, .. }), "{actions:?}");
}

#[test]
fn the_command_does_not_shorten_it() {
    let mut bench = serving(1);
    for client in 1..=2 {
        let request =
            MasterEvent::Requested { client: ClientId(client), request: ControlRequest::Stop };
        let actions = bench.hear(request);
        assert!(matches!(actions[..], [Action::Reply { reply: ControlReply::Stopping, .. }]));
        assert!(is_delaying(&bench));
    }
}

#[test]
fn the_init_system_is_notified_at_once_and_once_that_the_server_stops_and_how_long_that_may_take() {
    let mut bench = serving(1);
    bench.ask(SignalCommand::Drain);
    assert_eq!(count(&bench, &Notification::Stopping), 1);
    let longest = DELAY + 5 * SECOND + 2 * STOP_LIMIT;
    assert_eq!(count(&bench, &Notification::Extend(longest)), 1);
    let stops = |it: &&Notification| matches!(it, Notification::Status(text) if text.contains("stopping after"));
    assert_eq!(bench.notifications.iter().filter(stops).count(), 1);
    bench.pass(DELAY);
    assert_eq!(count(&bench, &Notification::Stopping), 1);
    assert_eq!(count(&bench, &Notification::Status("draining".to_owned())), 1);
}

#[test]
fn a_worker_that_dies_meanwhile_is_replaced() {
    let mut bench = serving(1);
    bench.ask(SignalCommand::Drain);
    bench.exit(0, ExitStatus::Signal(libc::SIGSEGV));
    assert_eq!(spawned(&bench.pass(SECOND)), [(0, 1)]);
    bench.ready(1);
    assert_eq!(bench.end_announced, [0, 1], "its health path must not respond with 200");
    assert_eq!(drained(&bench.pass(DELAY)), [(1, Drain::ServeQueue)]);
}

#[test]
fn one_that_has_served_long_enough_is_replaced_too() {
    let mut bench = serving(1);
    bench.ask(SignalCommand::Drain);
    bench.master.pool.roster_mut().get_mut(WorkerId(0)).unwrap().disposition = Disposition::Due;
    assert_eq!(spawned(&bench.pass(SECOND)), [(0, 1)]);
    assert_eq!(drained(&bench.ready(1)), [(0, Drain::Retire)]);
}

#[test]
fn nothing_begins_that_would_outlast_it() {
    let mut bench = serving(1);
    bench.ask(SignalCommand::Drain);
    for command in [SignalCommand::Reload, SignalCommand::Upgrade, SignalCommand::Withdraw] {
        assert!(bench.ask(command).is_empty());
    }
    assert_eq!(bench.logged("WARN the server is stopping"), 3);
    for request in [ControlRequest::Reload, ControlRequest::Upgrade] {
        let actions = bench.hear(MasterEvent::Requested { client: ClientId(1), request });
        assert!(matches!(actions[..], [Action::Reply { reply: ControlReply::Failed(_), .. }]));
    }
    assert!(is_delaying(&bench));
}

#[test]
fn a_reload_that_has_begun_goes_on_and_is_not_announced_as_ready() {
    let mut bench = serving(1);
    let client = ClientId(1);
    bench.hear(MasterEvent::Requested { client, request: ControlRequest::Reload });
    bench.ask(SignalCommand::Drain);
    let ready = count(&bench, &Notification::Ready);
    assert_eq!(spawned(&bench.read(2, delayed(1))), [(0, 2)]);
    let actions = bench.ready(1);
    assert_eq!(drained(&actions), [(0, Drain::Retire)]);
    let answer =
        |it: &Action| matches!(it, Action::Reply { reply: ControlReply::Reloaded { .. }, .. });
    assert!(actions.iter().any(answer), "{actions:?}");
    assert_eq!(count(&bench, &Notification::Ready), ready);
    assert!(is_delaying(&bench));
}

#[test]
fn an_upgrade_that_has_begun_is_ended_at_once() {
    let mut bench = serving(1);
    let client = ClientId(1);
    bench.hear(MasterEvent::Requested { client, request: ControlRequest::Upgrade });
    bench.hear(MasterEvent::SuccessorStarted { pid: 7 });
    bench.hear(MasterEvent::Requested { client: ClientId(2), request: ControlRequest::Reload });
    let actions = bench.ask(SignalCommand::Drain);
    assert!(matches!(actions[0], Action::SignalSuccessor(WorkerSignal::Quit)), "{actions:?}");
    let failed = |it: &&Action| matches!(it, Action::Reply { reply: ControlReply::Failed(_), .. });
    assert_eq!(actions.iter().filter(failed).count(), 2, "{actions:?}");
    assert!(bench.hear(MasterEvent::SuccessorReady).is_empty());
    bench.hear(MasterEvent::SuccessorEnded { text: "SIGQUIT".to_owned() });
    assert_eq!(bench.logged("upgrade failed"), 0);
    assert_eq!(drained(&bench.pass(DELAY)), [(0, Drain::ServeQueue)]);
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Code(0))), Some(0));
}

#[test]
fn a_master_that_was_replaced_does_not_wait() {
    let mut bench = serving(1);
    bench.ask(SignalCommand::Upgrade);
    assert_eq!(drained(&bench.hear(MasterEvent::SuccessorReady)), [(0, Drain::Retire)]);
    assert!(bench.ask(SignalCommand::Drain).is_empty());
    assert_eq!(exit_code(&bench.exit(0, ExitStatus::Code(0))), Some(0));
}

#[test]
fn where_no_client_is_served_there_is_no_delay() {
    let mut bench = MasterBench::booting(Purpose::Serve, 2);
    bench.master.reload.set_settings(delayed(2));
    bench.ask(SignalCommand::Drain);
    assert_eq!(bench.master.state, MasterState::Draining);
    let mut bench = serving(1);
    bench.ask(SignalCommand::Withdraw);
    bench.ask(SignalCommand::Drain);
    assert_eq!(bench.master.state, MasterState::Draining);
    for (purpose, follows) in [(Purpose::Check, false), (Purpose::Serve, true)] {
        let mut bench = MasterBench::booting(purpose, 2);
        bench.master.reload.set_settings(delayed(2));
        bench.master.succession = Succession::new(follows);
        bench.ready(0);
        bench.ask(SignalCommand::Drain);
        assert!(!is_delaying(&bench));
    }
}

/// A client that one of the first workers has served may send more requests.
#[test]
fn a_first_start_with_a_worker_that_serves_already_waits() {
    let mut bench = MasterBench::booting(Purpose::Serve, 2);
    bench.master.reload.set_settings(delayed(2));
    bench.ready(0);
    assert!(bench.ask(SignalCommand::Drain).is_empty());
    assert!(is_delaying(&bench));
    assert!(!bench.ready(1).iter().any(|it| matches!(it, Action::Announce { .. })));
    assert_eq!(count(&bench, &Notification::Ready), 0);
}
