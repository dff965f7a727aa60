use super::*;
use crate::scoreboard::{Begun, BoardShape, Finished, GivenUp, Scoreboard, StaticResult};
use crate::{Generation, Slot};

fn board() -> Scoreboard {
    let shape = BoardShape::of_threads(1).with_listeners(2);
    Scoreboard::create(Slot(3), Generation(2), shape).unwrap()
}

fn serve(board: &Scoreboard, number: u64, status: u16) {
    let begun = Begun {
        number,
        now_us: 1_000_000,
        queued_us: 5,
        method: b"GET",
        target: b"/a?b=c d",
        id: None,
        trace: None,
        client: None,
    };
    let request = board.begin(0, &begun);
    board.finish(0, request, &Finished { took_us: 700, status, bytes: 10, counts: true });
}

fn listeners() -> [String; 2] {
    ["127.0.0.1:80", "unix:/run/a"].map(str::to_owned)
}

#[test]
fn a_scoreboard_is_added_with_everything_that_it_counts() {
    let board = board();
    serve(&board, 1, 200);
    serve(&board, 2, 200);
    serve(&board, 3, 404);
    board.count_answer(431);
    board.count_given_up(GivenUp::Handshake);
    board.count_handshake(true);
    board.count_static(StaticResult::NotModified);
    board.count_traffic(50, 70);
    board.count_timeout();
    board.count_accepted(0);
    board.count_accepted(1);
    board.count_accepted(1);
    let mut totals = Totals::of_board(&board, &listeners());
    totals.add(&totals.clone());
    let json = serde_json::to_value(&totals).unwrap();
    let expected = [
        ("requests", r#"{"200":4,"404":2,"431":2}"#),
        ("received", "100"),
        ("sent", "140"),
        ("refused", r#"{"handshake":2}"#),
        ("connections", "6"),
        ("accepted", r#"{"127.0.0.1:80":2,"unix:/run/a":4}"#),
        ("handshakes", r#"{"failed":2,"resumed":2}"#),
        ("static_files", r#"{"not-modified":2}"#),
        ("timeouts", "2"),
        ("exits", "{}"),
    ];
    for (name, value) in expected {
        assert_eq!(json[name].to_string(), value, "{name}");
    }
    assert_eq!((totals.duration.count(), totals.queue.count()), (6, 6));
    let read: Totals = serde_json::from_value(json).unwrap();
    assert_eq!(read, totals);
}

#[test]
fn totals_do_not_overflow() {
    let full = Totals {
        spawns: u64::MAX,
        exits: [("stop".to_owned(), u64::MAX)].into(),
        ..Totals::default()
    };
    let mut sum = full.clone();
    sum.add(&full);
    assert_eq!(sum, full);
}

#[test]
fn a_report_of_another_release_is_read_as_far_as_it_is_known() {
    let text =
        r#"{"at":7.5,"unknown":[1],"workers":[{"slot":1,"color":"red"}],"totals":{"spawns":2}}"#;
    let report: Report = serde_json::from_str(text).unwrap();
    assert_eq!((report.at, report.workers[0].slot, report.totals.spawns), (7.5, Some(1), 2));
    let again: Report = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(again, report);
}

#[test]
fn requests_are_reported_while_they_run_and_afterwards() {
    let board = board();
    serve(&board, 7, 200);
    let place =
        RequestPlace { slot: Some(3), generation: 2, pid: 12, now_us: 3_000_000, now: 100.0 };
    let recent = board.recent();
    let report = RequestReport::recent(&recent[0], place);
    assert_eq!((report.method.as_str(), report.target.as_str()), ("GET", "/a?b=c d"));
    assert_eq!(
        (report.status, report.is_running, report.stage.as_str()),
        (Some(200), false, "ended")
    );
    assert_eq!((report.began, report.age_seconds), (98.0, 0.0007));
    let begun = Begun {
        number: 8,
        now_us: 2_000_000,
        queued_us: 0,
        method: b"POST",
        target: b"/x",
        id: Some(b"abc"),
        trace: None,
        client: Some([192, 0, 2, 1].into()),
    };
    let request = board.begin(0, &begun);
    board.show_stream(request, true);
    let report = RequestReport::running(&board.running()[0], place);
    assert_eq!((report.id.as_str(), report.stage.as_str()), ("abc", "streaming"));
    assert_eq!(report.client, "192.0.2.1");
    assert_eq!((report.began, report.age_seconds, report.worker), (99.0, 1.0, Some(3)));
}
