use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::*;
use crate::request_id::{ID_LIMIT, RequestId};
use crate::trace_ids::TraceIds;

fn shaped(shape: BoardShape) -> (Scoreboard, Scoreboard) {
    let master = Scoreboard::create(Slot(3), Generation(2), shape).unwrap();
    let fd = master.as_fd().try_clone_to_owned().unwrap();
    (master, Scoreboard::adopt(fd).unwrap())
}

fn two_sides(threads: u16) -> (Scoreboard, Scoreboard) {
    shaped(BoardShape::of_threads(threads))
}

fn begun(number: u64, now_ms: u64, target: &[u8]) -> Begun<'_> {
    let now_us = now_ms * 1000;
    let (id, trace, client) = (None, None, None);
    Begun { number, now_us, queued_us: 5, method: b"GET", target, id, trace, client }
}

fn finished(status: u16) -> Finished {
    Finished { took_us: 700, status, bytes: 10, counts: true }
}

/// A request that stands where another one does.
fn another(request: Option<ShownRequest>) -> Option<ShownRequest> {
    request.map(|request| ShownRequest { number: request.number + 1, ..request })
}

#[test]
fn the_master_reads_the_identity_and_state_of_the_worker() {
    let (master, worker) = two_sides(1);
    assert_eq!((worker.slot(), worker.generation()), (Slot(3), Generation(2)));
    assert_eq!(master.pid(), u64::from(std::process::id()));
    assert_eq!((master.state(), master.stacks_thread()), (ReportedState::Booting, None));
    worker.show_stacks();
    worker.show_state(ReportedState::Draining);
    worker.beat(17);
    worker.show_connections(4);
    assert_eq!((master.state(), master.stacks_thread()), (ReportedState::Draining, None));
    worker.show_io_thread(7);
    assert_eq!(master.stacks_thread(), Some(7));
    assert_eq!((master.last_beat_ms(), master.connections()), (17, 4));
}

#[test]
fn given_up_requests_are_counted_by_kind() {
    let (master, worker) = two_sides(1);
    worker.begin(0, &begun(1, 40, b"/"));
    for kind in GivenUp::ALL {
        (0..=kind.index()).for_each(|_| worker.count_given_up(kind));
    }
    assert_eq!(master.losses(), std::array::from_fn(|place| place as u64 + 1));
    assert!(master.is_running(1), "a side has words of its own");
}

#[test]
fn the_master_sees_what_is_running() {
    let (master, worker) = two_sides(2);
    worker.show_thread(1, 77, 1 << 40);
    let client = Some([192, 0, 2, 1].into());
    let trace = TraceIds::parse("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let id: Option<&[u8]> = Some(b"abc-1");
    let slow = Begun { id, trace, method: b"POST", client, ..begun(1, 40, b"/slow?a") };
    let slow = worker.begin(1, &slow);
    let quick = worker.begin(0, &begun(2, 50, b"/"));
    let running = master.running();
    assert_eq!(running.len(), 2);
    let expected = Running {
        tid: 77,
        pthread: 1 << 40,
        number: 1,
        id: "abc-1".to_owned(),
        trace,
        client,
        begun_us: 40_000,
        since_ms: 40,
        label: "POST /slow?a".to_owned(),
        stage: ResponseStage::Whole,
    };
    assert_eq!(running[0], expected);
    assert_eq!(expected.to_string(), "POST /slow?a (request abc-1)");
    assert_eq!(running[1].id, RequestId::made(&worker.id_prefix(), 2).as_str());
    assert_eq!(running[1].trace, None);
    assert!(master.is_running(1) && master.is_running(2) && !master.is_running(3));
    worker.finish(1, slow, &finished(200));
    worker.finish(0, quick, &finished(200));
    assert_eq!(master.running(), []);
    assert_eq!(master.requests(), 2);
    assert!(!master.is_running(1) && !master.is_running(0));
}

#[test]
fn a_side_shows_as_many_requests_at_once_as_it_has_entries() {
    let (master, worker) = shaped(BoardShape { sides: 1, entries: 1000, listeners: 0 });
    let requests: Vec<_> =
        (1..=1000).map(|number| worker.begin(0, &begun(number, number, b"/"))).collect();
    assert!(requests.iter().all(Option::is_some));
    let numbers = || master.running().iter().map(|it| it.number).collect::<Vec<_>>();
    assert_eq!(numbers(), (1..=1000).collect::<Vec<_>>());
    let unshown = worker.begin(0, &begun(1001, 1001, b"/"));
    assert_eq!((unshown, master.running().len()), (None, 1000));
    worker.progress(unshown, 2000);
    worker.finish(0, unshown, &finished(200));
    assert_eq!((master.requests(), master.running().len()), (1, 1000), "it is counted");
    for place in [499, 999] {
        worker.finish(0, requests[place], &finished(200));
    }
    for number in [1002, 1003] {
        assert!(worker.begin(0, &begun(number, number, b"/")).is_some(), "an entry is used again");
    }
    for number in 1004..1006 {
        assert_eq!(worker.begin(0, &begun(number, number, b"/")), None);
    }
    let expected = (1..=999).filter(|number| *number != 500).chain([1002, 1003]);
    assert_eq!(numbers(), expected.collect::<Vec<_>>());
    assert_eq!(master.requests(), 3);
    worker.finish(0, requests[0], &finished(200));
    assert!(worker.begin(0, &begun(1007, 1007, b"/")).is_some(), "also the first one");
}

#[test]
fn a_side_uses_only_its_own_entries() {
    let (master, worker) = shaped(BoardShape { sides: 3, entries: 2, listeners: 0 });
    for side in 0..4 {
        for number in 1..=3 {
            worker.begin(side, &begun(10 * side as u64 + number, number, b"/"));
        }
    }
    let mut numbers: Vec<_> = master.running().iter().map(|it| it.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 11, 12, 21, 22]);
    let (master, worker) = shaped(BoardShape { sides: 1, entries: 0, listeners: 0 });
    assert_eq!(worker.begin(0, &begun(1, 1, b"/")), None);
    worker.finish(0, None, &finished(200));
    assert_eq!((master.running(), master.requests()), (vec![], 1));
}

