//! What has happened in a server between two of its reports. Pure.

use monoceros_wire::report::{Histogram, Report, Totals, WorkerReport};

/// Reports that are nearer to each other, in seconds, make no rates.
const LEAST_INTERVAL: f64 = 0.05;

/// The figures of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TopFigures {
    /// What has happened between the reports; `None` if there is only one.
    pub(crate) recent: Option<RecentFigures>,
    /// Requests that applications have.
    pub(crate) in_progress: u64,
    /// Requests that wait for an application.
    pub(crate) waiting: u64,
    /// Open connections.
    pub(crate) connections: u64,
    /// Connections in the queues of listening sockets, and the most that may wait there.
    pub(crate) queue: Option<(u64, u64)>,
    /// Resident memory of all processes, in bytes.
    pub(crate) memory: u64,
    /// Workers that are ready.
    pub(crate) ready: usize,
    /// One row for each worker and mold.
    pub(crate) rows: Vec<WorkerFigures>,
}

/// What has happened between two reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RecentFigures {
    /// Responses in a second.
    pub(crate) requests: f64,
    /// Responses with a status from 500 to 599, in a second.
    pub(crate) errors: f64,
    /// What the server has given up, in a second.
    pub(crate) refused: f64,
    /// Bytes received in a second.
    pub(crate) received: f64,
    /// Bytes sent in a second.
    pub(crate) sent: f64,
    /// How long the application took, in seconds.
    pub(crate) duration: Quantiles,
    /// How long requests waited for the application, in seconds.
    pub(crate) queue: Quantiles,
    /// Processor time of all processes, in processors.
    pub(crate) processors: f64,
}

/// Lengths that half, nine tenths and 99 of 100 of all did not exceed; `None` if there was none.
pub(crate) type Quantiles = Option<[f64; 3]>;

/// The figures of a worker or mold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WorkerFigures {
    /// Its slot; a mold has none.
    pub(crate) slot: Option<u16>,
    /// Its generation.
    pub(crate) generation: u32,
    /// Its state.
    pub(crate) state: String,
    /// `worker`, `mold` or `program`.
    pub(crate) kind: String,
    /// Its pid.
    pub(crate) pid: i32,
    /// For how many seconds it has existed.
    pub(crate) age: f64,
    /// Requests that it has finished.
    pub(crate) requests: u64,
    /// The same in a second; `None` if it was not in the report before.
    pub(crate) rate: Option<f64>,
    /// The processor time that it has used, in processors; `None` as above.
    pub(crate) processors: Option<f64>,
    /// Its resident memory in bytes.
    pub(crate) memory: Option<u64>,
    /// The request that has run for the longest time.
    pub(crate) runs: Option<RunningFigures>,
}

/// A request that a worker runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunningFigures {
    /// Its method and target.
    pub(crate) label: String,
    /// For how many seconds it has run.
    pub(crate) age: f64,
    /// How many others run beside it.
    pub(crate) others: usize,
}

/// Compares a report with an earlier one of the same server.
pub(crate) fn compare(before: Option<&Report>, now: &Report) -> TopFigures {
    let before = before.filter(|before| is_earlier(before, now));
    let interval = before.map_or(0.0, |before| now.at - before.at);
    let memory = |it: &WorkerReport| it.process.rss.unwrap_or_default();
    let queues: Vec<_> =
        now.listeners.iter().filter_map(|it| Some((it.queue?, it.queue_limit?))).collect();
    let waits = queues.iter().fold((0, 0), |(waiting, limit), (more, most)| {
        (waiting + u64::from(*more), limit + u64::from(*most))
    });
    let sum =
        |of: fn(&WorkerReport) -> u64| now.workers.iter().map(of).fold(0, u64::saturating_add);
    let own = now.master.rss.unwrap_or_default();
    TopFigures {
        recent: before.map(|before| compare_totals(before, now, interval)),
        in_progress: sum(|it| it.in_progress.into()),
        waiting: sum(|it| it.waiting.into()),
        connections: sum(|it| it.connections),
        queue: (!queues.is_empty()).then_some(waits),
        memory: now.workers.iter().map(memory).fold(own, u64::saturating_add),
        ready: now.workers.iter().filter(|it| it.state == "ready" && it.kind != "mold").count(),
        rows: now.workers.iter().map(|it| compare_worker(before, it, now.at, interval)).collect(),
    }
}

