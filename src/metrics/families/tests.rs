use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use monoceros_wire::report::{
    CertificateReport, ConnectionCounts, ListenerReport, ProcessReport, Report, RequestReport,
    WorkerReport,
};

use super::*;
use crate::{MetricsFormat, render};

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn worker(slot: Option<u16>, state: &str, since: f64) -> WorkerReport {
    WorkerReport {
        slot,
        state: state.to_owned(),
        since,
        threads: 4,
        in_progress: 1,
        waiting: 2,
        beat_age_seconds: slot.map(|_| 0.25),
        process: ProcessReport { pid: 7, cpu_seconds: since, rss: Some(100), pss: None },
        running: vec![RequestReport { age_seconds: since / 4.0, ..RequestReport::default() }],
        ..WorkerReport::default()
    }
}

fn listener(address: &str, queue: Option<u32>) -> ListenerReport {
    ListenerReport {
        address: address.to_owned(),
        queue,
        queue_limit: queue.map(|_| 2048),
        connections: ConnectionCounts { idle: 1, active: 2, opening: 3 },
        accepted: 10,
        ..ListenerReport::default()
    }
}

/// A report with figures for every family.
fn report() -> Report {
    let certificate = |name: &str, not_after| CertificateReport {
        names: vec![name.to_owned(), "other".to_owned()],
        not_after,
    };
    let mut report = Report {
        version: "1.2.3".to_owned(),
        is_ready: true,
        generation: 3,
        wanted_workers: 2,
        started: 1000.5,
        master: ProcessReport { pid: 1, cpu_seconds: 0.5, rss: Some(4096), pss: Some(2048) },
        workers: vec![
            worker(None, "ready", 8.0),
            worker(Some(0), "draining", 10.0),
            worker(Some(0), "ready", 12.0),
            worker(Some(1), "ready", 11.0),
        ],
        listeners: vec![
            listener("127.0.0.1:8000", Some(5)),
            listener("unix:/run/a", None),
            listener("unix:/run/a", None),
        ],
        certificates: vec![
            certificate("a.example", 2000.0),
            certificate("a.example", 1500.0),
            certificate("\"b\\", 1600.0),
        ],
        concerns: vec!["c".to_owned()],
        ..Report::default()
    };
    report.workers[1].process.pss = Some(50);
    let totals = &mut report.totals;
    totals.requests = counts(&[("200", 7), ("4xx", 1)]);
    totals.refused = counts(&[("late", 2)]);
    totals.accepted = counts(&[("127.0.0.1:8000", 10), ("unix:/run/a", 20)]);
    totals.handshakes = counts(&[("full", 3)]);
    totals.static_files = counts(&[("sent", 4)]);
    totals.exits = counts(&[("signal", 5)]);
    totals.reloads = counts(&[("done", 2), ("failed", 1)]);
    totals.reload_seconds = 4.5;
    totals.upgrades = counts(&[("done", 1)]);
    (totals.boots, totals.boot_seconds) = (6, 2.5);
    report
}

fn lines(report: &Report, format: MetricsFormat) -> Vec<String> {
    render(report, format).finish().lines().map(str::to_owned).collect()
}