#[test]
fn the_master_sees_streams_and_whether_their_clients_have_gone() {
    let (master, worker) = two_sides(2);
    let events = worker.begin(1, &begun(7, 40, b"/events"));
    let stage = || master.running()[0].stage;
    assert_eq!((master.sides(), stage()), (2, ResponseStage::Whole));
    worker.show_stream(events, true);
    assert_eq!(stage(), ResponseStage::Streams);
    worker.show_left(7, 90);
    worker.show_left(7, 91);
    assert_eq!(stage(), ResponseStage::Left { since_ms: 90 });
    worker.show_stream(events, false);
    assert_eq!(stage(), ResponseStage::Whole);
    worker.finish(1, events, &finished(200));
}

#[test]
fn an_entry_shows_nothing_of_its_earlier_request() {
    let (master, worker) = shaped(BoardShape { sides: 1, entries: 1, listeners: 0 });
    let first = worker.begin(0, &begun(7, 40, b"/events"));
    worker.show_stream(first, true);
    worker.show_left(7, 90);
    worker.finish(0, first, &finished(200));
    let next = worker.begin(0, &begun(8, 95, b"/"));
    let stage = || master.running()[0].stage;
    assert_eq!(stage(), ResponseStage::Whole);
    worker.show_stream(next, true);
    worker.show_left(7, 99);
    assert_eq!(stage(), ResponseStage::Streams, "it is the other one that was left");
    worker.show_stream(first, false);
    worker.pause(first);
    worker.progress(first, 100);
    worker.finish(0, first, &finished(500));
    assert_eq!((stage(), master.running()[0].since_ms), (ResponseStage::Streams, 95));
}

#[test]
fn a_request_that_waits_for_its_client_does_not_run() {
    let (master, worker) = two_sides(1);
    let large = worker.begin(0, &begun(1, 40, b"/large"));
    worker.pause(large);
    assert_eq!(master.running(), []);
    assert!(!master.is_running(1));
    worker.resume(large, 90);
    assert!(master.is_running(1));
    worker.resume(large, 95);
    let running = master.running();
    assert_eq!((running[0].since_ms, running[0].label.as_str()), (90, "GET /large"));
    worker.pause(large);
    worker.finish(0, large, &finished(200));
    worker.resume(large, 99);
    assert_eq!((master.running(), master.requests()), (vec![], 1));
}

