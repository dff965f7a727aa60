//! What the messages of processes become, and what processes are sent.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use monoceros_log::{Destination, LogFile};
use monoceros_sys::memory;
use monoceros_sys::process::Process;
use monoceros_wire::Slot;
use monoceros_wire::channel::{Incoming, WorkerEnd, pair};
use monoceros_wire::message::Drain;
use monoceros_wire::stacks::Stacks;

use super::*;
use crate::master::act::metrics_server::WorkerMetrics;
use crate::master::kind::native_worker::SharedMemory;

const WORKER: WorkerId = WorkerId(3);

/// The process of this test stands for a worker.
fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

fn log() -> RecordWriter {
    RecordWriter::new(Arc::new(LogFile::open(Destination::Stderr).unwrap()))
}

struct ProcessBench {
    processes: Processes,
    poller: Poller,
    events: VecDeque<MasterEvent>,
    /// The end of the worker.
    theirs: WorkerEnd,
}

impl ProcessBench {
    fn new() -> Self {
        let (ours, theirs) = pair().unwrap();
        let (stacks, clients) = (Stacks::create().unwrap().into(), None);
        let listeners = Vec::new();
        let shared = SharedMemory { scoreboard: None, listeners, stacks, clients };
        let process = Process::adopt(own_pid()).unwrap();
        let worker =
            WorkerProcess::forked(Slot(0), Generation(1), ours, process, shared, Rc::default());
        let (mut processes, poller) = (Processes::new(&log()), Poller::new().unwrap());
        let kept = processes.keep(WORKER, worker, &poller);
        assert!(matches!(kept, MasterEvent::Spawned { worker: WORKER, pid } if pid == own_pid()));
        Self { processes, poller, events: VecDeque::new(), theirs }
    }

    /// Reads what the poller reports at once. Returns whether it reported the worker.
    fn turn(&mut self) -> bool {
        let sources = self.poller.wait(Some(Duration::ZERO));
        for source in &sources {
            assert_eq!(*source, PollSource::Worker(WORKER));
            self.processes.read(WORKER, None, &self.poller, &mut self.events);
        }
        !sources.is_empty()
    }

    fn report(&self, message: &FromWorker) {
        self.theirs.send(message).unwrap();
    }
}

fn ready() -> FromWorker {
    FromWorker::Ready { app: "shop\u{7}:app".to_owned() }
}

#[test]
fn a_message_of_a_worker_becomes_an_event_that_is_fit_to_print() {
    let mut bench = ProcessBench::new();
    assert!(!bench.turn());
    bench.report(&ready());
    assert!(bench.turn());
    let event = bench.events.pop_front();
    let Some(MasterEvent::Ready { worker: WORKER, app }) = event else { panic!("{event:?}") };
    assert_eq!(app, printable::line("shop\u{7}:app"));
    assert!(bench.events.is_empty());
}

#[test]
fn one_worker_with_many_messages_does_not_hold_up_the_others() {
    let mut bench = ProcessBench::new();
    (0..=MAX_MESSAGES).for_each(|_| bench.report(&ready()));
    assert!(bench.turn());
    assert_eq!(bench.events.len(), MAX_MESSAGES);
    assert!(bench.turn(), "the rest is reported again");
    assert_eq!(bench.events.len(), MAX_MESSAGES + 1);
}

#[test]
fn a_worker_that_sends_a_message_of_a_mold_is_read_no_more() {
    let mut bench = ProcessBench::new();
    bench.report(&FromWorker::Forked);
    assert!(bench.turn());
    bench.report(&ready());
    assert!(!bench.turn());
    assert!(bench.events.is_empty(), "{:?}", bench.events);
}

#[test]
fn a_worker_that_was_asked_to_drain_serves_no_listener() {
    let mut bench = ProcessBench::new();
    assert_eq!(bench.processes.generation_of(WORKER), Some(Generation(1)));
    assert_eq!(bench.processes.generations_beside(WorkerId(0)), [Generation(1)]);
    assert_eq!(bench.processes.generations_beside(WORKER), []);
    assert!(bench.processes.send(WORKER, ToWorker::Drain(Drain::Retire)).is_none());
    assert_eq!(bench.processes.generations_beside(WorkerId(0)), []);
}

