//! What a report has for each family.

use std::collections::BTreeMap;

use monoceros_wire::report::{
    ConnectionCounts, ListenerReport, ProcessReport, Report, WorkerReport,
};
use monoceros_wire::scoreboard::{GivenUp, Histogram};

use crate::exposition::{FamilyWriter, MetricKind, SampleValue};

/// The label of molds, which have no slot.
const MOLD: &str = "mold";

/// The states of workers. Each has a sample, also without a worker in it.
const STATES: [&str; 6] = ["booting", "ready", "draining", "stopping", "hung", "killed"];

/// The bounds of the buckets of histograms, in microseconds: 128 µs, doubled until two minutes.
/// Each is a bound of the server's own histogram, so the counts are exact.
const BOUNDS: std::ops::RangeInclusive<u32> = 7..=27;

/// The samples of one family.
#[derive(Debug)]
pub(crate) struct Samples<'a> {
    writer: FamilyWriter<'a>,
    kind: MetricKind,
    labels: &'static [&'static str],
    count: usize,
}

impl<'a> Samples<'a> {
    pub(crate) fn new(
        writer: FamilyWriter<'a>,
        kind: MetricKind,
        labels: &'static [&'static str],
    ) -> Self {
        Self { writer, kind, labels, count: 0 }
    }

    /// Whether none was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a sample, with a value for each label of the family.
    pub(crate) fn add(&mut self, values: &[&str], value: impl Into<SampleValue>) {
        debug_assert_eq!(values.len(), self.labels.len(), "a value for each label");
        let labels: Vec<_> = self.labels.iter().copied().zip(values.iter().copied()).collect();
        self.writer.sample(self.kind.suffix(), &labels, value);
        self.count += 1;
    }

    /// As above, if there is a value.
    pub(crate) fn add_some(&mut self, values: &[&str], value: Option<impl Into<SampleValue>>) {
        if let Some(value) = value {
            self.add(values, value);
        }
    }

    /// Adds a sample for each value of the one label.
    pub(crate) fn add_each(&mut self, counts: &BTreeMap<String, u64>) {
        for (name, count) in counts {
            self.add(&[name], *count);
        }
    }

    /// As above, and 0 for those of these values that have not occurred.
    pub(crate) fn add_with_zeros(
        &mut self,
        counts: &BTreeMap<String, u64>,
        values: impl IntoIterator<Item = &'static str>,
    ) {
        let mut all: BTreeMap<&str, u64> = values.into_iter().map(|value| (value, 0)).collect();
        all.extend(counts.iter().map(|(value, count)| (value.as_str(), *count)));
        for (value, count) in all {
            self.add(&[value], count);
        }
    }

    /// Adds the buckets, the sum and the number of a histogram.
    pub(crate) fn histogram(&mut self, histogram: &Histogram) {
        let mut buckets = histogram.buckets().peekable();
        let mut below = 0u64;
        for power in BOUNDS {
            let bound_us = 1u64 << power;
            while let Some((_, count)) =
                buckets.next_if(|(end, _)| end.as_micros() <= u128::from(bound_us))
            {
                below = below.saturating_add(count);
            }
            let bound = SampleValue::Real(bound_us as f64 / 1e6).to_string();
            self.writer.sample("_bucket", &[("le", &bound)], below);
        }
        let count = histogram.count();
        self.writer.sample("_bucket", &[("le", "+Inf")], count);
        self.summary(count, histogram.sum().as_secs_f64());
    }

    /// Adds the sum and the number of observations.
    pub(crate) fn summary(&mut self, count: u64, sum: f64) {
        self.writer.sample("_count", &[], count);
        self.writer.sample("_sum", &[], sum);
        self.count += 1;
    }
}

/// The kinds of what the server can give up.
pub(crate) fn refusals() -> impl Iterator<Item = &'static str> {
    GivenUp::ALL.iter().map(|kind| kind.name())
}

/// The sum over all processes.
pub(crate) fn sum(report: &Report, of: impl Fn(&WorkerReport) -> u64) -> u64 {
    report.workers.iter().map(of).sum()
}