/// Whether the difference of two reports means something: the counts of a server never become
/// smaller.
fn is_earlier(before: &Report, now: &Report) -> bool {
    now.at - before.at > LEAST_INTERVAL && responses(&before.totals) <= responses(&now.totals)
}

fn responses(totals: &Totals) -> u64 {
    totals.requests.values().copied().fold(0, u64::saturating_add)
}

fn compare_totals(before: &Report, now: &Report, interval: f64) -> RecentFigures {
    let (earlier, later) = (&before.totals, &now.totals);
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / interval;
    let of = |of: fn(&Totals) -> u64| rate(of(earlier), of(later));
    let used = |report: &Report| {
        let workers = report.workers.iter().map(|it| (it.process.pid, it.process.cpu_seconds));
        workers.chain([(report.master.pid, report.master.cpu_seconds)]).collect::<Vec<_>>()
    };
    // The time of a process that has come or gone meanwhile is not known.
    let used_before = used(before);
    let processors = used(now).into_iter().filter_map(|(pid, seconds)| {
        let (_, earlier) = used_before.iter().find(|(known, _)| *known == pid)?;
        Some((seconds - earlier).max(0.0))
    });
    RecentFigures {
        requests: of(responses),
        errors: of(|it| {
            let errors = it.requests.iter().filter(|(status, _)| status.starts_with('5'));
            errors.map(|(_, count)| *count).fold(0, u64::saturating_add)
        }),
        refused: of(|it| it.refused.values().copied().fold(0, u64::saturating_add)),
        received: of(|it| it.received),
        sent: of(|it| it.sent),
        duration: quantiles(&later.duration.since(&earlier.duration)),
        queue: quantiles(&later.queue.since(&earlier.queue)),
        processors: processors.sum::<f64>() / interval,
    }
}

fn quantiles(lengths: &Histogram) -> Quantiles {
    let [half, most, all] = [0.5, 0.9, 0.99].map(|share| lengths.quantile(share));
    Some([half?, most?, all?].map(|length| length.as_secs_f64()))
}

fn compare_worker(
    before: Option<&Report>,
    now: &WorkerReport,
    at: f64,
    interval: f64,
) -> WorkerFigures {
    let is_same = |it: &&WorkerReport| it.process.pid == now.process.pid && now.process.pid > 0;
    let before = before.and_then(|before| before.workers.iter().find(is_same));
    let runs = now.running.first().map(|first| RunningFigures {
        label: format!("{} {}", first.method, first.target),
        age: first.age_seconds,
        others: now.running.len() - 1,
    });
    WorkerFigures {
        slot: now.slot,
        generation: now.generation,
        state: now.state.clone(),
        kind: now.kind.clone(),
        pid: now.process.pid,
        age: (at - now.since).max(0.0),
        requests: now.requests,
        rate: before.map(|it| now.requests.saturating_sub(it.requests) as f64 / interval),
        processors: before
            .map(|it| (now.process.cpu_seconds - it.process.cpu_seconds).max(0.0) / interval),
        memory: now.process.rss,
        runs,
    }
}

#[cfg(test)]
mod tests {
    use monoceros_wire::report::{ListenerReport, ProcessReport, RequestReport};
    use monoceros_wire::scoreboard::{BoardShape, Finished, Scoreboard};
    use monoceros_wire::{Generation, Slot};

    use super::*;

    fn worker(pid: i32, requests: u64, cpu_seconds: f64) -> WorkerReport {
        let process = ProcessReport { pid, cpu_seconds, rss: Some(100), pss: None };
        let (state, kind) = ("ready".to_owned(), "worker".to_owned());
        let slot = Some(0);
        WorkerReport { slot, since: 90.0, state, kind, process, requests, ..<_>::default() }
    }

