//! The image of `packaging/container`, in a container. No engine is needed: the steps of the
//! Dockerfile are run in a small Debian, and a container is made of namespaces.
//! `make test-container` makes the Debian, and runs these tests.

// All of this is a test, also what is not marked as one.
#![allow(clippy::unwrap_used)]

mod container;
mod dockerfile;
mod image;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "most of it is for the other tests")]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use nix::sys::signal::Signal;

use container::{Container, Options};
use image::Image;
use support::client::{Connection, request};
use support::crowd::Crowd;
use support::directory::Directory;
use support::{need, process, until};

static IMAGE: LazyLock<Image> = LazyLock::new(|| {
    let built = image::container().join("installed");
    Image::build("monoceros", &packaging("Dockerfile"), repository(), Some(&built), None)
});

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn packaging(name: &str) -> PathBuf {
    repository().join("packaging/container").join(name)
}

fn can_run() -> bool {
    need::root() && need::met(image::container().join("base/ready").exists(), "make test-container")
}

/// The first process of a container has number 1 there.
fn number_inside(pid: i32) -> String {
    process::status(pid, "NSpid").pop().unwrap()
}

#[test]
fn it_serves_a_page_as_its_own_command_without_any_right_or_room() {
    if !can_run() {
        return;
    }
    let container = Container::start(&IMAGE, &Options::default());
    let page = container.get("/");
    assert!(page.status == 200 && page.text().contains("FROM monoceros"), "{}", page.text());
    assert_eq!(number_inside(container.init), "1");
    for pid in [container.init, container.workers()[0]] {
        assert_eq!(process::status(pid, "Uid")[0], "10001");
        assert_eq!(process::status(pid, "CapBnd"), ["0000000000000000"]);
        assert_eq!(process::status(pid, "NoNewPrivs"), ["1"]);
    }
    let touched = container.run(&["touch", "/srv/file", "/tmp/file", "/run/file", "/dev/file"]);
    assert_eq!(String::from_utf8_lossy(&touched.stderr).matches("cannot touch").count(), 4);
    // Larger than what is kept in memory where there are files.
    container.wait_for_log("no temporary files in");
    let upload = request("POST", "/", &[], &"x".repeat(1 << 20));
    let answer = container.inside(|| {
        let mut connection = Connection::tcp("127.0.0.1:8000".parse().unwrap()).unwrap();
        connection.send(upload);
        connection.response()
    });
    assert_eq!(answer.status, 200);
    container.stop();
    container.wait_for_end();
}

#[test]
fn the_health_check_knows_whether_requests_are_answered() {
    if !can_run() {
        return;
    }
    let container = Container::start(&IMAGE, &Options::default());
    container.wait_until_ready();
    assert_eq!(container.check_health(), (true, "200\n".to_owned()));
    let workers = container.workers();
    workers.iter().for_each(|worker| process::signal(*worker, Signal::SIGSTOP));
    let (is_well, text) = container.check_health();
    assert!(!is_well && text.contains("timed out"), "{text}");
    workers.iter().for_each(|worker| process::signal(*worker, Signal::SIGCONT));
    let answered = until::within(until::DEADLINE, || container.check_health().0.then_some(()));
    assert!(answered.is_some(), "{}", container.log());
    container.stop();
    container.wait_for_end();
    // Called with arguments that it does not take, it raises.
    let command = &["monoceros", "wsgiref.validate:validator"];
    let container = Container::start(&IMAGE, &Options { command, ..Options::default() });
    container.wait_until_ready();
    let (is_well, text) = container.check_health();
    assert!(!is_well && text.contains("answers 500"), "{text}");
    container.stop();
    container.wait_for_end();
    let (command, variables) =
        (&["monoceros", "welcome"], &[("MONOCEROS_BIND", "unix:/tmp/socket")]);
    let options = Options { command, variables, tmpfs: &["/tmp"] };
    let container = Container::start(&IMAGE, &options);
    container.wait_until_ready();
    assert_eq!(container.check_health(), (true, "200\n".to_owned()));
    process::signal(container.init, Signal::SIGWINCH);
    container.wait_for_log("withdrawing");
    until::holds("no worker", || container.workers().is_empty());
    assert!(!container.check_health().0);
}

