//! Owns the proportional set sizes of processes as they were last measured, and adds them to
//! reports. It takes the kernel a while to count one, up to milliseconds for a large process. So
//! one process is measured in a second at most, and only while reports are made. Called by the
//! event loop only.

use std::collections::BTreeMap;
use std::iter;
use std::time::{Duration, Instant};

use monoceros_wire::report::{ProcessReport, Report};

use crate::master::act::memory::proportional_size;

/// The shortest time between two measurements.
const INTERVAL: Duration = Duration::from_secs(1);

/// The last measurement of each process.
#[derive(Debug, Default)]
pub(crate) struct ProportionalSizes {
    measured: BTreeMap<i32, MeasuredSize>,
    last: Option<Instant>,
}

/// The memory of a process at some time.
#[derive(Clone, Copy, Debug)]
struct MeasuredSize {
    at: Instant,
    /// `None` where the kernel does not report it to this process.
    size: Option<u64>,
}

impl ProportionalSizes {
    /// Adds the sizes to a report. Measures one process, if it is time for that: the one whose
    /// last measurement is the oldest.
    pub(crate) fn add_to(&mut self, report: &mut Report, now: Instant) {
        let pids: Vec<_> = processes(report).map(|it| it.pid).filter(|pid| *pid > 0).collect();
        self.measured.retain(|pid, _| pids.contains(pid));
        if self.last.is_none_or(|last| last + INTERVAL <= now) {
            let oldest = pids.iter().min_by_key(|pid| self.measured.get(*pid).map(|it| it.at));
            if let Some(&pid) = oldest {
                let measured = MeasuredSize { at: now, size: proportional_size(pid) };
                self.measured.insert(pid, measured);
                self.last = Some(now);
            }
        }
        for process in processes(report) {
            process.pss = self.measured.get(&process.pid).and_then(|it| it.size);
        }
    }
}

/// The processes of a report: the master first.
fn processes(report: &mut Report) -> impl Iterator<Item = &mut ProcessReport> {
    iter::once(&mut report.master).chain(report.workers.iter_mut().map(|it| &mut it.process))
}

#[cfg(test)]
mod tests {
    use monoceros_wire::report::WorkerReport;

    use super::*;

    /// A report about this process as the master, and about its parent as a worker.
    fn report() -> Report {
        let process = |pid: u32| ProcessReport { pid: pid.cast_signed(), ..Default::default() };
        let parent = process(std::os::unix::process::parent_id());
        let worker = WorkerReport { process: parent, ..WorkerReport::default() };
        let without_process = WorkerReport::default();
        Report {
            master: process(std::process::id()),
            workers: vec![worker, without_process],
            ..Report::default()
        }
    }

    #[test]
    fn processes_are_measured_one_after_the_other() {
        let (mut sizes, now) = (ProportionalSizes::default(), Instant::now());
        let at = |seconds| now + INTERVAL * seconds;
        let mut report = report();
        let parent = report.workers[0].process.pid;
        sizes.add_to(&mut report, now);
        assert!(report.master.pss.is_some_and(|size| size > 0), "{:?}", report.master);
        assert_eq!(report.workers[0].process.pss, None, "its turn comes later");
        sizes.add_to(&mut report, now + INTERVAL / 2);
        assert!(!sizes.measured.contains_key(&parent), "it is too early");
        sizes.add_to(&mut report, at(1));
        assert_eq!(sizes.measured[&parent].at, at(1));
        sizes.add_to(&mut report, at(2));
        assert_eq!(sizes.measured[&report.master.pid].at, at(2), "the oldest one");
        assert!(report.master.pss.is_some());
        report.workers.clear();
        sizes.add_to(&mut report, at(2));
        assert_eq!(sizes.measured.len(), 1, "a process that has ended is forgotten");
    }
}