/// The threads of the workers that serve.
pub(crate) fn threads(report: &Report) -> u64 {
    let ready = report.workers.iter().filter(|it| it.state == "ready");
    ready.map(|it| u64::from(it.threads)).sum()
}

/// The age of the oldest running request.
pub(crate) fn longest_request(report: &Report) -> f64 {
    let running = report.workers.iter().flat_map(|it| &it.running);
    running.map(|it| it.age_seconds).fold(0.0, f64::max)
}

/// The connections of each listener by state.
pub(crate) fn connections(report: &Report, out: &mut Samples) {
    for (address, sockets) in by_address(report) {
        let mut open = ConnectionCounts::default();
        sockets.iter().for_each(|it| open.add(it.connections));
        let ConnectionCounts { idle, active, opening } = open;
        for (state, count) in [("idle", idle), ("active", active), ("opening", opening)] {
            out.add(&[address, state], count);
        }
    }
}

/// A figure of each listener that has it.
pub(crate) fn listeners(
    report: &Report,
    out: &mut Samples,
    of: impl Fn(&ListenerReport) -> Option<u64>,
) {
    for (address, sockets) in by_address(report) {
        let figures = sockets.into_iter().filter_map(&of);
        out.add_some(&[address], figures.reduce(u64::saturating_add));
    }
}

/// The sockets of each address: there can be several, such as of two descriptors that were passed
/// in, and no two samples may have the same labels.
fn by_address(report: &Report) -> BTreeMap<&str, Vec<&ListenerReport>> {
    let mut sockets: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for listener in &report.listeners {
        sockets.entry(&listener.address).or_default().push(listener);
    }
    sockets
}

/// When each certificate expires; of several with one first name, the one that expires first.
pub(crate) fn certificates(report: &Report, out: &mut Samples) {
    let mut earliest: BTreeMap<&str, f64> = BTreeMap::new();
    for certificate in &report.certificates {
        let name = certificate.names.first().map_or("", String::as_str);
        let at = earliest.entry(name).or_insert(f64::INFINITY);
        *at = at.min(certificate.not_after);
    }
    for (name, not_after) in earliest {
        out.add(&[name], not_after);
    }
}

/// The number of workers in each state, molds not included.
pub(crate) fn workers(report: &Report, out: &mut Samples) {
    let mut counts: BTreeMap<&str, u64> = STATES.iter().map(|state| (*state, 0)).collect();
    for worker in report.workers.iter().filter(|it| it.slot.is_some()) {
        *counts.entry(&worker.state).or_default() += 1;
    }
    for (state, count) in counts {
        out.add(&[state], count);
    }
}

/// The processes of each slot, and the molds, which have none.
fn by_slot(report: &Report) -> BTreeMap<Option<u16>, Vec<&WorkerReport>> {
    let mut processes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for worker in &report.workers {
        processes.entry(worker.slot).or_default().push(worker);
    }
    processes
}

fn label(slot: Option<u16>) -> String {
    slot.map_or_else(|| MOLD.to_owned(), |slot| slot.to_string())
}

/// A figure of the newest process in each slot, and of the newest mold.
pub(crate) fn newest<T: Into<SampleValue>>(
    report: &Report,
    out: &mut Samples,
    of: impl Fn(&WorkerReport) -> Option<T>,
) {
    for (slot, processes) in by_slot(report) {
        let newest = processes.into_iter().max_by(|one, other| one.since.total_cmp(&other.since));
        out.add_some(&[&label(slot)], newest.and_then(&of));
    }
}

/// As above, without molds, which serve no client.
pub(crate) fn serving<T: Into<SampleValue>>(
    report: &Report,
    out: &mut Samples,
    of: impl Fn(&WorkerReport) -> Option<T>,
) {
    newest(report, out, |it| it.slot.and_then(|_| of(it)));
}

/// The memory of all processes in each slot, and of all molds.
pub(crate) fn memory(
    report: &Report,
    out: &mut Samples,
    of: impl Fn(&ProcessReport) -> Option<u64>,
) {
    for (slot, processes) in by_slot(report) {
        let sizes = processes.iter().filter_map(|it| of(&it.process));
        out.add_some(&[&label(slot)], sizes.reduce(u64::saturating_add));
    }
}