#[test]
fn a_request_that_waits_for_its_client_keeps_its_entry() {
    let (master, worker) = shaped(BoardShape { sides: 1, entries: 3, listeners: 0 });
    let kept = worker.begin(0, &begun(1, 40, b"/kept"));
    worker.pause(kept);
    for number in 2..9 {
        let next = worker.begin(0, &begun(number, 50, b"/next"));
        worker.progress(next, 50 + number);
        assert_eq!(master.running()[0].number, number);
        worker.finish(0, next, &finished(200));
    }
    worker.resume(kept, 70);
    let running = master.running();
    assert_eq!((running.len(), running[0].number, running[0].since_ms), (1, 1, 70));
    worker.finish(0, kept, &finished(200));
    assert_eq!(master.recent()[2].end.map(|end| end.status), Some(200));
}

#[test]
fn the_time_of_a_request_begins_anew_with_each_piece_of_its_response() {
    let (master, worker) = two_sides(1);
    let export = worker.begin(0, &begun(1, 40, b"/export"));
    let since_ms = || master.running().first().map(|running| running.since_ms);
    assert_eq!(since_ms(), Some(40));
    worker.progress(export, 70);
    assert_eq!(since_ms(), Some(70));
    worker.progress(another(export), 80);
    worker.progress(None, 80);
    assert_eq!(since_ms(), Some(70), "another request, and one that is not shown");
    worker.pause(export);
    worker.progress(export, 90);
    assert_eq!(since_ms(), None, "it waits for its client");
    worker.finish(0, export, &finished(200));
    worker.progress(export, 95);
    assert_eq!(since_ms(), None);
}

#[test]
fn the_master_sees_since_when_requests_are_stuck() {
    let (master, worker) = two_sides(1);
    assert_eq!(master.stuck_since_ms(), None);
    worker.show_stuck(Some(40));
    assert_eq!(master.stuck_since_ms(), Some(40));
    worker.show_stuck(None);
    assert_eq!(master.stuck_since_ms(), None);
}

#[test]
fn a_long_text_is_cut_and_a_side_without_a_row_is_ignored() {
    let (master, worker) = two_sides(1);
    let long = [b'a'; 500];
    let trace = Some(TraceIds { trace: u128::MAX, span: u64::MAX });
    worker.begin(0, &Begun { id: Some(&long), trace, ..begun(1, 1, &long) });
    for side in [1, 7, usize::MAX] {
        worker.show_thread(side, 9, 9);
        assert_eq!(worker.begin(side, &begun(2, 1, b"/")), None);
        worker.finish(side, None, &finished(200));
    }
    assert_eq!((master.running().len(), master.requests()), (1, 0));
    assert_eq!(master.running()[0].label.len(), entry::LABEL_LIMIT);
    assert_eq!(master.running()[0].id.len(), ID_LIMIT);
    assert_eq!(master.running()[0].trace, trace);
}

#[test]
fn the_last_requests_are_shown_newest_first() {
    let (master, worker) = two_sides(2);
    worker.begin(1, &begun(1, 1, b"/1"));
    for number in 2..200 {
        let request = worker.begin(0, &begun(number, number, format!("/{number}").as_bytes()));
        worker.finish(0, request, &finished(404));
    }
    let recent = master.recent();
    assert_eq!(recent.len(), RECENT);
    let newest = Recent {
        tid: 0,
        number: 199,
        id: RequestId::made(&master.id_prefix(), 199).to_string(),
        client: None,
        label: "GET /199".to_owned(),
        begun_us: 199_000,
        end: Some(Ended { status: 404, took_us: 700 }),
    };
    assert_eq!(recent[0], newest);
    assert_eq!(recent[RECENT - 1].number, 200 - RECENT as u64);
    assert_eq!(master.running()[0].label, "GET /1", "however many came after it");
}

#[test]
fn the_client_of_a_request_is_shown() {
    let (master, worker) = two_sides(1);
    for (number, ip) in (1..).zip(["0.0.0.0", "255.1.2.3", "::", "2001:db8::7", "ff02::1"]) {
        let client = Some(ip.parse().unwrap());
        let request = worker.begin(0, &Begun { client, ..begun(number, 1, b"/") });
        assert_eq!((master.running()[0].client, master.recent()[0].client), (client, client));
        worker.finish(0, request, &finished(200));
    }
    worker.begin(0, &begun(9, 1, b"/"));
    assert_eq!(master.running()[0].client, None, "it has a unix socket");
}