    fn report(at: f64, requests: &[(&str, u64)], workers: Vec<WorkerReport>) -> Report {
        let requests = requests.iter().map(|(status, count)| ((*status).to_owned(), *count));
        let totals = Totals { requests: requests.collect(), ..Totals::default() };
        Report { at, totals, workers, ..Report::default() }
    }

    #[test]
    fn rates_are_the_difference_of_two_reports() {
        let mut before = report(100.0, &[("200", 10)], vec![worker(7, 10, 1.0)]);
        let mut now = report(102.0, &[("200", 30), ("500", 4)], vec![worker(7, 30, 2.0)]);
        (before.totals.sent, now.totals.sent) = (100, 300);
        let figures = compare(Some(&before), &now);
        let recent = figures.recent.unwrap();
        assert_eq!((recent.requests, recent.errors, recent.sent), (12.0, 2.0, 100.0));
        assert_eq!(recent.processors, 0.5);
        let row = &figures.rows[0];
        assert_eq!((row.rate, row.processors, row.age), (Some(10.0), Some(0.5), 12.0));
        assert_eq!((figures.ready, figures.memory), (1, 100));
    }

    #[test]
    fn one_report_alone_has_no_rates() {
        let now = report(100.0, &[("200", 10)], vec![worker(7, 10, 1.0)]);
        for before in [None, Some(&now)] {
            let figures = compare(before, &now);
            assert_eq!(figures.recent, None);
            assert_eq!((figures.rows[0].rate, figures.rows[0].requests), (None, 10));
        }
        let of_another = report(90.0, &[("200", 11)], Vec::new());
        assert_eq!(compare(Some(&of_another), &now).recent, None);
    }

    #[test]
    fn another_process_in_the_same_slot_begins_anew() {
        let before = report(100.0, &[], vec![worker(7, 10, 1.0)]);
        let now = report(101.0, &[], vec![worker(8, 3, 0.1), worker(0, 0, 0.0)]);
        let figures = compare(Some(&before), &now);
        assert!(figures.rows.iter().all(|row| row.rate.is_none() && row.processors.is_none()));
        assert_eq!(figures.recent.unwrap().processors, 0.0);
    }

    #[test]
    fn percentiles_are_those_of_the_time_between() {
        let shape = BoardShape::of_threads(1);
        let board = Scoreboard::create(Slot(0), Generation(1), shape).unwrap();
        let count = |requests, took_us| {
            let finished = Finished { took_us, status: 200, bytes: 0, counts: true };
            (0..requests).for_each(|_| board.finish(0, None, &finished));
            board.latency()
        };
        let mut before = report(100.0, &[], Vec::new());
        let mut now = report(101.0, &[], Vec::new());
        (before.totals.duration, now.totals.duration) = (count(1_000, 3), count(10, 2_000));
        let recent = compare(Some(&before), &now).recent.unwrap();
        let [half, _, most] = recent.duration.unwrap();
        assert!(half > 0.001 && most < 0.003, "{half} {most}");
        assert_eq!(recent.queue, None, "no request has waited");
    }

    #[test]
    fn queues_and_running_requests_are_summed_up() {
        let mut now = report(100.0, &[], vec![worker(7, 0, 0.0), worker(8, 0, 0.0)]);
        let listener =
            ListenerReport { queue: Some(3), queue_limit: Some(128), ..ListenerReport::default() };
        now.listeners = vec![listener.clone(), listener, ListenerReport::default()];
        (now.workers[0].in_progress, now.workers[1].in_progress) = (2, 1);
        let request = |age_seconds| RequestReport {
            method: "GET".to_owned(),
            target: "/a".to_owned(),
            age_seconds,
            ..RequestReport::default()
        };
        now.workers[0].running = vec![request(3.0), request(1.0)];
        let figures = compare(None, &now);
        assert_eq!((figures.queue, figures.in_progress), (Some((6, 256)), 3));
        let runs = RunningFigures { label: "GET /a".to_owned(), age: 3.0, others: 1 };
        assert_eq!(figures.rows[0].runs, Some(runs));
        assert_eq!(figures.rows[1].runs, None);
    }
}
