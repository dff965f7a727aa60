//! Commands to a running server: `reload`, `upgrade`, `stop`, `status`, and clients of the
//! control socket that break its rules.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::command::{Answer, ask, begin, command, end, run};
use crate::support::load::Load;
use crate::support::need;
use crate::support::pipe::Writer;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, program};
use crate::support::until;

const VERSION: &str = "
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '5')])
    return [b'one\\n\\n']
";

const BUSY: ErrorKind = ErrorKind::ExecutableFileBusy;

/// A server whose code the test can change.
fn changing() -> Setup {
    Setup::of("changing:application").file("changing.py", VERSION).flag("--pythonpath=.")
}

/// Connects as a client that can send any bytes.
fn connect(server: &Server) -> Socket {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
    let name = format!("\0monoceros/{}/{}", namespace.display(), server.pid());
    socket.connect(&SockAddr::unix(name).unwrap()).unwrap();
    socket.set_read_timeout(Some(until::DEADLINE)).unwrap();
    socket
}

/// The reply on a connection, before the server closes it.
fn last_words(mut socket: &Socket) -> String {
    let mut bytes = [0; 4096];
    loop {
        // Unread data at the close of the other end is reported once: unix(7).
        match socket.read(&mut bytes) {
            Ok(length) => return String::from_utf8_lossy(&bytes[..length]).into_owned(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => (),
            // A socket with a timeout, on a machine that has slept: signal(7).
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

#[test]
fn a_stop_is_over_when_the_command_is() {
    let server = Setup::of("stream:route").workers(2).flags(&["--pid", "master.pid"]).start();
    let (mut busy, writer) = server.occupy("pipe");
    let patience = ["stop", "--pid", "master.pid", "--timeout", "3s"];
    let answer = run(server.directory.path(), &patience);
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
    assert!(answer.stderr.contains("is not gone within --timeout"), "{}", answer.stderr);
    // The second one waits as the first did, where a second signal would hurry.
    let stop = begin(&server, &["stop"]);
    server.wait_for_log("draining");
    writer.finish();
    assert_eq!(busy.response().status, 200);
    let answer = end(stop);
    assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (0, "stopped\n", ""));
    assert_eq!(server.wait_for_exit(), 0);
    assert!(server.log().ends_with("master: stopped\n"));
    let answer = run(server.directory.path(), &["stop", "--pid", "master.pid"]);
    assert_eq!(answer.code, 1, "nothing runs that could be stopped: {answer:?}");
}

#[test]
fn a_stop_ends_the_master_that_has_taken_over_and_not_the_one_before() {
    let server = Setup::of("stream:route").flags(&["--pid", "master.pid"]).start();
    let (mut busy, writer) = server.occupy("pipe");
    let old = server.pid();
    server.signal(Signal::SIGUSR2);
    server.wait_for_log("has taken over");
    let answer = ask(&server, &["stop"]);
    assert!(answer.stderr.contains("a new master has taken over"), "{}", answer.stderr);
    let answer = run(server.directory.path(), &["stop", "--pid", "master.pid"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    assert!(process::is_alive(old), "the old process still serves its client");
    writer.finish();
    assert_eq!(busy.response().status, 200);
    server.follow();
}

#[test]
fn a_reload_is_over_when_the_command_is() {
    let server = changing().workers(2).patient().start();
    let load = Load::start(server.address(), 4);
    load.proceed(20);
    server.directory.write("changing.py", &VERSION.replace("one", "two"));
    let answer = ask(&server, &["reload"]);
    assert_eq!(answer.stdout, "reloaded: gen=2 serves with 2 workers\n", "{answer:?}");
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    let status = ask(&server, &["status"]).stdout;
    assert!(status.starts_with("gen=2: 2 of 2 workers ready"), "{status}");
    load.finish();
}

#[test]
fn a_reload_of_broken_code_fails_with_its_reason() {
    let server = changing().workers(2).start();
    server.allow("broken on reload");
    server.allow("Traceback");
    let old = server.workers();
    server.directory.write("changing.py", "raise RuntimeError('broken on reload')");
    let answer = ask(&server, &["reload"]);
    let expected = "monoceros: reload failed: gen=2 cannot serve: RuntimeError: broken on reload; \
                    gen=1 goes on\n";
    assert_eq!((answer.code, answer.stderr.as_str()), (1, expected));
    assert_eq!(answer.stdout, "");
    until::holds("the old workers alone", || server.workers() == old);
    let status = ask(&server, &["status"]).stdout;
    let line = status.lines().next().unwrap_or_default();
    assert!(line.ends_with("reload failed: gen=2 cannot serve: RuntimeError: broken on reload"));
    server.directory.write("changing.py", VERSION);
    assert_eq!(ask(&server, &["reload"]).code, 0, "the next good one works");
}

#[test]
fn a_reload_of_broken_settings_names_each_fault() {
    let server = Setup::of("environ").file("monoceros.yaml", "timeout: 30\n").start();
    server.allow("monoceros.yaml line");
    server.directory.write("monoceros.yaml", "timeout: soon\nworkerz: 3\n");
    let answer = ask(&server, &["reload"]);
    assert_eq!(answer.code, 1);
    for text in ["reload failed: ", "monoceros.yaml line 1: timeout: ", "monoceros.yaml line 2: "] {
        assert!(answer.stderr.contains(text), "{answer:?}");
    }
    server.directory.write("monoceros.yaml", "timeout: [\n");
    assert_eq!(ask(&server, &["reload"]).code, 1);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_reload_that_hangs_fails_after_the_progress_deadline() {
    let server = changing().flags(&["--progress-deadline", "1"]).start();
    server.allow("progress-deadline");
    server.directory.write("changing.py", "import signal\nsignal.pause()");
    let answer = ask(&server, &["reload"]);
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("made no progress within progress-deadline"), "{answer:?}");
    assert_eq!(server.get("/").text(), "one\n\n");
}

#[test]
fn a_command_names_a_signal_that_has_stopped_the_master() {
    let server = Setup::of("environ").start();
    server.allow("the master was not running for");
    process::signal(server.pid(), Signal::SIGSTOP);
    let answer = ask(&server, &["status", "--timeout", "500ms"]);
    process::signal(server.pid(), Signal::SIGCONT);
    assert!(answer.code == 1 && answer.stderr.contains("SIGSTOP"), "{answer:?}");
    assert_eq!(ask(&server, &["status"]).code, 0);
}

#[test]
fn commands_are_answered_by_a_master_without_free_descriptors() {
    let server = Setup::of("environ").start();
    server.allow("too many open files");
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let open = open.map(|it| it.unwrap().file_name().into_string().unwrap());
    let highest = open.map(|it| it.parse::<usize>().unwrap()).max().unwrap();
    let former = process::limit_descriptors(server.pid(), highest + 1);
    for words in [&["status", "--json"][..], &["requests"], &["stacks", "all"]] {
        let answer = ask(&server, words);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{words:?}");
    }
    // Now it has none for a connection either.
    process::limit_descriptors(server.pid(), 3);
    let waiting = begin(&server, &["status"]);
    server.wait_for_log("cannot hear a command");
    process::limit_descriptors(server.pid(), former);
    assert_eq!(end(waiting).code, 0);
}

#[test]
fn a_command_waits_no_longer_than_asked() {
    let server = changing().start();
    let hang = "import os\nos.mkfifo('never')\nopen('never').read()";
    server.directory.write("changing.py", hang);
    let answer = ask(&server, &["reload", "--timeout", "100ms"]);
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("no answer within --timeout"), "{answer:?}");
    server.directory.write("changing.py", VERSION);
    assert_eq!(ask(&server, &["reload"]).code, 0);
}

#[test]
fn a_superseded_reload_has_the_outcome_of_the_later_one() {
    let server = changing().start();
    let hang = "import os\nos.mkfifo('never')\nopen('never').read()";
    server.directory.write("changing.py", hang);
    let first = begin(&server, &["reload"]);
    until::holds("an import that hangs", || server.directory.join("never").exists());
    server.directory.write("changing.py", &VERSION.replace("one", "two"));
    let second = begin(&server, &["reload"]);
    for answer in [end(first), end(second)] {
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (0, "reloaded: gen=3 serves with 1 worker\n")
        );
    }
    // The old worker may accept a connection before it gets the message to drain.
    until::holds("the new code", || server.get("/").text() == "two\n\n");
}

#[test]
fn reloads_at_the_same_time_are_all_answered() {
    let server = changing().start();
    let commands: Vec<_> = (0..5).map(|_| begin(&server, &["reload"])).collect();
    for answer in commands.into_iter().map(end) {
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    until::holds("one worker", || server.workers().len() == 1);
}

#[test]
fn a_stop_ends_the_waiting() {
    let server = changing().start();
    let hang = "import os\nos.mkfifo('never')\nopen('never').read()";
    server.directory.write("changing.py", hang);
    let reload = begin(&server, &["reload"]);
    until::holds("an import that hangs", || server.directory.join("never").exists());
    server.signal(Signal::SIGTERM);
    let answer = end(reload);
    assert_eq!(answer.stderr, "monoceros: reload failed: the server is stopping\n");
    assert_eq!((answer.code, server.wait_for_exit()), (1, 0));
}

#[test]
fn an_upgrade_is_over_when_the_command_is() {
    let server = Setup::of("environ").flags(&["--pid", "master.pid"]).start();
    let old = server.pid();
    let answer = run(server.directory.path(), &["upgrade", "--pid", "master.pid"]);
    let pid = answer.stdout.strip_prefix("upgraded: the new master has pid ");
    let pid: i32 =
        pid.and_then(|pid| pid.trim().parse().ok()).unwrap_or_else(|| panic!("{answer:?}"));
    let _guard = Master(pid);
    assert_eq!((answer.code, pid == old), (0, false));
    assert_eq!(
        server.directory.read("master.pid").trim(),
        pid.to_string(),
        "it is written already"
    );
    assert_eq!(server.wait_for_exit(), 0);
    let answer = run(server.directory.path(), &["reload", "--pid", "master.pid"]);
    assert_eq!(answer.stdout, "reloaded: gen=3 serves with 1 worker\n", "{answer:?}");
    assert_eq!(server.get("/").status, 200);
}

/// A master that the test did not start itself: it ends with the test.
struct Master(i32);

impl Drop for Master {
    fn drop(&mut self) {
        process::signal(self.0, Signal::SIGTERM);
        until::holds("the end of the new master", || {
            process::state(self.0).is_none_or(|(state, _)| state == 'Z')
        });
    }
}

#[test]
fn a_failed_upgrade_has_a_reason() {
    let broken = "the new master ended with exit code 3 before it served";
    let late = "the new master does not serve within 1 s";
    // A second is little for a start: only for the one that never serves.
    for (flags, code, text) in [
        (&[][..], "raise RuntimeError('broken')", broken),
        (&["--upgrade-timeout", "1"], "import signal\nsignal.pause()", late),
    ] {
        let server = changing().flags(flags).start();
        server.allow("[ERROR]");
        server.allow("Traceback");
        server.allow("broken");
        server.directory.write("changing.py", code);
        let answer = ask(&server, &["upgrade"]);
        let text = format!("upgrade failed: {text}");
        assert!(answer.code == 1 && answer.stderr.contains(&text), "{answer:?}");
        assert_eq!(server.get("/").text(), "one\n\n");
    }
}

#[test]
fn a_status_shows_the_workers() {
    let server = Setup::of("environ").workers(2).start();
    let answer = ask(&server, &["status"]);
    assert_eq!(answer.code, 0);
    let lines: Vec<_> = answer.stdout.lines().collect();
    assert!(lines[0].starts_with("gen=1: 2 of 2 workers ready, "), "{answer:?}");
    assert_eq!(lines[1].split_whitespace().next(), Some("slot"));
    assert!(lines[4].contains(" (http): ") && lines[4].ends_with(" accepted"), "{answer:?}");
    let mut pids: Vec<i32> = Vec::new();
    for (slot, line) in lines[2..4].iter().enumerate() {
        let cells: Vec<_> = line.split_whitespace().collect();
        assert_eq!((cells[0], cells[1], cells[3]), (slot.to_string().as_str(), "1", "ready"));
        pids.push(cells[2].parse().unwrap());
    }
    pids.sort_unstable();
    assert_eq!(pids, server.workers());
    let json: serde_json::Value =
        serde_json::from_str(&ask(&server, &["status", "--json"]).stdout).unwrap();
    assert_eq!(json["workers"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["workers"][0]["state"], "ready");
}

#[test]
fn the_server_is_found_by_its_settings() {
    let yaml = "bind: fd://3\npid: master.pid\n";
    let server = Setup::of("environ").file("monoceros.yaml", yaml).start();
    let directory = server.directory.path();
    assert_eq!(run(directory, &["status"]).code, 0);
    let (config, elsewhere) = (server.directory.join("monoceros.yaml"), Path::new("/"));
    let answer = run(elsewhere, &["status", "--config", config.to_str().unwrap()]);
    assert!(answer.stderr.contains("/master.pid: no such file or directory"), "{answer:?}");
    let file = server.directory.join("master.pid");
    let mut command = command(elsewhere, &["status"]);
    let answer: Answer = command.env("MONOCEROS_PID", file).output().unwrap().into();
    assert_eq!(answer.code, 0, "{answer:?}");
}

#[test]
fn a_command_without_a_running_server_fails_with_the_reason() {
    let server = Setup::of("environ").start();
    let directory = server.directory.path();
    server.directory.write("stale", &format!("{}\n", server.pid()));
    for (words, code, text) in [
        (&["reload", "--pid", "missing"][..], 1, "missing: no such file or directory"),
        (&["reload", "--pid", "stale"], 1, "stale: no running server holds this pid file"),
        (&["status", "1"], 1, "pid 1 hears no commands: it is no monoceros server"),
        (&["upgrade", "2147483647"], 1, "pid 2147483647 hears no commands"),
        (&["reload"], 2, "which server? name its PID (monoceros reload PID)"),
        (&["reload", "shop"], 2, "\"shop\" is no PID"),
        (&["status", "--nonsense"], 2, "--nonsense: status has no such flag"),
    ] {
        let answer = run(directory, words);
        assert_eq!((answer.code, answer.stdout.as_str()), (code, ""), "{words:?} {answer:?}");
        assert!(answer.stderr.contains(text), "{words:?}: {answer:?}");
        assert_eq!(answer.stderr.lines().count(), 1, "{answer:?}");
    }
    let worker = server.workers()[0].to_string();
    assert!(run(directory, &["reload", &worker]).stderr.contains("hears no commands"));
}

#[test]
fn a_process_that_answers_for_another_is_not_asked() {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
    // Not a pid in use, and not the name of another run.
    let victim = i32::MAX - i32::try_from(std::process::id()).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let name = format!("\0monoceros/{}/{victim}", namespace.display());
    listener.bind(&SockAddr::unix(name).unwrap()).unwrap();
    listener.listen(1).unwrap();
    let answer = run(Path::new("/"), &["status", &victim.to_string()]);
    assert_eq!(answer.code, 1);
    let text = format!("pid {} answers in place of pid {victim}", std::process::id());
    assert!(answer.stderr.contains(&text), "{answer:?}");
}

#[test]
fn a_server_whose_name_was_taken_first_is_found() {
    let script = "echo $$ >own; read line <go; exec \"$0\" \"$@\" 3<&0 0</dev/null";
    let setup = Setup::of("environ").script(script);
    mkfifo(&setup.directory.join("go"), Mode::S_IRWXU).unwrap();
    let server = setup.spawn();
    let pid = until::some("the pid", || server.directory.read("own").trim().parse::<i32>().ok());
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
    let name = format!("\0monoceros/{}/{pid}", namespace.display());
    let take = |name: &str| {
        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        listener.bind(&SockAddr::unix(name).unwrap()).unwrap();
        listener.listen(0).unwrap();
        listener
    };
    // Nor is it hidden by one that takes no more connections.
    let listener = take(&name);
    let taken = [listener, take(&format!("{name}/0"))];
    let full = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    full.connect(&SockAddr::unix(&name).unwrap()).unwrap();
    fs::write(server.directory.join("go"), "\n").unwrap();
    server.wait_until_ready();
    let answer = ask(&server, &["status"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    drop((taken, full));
}

#[test]
fn another_users_command_is_refused() {
    if !need::root() {
        return;
    }
    let server = Setup::of("environ").start();
    let old = server.workers();
    // Another user may not enter the directories on the way to the program.
    let copy = server.directory.join("monoceros");
    fs::copy(program(), &copy).unwrap();
    for verb in ["reload", "upgrade", "status"] {
        let mut command = Command::new(&copy);
        command.args([verb, &server.pid().to_string()]).current_dir("/").uid(65534).gid(65534);
        // A process that another test is about to start may still have it open.
        let run = || command.output().map_err(|error| assert_eq!(error.kind(), BUSY)).ok();
        let answer: Answer = until::some("a copy that can be executed", run).into();
        let text = "permission denied: user 65534 is neither the server's user 0 nor root";
        assert!(answer.code == 1 && answer.stderr.contains(text), "{verb}: {answer:?}");
    }
    assert_eq!(server.workers(), old);
}

#[test]
fn silent_connections_delay_no_command() {
    let server = Setup::of("environ").start();
    let silent: Vec<_> = (0..40).map(|_| connect(&server)).collect();
    let answer = ask(&server, &["status", "--timeout", "20"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    assert_eq!(server.get("/").status, 200);
    // The oldest ones were displaced; the others are closed in time.
    let displaced = silent.iter().filter(|it| last_words(it).contains("Displaced")).count();
    assert!((8..40).contains(&displaced), "{displaced} of 40 were displaced");
    assert!(last_words(&connect(&server)).contains("nothing was asked"));
}

#[test]
fn invalid_commands_are_refused() {
    let server = Setup::of("environ").start();
    let old = server.workers();
    let long = vec![b'"'; 150_000];
    for bytes in [&b"\0\xff garbage"[..], b"{", b"\"Destroy\"", b"{\"Reload\":1}", &long] {
        let socket = connect(&server);
        assert_eq!(socket.send(bytes).unwrap(), bytes.len());
        let answer = last_words(&socket);
        assert!(answer.contains("the server does not know this command"), "{answer}");
    }
    let twice = connect(&server);
    // The master reads the second one, or has closed the connection before.
    drop(twice.send(b"\"Status\"").and_then(|_| twice.send(b"\"Reload\"")));
    assert!(last_words(&twice).contains("1 of 1 workers ready"));
    assert_eq!(ask(&server, &["status"]).code, 0);
    assert_eq!(server.workers(), old);
}

/// As many commands as can wait at a time.
const SEATS: usize = 16;

#[test]
fn commands_at_once_are_all_answered() {
    let server = Setup::of("environ").start();
    let commands: Vec<_> = (0..60).map(|_| begin(&server, &["status"])).collect();
    for answer in commands.into_iter().map(end) {
        assert_eq!(answer.code, 0, "{answer:?}");
    }
}

#[test]
fn commands_that_wait_delay_no_command_that_does_not() {
    let server = changing().start();
    let hang = "import os\nos.path.exists('never') or os.mkfifo('never')\nopen('never').read()";
    server.directory.write("changing.py", hang);
    let waiting: Vec<_> = (0..SEATS).map(|_| connect(&server)).collect();
    for socket in &waiting {
        socket.send(b"\"Reload\"").unwrap();
    }
    until::holds("an import that hangs", || server.directory.join("never").exists());
    for answer in (0..10).map(|_| begin(&server, &["reload"])).map(end) {
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.stderr.contains("too many commands wait for the server"), "{answer:?}");
    }
    let commands: Vec<_> = (0..50).map(|_| begin(&server, &["status"])).collect();
    for answer in commands.into_iter().map(end) {
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    server.directory.write("changing.py", &VERSION.replace("one", "two"));
    server.signal(Signal::SIGHUP);
    for socket in &waiting {
        let reply = last_words(socket);
        assert!(reply.contains("Reloaded"), "{reply}");
    }
}

#[test]
fn connections_that_ask_nothing_do_not_stop_the_server() {
    let server = Setup::of("environ").start();
    let sockets: Vec<_> = (0..100).map(|_| connect(&server)).collect();
    assert_eq!(server.get("/").status, 200);
    drop(sockets);
    until::holds("a free seat", || ask(&server, &["status"]).code == 0);
}

#[test]
fn clients_that_leave_or_do_not_read_delay_no_other_command() {
    let server = changing().start();
    for _ in 0..3 {
        let gone = connect(&server);
        gone.send(b"\"Reload\"").unwrap();
    }
    let deaf = connect(&server);
    deaf.send(b"\"Reload\"").unwrap();
    assert_eq!(ask(&server, &["reload"]).code, 0);
    assert_eq!(server.get("/").text(), "one\n\n");
    assert!(last_words(&deaf).contains("Reloaded"));
}

#[test]
fn a_command_does_not_outlive_its_server() {
    let server = Setup::of("stream:route").start();
    let (_busy, writer) = server.occupy("pipe");
    let silent = connect(&server);
    server.signal(Signal::SIGTERM);
    server.wait_for_log("draining");
    let answer = ask(&server, &["reload"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
    assert!(answer.stderr.contains("the server is stopping"), "{answer:?}");
    assert_eq!(ask(&server, &["status"]).code, 0, "a server that drains still tells how it is");
    Writer::finish(writer);
    assert_eq!(server.wait_for_exit(), 0);
    // After the reply that it may have got for asking nothing, the connection is closed.
    while !last_words(&silent).is_empty() {}
    let gone = ask(&server, &["status"]);
    assert!(gone.code == 1 && gone.stderr.contains("hears no commands"), "{gone:?}");
}