#[test]
fn a_worker_that_does_not_exist_gets_no_signal_and_no_event() {
    let mut bench = ProcessBench::new();
    assert!(bench.processes.signal(WorkerId(9), WorkerSignal::Term).is_none());
    assert!(bench.processes.send(WorkerId(9), ToWorker::Reopen).is_none());
    assert_eq!(bench.processes.generation_of(WorkerId(9)), None);
}

#[test]
fn a_worker_that_asks_for_metrics_gets_them_in_a_file() {
    let mut bench = ProcessBench::new();
    let accept = "application/openmetrics-text".to_owned();
    bench.report(&FromWorker::AskMetrics { number: 5, accept });
    assert!(bench.turn() && bench.events.is_empty());
    let ask = WorkerAsk { worker: WORKER, number: 5, format: MetricsFormat::OpenMetrics };
    assert_eq!(bench.processes.take_metrics_asks(), [ask]);
    assert_eq!(bench.processes.take_metrics_asks(), []);
    let file = memory::sealed_file("test", b"# EOF\n").unwrap();
    bench.processes.send_metrics(&WorkerMetrics { ask, file });
    let (message, files) = bench.theirs.receive_with().unwrap();
    let content_type = MetricsFormat::OpenMetrics.content_type().to_owned();
    assert_eq!(message, Incoming::Message(ToWorker::Metrics { number: 5, content_type }));
    assert_eq!(files.len(), 1);
}

#[test]
fn a_confirmation_becomes_an_event() {
    let mut bench = ProcessBench::new();
    assert!(bench.processes.send(WORKER, ToWorker::Confirm { number: 7 }).is_none());
    let message = bench.theirs.receive().unwrap();
    assert_eq!(message, Incoming::Message(ToWorker::Confirm { number: 7 }));
    bench.report(&FromWorker::Confirmed { number: 7 });
    assert!(bench.turn());
    let event = bench.events.pop_front();
    let is_meant = matches!(event, Some(MasterEvent::Confirmed { worker: WORKER, number: 7 }));
    assert!(is_meant, "{event:?}");
}

#[test]
fn a_process_without_a_handler_is_not_asked_for_stacks() {
    let bench = ProcessBench::new();
    bench.processes.begin_dump(WORKER);
    let read = bench.processes.read_dumps(&[WORKER, WorkerId(9)]);
    assert!(read.iter().all(|it| matches!(it.1, StacksRead::Unable(_))), "{read:?}");
}

#[test]
fn renewed_certificates_reach_a_worker_once_also_when_its_channel_was_full() {
    use std::os::unix::fs::FileExt;
    let mut bench = ProcessBench::new();
    let file = Rc::new(memory::sealed_file("test", b"keys").unwrap());
    let received = |bench: &ProcessBench| loop {
        match bench.theirs.receive_with().unwrap() {
            (Incoming::Message(ToWorker::Tls), descriptors) => {
                let mut found = [0; 4];
                let file = File::from(descriptors.into_iter().next().unwrap());
                file.read_exact_at(&mut found, 0).unwrap();
                break Some(found);
            }
            (Incoming::Nothing, _) => break None,
            (other, _) => assert_eq!(other, Incoming::Message(ToWorker::Workers(1))),
        }
    };
    bench.processes.send_certificates(Generation(2), &file, true);
    assert_eq!(received(&bench), None, "those of another generation");
    bench.processes.send_certificates(Generation(1), &file, true);
    assert_eq!(received(&bench).as_ref(), Some(b"keys"));
    (0..2000).for_each(|_| drop(bench.processes.send(WORKER, ToWorker::Workers(1))));
    bench.processes.send_certificates(Generation(1), &file, true);
    assert_eq!(received(&bench), None);
    for expected in [Some(*b"keys"), None] {
        bench.processes.send_certificates(Generation(1), &file, false);
        assert_eq!(received(&bench), expected);
    }
}
