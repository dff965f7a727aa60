//! The history of a server's figures for the charts of the page: a point each five seconds,
//! for a quarter of an hour. Pure: the event loop passes in reports and the time. Its memory
//! is bounded: some 20 KB, and nothing while no page can be asked for.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use monoceros_wire::report::{Histogram, Report};
use serde::Serialize;

/// The time between two points.
const INTERVAL: Duration = Duration::from_secs(5);
/// The number of points that are kept.
const POINTS: usize = 180;

/// The points, and what the next one is computed from.
#[derive(Debug, Default)]
pub(crate) struct History {
    points: VecDeque<HistoryPoint>,
    /// The totals at the last point, and when they were read.
    baseline: Option<(Instant, Baseline)>,
    /// When the next point is due; `None` while no history is kept.
    next: Option<Instant>,
}

/// The totals that a point is the difference of.
#[derive(Clone, Debug)]
struct Baseline {
    responses: ClassCounts,
    durations: Histogram,
    queued: Histogram,
}

/// The figures of an interval, and of the moment at its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct HistoryPoint {
    /// The end of the interval, in seconds since the epoch.
    at: f64,
    /// The length of the interval.
    seconds: f64,
    /// Responses that ended in the interval, by class of their status.
    responses: ClassCounts,
    /// The time in the application that half of the requests did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_seconds: Option<f64>,
    /// The same for nine of ten requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    p90_seconds: Option<f64>,
    /// The same for 99 of 100 requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_seconds: Option<f64>,
    /// The time before the application that 99 of 100 requests did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_p99_seconds: Option<f64>,
    /// Requests in the application.
    running: u64,
    /// Requests in the queues of workers.
    waiting: u64,
    /// Connections in the accept queues of listeners, where the kernel reports them.
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<u64>,
    /// Workers that are ready.
    ready: usize,
    /// The resident memory of all processes, in bytes: shared pages count in each of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
}

/// Responses by class of their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct ClassCounts {
    #[serde(rename = "2xx")]
    successful: u64,
    #[serde(rename = "3xx")]
    redirected: u64,
    #[serde(rename = "4xx")]
    refused: u64,
    #[serde(rename = "5xx")]
    failed: u64,
}

/// What `/history.json` has.
#[derive(Debug, Serialize)]
pub(crate) struct HistoryReport<'a> {
    /// The usual time between two points.
    interval_seconds: f64,
    /// The points, the oldest first.
    points: &'a VecDeque<HistoryPoint>,
}

impl History {
    /// When the next point is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Keeps a history from now on, or stops that and forgets it.
    pub(crate) fn set_kept(&mut self, is_kept: bool, now: Instant) {
        if !is_kept {
            *self = Self::default();
        } else if self.next.is_none() {
            self.next = Some(now);
        }
    }

    /// Whether a point is due now; sets the next time if so. After a time in which the master
    /// did not run, one point is made, and not those that are missing.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.next.is_some_and(|at| at <= now);
        if is_due {
            self.next = self.next.map(|at| at + INTERVAL).filter(|at| *at > now);
            self.next.get_or_insert(now + INTERVAL);
        }
        is_due
    }

    /// Adds the point that ends now. The first report makes no point, since there is nothing
    /// that its totals could be compared with.
    pub(crate) fn add(&mut self, report: &Report, now: Instant) {
        let baseline = Baseline::of(report);
        let earlier = self.baseline.replace((now, baseline.clone()));
        let Some((began, earlier)) = earlier else { return };
        // The times of points rise: a wall clock that was set back begins a new history.
        if self.points.back().is_some_and(|last| last.at >= report.at) {
            self.points.clear();
        }
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        let length = now.saturating_duration_since(began);
        self.points.push_back(HistoryPoint::new(report, &baseline, &earlier, length));
    }

    /// Compares the next report with nothing: the totals have become those of a predecessor.
    pub(crate) fn begin_again(&mut self) {
        self.baseline = None;
    }

    /// The content of `/history.json`.
    pub(crate) fn report(&self) -> HistoryReport<'_> {
        HistoryReport { interval_seconds: INTERVAL.as_secs_f64(), points: &self.points }
    }
}

impl HistoryReport<'_> {
    /// The history as JSON.
    pub(crate) fn to_json(&self) -> std::io::Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

impl Baseline {
    fn of(report: &Report) -> Self {
        let totals = &report.totals;
        Self {
            responses: ClassCounts::of(&totals.requests),
            durations: totals.duration.clone(),
            queued: totals.queue.clone(),
        }
    }
}

