use super::file::write_file;
use super::*;
use crate::format::MetricsFormat;

/// A key, a value, and when it was set.
type WrittenEntry = (String, f64, f64);

fn key(family: &str, name: &str, labels: &str) -> String {
    format!("[\"{family}\", \"{name}\", {labels}, \"Help.\"]")
}

/// The text of these files, without the lines about families.
fn merged(files: &[(&str, &[WrittenEntry])]) -> Vec<String> {
    let mut metrics = MergedMetrics::default();
    for (name, entries) in files {
        let entries: Vec<_> =
            entries.iter().map(|(key, value, set)| (key.as_str(), *value, *set)).collect();
        metrics.add(name, &write_file(&entries)).unwrap();
    }
    let mut exposition = Exposition::new(MetricsFormat::Text);
    metrics.write(&mut exposition);
    let text = exposition.finish();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn gauge(mode: &str, values: &[(f64, f64)]) -> Vec<String> {
    let entries: Vec<_> =
        values.iter().map(|(value, set)| [(key("g", "g", "{}"), *value, *set)]).collect();
    let names: Vec<_> =
        (0..values.len()).map(|place| format!("gauge_{mode}_p{place}.db")).collect();
    let files: Vec<_> =
        names.iter().zip(&entries).map(|(name, entry)| (name.as_str(), &entry[..])).collect();
    merged(&files)
}

#[test]
fn counters_are_added_up_for_each_set_of_labels() {
    let counter = |labels: &str, value| (key("a", "a_total", labels), value, 0.0);
    let found = merged(&[
        ("counter_p0.db", &[counter("{\"b\": \"x\", \"a\": \"1\"}", 1.0), counter("{}", 5.0)]),
        ("counter_p1.db", &[counter("{\"a\": \"1\", \"b\": \"x\"}", 2.5)]),
        ("counter_77.db", &[counter("{\"a\": \"\\\"\\n\\\\\", \"b\": \"\u{e9}\"}", 1.0)]),
    ]);
    assert_eq!(
        found,
        [
            "a_total 5.0",
            "a_total{a=\"\\\"\\n\\\\\",b=\"\u{e9}\"} 1.0",
            "a_total{a=\"1\",b=\"x\"} 3.5"
        ]
    );
}

#[test]
fn the_mode_of_a_gauge_is_how_its_values_become_one() {
    let values = [(3.0, 7.0), (1.0, 9.0), (2.0, 8.0)];
    for (mode, value) in [("sum", "6.0"), ("min", "1.0"), ("max", "3.0"), ("mostrecent", "1.0")] {
        assert_eq!(gauge(mode, &values), [format!("g {value}")], "{mode}");
        assert_eq!(gauge(&format!("live{mode}"), &values), [format!("g {value}")], "{mode}");
    }
    for mode in ["all", "liveall"] {
        assert_eq!(
            gauge(mode, &values),
            ["g{pid=\"p0\"} 3.0", "g{pid=\"p1\"} 1.0", "g{pid=\"p2\"} 2.0"]
        );
    }
    assert!(gauge("mostrecent", &[(3.0, 0.0)]).is_empty(), "it was never set");
}

#[test]
fn buckets_are_added_up_and_then_cumulated() {
    let of = |name: &str, labels: &str, value| (key("h", name, labels), value, 0.0);
    let bucket = |bound: &str, value| of("h_bucket", &format!("{{\"le\": \"{bound}\"}}"), value);
    let first =
        [of("h_sum", "{}", 1.25), bucket("10.0", 0.0), bucket("0.5", 2.0), bucket("+Inf", 0.0)];
    let second =
        [of("h_sum", "{}", 70.0), bucket("+Inf", 1.0), bucket("0.5", 1.0), bucket("10.0", 3.0)];
    assert_eq!(
        merged(&[("histogram_p0.db", &first), ("histogram_p1.db", &second)]),
        [
            "h_bucket{le=\"0.5\"} 3.0",
            "h_bucket{le=\"10.0\"} 6.0",
            "h_bucket{le=\"+Inf\"} 7.0",
            "h_count 7.0",
            "h_sum 71.25"
        ]
    );
}

#[test]
fn names_of_the_server_and_what_is_no_key_are_left_out() {
    let entries = [
        (key("monoceros_requests", "monoceros_requests_total", "{}"), 1.0, 0.0),
        (key("a", "b_total", "{}"), 1.0, 0.0),
        ("{}".to_owned(), 1.0, 0.0),
        ("[\"a\", \"a_total\", {\"b\": 1}, \"\"]".to_owned(), 1.0, 0.0),
        ("[\"a\", \"a\u{1}\", {}]".to_owned(), 1.0, 0.0),
        (key("1a", "1a_total", "{}"), 1.0, 0.0),
        (key("a", "a_total", "{\"1\": \"\"}"), 1.0, 0.0),
        (key("a", "a_total", "{\"\": \"\"}"), 1.0, 0.0),
        (key("a", "a_total", "{\"b.c\": \"\", \"b-c\": \"\"}"), 1.0, 0.0),
        (key("sp ace", "sp ace_total", "{\"d.t\": \"v\"}"), 2.0, 0.0),
    ];
    assert_eq!(merged(&[("counter_p0.db", &entries)]), ["sp_ace_total{d_t=\"v\"} 2.0"]);
}

#[test]
fn a_metric_has_the_type_of_the_first_file() {
    let entries = [(key("a", "a", "{}"), 1.0, 0.0)];
    assert_eq!(merged(&[("gauge_sum_p0.db", &entries), ("counter_p0.db", &entries)]), ["a 1.0"]);
}

#[test]
fn a_file_with_another_name_or_content_is_broken() {
    let mut metrics = MergedMetrics::default();
    let file = write_file(&[]);
    for name in ["counter.db", "gauge_all.db", "other_p0.db", "counter_p0.db.new", ""] {
        assert!(metrics.add(name, &file).is_err(), "{name}");
    }
    assert!(metrics.add("counter_p0.db", b"text of another kind").is_err());
    assert!(metrics.add("counter_p0.db", &file).is_ok());
}
