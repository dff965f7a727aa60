//! When operators' commands are answered, and with what.

use monoceros_wire::Slot;
use monoceros_wire::control::{ControlReply, ControlRequest, PoolChange, Status};
use monoceros_wire::scoreboard::{GivenUp, Losses};

use super::*;
use crate::master::decide::id::ClientId;

impl MasterBench {
    fn request(&mut self, client: u64, request: ControlRequest) -> Vec<(u64, ControlReply)> {
        let client = ClientId(client);
        answers(&self.hear(MasterEvent::Requested { client, request }))
    }

    fn refuse(&mut self, number: u32, text: &str) -> Vec<(u64, ControlReply)> {
        let (generation, settings) = (Generation(number), Err(text.to_owned()));
        answers(&self.hear(MasterEvent::SettingsRead { generation, settings }))
    }
}

fn answers(actions: &[Action]) -> Vec<(u64, ControlReply)> {
    let answers = actions.iter().filter_map(|action| match action {
        Action::Reply { client, reply } => Some((client.0, reply.clone())),
        _ => None,
    });
    answers.collect()
}

fn reloaded(client: u64, generation: u32) -> (u64, ControlReply) {
    (client, ControlReply::Reloaded { generation: Generation(generation), workers: 1 })
}

fn failed(client: u64, text: &str) -> (u64, ControlReply) {
    (client, ControlReply::Failed(text.to_owned()))
}

#[test]
fn a_reload_is_answered_when_the_new_workers_serve() {
    let mut bench = MasterBench::serving(1);
    assert_eq!(bench.request(1, ControlRequest::Reload), []);
    bench.read(2, settings(1));
    assert_eq!(answers(&bench.ready(1)), [reloaded(1, 2)]);
    assert_eq!(answers(&bench.exit(0, ExitStatus::Code(0))), []);
}

#[test]
fn a_reload_that_fails_is_answered_with_the_reason() {
    let mut bench = MasterBench::serving(1);
    bench.request(1, ControlRequest::Reload);
    assert_eq!(
        bench.refuse(2, "timeout: soon\nbind: here"),
        [failed(1, "timeout: soon\nbind: here")]
    );
    bench.request(2, ControlRequest::Reload);
    bench.read(3, settings(1));
    let (worker, failure) = (WorkerId(1), BootFailure::Boot);
    let text = "Traceback:\n  File x\nKeyError: 'a'\n".to_owned();
    let actions = bench.hear(MasterEvent::Failed { worker, failure, text });
    let text = "gen=3 cannot serve: KeyError: 'a'; gen=1 goes on";
    assert_eq!(answers(&actions), [failed(2, text)]);
    bench.exit(1, ExitStatus::Code(3));
    bench.request(3, ControlRequest::Reload);
    bench.read(4, MasterSettings { progress_deadline: SECOND, ..settings(1) });
    let text = "gen=4 made no progress within progress-deadline; gen=1 goes on";
    assert_eq!(answers(&bench.pass(2 * SECOND)), [failed(3, text)]);
}

#[test]
fn a_superseded_reload_has_the_outcome_of_the_later_one() {
    let mut bench = MasterBench::serving(1);
    bench.request(1, ControlRequest::Reload);
    bench.read(2, settings(1));
    bench.request(2, ControlRequest::Reload);
    assert_eq!(bench.refuse(3, "broken"), [failed(2, "broken")], "the first one is on its way");
    bench.ask(SignalCommand::Reload);
    bench.read(4, settings(1));
    bench.ready(1);
    assert_eq!(answers(&bench.ready(2)), [reloaded(1, 4)]);
}

#[test]
fn a_reload_is_not_answered_by_what_was_read_before() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(1));
    bench.request(1, ControlRequest::Reload);
    assert_eq!(answers(&bench.ready(1)), [], "generation 2 serves, 3 is meant");
    bench.read(3, settings(1));
    bench.exit(0, ExitStatus::Code(0));
    assert_eq!(answers(&bench.ready(2)), [reloaded(1, 3)]);
}

#[test]
fn a_reload_during_the_boot_waits_for_the_one_after_it() {
    let mut bench = MasterBench::booting(Purpose::Serve, 1);
    assert_eq!(bench.request(1, ControlRequest::Reload), []);
    assert_eq!(answers(&bench.ready(0)), []);
    bench.read(2, settings(1));
    assert_eq!(answers(&bench.ready(1)), [reloaded(1, 2)]);
}