impl HistoryPoint {
    fn new(report: &Report, now: &Baseline, earlier: &Baseline, length: Duration) -> Self {
        let durations = now.durations.since(&earlier.durations);
        let share =
            |histogram: &Histogram, share| histogram.quantile(share).map(|it| it.as_secs_f64());
        let workers = &report.workers;
        let processes = workers.iter().map(|worker| &worker.process).chain([&report.master]);
        let queues = report.listeners.iter().filter_map(|listener| listener.queue);
        Self {
            at: report.at,
            seconds: length.as_secs_f64(),
            responses: now.responses.since(earlier.responses),
            p50_seconds: share(&durations, 0.5),
            p90_seconds: share(&durations, 0.9),
            p99_seconds: share(&durations, 0.99),
            queue_p99_seconds: share(&now.queued.since(&earlier.queued), 0.99),
            running: workers.iter().map(|worker| u64::from(worker.in_progress)).sum(),
            waiting: workers.iter().map(|worker| u64::from(worker.waiting)).sum(),
            queued: queues.map(u64::from).reduce(|sum, more| sum + more),
            ready: workers
                .iter()
                .filter(|worker| worker.kind != "mold" && worker.state == "ready")
                .count(),
            memory: processes.filter_map(|process| process.rss).reduce(u64::saturating_add),
        }
    }
}