#[test]
fn each_worker_makes_other_identifiers() {
    let ((first, worker), (other, _)) = (two_sides(1), two_sides(1));
    assert_eq!(first.id_prefix(), worker.id_prefix());
    assert_ne!(first.id_prefix(), other.id_prefix());
}

#[test]
fn a_request_that_runs_has_no_end() {
    let (master, worker) = two_sides(1);
    let first = worker.begin(0, &begun(1, 1, b"/"));
    assert_eq!(master.recent()[0].end, None);
    worker.finish(0, first, &Finished { took_us: u64::MAX, ..finished(u16::MAX) });
    let end = master.recent()[0].end.unwrap();
    assert!(end.took_us > 1 << 47);
    let second = worker.begin(0, &begun(2, 1, b"/"));
    worker.finish(0, second, &finished(0));
    assert_eq!(master.recent()[0].end, Some(Ended { status: 0, took_us: 700 }));
}

#[test]
fn the_counters_are_the_sums_of_all_sides() {
    let (master, worker) = two_sides(3);
    for (side, status) in [(0, 200), (1, 302), (1, 404), (2, 500), (2, 0), (2, 999)] {
        let request = worker.begin(side, &begun(1, 1, b"/"));
        worker.finish(side, request, &finished(status));
    }
    let last = worker.begin(0, &begun(1, 1, b"/"));
    worker.finish(0, last, &Finished { counts: false, ..finished(504) });
    worker.count_answer(504);
    worker.count_answer(431);
    worker.count_timeout();
    let counters = master.counters();
    assert_eq!((counters.requests, counters.bytes, counters.timeouts), (7, 70, 1));
    let named: Vec<_> = counters.statuses.named().collect();
    let expected = [("200", 1), ("302", 1), ("404", 1), ("431", 1), ("500", 1), ("504", 1)];
    let rest = [("none", 1), ("other", 1)];
    let expected: Vec<_> = expected.into_iter().chain(rest).collect();
    let named: Vec<_> = named.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(named, expected);
    assert_eq!(counters.statuses.by_class(), [1, 1, 2, 2]);
    let latency = master.latency();
    assert_eq!((latency.count(), latency.sum()), (7, Duration::from_micros(4900)));
    assert_eq!(master.queue_time().quantile(1.0), Some(Duration::from_micros(5)));
}

#[test]
fn the_master_sees_the_connections_of_each_listener() {
    let (master, worker) = shaped(BoardShape::of_threads(2).with_listeners(2));
    worker.count_accepted(1);
    worker.count_accepted(1);
    let open = ConnectionCounts { idle: 3, active: 2, opening: 1 };
    worker.show_open(1, open);
    worker.show_open(2, open);
    worker.count_accepted(2);
    let none = ListenerCounts::default();
    assert_eq!(master.listeners(), [none, ListenerCounts { accepted: 2, open }]);
    assert_eq!(open.all(), 6);
    let request = worker.begin(1, &begun(1, 40, b"/"));
    worker.pause(request);
    assert_eq!((master.in_progress(), master.running().len()), (1, 0));
    worker.show_queued(7);
    worker.finish(1, request, &finished(200));
    assert_eq!((master.in_progress(), master.queued()), (0, 7));
    assert_eq!(master.listeners()[0], none, "the rows of sides are elsewhere");
}

#[test]
fn the_worker_as_a_whole_counts_bytes_handshakes_and_static_files() {
    let (master, worker) = two_sides(1);
    worker.count_traffic(100, 2000);
    worker.count_traffic(1, 2);
    worker.count_handshake(false);
    worker.count_handshake(true);
    worker.count_handshake(true);
    for status in [200, 206, 304, 404, 416] {
        worker.count_static(StaticResult::of_status(status));
    }
    let counters = master.counters();
    assert_eq!((counters.received, counters.sent), (101, 2002));
    assert_eq!((counters.full_handshakes, counters.resumed_handshakes), (1, 2));
    assert_eq!(counters.static_results().map(|(_, count)| count).collect::<Vec<_>>(), [2, 1, 1, 1]);
    assert_eq!((counters.requests, counters.statuses), Default::default());
}

