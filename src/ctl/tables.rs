//! What commands print for people.

use std::fmt::Write as _;

use monoceros_log::printable;
use monoceros_wire::control::{ProcessStacks, Status, WorkerStatus};
use monoceros_wire::report::{ListenerReport, Report, RequestReport, WorkerReport};

/// The status as a table.
pub(crate) fn status_table(status: &Status) -> String {
    let mut text = printable::line(&status.summary) + "\n";
    row(&mut text, ["slot", "gen", "pid", "state", "ready for", "requests"].map(str::to_owned));
    for worker in &status.workers {
        row(&mut text, cells(worker));
    }
    if status.omitted > 0 {
        line(&mut text, format_args!("and {} more", status.omitted));
    }
    if !status.given_up.is_empty() {
        let counts: Vec<_> =
            status.given_up.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        line(&mut text, format_args!("given up: {}", printable::line(&counts.join(", "))));
    }
    text
}

fn cells(worker: &WorkerStatus) -> [String; 6] {
    let WorkerStatus { slot, generation, pid, state, age, requests } = worker;
    [
        slot.map_or("mold".to_owned(), |slot| slot.to_string()),
        generation.to_string(),
        pid.to_string(),
        printable::line(state),
        age.map_or("-".to_owned(), duration),
        requests.to_string(),
    ]
}

fn row(text: &mut String, [slot, generation, pid, state, age, requests]: [String; 6]) {
    let cells =
        format_args!("{slot:>5} {generation:>5} {pid:>8}  {state:<9} {age:>11} {requests:>10}");
    line(text, cells);
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String does not fail");
}

/// Such as `2 h 5 min`: the two largest units.
fn duration(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, _, _) => format!("{days} d {hours} h"),
    }
}

/// The report as a table, and what else is to be known about the server.
pub(crate) fn report_table(report: &Report) -> String {
    let mut text = printable::line(&report.summary) + "\n";
    let heads =
        ["slot", "gen", "pid", "state", "ready for", "requests", "errors", "running", "mem"];
    worker_row(&mut text, heads.map(str::to_owned));
    for worker in &report.workers {
        worker_row(&mut text, worker_cells(worker, report.at));
    }
    for listener in &report.listeners {
        line(&mut text, format_args!("{}", listener_line(listener)));
    }
    let counts = |counts: &std::collections::BTreeMap<String, u64>| {
        let counts = counts.iter().map(|(name, count)| format!("{count} {name}"));
        printable::line(&counts.collect::<Vec<_>>().join(", "))
    };
    for (name, found) in [
        ("responses", &report.totals.requests),
        ("given up", &report.totals.refused),
        ("ended workers", &report.totals.exits),
    ] {
        if !found.is_empty() {
            line(&mut text, format_args!("{name}: {}", counts(found)));
        }
    }
    if let Some(change) = report.changes.first() {
        let ago = duration((report.at - change.began).max(0.0) as u64);
        let reason = change.text.as_deref().and_then(|text| text.lines().next_back());
        let reason = reason.map_or(String::new(), |text| format!(": {}", printable::line(text)));
        let (kind, outcome) = (printable::line(&change.kind), printable::line(&change.outcome));
        let took = change.took_seconds;
        line(
            &mut text,
            format_args!("last {kind}: {outcome} after {took:.1} s, {ago} ago{reason}"),
        );
    }
    for concern in &report.concerns {
        line(&mut text, format_args!("to correct: {}", printable::line(concern)));
    }
    text
}