impl ClassCounts {
    /// Sums counts by status, such as `404`, or `4xx` for statuses that are not registered.
    fn of(counts: &BTreeMap<String, u64>) -> Self {
        let of_class = |first: char| {
            let counts = counts.iter().filter(|(status, _)| status.starts_with(first));
            counts.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
        };
        Self {
            successful: of_class('2'),
            redirected: of_class('3'),
            refused: of_class('4'),
            failed: of_class('5'),
        }
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            successful: self.successful.saturating_sub(earlier.successful),
            redirected: self.redirected.saturating_sub(earlier.redirected),
            refused: self.refused.saturating_sub(earlier.refused),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use monoceros_wire::report::{ListenerReport, ProcessReport, WorkerReport};

    use super::*;

    /// A history, with the times that pass in the test.
    struct Clock {
        history: History,
        began: Instant,
        passed: Duration,
    }

    impl Clock {
        fn new() -> Self {
            let began = Instant::now();
            let mut history = History::default();
            history.set_kept(true, began);
            Self { history, began, passed: Duration::ZERO }
        }

        fn now(&self) -> Instant {
            self.began + self.passed
        }

        /// Adds a report that is as many seconds later.
        fn add(&mut self, seconds: u64, mut report: Report) {
            self.passed += Duration::from_secs(seconds);
            report.at = 1_000_000.0 + self.passed.as_secs_f64();
            self.history.add(&report, self.now());
        }

        fn json(&self) -> serde_json::Value {
            serde_json::to_value(self.history.report()).unwrap()
        }
    }

    /// A report with these totals.
    fn report(responses: &[(&str, u64)]) -> Report {
        let mut report = Report::default();
        let responses = responses.iter().map(|(status, count)| ((*status).to_owned(), *count));
        report.totals.requests = responses.collect();
        report
    }

    #[test]
    fn a_point_has_what_has_occurred_since_the_last_one() {
        let mut clock = Clock::new();
        clock.add(0, report(&[("200", 100), ("404", 7)]));
        assert_eq!(clock.json()["points"], serde_json::json!([]));
        clock.add(
            5,
            report(&[("200", 150), ("204", 3), ("304", 1), ("404", 9), ("4xx", 1), ("503", 2)]),
        );
        let json = clock.json();
        let point = &json["points"][0];
        assert_eq!(json["interval_seconds"], 5.0);
        assert_eq!((&point["at"], &point["seconds"]), (&1_000_005.0.into(), &5.0.into()));
        let responses = serde_json::json!({ "2xx": 53, "3xx": 1, "4xx": 3, "5xx": 2 });
        assert_eq!(point["responses"], responses);
        // Totals that a mistake has made smaller do no harm.
        clock.add(5, report(&[("200", 10)]));
        assert_eq!(clock.json()["points"][1]["responses"]["2xx"], 0);
    }

    #[test]
    fn percentiles_are_those_of_the_interval() {
        let of = |buckets: &str| {
            let mut report = Report::default();
            report.totals.duration = serde_json::from_str(buckets).unwrap();
            report
        };
        let mut clock = Clock::new();
        clock.add(0, of(r#"{"buckets":[[1024,5000]]}"#));
        clock.add(5, of(r#"{"buckets":[[1024,5000],[2097152,98],[4194304,2]]}"#));
        clock.add(5, of(r#"{"buckets":[[1024,5000],[2097152,98],[4194304,2]]}"#));
        let json = clock.json();
        let [first, second] = [&json["points"][0], &json["points"][1]];
        let p50 = first["p50_seconds"].as_f64().unwrap();
        assert!((1.8..2.1).contains(&p50), "{p50}");
        assert!(first["p99_seconds"].as_f64().unwrap() > 3.0, "{first}");
        assert_eq!(second.get("p50_seconds"), None, "no request, no percentile");
    }

    #[test]
    fn a_point_has_the_figures_of_its_moment() {
        let process = |rss| ProcessReport { rss, ..ProcessReport::default() };
        let worker = |kind: &str, state: &str, rss| WorkerReport {
            kind: kind.to_owned(),
            state: state.to_owned(),
            process: process(rss),
            in_progress: 2,
            waiting: 3,
            ..WorkerReport::default()
        };
        let workers = vec![
            worker("worker", "ready", Some(100)),
            worker("worker", "booting", None),
            worker("mold", "ready", Some(20)),
        ];
        let listener = |queue| ListenerReport { queue, ..ListenerReport::default() };
        let listeners = vec![listener(Some(4)), listener(None), listener(Some(1))];
        let report = Report { workers, listeners, master: process(Some(3)), ..Report::default() };
        let mut clock = Clock::new();
        clock.add(0, Report::default());
        clock.add(5, Report::default());
        clock.add(5, report);
        let json = clock.json();
        let point = &json["points"][1];
        for (field, value) in
            [("running", 6), ("waiting", 9), ("queued", 5), ("ready", 1), ("memory", 123)]
        {
            assert_eq!(point[field], value, "{field}");
        }
        let unknown = &json["points"][0];
        assert_eq!((unknown.get("queued"), unknown.get("memory")), (None, None));
    }

    #[test]
    fn a_quarter_of_an_hour_is_kept_and_its_memory_is_bounded() {
        let mut clock = Clock::new();
        for _ in 0..1000 {
            clock.add(5, Report::default());
        }
        let points = clock.json()["points"].as_array().unwrap().clone();
        assert_eq!(points.len(), POINTS);
        let at = |point: &serde_json::Value| point["at"].as_f64().unwrap();
        assert_eq!(at(&points[POINTS - 1]) - at(&points[0]), 895.0);
        let size = POINTS * size_of::<HistoryPoint>();
        assert!(size < 40_000, "{size} bytes");
        clock.history.set_kept(false, clock.now());
        assert_eq!(
            (clock.json()["points"].as_array().unwrap().len(), clock.history.deadline()),
            (0, None)
        );
    }

    #[test]
    fn points_are_due_every_five_seconds_and_a_suspend_makes_no_more_of_them() {
        let mut clock = Clock::new();
        let mut due = |seconds: u64| {
            clock.passed = Duration::from_secs(seconds);
            clock.history.take_due(clock.began + clock.passed)
        };
        let times = [0, 0, 4, 5, 6, 11, 14, 15, 1000, 1001, 1004, 1005];
        assert_eq!(
            times.map(&mut due),
            [true, false, false, true, false, true, false, true, true, false, false, true]
        );
        let mut none = History::default();
        assert!(!none.take_due(clock.now()) && none.deadline().is_none());
    }

    #[test]
    fn a_clock_that_was_set_back_and_totals_of_a_predecessor_begin_again() {
        let mut clock = Clock::new();
        clock.add(0, Report::default());
        clock.add(5, Report::default());
        clock.history.begin_again();
        clock.add(5, report(&[("200", 1_000_000)]));
        clock.add(5, report(&[("200", 1_000_001)]));
        let counts = |json: serde_json::Value| {
            let points = json["points"].as_array().unwrap().clone();
            points.iter().map(|it| it["responses"]["2xx"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(counts(clock.json()), [0, 1]);
        let (at, now) = (1_000_007.0, clock.now() + INTERVAL);
        clock.history.add(&Report { at, ..report(&[("200", 1_000_004)]) }, now);
        assert_eq!(counts(clock.json()), [3]);
    }
}