#[test]
fn a_stop_responds_to_all_connected_clients() {
    if !can_run() {
        return;
    }
    for delay in ["0", "1"] {
        let variables = &[("MONOCEROS_WORKERS", "2"), ("MONOCEROS_SHUTDOWN_DELAY", delay)];
        let variables = [variables.as_slice(), &[("MONOCEROS_DRAIN_IDLE", "20")]].concat();
        let options = Options { variables: &variables, tmpfs: &["/tmp"], ..Options::default() };
        let container = Container::start(&IMAGE, &options);
        let address = container.wait_until_ready();
        container.inside(|| {
            let crowd = Crowd::gather(address, 64);
            crowd.wait_for(200);
            container.stop();
            crowd.disperse();
        });
        assert!(!container.log().contains("cannot refuse"), "{}", container.log());
        assert_eq!(container.log().contains("serving for 1 s more"), delay == "1");
        container.wait_for_end();
    }
}

#[test]
fn processes_that_lose_their_parent_are_reaped() {
    if !can_run() {
        return;
    }
    let container = Container::start(&IMAGE, &Options::default());
    container.wait_until_ready();
    let workers = container.workers();
    assert!(container.run(&["sh", "-c", "sleep 3600 >/dev/null 2>&1 & exit"]).status.success());
    let is_orphan = |pid: &&i32| !workers.contains(pid) && process::title(**pid).contains("sleep");
    let orphan = until::some("an orphan", || container.workers().iter().find(is_orphan).copied());
    process::signal(orphan, Signal::SIGKILL);
    until::holds("the end of the orphan", || process::state(orphan).is_none());
    assert!(process::zombies(container.init).is_empty());
    container.stop();
    container.wait_for_end();
}

#[test]
fn commands_find_the_server_as_process_1() {
    if !can_run() {
        return;
    }
    let container = Container::start(&IMAGE, &Options::default());
    container.wait_until_ready();
    for (words, code) in [(["monoceros", "reload", "1"], 0), (["monoceros", "upgrade", "1"], 1)] {
        let output = container.run(&words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
    }
    let status = container.run(&["monoceros", "status", "1"]).stdout;
    assert!(String::from_utf8_lossy(&status).contains("gen=2: 1 of 1 workers ready"));
    // With the first process the kernel ends all others, so this one too.
    container.run(&["monoceros", "stop", "1"]);
    container.wait_for_end();
}

#[test]
fn an_image_that_starts_from_it_serves_its_own_application() {
    if !can_run() {
        return;
    }
    let shop = repository().join("tests/apps/shop");
    let image = Image::build("shop", &packaging("shop.Dockerfile"), &shop, None, Some(&IMAGE));
    let set_up = "python manage.py migrate && python manage.py demo";
    let command = format!("{set_up} && exec {}", image.command.join(" "));
    let command = &["sh", "-c", &command];
    let options = Options { command, tmpfs: &["/data"], ..Options::default() };
    let container = Container::start(&image, &options);
    // Each of these has its own time.
    container.wait_for_log("Running migrations");
    container.wait_for_log("The admin pages at /admin/ know");
    container.wait_until_ready();
    assert!(container.get("/").text().contains("Pocket notebook"));
    assert_eq!(container.check_health(), (true, "200\n".to_owned()));
    // Its access log goes where the engine collects it.
    container.wait_for_log("\"GET / HTTP/1.1\" 200");
    container.stop();
    container.wait_for_end();
}

#[test]
#[ignore = "compiles everything: make test-container, then cargo test --test container -- --ignored"]
fn the_first_stage_builds_what_the_others_are_given() {
    if !can_run() {
        return;
    }
    let context = Directory::new();
    let script =
        "git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t \"$0\"";
    let mut copy = Command::new("sh");
    copy.args(["-c", script]).arg(context.path()).current_dir(repository());
    assert!(copy.status().unwrap().success());
    let stages = dockerfile::read(&packaging("Dockerfile"));
    assert_eq!(stages[0].name.as_deref(), Some("build"));
    let image = Image::of_stage("stage", &stages[0], context.path(), None, None);
    let files = |tree: &Path| {
        let mut find = Command::new("find");
        find.args([".", "-type", "f", "-printf", "%m %p\\n"]).current_dir(tree);
        let text = String::from_utf8(find.output().unwrap().stdout).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let installed = image.tree().join("installed");
    assert_eq!(files(&installed), files(&image::container().join("installed")));
    let image = Image::of_stage("built", &stages[1], repository(), Some(&installed), None);
    let container = Container::start(&image, &Options::default());
    assert_eq!(container.get("/").status, 200);
    container.stop();
    container.wait_for_end();
}
