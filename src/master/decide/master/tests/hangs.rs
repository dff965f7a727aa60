//! What is decided about requests that take too long, and workers that hang.

use monoceros_wire::trace_ids::TraceIds;

use super::*;

/// What a worker shows that runs one request.
pub(super) fn busy(worker: u64, lasted: Duration) -> WorkerSample {
    let label = "GET /slow".to_owned();
    let running = vec![RunningRequest { number: 7, label, lasted, ..RunningRequest::default() }];
    WorkerSample {
        worker: WorkerId(worker),
        silent: Some(SECOND),
        running,
        ..WorkerSample::default()
    }
}

fn traced(actions: &[Action]) -> usize {
    actions.iter().filter(|it| matches!(it, Action::RequestStacks { .. })).count()
}

fn expired(actions: &[Action]) -> Vec<u64> {
    let expired = actions.iter().filter_map(|action| match action {
        Action::Send { worker, message: ToWorker::Expire { request: 7 } } => Some(worker.0),
        _ => None,
    });
    expired.collect()
}

#[test]
fn a_request_that_takes_too_long_is_answered_for_and_its_worker_replaced() {
    let mut bench = MasterBench::serving(2);
    bench.pass(20 * SECOND);
    let shared = |lasted| WorkerSample { stacks: Some("File a.py".to_owned()), ..busy(0, lasted) };
    assert_eq!(traced(&bench.hear(MasterEvent::Inspected(vec![busy(0, 6 * SECOND)]))), 1);
    assert!(bench.hear(MasterEvent::Inspected(vec![shared(7 * SECOND)])).is_empty());
    assert_eq!(bench.logged("GET /slow for 7.0 s, which is half of timeout\nFile a.py"), 1);
    assert!(bench.hear(MasterEvent::Inspected(vec![busy(0, 8 * SECOND)])).is_empty());
    assert_eq!(traced(&bench.hear(MasterEvent::Inspected(vec![busy(0, 11 * SECOND)]))), 1);
    let actions = bench.hear(MasterEvent::Inspected(vec![shared(12 * SECOND)]));
    assert_eq!((expired(&actions), spawned(&actions)), (vec![0], vec![(0, 1)]));
    assert!(bench.hear(MasterEvent::Inspected(vec![busy(0, 13 * SECOND)])).is_empty());
    assert_eq!(drained(&bench.ready(2)), [(0, Drain::Retire)]);
    assert_eq!(signalled(&bench.pass(5 * SECOND), WorkerSignal::Kill), [0]);
    bench.exit(0, ExitStatus::Signal(9));
    assert_eq!(bench.logged("killed by the master: it hung"), 0);
    assert_eq!(bench.logged("did not finish within graceful-timeout"), 1);
}

#[test]
fn a_worker_that_takes_no_request_refuses_those_that_it_has() {
    let mut bench = MasterBench::serving(1);
    bench.pass(20 * SECOND);
    let sample = || WorkerSample {
        worker: WorkerId(0),
        silent: Some(SECOND),
        stuck: Some(11 * SECOND),
        ..WorkerSample::default()
    };
    assert_eq!(traced(&bench.hear(MasterEvent::Inspected(vec![sample()]))), 1);
    assert_eq!(drained(&bench.hear(MasterEvent::Inspected(vec![sample()]))), [(0, Drain::Refuse)]);
    assert_eq!(bench.logged("has not taken a request for 11 s"), 1);
    assert!(bench.hear(MasterEvent::Inspected(vec![sample()])).is_empty(), "it is told once");
    assert_eq!(signalled(&bench.pass(5 * SECOND), WorkerSignal::Kill), [0]);
    bench.exit(0, ExitStatus::Signal(9));
    assert_eq!(bench.logged("killed by the master: it hung"), 1);
}

