use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::*;

fn two_sides(threads: u16) -> (Scoreboard, Scoreboard) {
    let master = Scoreboard::create(Slot(3), Generation(2), threads).unwrap();
    let fd = master.as_fd().try_clone_to_owned().unwrap();
    (master, Scoreboard::adopt(fd).unwrap())
}

fn begun(number: u64, now_ms: u64, target: &[u8]) -> Begun<'_> {
    Begun { number, now_us: now_ms * 1000, queued_us: 5, method: b"GET", target, id: None }
}

fn finished(number: u64, status: u16) -> Finished {
    Finished { number, took_us: 700, status, bytes: 10, counts: true }
}

#[test]
fn the_master_sees_who_the_worker_is_and_how_it_is() {
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
fn what_is_given_up_is_counted_by_kind() {
    let (master, worker) = two_sides(1);
    worker.begin(0, &begun(1, 40, b"/"));
    for kind in GivenUp::ALL {
        (0..=kind.index()).for_each(|_| worker.count_given_up(kind));
    }
    assert_eq!(master.losses(), std::array::from_fn(|place| place as u64 + 1));
    assert!(master.is_running(0, 1), "a thread has words of its own");
}

#[test]
fn the_master_sees_what_a_thread_runs() {
    let (master, worker) = two_sides(2);
    worker.show_thread(1, 77);
    worker.begin(1, &Begun { id: Some(b"abc-1"), method: b"POST", ..begun(1, 40, b"/slow?a") });
    worker.begin(0, &begun(2, 50, b"/"));
    let running = master.running();
    assert_eq!(running.len(), 2);
    let slow = Running {
        thread: 1,
        tid: 77,
        number: 1,
        id: "abc-1".to_owned(),
        since_ms: 40,
        label: "POST /slow?a".to_owned(),
        stage: ResponseStage::Whole,
    };
    assert_eq!(running[0], slow);
    assert_eq!(slow.to_string(), "POST /slow?a (request abc-1)");
    assert_eq!(running[1].id, format!("{:x}-2", std::process::id()));
    assert!(master.is_running(1, 1) && !master.is_running(1, 2) && !master.is_running(9, 1));
    worker.finish(1, &finished(1, 200));
    worker.finish(0, &finished(2, 200));
    assert_eq!(master.running(), []);
    assert_eq!(master.requests(), 2);
    assert!(!master.is_running(1, 1));
}

#[test]
fn the_master_sees_streams_and_whether_their_clients_have_left() {
    let (master, worker) = two_sides(2);
    worker.begin(1, &begun(7, 40, b"/events"));
    let stage = || master.running()[0].stage;
    assert_eq!((master.threads(), stage()), (2, ResponseStage::Whole));
    worker.show_stream(1, 7, true);
    assert_eq!(stage(), ResponseStage::Streams);
    worker.show_left(7, 90);
    worker.show_left(7, 91);
    assert_eq!(stage(), ResponseStage::Left { since_ms: 90 });
    worker.show_stream(1, 7, false);
    assert_eq!(stage(), ResponseStage::Whole);
    worker.finish(1, &finished(7, 200));
    worker.show_stream(1, 7, true);
    worker.begin(1, &begun(8, 95, b"/"));
    worker.show_left(7, 99);
    assert_eq!(stage(), ResponseStage::Whole, "of another request");
}

#[test]
fn a_request_that_waits_for_its_client_does_not_run() {
    let (master, worker) = two_sides(1);
    worker.begin(0, &begun(1, 40, b"/large"));
    worker.pause(0, 1);
    assert_eq!(master.running(), []);
    assert!(!master.is_running(0, 1));
    worker.resume(0, 1, 90);
    assert!(master.is_running(0, 1));
    worker.resume(7, 1, 90);
    let running = master.running();
    assert_eq!((running[0].since_ms, running[0].label.as_str()), (90, "GET /large"));
    worker.pause(0, 1);
    worker.finish(0, &finished(1, 200));
    assert_eq!((master.running(), master.requests()), (vec![], 1));
}

#[test]
fn who_waits_for_a_client_does_not_stop_the_time_of_another_request() {
    let (master, worker) = two_sides(1);
    worker.begin(0, &begun(1, 40, b"/kept"));
    worker.pause(0, 1);
    worker.begin(0, &begun(2, 50, b"/next"));
    let running = || master.running().first().map(|it| (it.number, it.since_ms));
    worker.resume(0, 1, 60);
    assert_eq!(running(), Some((2, 50)));
    worker.pause(0, 1);
    assert_eq!(running(), Some((2, 50)));
    worker.finish(0, &finished(2, 200));
    worker.resume(0, 1, 70);
    assert_eq!(running(), None, "nothing runs that has no number");
}

#[test]
fn the_time_of_a_request_begins_anew_with_each_piece_of_its_answer() {
    let (master, worker) = two_sides(1);
    worker.begin(0, &begun(1, 40, b"/export"));
    let since_ms = || master.running().first().map(|running| running.since_ms);
    assert_eq!(since_ms(), Some(40));
    worker.progress(0, 1, 70);
    assert_eq!(since_ms(), Some(70));
    worker.progress(0, 2, 80);
    worker.progress(7, 1, 80);
    assert_eq!(since_ms(), Some(70), "another request, and another thread");
    worker.pause(0, 1);
    worker.progress(0, 1, 90);
    assert_eq!(since_ms(), None, "it waits for its client");
    worker.finish(0, &finished(1, 200));
    worker.progress(0, 1, 95);
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
fn a_long_text_is_cut_and_a_thread_without_a_row_is_passed_over() {
    let (master, worker) = two_sides(1);
    let long = [b'a'; 500];
    worker.begin(0, &Begun { id: Some(&long), ..begun(1, 1, &long) });
    worker.begin(7, &begun(2, 1, b"/"));
    worker.begin(usize::MAX, &begun(2, 1, b"/"));
    assert_eq!(master.running().len(), 1);
    assert_eq!(master.running()[0].label.len(), ring::LABEL_LIMIT);
    assert_eq!(master.running()[0].id.len(), ring::ID_LIMIT);
}

#[test]
fn the_last_requests_are_told_newest_first() {
    let (master, worker) = two_sides(2);
    worker.begin(1, &begun(1, 1, b"/1"));
    for number in 2..200 {
        worker.begin(0, &begun(number, number, format!("/{number}").as_bytes()));
        worker.finish(0, &finished(number, 404));
    }
    let recent = master.recent();
    assert_eq!(recent.len(), RECENT);
    let newest = Recent {
        thread: 0,
        number: 199,
        id: format!("{:x}-c7", std::process::id()),
        label: "GET /199".to_owned(),
        begun_us: 199_000,
        end: Some(Ended { status: 404, took_us: 700 }),
    };
    assert_eq!(recent[0], newest);
    assert_eq!(recent[RECENT - 1].number, 200 - RECENT as u64);
    assert_eq!(master.running()[0].label, "GET /1", "however many came after it");
}

#[test]
fn a_request_that_runs_has_no_end() {
    let (master, worker) = two_sides(1);
    worker.begin(0, &begun(1, 1, b"/"));
    assert_eq!(master.recent()[0].end, None);
    worker.finish(0, &Finished { took_us: u64::MAX, ..finished(1, u16::MAX) });
    let end = master.recent()[0].end.unwrap();
    assert!(end.took_us > 1 << 47);
    worker.begin(0, &begun(2, 1, b"/"));
    worker.finish(0, &finished(2, 0));
    assert_eq!(master.recent()[0].end, Some(Ended { status: 0, took_us: 700 }));
}

#[test]
fn the_end_of_a_request_that_the_thread_has_left_behind_is_only_counted() {
    let (master, worker) = two_sides(1);
    worker.begin(0, &begun(1, 1, b"/kept"));
    worker.begin(0, &begun(2, 5, b"/next"));
    worker.finish(0, &finished(1, 200));
    assert_eq!(master.running()[0].label, "GET /next");
    assert_eq!(master.requests(), 1);
}

#[test]
fn what_is_counted_is_the_sum_of_all_threads() {
    let (master, worker) = two_sides(3);
    for (thread, status) in [(0, 200), (1, 302), (1, 404), (2, 500), (2, 0), (2, 999)] {
        worker.begin(thread, &begun(1, 1, b"/"));
        worker.finish(thread, &finished(1, status));
    }
    worker.begin(0, &begun(1, 1, b"/"));
    worker.finish(0, &Finished { counts: false, ..finished(1, 504) });
    worker.count_answer(504);
    worker.count_answer(431);
    worker.count_timeout();
    let expected = Counters { requests: 7, answers: [1, 1, 2, 2], bytes: 70, timeouts: 1 };
    assert_eq!(master.counters(), expected);
    let latency = master.latency();
    assert_eq!((latency.count(), latency.sum()), (7, Duration::from_micros(4900)));
    assert_eq!(master.queue_time().quantile(1.0), Some(Duration::from_micros(5)));
}

#[test]
fn memory_of_another_version_is_refused() {
    let master = Scoreboard::create(Slot(0), Generation(1), 1).unwrap();
    master.memory.words()[0].store(99, Relaxed);
    let fd = master.as_fd().try_clone_to_owned().unwrap();
    assert!(Scoreboard::adopt(fd).is_err());
    let short = SharedWords::create("test", 3).unwrap();
    assert!(Scoreboard::adopt(short.as_fd().try_clone_to_owned().unwrap()).is_err());
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
    let told = board.running().into_iter().map(|it| it.label.len() + it.id.len());
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
    told.chain(texts).sum()
}

#[test]
fn the_master_survives_whatever_is_in_the_memory() {
    let master = Scoreboard::create(Slot(0), Generation(1), 3).unwrap();
    for seed in 1..50 {
        // Zeros and full words among them, where most bounds are.
        for (word, noise) in master.memory.words().iter().zip(noise(seed)) {
            let value = match noise % 4 {
                0 => 0,
                1 => u64::MAX,
                2 => noise >> (noise % 60),
                _ => noise,
            };
            word.store(value, Relaxed);
        }
        // Texts of any length that the bounds allow: two, and those of 64 requests.
        assert!(read_everything(&master) <= (3 + RECENT) * 4 * (ring::LABEL_LIMIT + 64));
    }
}

#[test]
fn what_is_read_while_it_is_written_is_of_one_request() {
    let (master, worker) = two_sides(1);
    let targets: Vec<Vec<u8>> =
        (0..10).map(|digit: u8| vec![b'0' + digit; 20 + usize::from(digit) * 12]).collect();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..200_000 {
                let target = &targets[(number % 10) as usize];
                worker.begin(0, &begun(number, number, target));
                worker.finish(0, &finished(number, 200));
            }
        });
        while !writer.is_finished() {
            for recent in master.recent() {
                let target = &targets[(recent.number % 10) as usize];
                assert_eq!(recent.label.as_bytes()[4..], target[..], "{}", recent.number);
            }
        }
    });
}

/// Not a check but a measure: `cargo test -p monoceros-wire --release -- --ignored
/// --nocapture costs`.
#[test]
#[ignore = "prints how long a request takes here"]
fn what_a_request_costs() {
    let (_master, worker) = two_sides(1);
    let count = 5_000_000;
    let start = std::time::Instant::now();
    for number in 1..=count {
        worker.begin(0, &begun(std::hint::black_box(number), number, b"/products/17?page=2"));
        worker.finish(0, &finished(number, 200));
    }
    let each = start.elapsed().as_secs_f64() * 1e9 / count as f64;
    println!("{each:.1} ns for begin and finish");
}
