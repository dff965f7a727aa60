//! Owns the ways on which records of the master reach Python's logging: molds run it. Called by
//! the processes' owner only, and by the error log, which offers each record.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use monoceros_log::{DetachedRecord, LogRecord, RecordSink, RecordWriter};
use monoceros_wire::channel::MasterEnd;
use monoceros_wire::message::ToWorker;
use monoceros_wire::record::MasterRecord;

use crate::master::decide::id::WorkerId;

/// The molds that take records, and the channels to them.
#[derive(Debug, Default)]
pub(crate) struct RecordRelay(Arc<TakingMolds>);

#[derive(Debug, Default)]
struct TakingMolds(Mutex<Vec<(WorkerId, MasterEnd)>>);

impl RecordRelay {
    /// This error log offers its records from now on.
    pub(crate) fn offer(&self, log: &RecordWriter) {
        log.divert(Arc::clone(&self.0) as Arc<dyn RecordSink>);
    }

    /// A mold takes records from now on: the newest one gets them.
    pub(crate) fn begin(&self, mold: WorkerId, channel: BorrowedFd) {
        self.end(mold);
        // Without a copy of the channel the error log writes the records.
        if let Ok(copy) = channel.try_clone_to_owned() {
            self.0.lock().push((mold, MasterEnd::from(copy)));
        }
    }

    /// A mold takes no records any more.
    pub(crate) fn end(&self, mold: WorkerId) {
        self.0.lock().retain(|(known, _)| *known != mold);
    }
}

impl TakingMolds {
    fn lock(&self) -> MutexGuard<'_, Vec<(WorkerId, MasterEnd)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordSink for TakingMolds {
    /// Sends the record to the newest mold. One that does not read, since a hook runs for long,
    /// has room for some.
    fn take(&self, record: &LogRecord) -> bool {
        let molds = self.lock();
        let Some((_, channel)) = molds.last() else { return false };
        let DetachedRecord { severity, message, traceback, fields, time_us, .. } =
            DetachedRecord::of(record);
        let (level, pid) = (severity.python_level(), std::process::id());
        let record = MasterRecord { level, message, traceback, fields, time_us, pid };
        channel.send(&ToWorker::Record(Box::new(record))).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use monoceros_log::Severity;
    use monoceros_wire::channel::{Incoming, WorkerEnd, pair};

    use super::*;

    fn received(mold: &WorkerEnd) -> Vec<String> {
        let next = || match mold.receive().unwrap() {
            Incoming::Message(ToWorker::Record(record)) => Some(record.message),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn the_newest_mold_that_takes_records_gets_them() {
        let relay = RecordRelay::default();
        let take = |text| relay.0.take(&LogRecord::own(Severity::Info, text));
        assert!(!take("none"));
        let ((old, old_mold), (new, new_mold)) = (pair().unwrap(), pair().unwrap());
        relay.begin(WorkerId(1), old.as_fd());
        assert!(take("first"));
        relay.begin(WorkerId(2), new.as_fd());
        assert!(take("second"));
        relay.end(WorkerId(2));
        assert!(take("third"));
        relay.end(WorkerId(1));
        assert!(!take("fourth"));
        assert_eq!(received(&old_mold), ["master: first", "master: third"]);
        assert_eq!(received(&new_mold), ["master: second"]);
    }

    #[test]
    fn a_record_stays_if_the_mold_does_not_read() {
        let relay = RecordRelay::default();
        let (master, mold) = pair().unwrap();
        relay.begin(WorkerId(1), master.as_fd());
        let take = || relay.0.take(&LogRecord::own(Severity::Info, "text"));
        let taken = (0..100_000).take_while(|_| take()).count();
        assert!((1..100_000).contains(&taken), "{taken}");
        assert_eq!(received(&mold).len(), taken);
        drop(mold);
        assert!(!take());
    }
}
