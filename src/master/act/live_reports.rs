//! The reports that the metrics server sends: what the decisions know, with what processes, sockets
//! and the kernel show at that moment. Made by the event loop for one call.

use std::time::Instant;

use monoceros_metrics::Exposition;
use monoceros_wire::report::{Report, RequestReport};

use crate::master::act::application_metrics::ApplicationMetrics;
use crate::master::act::metrics_server::ReportSource;
use crate::master::act::observer::{Observer, Sources};
use crate::master::act::proportional_sizes::ProportionalSizes;
use crate::master::act::spare_memory::SpareMemory;
use crate::master::decide::master::Master;
use crate::master::page::history::{History, HistoryReport};

/// What reports are made from.
pub(crate) struct LiveReports<'a> {
    /// The decisions.
    pub(crate) master: &'a Master,
    /// The maker of reports.
    pub(crate) observer: &'a Observer,
    /// The memory of processes.
    pub(crate) sizes: &'a mut ProportionalSizes,
    /// What the application counts.
    pub(crate) application: &'a mut ApplicationMetrics,
    /// The figures of the last minutes.
    pub(crate) history: &'a mut History,
    /// Has more to release after a report.
    pub(crate) memory: &'a mut SpareMemory,
    /// The parts of the event loop that reports read.
    pub(crate) sources: Sources<'a>,
}

impl LiveReports<'_> {
    /// Adds a point to the history, if one is due. `is_kept`: a client can ask for it.
    pub(crate) fn keep_history(&mut self, is_kept: bool) {
        let now = Instant::now();
        self.history.set_kept(is_kept, now);
        if self.history.take_due(now) {
            self.memory.note_work();
            let report = self.observer.report(&self.master.facts(), &self.sources);
            self.history.add(&report, now);
        }
    }
}

impl ReportSource for LiveReports<'_> {
    fn is_ready(&self) -> bool {
        self.master.is_ready()
    }

    fn report(&mut self) -> Report {
        self.memory.note_work();
        let mut report = self.observer.report(&self.master.facts(), &self.sources);
        self.sizes.add_to(&mut report, Instant::now());
        report
    }

    fn requests(&mut self) -> Vec<RequestReport> {
        self.observer.requests(&self.master.facts(), &self.sources)
    }

    fn add_metrics(&mut self, exposition: &mut Exposition) {
        let spec = self.sources.generations.current();
        self.application.write(spec, Instant::now(), exposition);
    }

    fn history(&self) -> HistoryReport<'_> {
        self.history.report()
    }
}
