//! The memory of the master; a worker that the kernel kills for lack of memory, in a control
//! group with a small limit.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::support::client::get;
use crate::support::command::ask;
use crate::support::need;
use crate::support::pipe::Pipe;
use crate::support::process;
use crate::support::setup::Setup;
use crate::support::until;

/// Where each version of control groups is mounted, and what limits memory.
const VERSIONS: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// Starts the server in the group.
const INSIDE: &str = "echo $$ >\"$GROUP/cgroup.procs\" && exec \"$0\" \"$@\" 3<&0 0</dev/null";

const GROWING: &str = "
def application(environ, start_response):
    body = b'x' * int(environ['QUERY_STRING'])
    length = str(len(body)).encode()
    start_response('200 OK', [('Content-Length', str(len(length)))])
    return [length]
";

/// A control group; it goes with this.
struct Group(PathBuf);

impl Group {
    fn with_limit(bytes: u64) -> Option<Self> {
        VERSIONS.iter().find_map(|(root, limit)| {
            let name = format!("monoceros-test-{}", std::process::id());
            let path = Path::new(root).join(name);
            fs::create_dir(&path).ok()?;
            let group = Self(path);
            let swap = group.0.join("memory.swap.max");
            // The machine may have none; then nothing can be limited.
            fs::write(swap, "0").ok();
            fs::write(group.0.join(limit), bytes.to_string()).ok().map(|()| group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            until::holds("an empty control group", || fs::remove_dir(&self.0).is_ok());
        }
    }
}

#[test]
fn a_worker_that_the_kernel_kills_for_memory_is_named_and_replaced() {
    let Some(group) = Group::with_limit(256 << 20) else {
        need::met(false, "root, to make a control group with a limit of memory");
        return;
    };
    let setup = Setup::of("growing:application").file("growing.py", GROWING);
    let setup = setup.flag("--pythonpath=.").script(INSIDE).variable("GROUP", &group.0);
    let server = setup.start();
    let cause = "died: SIGKILL, by the kernel: out of memory; the next one in ";
    server.allow(cause);
    let old = server.workers();
    assert_eq!(server.get("/?1000000").text(), "1000000");
    let mut greedy = server.connect();
    greedy.send(get("/too-much?1000000000"));
    greedy.try_response("GET").unwrap_err();
    server.wait_for_log(cause);
    server.wait_for_log("; it was running GET /too-much?1000000000 (request ");
    server.wait_for_replacement(&old);
    assert_eq!(server.get("/?1000000").text(), "1000000");
    assert!(process::is_alive(server.pid()));
}

/// Reads a pipe to its end before it is loaded.
const WAITING: &str = "
with open('gate') as gate:
    gate.read()

def application(environ, start_response):
    start_response('200 OK', [])
    return []
";

/// The part of the mapped program that is in the memory of this process, in KB.
fn mapped_program(pid: i32) -> u64 {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    mapped(pid, program.to_str().unwrap())
}

/// The part of the mapped files of this name that is in the memory of this process, in KB.
fn mapped(pid: i32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut is_file = false;
    let mut sum = 0;
    for line in text.lines() {
        if let Some(size) = line.strip_prefix("Rss:").filter(|_| is_file) {
            sum += size.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        } else if !line.split_whitespace().next().unwrap().ends_with(':') {
            is_file = line.contains(name);
        }
    }
    sum
}

#[test]
fn the_master_keeps_no_scoreboard_mapped_while_it_waits() {
    let server = Setup::of("environ").workers(2).start();
    let name = "memfd:monoceros-scoreboard";
    let worker = server.workers()[0];
    for path in ["/", "/again"] {
        assert_eq!(server.get(path).status, 200);
        assert!(mapped(worker, name) > 0, "the name of the memory");
        until::holds("unmapped scoreboards", || mapped(server.pid(), name) == 0);
        let report = ask(&server, &["status", "--json"]);
        assert_eq!(report.code, 0, "{report:?}");
    }
}

#[test]
fn the_master_keeps_less_of_its_program_mapped_once_it_serves() {
    let setup = Setup::of("waiting:application").file("waiting.py", WAITING);
    let gate = Pipe::new(&setup.directory, "gate");
    let server = setup.flag("--pythonpath=.").spawn();
    let writer = gate.open();
    let mapped = || mapped_program(server.pid());
    until::holds("a master that waits", || process::is_asleep(server.pid()));
    let before = mapped();
    writer.finish();
    server.wait_until_ready();
    until::holds("less memory after the start", || mapped() + 512 < before);
    server.signal(Signal::SIGHUP);
    let writer = gate.open();
    writer.finish();
    until::holds("less memory after a reload", || mapped() + 512 < before);
}
