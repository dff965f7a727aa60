//! The figures of a worker's requests for a statsd server, as gunicorn sends them. Durations are
//! gathered one by one, counters are summed up: about ten datagrams a second, whatever the load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use monoceros_log::LogCounts;
use monoceros_statsd::{Metric, StatsdSender};

/// How long figures may wait, in milliseconds.
pub(crate) const LONGEST_WAIT_MS: u64 = 100;

/// The figures that wait, and where they are sent.
#[derive(Debug)]
pub struct RequestFigures {
    gathered: Mutex<Gathered>,
    /// Whether any of a request wait.
    is_pending: AtomicBool,
}

#[derive(Debug)]
struct Gathered {
    sender: StatsdSender,
    requests: u64,
    /// Responses by status: a server uses few of them.
    statuses: Vec<(u16, u64)>,
    /// The counts of log records that were sent.
    logged: LogCounts,
    /// When figures were last sent, in milliseconds of the monotonic clock.
    sent_ms: u64,
}

impl RequestFigures {
    /// Figures that this sender sends.
    #[must_use]
    pub fn new(sender: StatsdSender) -> Self {
        let (requests, statuses, sent_ms) = <_>::default();
        let logged = LogCounts::now();
        let gathered = Gathered { sender, requests, statuses, logged, sent_ms };
        Self { gathered: Mutex::new(gathered), is_pending: AtomicBool::new(false) }
    }

    /// Adds a request with the status of its response and the time that it took.
    pub(crate) fn add(&self, status: u16, took_us: u64) {
        let mut gathered = self.lock();
        gathered.sender.add("gunicorn.request.duration", Metric::Time(took_us));
        gathered.requests += 1;
        match gathered.statuses.iter_mut().find(|(known, _)| *known == status) {
            Some((_, count)) => *count += 1,
            None => gathered.statuses.push((status, 1)),
        }
        self.is_pending.store(true, Ordering::Relaxed);
    }

    /// Whether figures of requests wait.
    pub(crate) fn is_pending(&self) -> bool {
        self.is_pending.load(Ordering::Relaxed)
    }

    /// Sends what waits, if the last time is long enough ago.
    pub(crate) fn flush_due(&self, now_ms: u64) {
        let mut gathered = self.lock();
        if now_ms.saturating_sub(gathered.sent_ms) >= LONGEST_WAIT_MS {
            gathered.sent_ms = now_ms;
            self.send(&mut gathered);
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&self) {
        self.send(&mut self.lock());
    }

    fn send(&self, gathered: &mut Gathered) {
        self.is_pending.store(false, Ordering::Relaxed);
        let Gathered { sender, requests, statuses, logged, .. } = gathered;
        if *requests > 0 {
            sender.add("gunicorn.requests", Metric::Count(std::mem::take(requests)));
        }
        for (status, count) in statuses.drain(..) {
            sender.add(&format!("gunicorn.request.status.{status}"), Metric::Count(count));
        }
        let now = LogCounts::now();
        for (name, count) in now.since(logged).into_iter().filter(|(_, count)| *count > 0) {
            sender.add(&format!("gunicorn.log.{name}"), Metric::Count(count));
        }
        *logged = now;
        sender.flush();
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