fn worker_cells(worker: &WorkerReport, at: f64) -> [String; 9] {
    let memory = worker.process.rss;
    let since = worker.ready_since.filter(|_| worker.state == "ready");
    [
        worker.slot.map_or_else(|| printable::line(&worker.kind), |slot| slot.to_string()),
        worker.generation.to_string(),
        worker.process.pid.to_string(),
        printable::line(&worker.state),
        since.map_or("-".to_owned(), |since| duration((at - since).max(0.0) as u64)),
        worker.requests.to_string(),
        worker.errors.to_string(),
        worker.in_progress.to_string(),
        memory.map_or("-".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
    ]
}

fn worker_row(text: &mut String, cells: [String; 9]) {
    let [slot, generation, pid, state, age, requests, errors, running, memory] = cells;
    let cells = format_args!(
        "{slot:>5} {generation:>5} {pid:>8}  {state:<9} {age:>11} {requests:>10} {errors:>7} \
         {running:>8} {memory:>10}"
    );
    line(text, cells);
}

fn listener_line(listener: &ListenerReport) -> String {
    let counts = &listener.connections;
    let open = counts.opening + counts.active + counts.idle;
    let mut text = format!(
        "{} ({}): {open} connections, {} of them active",
        printable::line(&listener.address),
        printable::line(&listener.scheme),
        counts.active
    );
    if let (Some(queue), Some(limit)) = (listener.queue, listener.queue_limit) {
        text += &format!(", {queue} of {limit} in the queue");
    }
    text + &format!(", {} accepted", listener.accepted)
}

/// Requests as a table.
pub(crate) fn requests_table(requests: &[RequestReport]) -> String {
    let mut text = String::new();
    let heads = ["age", "status", "worker", "pid", "thread", "client", "request"];
    request_row(&mut text, heads.map(str::to_owned));
    for request in requests {
        let client = if request.client.is_empty() { "-" } else { &request.client };
        let cells = [
            format!("{:.3} s", request.age_seconds),
            match request.status {
                Some(status) => status.to_string(),
                None if request.is_running => printable::line(&request.stage),
                None => "none".to_owned(),
            },
            request.worker.map_or("-".to_owned(), |slot| slot.to_string()),
            request.pid.to_string(),
            request.thread.to_string(),
            printable::line(client),
            printable::line(&format!("{} {}", request.method, request.target)),
        ];
        request_row(&mut text, cells);
    }
    text
}

fn request_row(text: &mut String, cells: [String; 7]) {
    let [age, status, worker, pid, thread, client, request] = cells;
    let cells = format_args!(
        "{age:>11} {status:<9} {worker:>6} {pid:>8} {thread:>8}  {client:<15} {request}"
    );
    line(text, cells);
}

/// The stacks of processes, each below a line with the name of the process, and why there are
/// none of others.
pub(crate) fn stacks_text(processes: &[ProcessStacks]) -> (String, Vec<String>) {
    let (mut text, mut failures) = (String::new(), Vec::new());
    for process in processes {
        let name = process_name(process);
        if let Some(stacks) = &process.stacks {
            let gap = if text.is_empty() { "" } else { "\n" };
            line(&mut text, format_args!("{gap}{name}\n{}", printable::text(stacks.trim_end())));
        } else {
            let reason = process.error.as_deref().unwrap_or("it has shown none");
            failures.push(format!("{name}: {}", printable::line(reason)));
        }
    }
    (text, failures)
}

/// The name of a process, as in log lines.
fn process_name(process: &ProcessStacks) -> String {
    let ProcessStacks { slot, generation, pid, .. } = process;
    match slot {
        Some(slot) => format!("worker={slot} gen={generation} pid={pid}"),
        None => format!("mold gen={generation} pid={pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoceros_wire::{Generation, Slot};

    #[test]
    fn a_status_is_a_table() {
        let worker = WorkerStatus {
            slot: Some(Slot(0)),
            generation: Generation(2),
            pid: 4_194_304,
            state: "ready".to_owned(),
            age: Some(100),
            requests: 12,
        };
        let mold = WorkerStatus { slot: None, age: None, ..worker.clone() };
        let mut status = Status::new("gen=2: all well".to_owned(), vec![worker, mold]);
        status.omitted = 3;
        status.given_up = [("refused", 12), ("late", 1)].map(|(it, n)| (it.to_owned(), n)).into();
        assert_eq!(
            status_table(&status),
            "gen=2: all well\n\
             \u{20}slot   gen      pid  state       ready for   requests\n\
             \u{20}   0     2  4194304  ready      1 min 40 s         12\n\
             \u{20}mold     2  4194304  ready               -         12\n\
             and 3 more\n\
             given up: 1 late, 12 refused\n"
        );
    }

    #[test]
    fn a_report_is_a_table_and_lines() {
        let worker = WorkerReport {
            slot: Some(0),
            generation: 2,
            state: "ready".to_owned(),
            kind: "worker".to_owned(),
            ready_since: Some(900.0),
            requests: 12,
            errors: 1,
            ..WorkerReport::default()
        };
        let mut report = Report {
            at: 1_000.0,
            summary: "gen=2: all well".to_owned(),
            workers: vec![worker],
            concerns: vec!["a\u{1b}b".to_owned()],
            ..Report::default()
        };
        report.totals.refused = [("late".to_owned(), 3)].into();
        report.listeners = vec![ListenerReport {
            address: "10.0.0.1:80".to_owned(),
            scheme: "http".to_owned(),
            queue: Some(1),
            queue_limit: Some(128),
            ..ListenerReport::default()
        }];
        let text = report_table(&report);
        let lines: Vec<Vec<_>> = text.lines().map(|it| it.split_whitespace().collect()).collect();
        assert_eq!(lines[2], ["0", "2", "0", "ready", "1", "min", "40", "s", "12", "1", "0", "-"]);
        let rest: Vec<_> = text.lines().skip(3).collect();
        let expected = [
            "10.0.0.1:80 (http): 0 connections, 0 of them active, 1 of 128 in the queue, 0 accepted",
            "given up: 3 late",
            "to correct: a\\x1bb",
        ];
        assert_eq!(rest, expected);
    }

    #[test]
    fn requests_are_a_table() {
        let running = RequestReport {
            method: "GET".to_owned(),
            target: "/\u{1b}[2J".to_owned(),
            age_seconds: 2.5,
            worker: Some(3),
            pid: 7,
            is_running: true,
            stage: "running".to_owned(),
            ..RequestReport::default()
        };
        let ended = RequestReport {
            status: Some(404),
            is_running: false,
            client: "10.0.0.1".to_owned(),
            ..running.clone()
        };
        let text = requests_table(&[running, ended]);
        let lines: Vec<Vec<_>> = text.lines().map(|it| it.split_whitespace().collect()).collect();
        let target = "/\\x1b[2J";
        assert_eq!(lines[1], ["2.500", "s", "running", "3", "7", "0", "-", "GET", target]);
        assert_eq!(lines[2], ["2.500", "s", "404", "3", "7", "0", "10.0.0.1", "GET", target]);
    }

    #[test]
    fn stacks_are_below_the_name_of_their_process() {
        let written = |slot, text: &str| ProcessStacks {
            slot,
            generation: Generation(2),
            pid: 7,
            stacks: Some(text.to_owned()),
            error: None,
        };
        let silent = ProcessStacks {
            stacks: None,
            error: Some("no\u{1b}".to_owned()),
            ..written(Some(Slot(1)), "")
        };
        let shown = [written(None, "File a\n"), silent, written(Some(Slot(0)), "b\u{1b}\n\n")];
        let (text, failures) = stacks_text(&shown);
        assert_eq!(text, "mold gen=2 pid=7\nFile a\n\nworker=0 gen=2 pid=7\nb\\x1b\n");
        assert_eq!(failures, ["worker=1 gen=2 pid=7: no\\x1b"]);
    }

    #[test]
    fn a_length_of_time_has_its_two_largest_units() {
        for (seconds, text) in
            [(0, "0 s"), (60, "1 min 0 s"), (7_500, "2 h 5 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
