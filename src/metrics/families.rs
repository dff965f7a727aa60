//! The one table of metrics: name, type, unit, labels and meaning of each family.

use monoceros_wire::report::Report;

use crate::exposition::{Exposition, MetricKind};
use crate::readings::{self, Samples};

/// The beginning of each name.
const PREFIX: &str = "monoceros_";

/// How a reload or an upgrade can end. A rise from nothing to one is not seen by a query, so each
/// has a sample from the beginning.
const OUTCOMES: [&str; 2] = ["done", "failed"];

/// A family of metrics.
#[derive(Clone, Copy, Debug)]
pub struct MetricFamily {
    /// Its name, without the `_total` or `_info` of its samples.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricKind,
    /// Its unit, which is the end of its name; empty for numbers without one.
    pub unit: &'static str,
    /// The labels of each sample.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
    read: fn(&Report, &mut Samples),
}

impl MetricFamily {
    /// The name of its samples, as queries use it; of a histogram or summary the name that
    /// `_count`, `_sum` and `_bucket` are added to.
    #[must_use]
    pub fn sample_name(&self) -> String {
        format!("{}{}", self.name, self.kind.suffix())
    }

    /// Writes it, if the report has figures for it.
    pub(crate) fn write(&self, report: &Report, exposition: &mut Exposition) {
        let before = exposition.len();
        let writer = exposition.family(self.name, self.kind, self.unit, self.help);
        let mut samples = Samples::new(writer, self.kind, self.labels);
        (self.read)(report, &mut samples);
        if samples.is_empty() {
            exposition.truncate(before);
        }
    }
}

