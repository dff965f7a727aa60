//! Owns the figures of the whole server for statsd: the number of workers, connections that wait
//! to be accepted, and what the master has logged, as gunicorn's master sends them. Called by the
//! event loop only.

use std::time::{Duration, Instant};

use monoceros_config::{Settings, StatsdAddress, StatsdPrefix, StatsdTags};
use monoceros_log::LogCounts;
use monoceros_statsd::{Metric, StatsdSender};
use monoceros_sys::{reason, socket};

use crate::master::act::worker_spec::WorkerSpec;

/// How often the queues of the listeners are measured.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is sent, and what was sent last.
#[derive(Debug, Default)]
pub(crate) struct ServerFigures {
    sender: Option<StatsdSender>,
    settings: Option<StatsdSettings>,
    /// Queues are measured.
    measures_queues: bool,
    next_measurement: Option<Instant>,
    workers: Option<usize>,
    logged: LogCounts,
}

#[derive(Debug, PartialEq, Eq)]
struct StatsdSettings {
    address: StatsdAddress,
    prefix: StatsdPrefix,
    tags: StatsdTags,
}

impl StatsdSettings {
    fn of(settings: &Settings) -> Option<Self> {
        let Settings { statsd_host, statsd_prefix, dogstatsd_tags, .. } = settings;
        let (prefix, tags) = (statsd_prefix.clone(), dogstatsd_tags.clone());
        Some(Self { address: statsd_host.clone()?, prefix, tags })
    }

    /// A server without its figures is better than none.
    fn open(&self) -> Option<StatsdSender> {
        match StatsdSender::open(&self.address, &self.prefix, &self.tags) {
            Ok(sender) => Some(sender),
            Err(error) => {
                let (address, why) = (&self.address, reason(&error));
                log::warn!("cannot send figures to statsd at {address}: {why}");
                None
            }
        }
    }
}

impl ServerFigures {
    /// Sends where these settings name a server.
    pub(crate) fn follow(&mut self, settings: &Settings) {
        let wanted = StatsdSettings::of(settings);
        if self.settings != wanted {
            self.sender = wanted.as_ref().and_then(StatsdSettings::open);
            self.settings = wanted;
            self.workers = None;
            self.logged = LogCounts::now();
        }
        self.measures_queues = settings.enable_backlog_metric && self.sender.is_some();
        if !self.measures_queues {
            self.next_measurement = None;
        }
    }

    /// When queues are measured next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next_measurement
    }

    /// Sends what has changed, and the length of the queues when it is time for that.
    pub(crate) fn look(&mut self, workers: usize, spec: Option<&WorkerSpec>, now: Instant) {
        let Some(sender) = &mut self.sender else { return };
        if self.workers != Some(workers) {
            self.workers = Some(workers);
            sender.add("gunicorn.workers", Metric::Gauge(workers as u64));
        }
        if self.measures_queues && self.next_measurement.is_none_or(|at| at <= now) {
            self.next_measurement = Some(now + INTERVAL);
            if let Some(length) = spec.and_then(queued) {
                sender.add("gunicorn.backlog", Metric::Histogram(length));
            }
        }
        let logged = LogCounts::now();
        for (name, count) in logged.since(&self.logged) {
            if count > 0 {
                sender.add(&format!("gunicorn.log.{name}"), Metric::Count(count));
            }
        }
        self.logged = logged;
        sender.flush();
    }
}

/// How many connections wait to be accepted at the TCP listeners; `None` if there is none of
/// these. gunicorn does not know it of unix sockets.
fn queued(spec: &WorkerSpec) -> Option<u64> {
    let sockets = spec.listeners.iter().flat_map(|it| it.sockets());
    let lengths = sockets.filter_map(socket::queue_length);
    lengths.map(u64::from).reduce(|sum, length| sum + length)
}