#[test]
fn a_worker_whose_request_keeps_others_waiting_is_replaced_before_it_goes() {
    let mut bench = MasterBench::serving(1);
    bench.pass(20 * SECOND);
    let sample = || WorkerSample { stuck: Some(11 * SECOND), ..busy(0, 11 * SECOND) };
    assert_eq!(traced(&bench.hear(MasterEvent::Inspected(vec![sample()]))), 1);
    let actions = bench.hear(MasterEvent::Inspected(vec![sample()]));
    assert_eq!((expired(&actions), spawned(&actions)), (vec![0], vec![(0, 1)]));
    for _ in 0..2 {
        assert!(bench.hear(MasterEvent::Inspected(vec![sample()])).is_empty());
    }
    assert_eq!(drained(&bench.ready(1)), [(0, Drain::Retire)]);
    assert!(bench.hear(MasterEvent::Inspected(vec![sample()])).is_empty());
    assert_eq!(signalled(&bench.pass(5 * SECOND), WorkerSignal::Kill), [0]);
}

#[test]
fn a_request_may_not_take_longer_because_its_worker_leaves() {
    let reload = |bench: &mut MasterBench| {
        bench.ask(SignalCommand::Reload);
        bench.read(2, settings(1));
        bench.ready(1);
    };
    let drain = |bench: &mut MasterBench| drop(bench.ask(SignalCommand::Drain));
    let ways: [&dyn Fn(&mut MasterBench); 2] = [&reload, &drain];
    for leave in ways {
        let mut bench = MasterBench::serving(1);
        bench.pass(20 * SECOND);
        leave(&mut bench);
        assert!(bench.roster_leaves(0));
        assert_eq!(traced(&bench.hear(MasterEvent::Inspected(vec![busy(0, 6 * SECOND)]))), 1);
        bench.hear(MasterEvent::Inspected(vec![busy(0, 7 * SECOND)]));
        assert_eq!(bench.logged("which is half of timeout"), 1);
        assert_eq!(traced(&bench.hear(MasterEvent::Inspected(vec![busy(0, 11 * SECOND)]))), 1);
        assert_eq!(expired(&bench.hear(MasterEvent::Inspected(vec![busy(0, 12 * SECOND)]))), [0]);
        assert!(bench.hear(MasterEvent::Inspected(vec![busy(0, 13 * SECOND)])).is_empty());
        assert_eq!(bench.logged("the client is answered 504"), 1);
        assert_eq!(bench.logged("the worker is replaced"), 0);
        assert_eq!(signalled(&bench.pass(5 * SECOND), WorkerSignal::Kill), [0]);
    }
}

#[test]
fn a_worker_that_was_asked_where_it_is_has_a_moment_to_answer() {
    let mut bench = MasterBench::serving(1);
    bench.pass(20 * SECOND);
    let silent = || WorkerSample { asked: true, ..busy(0, 11 * SECOND) };
    assert_eq!(traced(&bench.hear(MasterEvent::Inspected(vec![busy(0, 11 * SECOND)]))), 1);
    assert!(bench.hear(MasterEvent::Inspected(vec![silent()])).is_empty());
    bench.pass(2 * SECOND);
    assert!(bench.hear(MasterEvent::Inspected(vec![silent()])).is_empty());
    let answered = WorkerSample { stacks: Some("File a.py".to_owned()), ..busy(0, 14 * SECOND) };
    assert_eq!(expired(&bench.hear(MasterEvent::Inspected(vec![answered]))), [0]);
    assert_eq!(bench.logged("the worker is replaced\nFile a.py"), 1);
}

#[test]
fn the_stacks_of_a_worker_are_waited_for_no_longer_than_their_limit() {
    let mut bench = MasterBench::serving(1);
    bench.pass(20 * SECOND);
    assert_eq!(traced(&bench.hear(MasterEvent::Inspected(vec![busy(0, 11 * SECOND)]))), 1);
    bench.pass(3 * SECOND);
    let silent = WorkerSample { asked: true, ..busy(0, 14 * SECOND) };
    assert_eq!(expired(&bench.hear(MasterEvent::Inspected(vec![silent]))), [0]);
}