#[test]
fn a_stop_replies_to_all_clients() {
    let mut bench = MasterBench::serving(1);
    bench.request(1, ControlRequest::Reload);
    bench.request(2, ControlRequest::Upgrade);
    let text = "the server is stopping";
    assert_eq!(answers(&bench.ask(SignalCommand::Drain)), [failed(1, text), failed(2, text)]);
    assert_eq!(bench.request(3, ControlRequest::Reload), [failed(3, text)]);
    assert_eq!(bench.request(5, ControlRequest::Recycle { slot: None }), [failed(5, text)]);
    assert!(matches!(bench.request(4, ControlRequest::Status)[..], [(4, ControlReply::Status(_))]));
    let mut bench = MasterBench::booting(Purpose::Serve, 1);
    bench.request(1, ControlRequest::Reload);
    assert_eq!(answers(&bench.fail(0)), [failed(1, text)]);
}

#[test]
fn an_upgrade_is_answered_after_the_hand_over() {
    let mut bench = MasterBench::serving(1);
    assert_eq!(bench.request(1, ControlRequest::Upgrade), []);
    bench.request(2, ControlRequest::Reload);
    bench.hear(MasterEvent::SuccessorStarted { pid: 7 });
    assert_eq!(
        bench.request(3, ControlRequest::Upgrade),
        [failed(3, "an upgrade is under way already")]
    );
    let actions = bench.hear(MasterEvent::SuccessorReady);
    let begun =
        matches!(actions[..2], [Action::SignalSuccessor(WorkerSignal::Hup), Action::PassOn { .. }]);
    assert!(begun, "{actions:?}");
    let meanwhile = "a new master has taken over meanwhile; ask that one";
    let upgraded = (1, ControlReply::Upgraded { pid: 7 });
    assert_eq!(answers(&actions), [upgraded, failed(2, meanwhile)]);
}

#[test]
fn an_upgrade_that_fails_is_answered_once() {
    let mut bench = MasterBench::serving(1);
    bench.request(1, ControlRequest::Upgrade);
    let text = "it ended".to_owned();
    assert_eq!(answers(&bench.hear(MasterEvent::SuccessorEnded { text })), [failed(1, "it ended")]);
    bench.request(2, ControlRequest::Upgrade);
    let text = "the new master does not serve within 60 s";
    assert_eq!(answers(&bench.pass(61 * SECOND)), [failed(2, text)]);
    assert_eq!(answers(&bench.hear(MasterEvent::SuccessorEnded { text: String::new() })), []);
    let mut bench = MasterBench::booting(Purpose::Serve, 1);
    let text = "cannot upgrade: the server does not serve yet";
    assert_eq!(bench.request(1, ControlRequest::Upgrade), [failed(1, text)]);
}

#[test]
fn a_status_has_every_worker() {
    let mut bench = MasterBench::serving(2);
    bench.hear(MasterEvent::Spawned { worker: WorkerId(1), pid: 12 });
    bench.pass(3 * SECOND);
    bench.ask(SignalCommand::Reload);
    bench.read(2, settings(2));
    let answers = bench.request(1, ControlRequest::Status);
    let [(1, ControlReply::Status(Status { summary, workers, omitted: 0, .. }))] = &answers[..]
    else {
        panic!("{answers:?}")
    };
    assert!(summary.starts_with("gen=1: 2 of 2 workers ready"), "{summary}");
    let seen: Vec<_> = workers
        .iter()
        .map(|it| (it.slot.map(|slot| slot.0), it.generation.0, it.pid, it.state.as_str(), it.age))
        .collect();
    assert_eq!(seen[1], (Some(0), 2, 0, "booting", None), "{seen:?}");
    assert_eq!(seen[2], (Some(1), 1, 12, "ready", Some(3)), "{seen:?}");
}

#[test]
fn what_was_given_up_includes_workers_that_are_gone() {
    let mut bench = MasterBench::serving(2);
    let losses = |refused| {
        let mut losses = Losses::default();
        losses[GivenUp::Refused.index()] = refused;
        losses
    };
    let given_up = |bench: &mut MasterBench| match &bench.request(1, ControlRequest::Status)[..] {
        [(1, ControlReply::Status(status))] => status.given_up.clone(),
        other => panic!("{other:?}"),
    };
    assert!(given_up(&mut bench).is_empty());
    let refused = [("refused".to_owned(), 2)].into();
    bench.die(0, ExitStatus::Signal(9), Totals { refused, ..Totals::default() });
    let sample = WorkerSample { worker: WorkerId(1), losses: losses(3), ..WorkerSample::default() };
    bench.hear(MasterEvent::Inspected(vec![sample]));
    assert_eq!(given_up(&mut bench), [("refused".to_owned(), 5)].into());
}

