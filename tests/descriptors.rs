//! The limit of descriptors: the server raises its own, and the programs that server and
//! application start have the former one.

use std::fs;

use crate::support::process;
use crate::support::setup::Setup;

/// Starts the server with a soft limit that is below the hard one.
const LOW: &str = "ulimit -Sn 64 && exec \"$0\" \"$@\" 3<&0 0</dev/null";

/// Asks processes that are started in every way for their limit.
const ASKING: &str = "
import json, multiprocessing, os, resource, subprocess, sys

def own():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

def forked(then):
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(writing, 1)
        then()
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with open(reading) as said:
        return int(said.read())

def spawned():
    reading, writing = os.pipe()
    asking = ['/bin/sh', '-c', 'ulimit -Sn']
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1)]
    pid = os.posix_spawn(asking[0], asking, {}, file_actions=actions)
    os.waitpid(pid, 0)
    os.close(writing)
    with open(reading) as said:
        return int(said.read())

def application(environ, start_response):
    with multiprocessing.get_context('fork').Pool(1) as pool:
        pooled = pool.apply(own)
    limits = {
        'own': own(),
        'subprocess': int(subprocess.check_output('ulimit -Sn', shell=True)),
        'popen': int(os.popen('ulimit -Sn').read()),
        'posix_spawn': spawned(),
        'fork': forked(lambda: os.write(1, str(own()).encode())),
        'fork and exec': forked(lambda: os.execv('/bin/sh', ['sh', '-c', 'ulimit -Sn'])),
        'multiprocessing': pooled,
        'own after all': own(),
    }
    body = json.dumps(limits).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// The soft and the hard limit of a process.
fn limits(pid: i32) -> (u64, u64) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<_> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

#[test]
fn the_server_has_the_hard_limit_and_the_applications_processes_the_former_one() {
    let asking = || Setup::of("asking:application").file("asking.py", ASKING).script(LOW);
    for flags in [&["--pythonpath=."][..], &["--pythonpath=.", "--preload"]] {
        let server = asking().flags(flags).start();
        for pid in [server.pid(), server.workers()[0]] {
            let (soft, hard) = limits(pid);
            assert!(soft > 64 && soft == hard.min(1 << 20), "{soft} of {hard}");
        }
        let found = server.get("/").json();
        for (way, limit) in found.as_object().unwrap() {
            let is_former = limit.as_u64().unwrap() == 64;
            assert_eq!(is_former, !way.starts_with("own"), "{way}: {limit}");
        }
    }
}

#[test]
fn a_program_has_the_limit_that_the_server_was_started_with() {
    let server = Setup::program(&["sh", "-c", "trap exit TERM; while :; do sleep 1; done"]);
    let server = server.script(LOW).start();
    assert_eq!(limits(server.workers()[0]).0, 64);
    assert!(limits(server.pid()).0 > 64);
    server.upgrade();
    assert_eq!(limits(server.workers()[0]).0, 64);
    assert!(limits(server.pid()).0 > 64);
}

#[test]
fn more_uploads_than_the_soft_limit_are_served() {
    let server = Setup::of("environ:echo").script(LOW).start();
    let worker = server.workers()[0];
    let mut held: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for connection in &mut held {
        connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        connection.send(vec![b'x'; 99_999]);
    }
    crate::support::until::holds("a file for each", || {
        process::descriptors(worker).unwrap().len() > 200
    });
    for connection in &mut held {
        connection.send("x");
        assert_eq!(connection.response().body.len(), 100_000);
    }
}
