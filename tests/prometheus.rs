//! The rules and the dashboard that are packaged for Prometheus and Grafana.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{environment, need};

const RULES: [&str; 2] = ["monoceros-recording.yml", "monoceros-alerts.yml"];
const DASHBOARD: &str = "grafana/monoceros.json";

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

fn packaged(name: &str) -> String {
    fs::read_to_string(packaging().join(name)).unwrap()
}

/// Whether a program of Debian's package `prometheus` is there; if not, the test is named as
/// skipped.
fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&paths).any(|path| path.join(program).exists());
    need::met(is_there, &format!("{program}: apt install prometheus"))
}

fn promtool(arguments: &[&str]) -> Output {
    let mut command = Command::new("promtool");
    environment::clear(&mut command);
    command.args(arguments).current_dir(packaging().join("prometheus")).output().unwrap()
}

fn assert_success(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_example_and_the_rules_are_what_prometheus_reads() {
    if has("promtool") {
        assert_success(&promtool(&["check", "config", "prometheus.yml"]));
        let [recording, alerts] = RULES;
        assert_success(&promtool(&[
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            recording,
            alerts,
        ]));
    }
}

#[test]
fn each_alert_fires_in_its_case_only() {
    if has("promtool") {
        assert_success(&promtool(&["test", "rules", "monoceros-tests.yml"]));
    }
}

#[test]
fn each_alert_has_a_test_and_a_cause_in_the_documentation() {
    let (alerts, tests) =
        (packaged("prometheus/monoceros-alerts.yml"), packaged("prometheus/monoceros-tests.yml"));
    let documentation = fs::read_to_string(packaging().join("../docs/monitoring.md")).unwrap();
    let names: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        // Once for the server that is well, and once in its case.
        assert!(tests.matches(&format!("alertname: {name}")).count() >= 2, "{name}");
        assert!(documentation.contains(&format!("`{name}`")), "{name}");
    }
}

/// The words in a text that are names of metrics of the server.
fn names(text: &str) -> BTreeSet<&str> {
    let words =
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"_:".contains(letter));
    words.filter(|word| word.starts_with("monoceros_") && !word.ends_with('_')).collect()
}

#[test]
fn every_name_is_in_the_table_of_metrics() {
    let table = fs::read_to_string(packaging().join("../docs/monitoring.md")).unwrap();
    let is_known = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"].into_iter();
        let family = ends.filter_map(|end| name.strip_suffix(end)).chain([name]);
        family.into_iter().any(|family| table.contains(&format!("| `{family}` |")))
    };
    let files = RULES.map(|name| format!("prometheus/{name}"));
    let files =
        files.iter().map(String::as_str).chain([DASHBOARD, "prometheus/monoceros-tests.yml"]);
    let mut found = 0;
    for file in files {
        for name in names(&packaged(file)) {
            assert!(is_known(name), "{name} in {file}");
            found += 1;
        }
    }
    assert!(found > 60, "{found} names");
}

/// The panels of the dashboard, with those of closed rows.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&packaged(DASHBOARD)).unwrap();
    let top = dashboard["panels"].as_array().unwrap().clone();
    let inner = top.iter().filter_map(|panel| panel["panels"].as_array()).flatten().cloned();
    top.iter().cloned().chain(inner).filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn panels_have_numbers_and_places_of_their_own() {
    let dashboard: Value = serde_json::from_str(&packaged(DASHBOARD)).unwrap();
    let mut numbers = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels() {
        assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{} is over another panel", panel["title"]);
            }
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
}