#[test]
fn what_stops_the_master_leaves_a_worker_the_moment_to_answer() {
    let mut bench = MasterBench::serving(1);
    bench.pass(20 * SECOND);
    assert_eq!(traced(&bench.hear(MasterEvent::Inspected(vec![busy(0, 11 * SECOND)]))), 1);
    bench.now += 60 * SECOND;
    bench.hear(MasterEvent::Elapsed);
    let silent = WorkerSample { asked: true, ..busy(0, 71 * SECOND) };
    assert!(bench.hear(MasterEvent::Inspected(vec![silent])).is_empty());
    let answered = WorkerSample { stacks: Some("File a.py".to_owned()), ..busy(0, 72 * SECOND) };
    assert_eq!(expired(&bench.hear(MasterEvent::Inspected(vec![answered]))), [0]);
}

#[test]
fn a_hang_is_found_however_often_the_master_pauses() {
    let mut bench = MasterBench::serving(1);
    bench.pass(20 * SECOND);
    let begun = bench.now;
    let mut look = |times| {
        for _ in 0..times {
            // It meant to wake up within a second.
            bench.now += 5 * SECOND;
            bench.hear(MasterEvent::Elapsed);
            bench.hear(MasterEvent::Inspected(vec![busy(0, bench.now - begun)]));
        }
        bench.logged("which is timeout; the client is answered 504")
    };
    assert_eq!(look(9), 0, "it has not run for ten seconds");
    assert_eq!(look(9), 1);
}

#[test]
fn a_stopped_worker_is_killed_without_being_asked_anything() {
    let mut bench = MasterBench::serving(1);
    bench.pass(20 * SECOND);
    let silent = Some(15 * SECOND);
    let sample =
        WorkerSample { worker: WorkerId(0), silent, stopped: true, ..WorkerSample::default() };
    let actions = bench.hear(MasterEvent::Inspected(vec![sample]));
    assert_eq!((traced(&actions), signalled(&actions, WorkerSignal::Abort)), (0, vec![0]));
    assert_eq!(bench.logged("was stopped by a signal"), 1);
}

#[test]
fn a_slow_request_is_reported_once_with_the_stack_of_its_thread_in_front() {
    let mut bench = MasterBench::serving(1);
    let slow = MasterSettings { slow_request: 2 * SECOND, ..settings(1) };
    bench.ask(SignalCommand::Reload);
    bench.read(2, slow);
    bench.ready(1);
    bench.exit(0, ExitStatus::Code(0));
    bench.pass(20 * SECOND);
    let stacks = "Thread 0x1 (most recent call first):\n  io\n\nThread 0x2 (most recent):\n  app";
    let trace = TraceIds::parse("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let sample = |lasted, stacks: Option<&str>| {
        let mut sample = busy(1, lasted);
        let (pthread, id, client) = (2, "abc".to_owned(), "192.0.2.1".to_owned());
        let request = sample.running.remove(0);
        sample.running.push(RunningRequest { client, pthread, id, trace, ..request });
        WorkerSample { queued: 3, stacks: stacks.map(str::to_owned), ..sample }
    };
    let hear = |bench: &mut MasterBench, sample| bench.hear(MasterEvent::Inspected(vec![sample]));
    assert_eq!(traced(&hear(&mut bench, sample(SECOND, None))), 0);
    assert_eq!(traced(&hear(&mut bench, sample(3 * SECOND, None))), 1);
    let actions = hear(&mut bench, sample(4 * SECOND, Some(stacks)));
    let [Action::LogSlow { id, trace: found, text }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((id.as_str(), *found), ("abc", trace));
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(
        first.ends_with(
            "has been running GET /slow for 4.0 s, which is longer than slow-request; client \
             192.0.2.1; 3 requests wait behind it"
        ),
        "{first}"
    );
    assert_eq!(
        rest,
        "Thread 0x2 (most recent):\n  app\n\nThread 0x1 (most recent call first):\n  io"
    );
    assert!(hear(&mut bench, sample(4 * SECOND, None)).is_empty());
}