#[test]
fn a_second_master_reads_the_memory_and_leaves_it_as_it_is() {
    let (master, worker) = two_sides(1);
    worker.beat(17);
    master.memory.words()[3].store(7, Relaxed);
    let other = Scoreboard::map(worker.as_fd().try_clone_to_owned().unwrap()).unwrap();
    assert_eq!((other.last_beat_ms(), other.pid(), master.pid()), (17, 7, 7));
}

#[test]
fn memory_of_another_version_or_shape_is_refused() {
    let adopt = |fd: BorrowedFd| Scoreboard::adopt(fd.try_clone_to_owned().unwrap());
    let refused = |fd: BorrowedFd| adopt(fd).unwrap_err().to_string();
    let shape = BoardShape { sides: 2, entries: 3, listeners: 0 };
    for (word, value) in [(6, 3), (6, u64::MAX), (7, 4), (7, 1 << 40)] {
        let master = Scoreboard::create(Slot(0), Generation(1), shape).unwrap();
        assert_eq!(adopt(master.as_fd()).unwrap().shape, shape);
        master.memory.words()[word].store(value, Relaxed);
        assert!(refused(master.as_fd()).ends_with("which do not fit its head"), "{word}: {value}");
        master.memory.words()[0].store(99, Relaxed);
        assert_eq!(refused(master.as_fd()), "scoreboard of another version");
    }
    let short = SharedWords::create("test", 3).unwrap();
    assert_eq!(refused(short.as_fd()), "scoreboard without a head");
}

/// A sequence without a pattern: `xorshift64`.
fn noise(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |last| {
        let mut next = *last;
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        Some(next)
    })
}

fn read_everything(board: &Scoreboard) -> usize {
    let shown = board.running().into_iter().map(|it| it.label.len() + it.id.len());
    let recent = board.recent();
    assert!(recent.len() <= RECENT);
    let texts = recent.iter().map(|it| it.label.len() + it.id.len());
    let (_, _, _) = (board.counters(), board.requests(), board.state());
    let (_, _, _) = (board.slot(), board.generation(), board.stuck_since_ms());
    for histogram in [board.latency(), board.queue_time()] {
        let quantiles = [0.0, 0.5, 1.0].map(|share| histogram.quantile(share));
        assert!(quantiles.is_sorted());
        assert_eq!(quantiles[0].is_some(), histogram.count() > 0);
    }
    shown.chain(texts).sum()
}

#[test]
fn the_master_survives_any_content_of_the_memory() {
    let shape = BoardShape::of_threads(3);
    let master = Scoreboard::create(Slot(0), Generation(1), shape).unwrap();
    for seed in 1..50 {
        // With zeros and full words, where most bounds are.
        for (word, noise) in master.memory.words().iter().zip(noise(seed)) {
            let value = match noise % 4 {
                0 => 0,
                1 => u64::MAX,
                2 => noise >> (noise % 60),
                _ => noise,
            };
            word.store(value, Relaxed);
        }
        // Texts of any length that the bounds allow, of every entry and of the last requests.
        let most = usize::from(shape.sides * shape.entries) + RECENT;
        assert!(read_everything(&master) <= most * 4 * (entry::LABEL_LIMIT + ID_LIMIT));
    }
}

#[test]
fn an_entry_that_is_read_while_it_is_written_is_of_one_request() {
    let (master, worker) = shaped(BoardShape { sides: 1, entries: 8, listeners: 0 });
    let targets: Vec<Vec<u8>> =
        (0..10).map(|digit: u8| vec![b'0' + digit; 20 + usize::from(digit) * 12]).collect();
    let target = |number: u64| &targets[(number % 10) as usize];
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // Some run at the same time, for different lengths of time.
            let mut requests = std::collections::VecDeque::new();
            for number in 1..200_000 {
                requests.push_back(worker.begin(0, &begun(number, number, target(number))));
                if number % 3 == 0 {
                    worker.finish(0, requests.pop_back().unwrap(), &finished(200));
                }
                while requests.len() > 5 {
                    worker.finish(0, requests.pop_front().unwrap(), &finished(200));
                }
            }
        });
        while !writer.is_finished() {
            for recent in master.recent() {
                assert_eq!(recent.label.as_bytes()[4..], target(recent.number)[..]);
                assert_eq!(recent.begun_us, recent.number * 1000);
            }
            for running in master.running() {
                assert_eq!(running.label.as_bytes()[4..], target(running.number)[..]);
                assert_eq!(running.since_ms, running.number);
            }
        }
    });
}
