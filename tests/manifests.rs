//! The files in `packaging/` for containers and clusters: their numbers match each other and
//! the settings, and each setting that they name exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_yaml::Value;

use crate::support::environment;
use crate::support::setup::{program, python};

/// So much longer than the server grants must be what kills it, in seconds: its workers'
/// ends and its own.
const SLACK: u64 = 5;

fn documents(path: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path);
    let text = fs::read_to_string(path).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    let read = |it| {
        let mut value: Value = serde::Deserialize::deserialize(it).unwrap();
        value.apply_merge().unwrap();
        value
    };
    documents.map(read).collect()
}

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path);
    fs::read_to_string(path).unwrap()
}

/// The settings of a server with these variables, by `--print-config`. An unknown one
/// fails.
fn settings(variables: &BTreeMap<String, String>) -> Value {
    let mut command = Command::new(program());
    let command = environment::clear(&mut command).envs(variables);
    // The page that the image serves.
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/container");
    command.current_dir(directory).args(["--print-config", "welcome", "--python"]).arg(python());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_yaml::from_slice(&output.stdout).unwrap()
}

fn seconds(value: &Value) -> u64 {
    match value {
        Value::Number(number) => number.as_u64().unwrap(),
        Value::String(text) => text.strip_suffix('s').unwrap_or(text).parse().unwrap(),
        other => panic!("{other:?} is no length of time"),
    }
}

/// The server's own variables.
fn own(variables: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    variables.filter(|(name, _)| name.starts_with("MONOCEROS_")).collect()
}

/// The variables that the images set.
fn of_images() -> BTreeMap<String, String> {
    let files = text("container/Dockerfile") + &text("container/shop.Dockerfile");
    let words = files.split_whitespace().filter_map(|word| word.split_once('='));
    own(words.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

fn pod() -> Value {
    documents("kubernetes/deployment.yaml").remove(0)["spec"]["template"]["spec"].clone()
}

fn of_pod(pod: &Value) -> BTreeMap<String, String> {
    let variables = pod["containers"][0]["env"].as_sequence().unwrap().iter();
    let pair = |it: &Value| {
        let word = |key| it[key].as_str().expect("a string, as env must be").to_owned();
        (word("name"), word("value"))
    };
    let mut all = of_images();
    all.extend(own(variables.map(pair)));
    all
}

#[test]
fn a_pod_is_given_the_time_that_its_server_takes_to_stop() {
    let pod = pod();
    let settings = settings(&of_pod(&pod));
    let takes = seconds(&settings["shutdown-delay"]) + seconds(&settings["graceful-timeout"]);
    let granted = seconds(&pod["terminationGracePeriodSeconds"]);
    assert!(granted >= takes + SLACK, "{granted} s for {takes} s");
    assert!(seconds(&settings["shutdown-delay"]) >= 10, "nodes take some seconds to hear");
    assert!(pod["containers"][0].get("lifecycle").is_none(), "the delay takes a hook's place");
}

#[test]
fn probes_wait_longer_than_the_servers_own_limits() {
    let pod = pod();
    let (settings, container) = (settings(&of_pod(&pod)), &pod["containers"][0]);
    let patience = |probe: &str| {
        let probe = &container[probe];
        seconds(&probe["periodSeconds"]) * seconds(&probe["failureThreshold"])
    };
    assert!(patience("startupProbe") > seconds(&settings["boot-timeout"]));
    // Half of the time for the request that hangs, half for its worker's successor.
    assert!(patience("livenessProbe") > 2 * seconds(&settings["timeout"]));
    assert!(patience("readinessProbe") < patience("livenessProbe"));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "http", "{probe}");
    }
}

#[test]
fn ports_and_users_are_those_of_the_image() {
    let (pod, image) = (pod(), text("container/Dockerfile"));
    let container = &pod["containers"][0];
    let settings = settings(&of_pod(&pod));
    let bind = settings["bind"][0].as_str().unwrap();
    let port = container["ports"][0]["containerPort"].as_u64().unwrap();
    assert_eq!(bind, format!("0.0.0.0:{port}"));
    assert!(image.contains(&format!("\nEXPOSE {port}\n")));
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(image.contains(&format!("\nUSER {user}:{user}\n")));
    assert!(image.contains(&format!("--uid {user} ")));
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let own = &container["securityContext"];
    assert_eq!(own["readOnlyRootFilesystem"], true);
    assert_eq!(own["allowPrivilegeEscalation"], false);
    assert_eq!(own["capabilities"]["drop"][0], "ALL");
    let service = documents("kubernetes/service.yaml").remove(0);
    let labels = &documents("kubernetes/deployment.yaml")[0]["spec"]["template"]["metadata"];
    assert_eq!(service["spec"]["selector"], labels["labels"]);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
}

#[test]
fn a_composed_shop_is_given_its_time_and_found_by_nginx() {
    let compose = documents("container/compose.yaml").remove(0);
    let shop = &compose["services"]["shop"];
    let variables = shop["environment"].as_mapping().unwrap().iter();
    let pair = |(name, value): (&Value, &Value)| {
        (name.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned())
    };
    let mut all = of_images();
    all.extend(own(variables.map(pair)));
    let settings = settings(&all);
    let takes = seconds(&settings["shutdown-delay"]) + seconds(&settings["graceful-timeout"]);
    let granted = seconds(&shop["stop_grace_period"]);
    assert!(granted >= takes + SLACK, "{granted} s for {takes} s");
    assert_eq!((&shop["read_only"], &shop["cap_drop"][0]), (&true.into(), &"ALL".into()));
    let port = settings["bind"][0].as_str().unwrap().rsplit_once(':').unwrap().1;
    assert!(text("container/nginx.conf").contains(&format!("server shop:{port};")));
    // Each name that a service relies on is a service.
    let services = compose["services"].as_mapping().unwrap();
    for (name, service) in services {
        let needed = service.get("depends_on").and_then(Value::as_mapping);
        for other in needed.into_iter().flat_map(|it| it.keys()) {
            assert!(services.contains_key(other), "{name:?} needs {other:?}");
        }
    }
    let postgresql = &compose["services"]["database"]["environment"];
    for (of_shop, of_database) in [
        ("PGDATABASE", "POSTGRES_DB"),
        ("PGUSER", "POSTGRES_USER"),
        ("PGPASSWORD", "POSTGRES_PASSWORD"),
    ] {
        assert_eq!(shop["environment"][of_shop], postgresql[of_database]);
    }
}

#[test]
fn the_health_check_has_its_answer_before_the_engine_loses_patience() {
    let image = text("container/Dockerfile");
    let check = image.lines().find(|line| line.starts_with("HEALTHCHECK")).unwrap();
    let option = |name: &str| {
        let value = check.split(&format!("--{name}=")).nth(1).unwrap();
        seconds(&value.split(' ').next().unwrap().into())
    };
    let script = text("container/health.py");
    let line = script.lines().find(|line| line.starts_with("PATIENCE")).unwrap();
    let patience: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(patience < f64::from(u32::try_from(option("timeout")).unwrap()));
    let settings = settings(&of_images());
    assert!(option("start-period") >= seconds(&settings["boot-timeout"]));
}