#[test]
fn the_table_follows_the_rules_of_names() {
    let mut names = BTreeSet::new();
    for family in FAMILIES {
        let MetricFamily { name, kind, unit, labels, help, .. } = *family;
        assert!(is_own(name) && names.insert(name), "{name}");
        assert!(name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_'), "{name}");
        assert!(!name.ends_with("_total") && !name.ends_with("_info"), "{name}");
        assert!(unit.is_empty() || name.ends_with(&format!("_{unit}")), "{name} {unit}");
        let is_measured = ["_seconds", "_bytes"].iter().any(|end| name.ends_with(end));
        assert_eq!(is_measured, !unit.is_empty(), "{name}");
        assert!(labels.iter().all(|label| !label.starts_with("__")), "{name}");
        assert!(help.ends_with('.') && !help.contains(['\\', '\n', '"', '|']), "{name}: {help}");
        let has_buckets = matches!(kind, MetricKind::Histogram | MetricKind::Summary);
        assert_eq!(has_buckets, name.ends_with("_duration_seconds"), "{name}");
    }
}

#[test]
fn no_two_samples_have_the_same_labels() {
    for format in [MetricsFormat::Text, MetricsFormat::OpenMetrics] {
        let mut seen = BTreeSet::new();
        for line in lines(&report(), format).iter().filter(|line| !line.starts_with('#')) {
            let (key, value) = line.rsplit_once(' ').unwrap();
            assert!(seen.insert(key.to_owned()), "{line}");
            value.parse::<f64>().unwrap();
        }
    }
}

#[test]
fn every_family_is_there_and_has_what_it_means() {
    let lines = lines(&report(), MetricsFormat::Text);
    for family in FAMILIES {
        let name = family.sample_name();
        let kind = if family.kind == MetricKind::Info { MetricKind::Gauge } else { family.kind };
        let described = format!("# TYPE {name} {}", kind.name());
        assert!(lines.contains(&described), "{described}");
    }
    for line in [
        "monoceros_build_info{version=\"1.2.3\"} 1",
        "monoceros_ready 1",
        "monoceros_start_time_seconds 1000.5",
        "monoceros_generation 3",
        "monoceros_concerns 1",
        "monoceros_requests_total{status=\"200\"} 7",
        "monoceros_requests_total{status=\"4xx\"} 1",
        "monoceros_requests_in_progress 4",
        "monoceros_requests_waiting 8",
        "monoceros_longest_request_seconds 3.0",
        "monoceros_application_threads 12",
        "monoceros_refused_total{reason=\"late\"} 2",
        "monoceros_refused_total{reason=\"expired\"} 0",
        "monoceros_upgrades_total{outcome=\"failed\"} 0",
        "monoceros_connections{listener=\"127.0.0.1:8000\",state=\"active\"} 2",
        "monoceros_connections{listener=\"unix:/run/a\",state=\"opening\"} 6",
        "monoceros_connections_accepted_total{listener=\"unix:/run/a\"} 20",
        "monoceros_accept_queue_length{listener=\"127.0.0.1:8000\"} 5",
        "monoceros_accept_queue_limit{listener=\"127.0.0.1:8000\"} 2048",
        "monoceros_certificate_expiry_timestamp_seconds{certificate=\"a.example\"} 1500.0",
        "monoceros_certificate_expiry_timestamp_seconds{certificate=\"\\\"b\\\\\"} 1600.0",
        "monoceros_workers{state=\"ready\"} 2",
        "monoceros_workers{state=\"draining\"} 1",
        "monoceros_workers{state=\"hung\"} 0",
        "monoceros_worker_exits_total{reason=\"signal\"} 5",
        "monoceros_worker_boot_duration_seconds_count 6",
        "monoceros_worker_boot_duration_seconds_sum 2.5",
        "monoceros_reloads_total{outcome=\"failed\"} 1",
        "monoceros_reload_duration_seconds_count 3",
        "monoceros_reload_duration_seconds_sum 4.5",
        "monoceros_worker_cpu_seconds_total{worker=\"0\"} 12.0",
        "monoceros_worker_cpu_seconds_total{worker=\"mold\"} 8.0",
        "monoceros_worker_resident_memory_bytes{worker=\"0\"} 200",
        "monoceros_worker_proportional_memory_bytes{worker=\"0\"} 50",
        "monoceros_worker_heartbeat_age_seconds{worker=\"1\"} 0.25",
        "monoceros_master_resident_memory_bytes 4096",
    ] {
        assert!(lines.iter().any(|it| it == line), "{line} is not in {lines:#?}");
    }
    for absent in [
        "monoceros_accept_queue_length{listener=\"unix:/run/a\"}",
        "monoceros_worker_proportional_memory_bytes{worker=\"1\"}",
        "monoceros_worker_start_time_seconds{worker=\"mold\"}",
    ] {
        assert!(!lines.iter().any(|it| it.starts_with(absent)), "{absent}");
    }
}

#[test]
fn a_family_without_figures_is_left_out() {
    for format in [MetricsFormat::Text, MetricsFormat::OpenMetrics] {
        let text = render(&Report::default(), format).finish();
        assert!(!text.contains("certificate") && !text.contains("accept_queue"), "{text}");
        assert!(text.contains("monoceros_ready 0\n"));
    }
}

#[test]
fn the_counts_of_buckets_never_fall_and_end_with_all() {
    let mut report = Report::default();
    let of = [0, 127, 128, 129, 5000, 3_000_000, 134_217_727, 134_217_728, u64::MAX / 2];
    // In JSON a bucket has its end, which is not in it.
    let buckets: Vec<(u64, u64)> = of.map(|length: u64| (length + 1, 1)).into();
    let json = serde_json::json!({ "sum_us": 3_000_000, "buckets": buckets });
    report.totals.duration = serde_json::from_value(json).unwrap();
    let lines = lines(&report, MetricsFormat::OpenMetrics);
    let name = "monoceros_request_duration_seconds_bucket{le=\"";
    let buckets: Vec<(String, u64)> = lines
        .iter()
        .filter_map(|line| {
            let (bound, count) = line.strip_prefix(name)?.split_once("\"} ")?;
            Some((bound.to_owned(), count.parse().unwrap()))
        })
        .collect();
    assert!(buckets.is_sorted_by_key(|(_, count)| *count));
    assert_eq!(buckets.len(), 22);
    let count = |bound: &str| buckets.iter().find(|(it, _)| it == bound).unwrap().1;
    // A length is known to the microsecond: 128 is 128.0 to 128.999.
    assert_eq!((count("0.000128"), count("0.000256")), (2, 4));
    assert_eq!((count("0.004096"), count("0.008192")), (4, 5));
    assert_eq!((count("4.194304"), count("134.217728"), count("+Inf")), (6, 7, 9));
    assert!(lines.contains(&"monoceros_request_duration_seconds_sum 3.0".to_owned()));
}

/// The table of docs/monitoring.md.
#[test]
fn the_documentation_has_the_same_table() {
    let mut table =
        "| name | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for family in FAMILIES {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = [
            format!("`{}`", family.sample_name()),
            family.kind.name().to_owned(),
            family.unit.to_owned(),
            labels.join(", "),
            family.help.to_owned(),
        ];
        table += &format!("| {} |\n", row.join(" | "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains(&table), "docs/monitoring.md needs this table:\n\n{table}");
}
