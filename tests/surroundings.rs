//! Unusual circumstances of a start: as the first process of a container, without standard
//! descriptors, with foreign descriptors, and with signals that the parent has ignored or
//! blocked.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::need;
use crate::support::pipe::Pipe;
use crate::support::process;
use crate::support::setup::Setup;
use crate::support::until;

/// Makes twenty orphans, which end when the test opens a pipe, with the exit codes of a
/// worker that cannot boot.
const ORPHANS: &str = "
import os

def leave_one(path, code):
    if os.fork():
        return
    if os.fork() == 0:
        # Waits for the test to open the other end.
        open(path)
        os._exit(code)
    os._exit(0)

def application(environ, start_response):
    if environ['QUERY_STRING']:
        for number in range(20):
            leave_one(environ['QUERY_STRING'].partition('=')[2], 3 + number % 2)
        for _ in range(20):
            os.wait()
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

/// A new pid namespace, of which the server is the first process.
const FIRST: &str = "exec unshare --pid --fork --mount-proc \"$0\" \"$@\" 3<&0 0</dev/null";

#[test]
fn the_first_process_reaps_orphans_and_takes_none_for_a_worker() {
    let mut namespace = Command::new("unshare");
    namespace.args(["--pid", "--fork", "--mount-proc", "true"]).stderr(Stdio::null());
    let is_made = namespace.status().is_ok_and(|status| status.success());
    if !need::met(is_made, "root, to make a pid namespace") {
        return;
    }
    let setup = Setup::of("orphans:application").file("orphans.py", ORPHANS).workers(2);
    let server = setup.flag("--pythonpath=.").script(FIRST).spawn();
    server.wait_for_log("(pid 1,");
    // The test has started unshare(1), which waits for the master.
    let master = until::some("the master", || server.workers().first().copied());
    let workers = process::children(master);
    assert_eq!(workers.len(), 2);
    let pipe = Pipe::new(&server.directory, "pipe");
    assert_eq!(server.get(&format!("/?{}", pipe.query())).status, 200);
    until::holds("orphans", || process::children(master).len() == 22);
    let writer = pipe.open();
    until::holds("an end of the orphans", || process::children(master) == workers);
    writer.finish();
    until::holds("no zombies", || process::zombies(master).is_empty());
    assert_eq!(server.get("/").status, 200);
    process::signal(master, Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
}

const CLOSED: &str = "exec \"$0\" \"$@\" 3<&0 0<&- 1>&- 2>&-";

#[test]
fn standard_descriptors_that_were_closed_lead_nowhere() {
    let setup = Setup::of("stream:route").flags(&["--error-logfile", "log"]).script(CLOSED);
    let server = setup.spawn();
    until::holds("a worker", || server.directory.read("log").contains("serving stream:route"));
    assert_eq!(server.get("/").status, 200);
    for pid in [server.pid(), server.workers()[0]] {
        for number in 0..3 {
            let target = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
            assert_eq!(target.to_str(), Some("/dev/null"), "{number} of {pid}");
        }
    }
}

const JUNK: &str = "exec \"$0\" \"$@\" 3<&0 0</dev/null \
    4</dev/zero 5</dev/zero 6</dev/zero 7</dev/zero 8</dev/zero 9</dev/zero";

#[test]
fn unasked_descriptors_are_not_passed_on() {
    let server = Setup::of("stream:route").script(JUNK).start();
    let held = process::descriptors(server.workers()[0]).unwrap();
    assert!(!held.iter().any(|target| target == "/dev/zero"), "{held:?}");
}

const IGNORED: &str =
    "trap '' HUP TERM INT QUIT USR1 TTIN TTOU CHLD; exec \"$0\" \"$@\" 3<&0 0</dev/null";
/// The same, blocked: an interpreter does it, since no shell can.
const BLOCKED: &str = "exec python3 -c 'import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])' \"$0\" \"$@\" 3<&0 0</dev/null";

#[test]
fn signals_that_the_parent_has_ignored_or_blocked_reach_the_master_only() {
    for script in [IGNORED, BLOCKED] {
        let server = Setup::of("stream:route").script(script).start();
        let old = server.workers();
        for name in ["SigIgn", "SigBlk"] {
            let mask = u64::from_str_radix(&process::status(old[0], name)[0], 16).unwrap();
            // Python itself ignores SIGPIPE and SIGXFSZ; 32 and 33 are the C library's,
            // and no program can change them: nptl(7).
            let others = [Signal::SIGPIPE as u64, Signal::SIGXFSZ as u64, 32, 33];
            let mask = others.iter().fold(mask, |mask, number| mask & !(1 << (number - 1)));
            assert_eq!(mask, 0, "{name} of a worker: {mask:x}");
        }
        server.signal(Signal::SIGHUP);
        server.wait_for_replacement(&old);
        server.allow("SIGKILL");
        let new = server.workers();
        process::signal(new[0], Signal::SIGKILL);
        server.wait_for_replacement(&new);
        assert_eq!(server.get("/").status, 200);
    }
}

#[test]
fn no_home_no_place_for_temporary_files_and_no_path_are_needed() {
    let server = Setup::of("stream:route")
        .variable("TMPDIR", "/nowhere/to/be/found")
        .variable("HOME", "/nowhere/to/be/found")
        .variable("PATH", "/nowhere/to/be/found")
        .start();
    assert_eq!(server.get("/").status, 200);
}