/// Whether a name is, or may become, one of the server's own.
#[must_use]
pub fn is_own(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Every family, in the order in which they are written.
pub const FAMILIES: &[MetricFamily] = &[
    MetricFamily {
        name: "monoceros_build",
        kind: MetricKind::Info,
        unit: "",
        labels: &["version"],
        help: "The version of Monoceros.",
        read: |report, out| out.add(&[&report.version], true),
    },
    MetricFamily {
        name: "monoceros_ready",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &[],
        help: "1 while at least one worker serves and the server does not end, otherwise 0. The \
               same as /readyz.",
        read: |report, out| out.add(&[], report.is_ready),
    },
    MetricFamily {
        name: "monoceros_start_time_seconds",
        kind: MetricKind::Gauge,
        unit: "seconds",
        labels: &[],
        help: "When the master started, in seconds since the epoch. An upgrade starts another \
               master.",
        read: |report, out| out.add(&[], report.started),
    },
    MetricFamily {
        name: "monoceros_generation",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &[],
        help: "The generation of code and settings that serves. Each reload and each upgrade \
               raises it.",
        read: |report, out| out.add(&[], report.generation),
    },
    MetricFamily {
        name: "monoceros_concerns",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &[],
        help: "How many things the operator should correct. `monoceros status` lists them.",
        read: |report, out| out.add(&[], report.concerns.len() as u64),
    },
    MetricFamily {
        name: "monoceros_requests",
        kind: MetricKind::Counter,
        unit: "",
        labels: &["status"],
        help: "Responses by status, those of the server itself included. A status that is not \
               registered counts as its class, such as 4xx.",
        read: |report, out| out.add_each(&report.totals.requests),
    },
    MetricFamily {
        name: "monoceros_request_duration_seconds",
        kind: MetricKind::Histogram,
        unit: "seconds",
        labels: &[],
        help: "The time that the application takes for a request.",
        read: |report, out| out.histogram(&report.totals.duration),
    },
    MetricFamily {
        name: "monoceros_queue_duration_seconds",
        kind: MetricKind::Histogram,
        unit: "seconds",
        labels: &[],
        help: "The time from the arrival of a request to its start in the application, the \
               kernel's accept queue included.",
        read: |report, out| out.histogram(&report.totals.queue),
    },
    MetricFamily {
        name: "monoceros_requests_in_progress",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &[],
        help: "Requests that the application has now.",
        read: |report, out| out.add(&[], readings::sum(report, |it| it.in_progress.into())),
    },
    MetricFamily {
        name: "monoceros_requests_waiting",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &[],
        help: "Requests that wait in workers for an application thread.",
        read: |report, out| out.add(&[], readings::sum(report, |it| it.waiting.into())),
    },
    MetricFamily {
        name: "monoceros_longest_request_seconds",
        kind: MetricKind::Gauge,
        unit: "seconds",
        labels: &[],
        help: "The age of the request that has been in the application for the longest time; 0 \
               if it has none.",
        read: |report, out| out.add(&[], readings::longest_request(report)),
    },
    MetricFamily {
        name: "monoceros_application_threads",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &[],
        help: "Application threads of the workers that serve: how many requests the application \
               can have at a time.",
        read: |report, out| out.add(&[], readings::threads(report)),
    },
    MetricFamily {
        name: "monoceros_received_bytes",
        kind: MetricKind::Counter,
        unit: "bytes",
        labels: &[],
        help: "Bytes that clients have sent, as they were on the connection.",
        read: |report, out| out.add(&[], report.totals.received),
    },
    MetricFamily {
        name: "monoceros_sent_bytes",
        kind: MetricKind::Counter,
        unit: "bytes",
        labels: &[],
        help: "Bytes that clients were sent, as they were on the connection.",
        read: |report, out| out.add(&[], report.totals.sent),
    },
    MetricFamily {
        name: "monoceros_refused",
        kind: MetricKind::Counter,
        unit: "",
        labels: &["reason"],
        help: "What the server has given up by its own decision: requests, responses, connections.",
        read: |report, out| out.add_with_zeros(&report.totals.refused, readings::refusals()),
    },
    MetricFamily {
        name: "monoceros_static_files",
        kind: MetricKind::Counter,
        unit: "",
        labels: &["result"],
        help: "Requests for static files, which the server answers without the application.",
        read: |report, out| out.add_each(&report.totals.static_files),
    },
    MetricFamily {
        name: "monoceros_connections",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &["listener", "state"],
        help: "Open connections. idle: without a request. active: with one. opening: before the \
               first byte of HTTP, such as during a TLS handshake.",
        read: readings::connections,
    },
    MetricFamily {
        name: "monoceros_connections_accepted",
        kind: MetricKind::Counter,
        unit: "",
        labels: &["listener"],
        help: "Connections that workers have accepted.",
        read: |report, out| out.add_each(&report.totals.accepted),
    },
    MetricFamily {
        name: "monoceros_accept_queue_length",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &["listener"],
        help: "Connections that wait in the kernel until a worker accepts them.",
        read: |report, out| readings::listeners(report, out, |it| it.queue.map(u64::from)),
    },
    MetricFamily {
        name: "monoceros_accept_queue_limit",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &["listener"],
        help: "How many connections can wait there. The kernel drops others.",
        read: |report, out| readings::listeners(report, out, |it| it.queue_limit.map(u64::from)),
    },
    MetricFamily {
        name: "monoceros_tls_handshakes",
        kind: MetricKind::Counter,
        unit: "",
        labels: &["result"],
        help: "TLS handshakes: full, resumed from an earlier session, or failed.",
        read: |report, out| out.add_each(&report.totals.handshakes),
    },
    MetricFamily {
        name: "monoceros_certificate_expiry_timestamp_seconds",
        kind: MetricKind::Gauge,
        unit: "seconds",
        labels: &["certificate"],
        help: "When the certificate with this first name expires, in seconds since the epoch.",
        read: readings::certificates,
    },
    MetricFamily {
        name: "monoceros_workers",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &["state"],
        help: "Workers by state.",
        read: readings::workers,
    },
    MetricFamily {
        name: "monoceros_workers_wanted",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &[],
        help: "How many workers are to serve.",
        read: |report, out| out.add(&[], report.wanted_workers),
    },
    MetricFamily {
        name: "monoceros_worker_spawns",
        kind: MetricKind::Counter,
        unit: "",
        labels: &[],
        help: "Worker processes that were started.",
        read: |report, out| out.add(&[], report.totals.spawns),
    },
    MetricFamily {
        name: "monoceros_worker_exits",
        kind: MetricKind::Counter,
        unit: "",
        labels: &["reason"],
        help: "Worker processes that have ended, by the reason.",
        read: |report, out| out.add_each(&report.totals.exits),
    },
    MetricFamily {
        name: "monoceros_worker_timeouts",
        kind: MetricKind::Counter,
        unit: "",
        labels: &[],
        help: "Requests that ran for longer than `timeout`.",
        read: |report, out| out.add(&[], report.totals.timeouts),
    },
    MetricFamily {
        name: "monoceros_worker_boot_duration_seconds",
        kind: MetricKind::Summary,
        unit: "seconds",
        labels: &[],
        help: "The time from the start of a worker process until it serves.",
        read: |report, out| out.summary(report.totals.boots, report.totals.boot_seconds),
    },
    MetricFamily {
        name: "monoceros_reloads",
        kind: MetricKind::Counter,
        unit: "",
        labels: &["outcome"],
        help: "Reloads that have come to an end.",
        read: |report, out| out.add_with_zeros(&report.totals.reloads, OUTCOMES),
    },
    MetricFamily {
        name: "monoceros_reload_duration_seconds",
        kind: MetricKind::Summary,
        unit: "seconds",
        labels: &[],
        help: "The time from the command to the end of a reload.",
        read: |report, out| {
            out.summary(report.totals.reloads.values().sum(), report.totals.reload_seconds);
        },
    },
    MetricFamily {
        name: "monoceros_upgrades",
        kind: MetricKind::Counter,
        unit: "",
        labels: &["outcome"],
        help: "Upgrades that have come to an end.",
        read: |report, out| out.add_with_zeros(&report.totals.upgrades, OUTCOMES),
    },
    MetricFamily {
        name: "monoceros_upgrade_duration_seconds",
        kind: MetricKind::Summary,
        unit: "seconds",
        labels: &[],
        help: "The time from the command to the end of an upgrade.",
        read: |report, out| {
            out.summary(report.totals.upgrades.values().sum(), report.totals.upgrade_seconds);
        },
    },
    MetricFamily {
        name: "monoceros_worker_cpu_seconds",
        kind: MetricKind::Counter,
        unit: "seconds",
        labels: &["worker"],
        help: "Processor time of the newest process in the worker's slot, or of the mold. Starts \
               again with each process.",
        read: |report, out| readings::newest(report, out, |it| Some(it.process.cpu_seconds)),
    },
    MetricFamily {
        name: "monoceros_worker_resident_memory_bytes",
        kind: MetricKind::Gauge,
        unit: "bytes",
        labels: &["worker"],
        help: "Memory of all processes in the worker's slot, or of molds: what is shared counts \
               in each of them.",
        read: |report, out| readings::memory(report, out, |it| it.rss),
    },
    MetricFamily {
        name: "monoceros_worker_proportional_memory_bytes",
        kind: MetricKind::Gauge,
        unit: "bytes",
        labels: &["worker"],
        help: "As above, where what is shared is divided by the number of processes (PSS). One \
               process is measured in a second. Missing where the master may not measure it.",
        read: |report, out| readings::memory(report, out, |it| it.pss),
    },
    MetricFamily {
        name: "monoceros_worker_requests_in_progress",
        kind: MetricKind::Gauge,
        unit: "",
        labels: &["worker"],
        help: "Requests that the application has now in the newest process of the worker's slot.",
        read: |report, out| readings::serving(report, out, |it| Some(it.in_progress)),
    },
    MetricFamily {
        name: "monoceros_worker_heartbeat_age_seconds",
        kind: MetricKind::Gauge,
        unit: "seconds",
        labels: &["worker"],
        help: "The time since the last heartbeat of the newest process in the worker's slot.",
        read: |report, out| readings::serving(report, out, |it| it.beat_age_seconds),
    },
    MetricFamily {
        name: "monoceros_worker_start_time_seconds",
        kind: MetricKind::Gauge,
        unit: "seconds",
        labels: &["worker"],
        help: "When the newest process in the worker's slot was started, in seconds since the \
               epoch.",
        read: |report, out| readings::serving(report, out, |it| Some(it.since)),
    },
    MetricFamily {
        name: "monoceros_master_cpu_seconds",
        kind: MetricKind::Counter,
        unit: "seconds",
        labels: &[],
        help: "Processor time of the master.",
        read: |report, out| out.add(&[], report.master.cpu_seconds),
    },
    MetricFamily {
        name: "monoceros_master_resident_memory_bytes",
        kind: MetricKind::Gauge,
        unit: "bytes",
        labels: &[],
        help: "Memory of the master.",
        read: |report, out| out.add_some(&[], report.master.rss),
    },
    MetricFamily {
        name: "monoceros_master_proportional_memory_bytes",
        kind: MetricKind::Gauge,
        unit: "bytes",
        labels: &[],
        help: "Memory of the master, where what is shared is divided by the number of processes \
               (PSS).",
        read: |report, out| out.add_some(&[], report.master.pss),
    },
];

#[cfg(test)]
mod tests;