#[test]
fn a_change_of_the_number_is_answered_when_that_number_serves() {
    let mut bench = MasterBench::serving(1);
    assert_eq!(bench.request(1, ControlRequest::Workers(PoolChange::More(1))), []);
    let resized = |client, workers| (client, ControlReply::Resized { workers });
    assert_eq!(answers(&bench.ready(1)), [resized(1, 2)]);
    let answers = bench.request(2, ControlRequest::Workers(PoolChange::Fewer(1)));
    assert_eq!(answers, [resized(2, 1)], "the other one drains");
    assert!(bench.roster_leaves(1));
    let refused = bench.request(3, ControlRequest::Workers(PoolChange::Fewer(1)));
    let [(3, ControlReply::Failed(text))] = &refused[..] else { panic!("{refused:?}") };
    assert!(text.ends_with("this one has 1"), "{text}");
}

#[test]
fn a_change_of_the_number_fails_when_a_worker_cannot_start_or_the_number_changes_again() {
    let mut bench = MasterBench::serving(1);
    bench.request(1, ControlRequest::Workers(PoolChange::To(2)));
    let text = "worker=1 gen=1 cannot serve: Traceback; the server tries again";
    assert_eq!(answers(&bench.fail(1)), [failed(1, text)]);
    bench.request(2, ControlRequest::Workers(PoolChange::To(3)));
    let text = "the number of workers was changed to 1 meanwhile";
    let changed = bench.request(3, ControlRequest::Workers(PoolChange::To(1)));
    assert_eq!(changed[0], failed(2, text));
    assert_eq!(changed[1], (3, ControlReply::Resized { workers: 1 }));
}

#[test]
fn workers_are_recycled_one_by_one() {
    let mut bench = MasterBench::serving(2);
    assert_eq!(bench.request(1, ControlRequest::Recycle { slot: Some(Slot(7)) }).len(), 1);
    let actions = bench.hear(MasterEvent::Requested {
        client: ClientId(2),
        request: ControlRequest::Recycle { slot: None },
    });
    assert_eq!(spawned(&actions), [(0, 1)], "one at a time");
    let actions = bench.ready(2);
    assert_eq!((drained(&actions), answers(&actions)), (vec![(0, Drain::Retire)], vec![]));
    assert_eq!(spawned(&bench.exit(0, ExitStatus::Code(0))), [(1, 1)]);
    let recycled = (2, ControlReply::Recycled { workers: 2 });
    assert_eq!(answers(&bench.ready(3)), [recycled], "the old one still drains");
    assert_eq!(bench.logged("is due: an operator asks for it"), 2);
}

#[test]
fn a_reopening_is_answered_when_every_process_has_confirmed_it() {
    let mut bench = MasterBench::serving(2);
    let actions =
        bench.hear(MasterEvent::Requested { client: ClientId(1), request: ControlRequest::Reopen });
    let sent = actions.iter().filter_map(|action| match action {
        Action::Send { worker, message: ToWorker::Confirm { number } } => Some((*worker, *number)),
        _ => None,
    });
    let sent: Vec<_> = sent.collect();
    assert_eq!(sent.len(), 2);
    let is_first = |action: &Action| matches!(action, Action::Reopen);
    assert!(actions.first().is_some_and(is_first), "{actions:?}");
    let (worker, number) = sent[0];
    assert_eq!(answers(&bench.hear(MasterEvent::Confirmed { worker, number })), []);
    let confirmed = (1, ControlReply::Confirmed { processes: 2 });
    assert_eq!(answers(&bench.exit(sent[1].0.0, ExitStatus::Signal(9))), [confirmed]);
}

#[test]
fn stacks_are_read_until_they_are_written() {
    let mut bench = MasterBench::serving(2);
    let text = "there is no worker 7";
    let none = ControlRequest::Stacks { slot: Some(Slot(7)) };
    assert_eq!(bench.request(1, none), [failed(1, text)]);
    bench.request(2, ControlRequest::Stacks { slot: Some(Slot(1)) });
    let reads = |actions: &[Action]| {
        let read = actions.iter().filter(|it| matches!(it, Action::ReadStacks { .. }));
        read.count()
    };
    assert_eq!(reads(&bench.pass(SECOND / 100)), 1);
    let written = vec![(WorkerId(1), StacksRead::Written("a.py".to_owned()))];
    let actions = bench.hear(MasterEvent::StacksRead(written));
    let shown = |it: &Action| matches!(it, Action::ShowStacks { stacks, .. } if stacks.len() == 1);
    assert!(actions.iter().any(shown), "{actions:?}");
    assert_eq!(reads(&bench.pass(SECOND)), 0);
}
