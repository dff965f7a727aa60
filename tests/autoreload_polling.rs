//! Reloads after changes of files where the kernel does not report them: polling.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::need;
use crate::support::setup::Setup;

const WAITS: &str = "files are polled for changes";

fn setup() -> Setup {
    let setup = Setup::of("environ").file("watched", "").patient();
    setup.flags(&["--reload", "--reload-extra-file", "watched"])
}

#[test]
fn changes_are_noticed_by_polling() {
    let server = setup().flags(&["--reload-engine", "poll"]).start();
    let links = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let targets = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
    assert_eq!(targets.filter(|it| it.to_string_lossy().contains("inotify")).count(), 0);
    let old = server.workers();
    server.directory.write("watched", "new");
    server.wait_for_new_workers(&old, 1);
    server.wait_for_log("reloading: watched has changed");
    assert!(!server.log().contains(WAITS), "it was asked for");
}

/// Runs the server where the kernel has this limit for inotify(7), in a user namespace.
const NO_INOTIFY: &str = "exec unshare --user --map-root-user sh -c \
    'echo 0 >/proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"' \"$0\" \"$@\" \
    3<&0 0</dev/null";
const FEW_WATCHES: &str = "exec unshare --user --map-root-user sh -c \
    'echo 2 >/proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"' \"$0\" \"$@\" \
    3<&0 0</dev/null";

/// Whether this user may set limits of a namespace of its own.
fn has_namespaces() -> bool {
    let mut unshare = Command::new("unshare");
    let script = "echo 9 >/proc/sys/user/max_inotify_watches";
    unshare.args(["--user", "--map-root-user", "sh", "-c", script]).stderr(Stdio::null());
    need::met(unshare.status().is_ok_and(|it| it.success()), "a user namespace with limits")
}

#[test]
fn without_inotify_files_are_polled_and_the_log_has_one_line_about_it() {
    if !has_namespaces() {
        return;
    }
    let server = setup().script(NO_INOTIFY).start();
    server.allow(WAITS);
    for word in ["one", "two"] {
        let old = server.workers();
        server.directory.write("watched", word);
        server.wait_for_new_workers(&old, 1);
    }
    let line = "inotify: too many open files; files are polled for changes";
    assert_eq!(server.log().matches(line).count(), 1, "{}", server.log());
}

#[test]
fn too_few_watches_are_one_line_with_the_limit_and_files_are_polled() {
    if !has_namespaces() {
        return;
    }
    let setup = setup().flags(&["--reload-extra-file", "tree"]).script(FEW_WATCHES);
    for number in 0..5 {
        fs::create_dir_all(setup.directory.join(&format!("tree/{number}"))).unwrap();
    }
    let server = setup.start();
    server.allow(WAITS);
    for word in ["one", "two"] {
        let old = server.workers();
        server.directory.write("tree/4/a.html", word);
        server.wait_for_new_workers(&old, 1);
    }
    let line = "fs.inotify.max_user_watches is used up; raise it with sysctl";
    assert_eq!(server.log().matches(line).count(), 1, "{}", server.log());
}
