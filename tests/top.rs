//! `monoceros top` on a real terminal, that of tmux.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;

use crate::support::command::ask;
use crate::support::environment;
use crate::support::need;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, program};
use crate::support::until;

/// A terminal of 80 columns and 24 lines, in which a command runs.
struct Terminal<'a> {
    name: String,
    server: &'a Server,
}

impl<'a> Terminal<'a> {
    /// Runs `monoceros top`, and then a program that keeps the terminal open.
    fn open(server: &'a Server, words: &str) -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let is_there = Command::new("tmux").arg("-V").output().is_ok();
        if !need::met(is_there, "tmux") {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("monoceros-{}-{number}", std::process::id());
        let terminal = Self { name, server };
        let directory = server.directory.path().display().to_string();
        let program = program().display().to_string();
        // The shell that becomes the command leaves its pid.
        let script = format!(
            "stty -g >{directory}/before; \
             sh -c 'echo $$ >{directory}/top-process; exec {program} top {words}'; \
             echo code=$?; stty -g >{directory}/after; exec cat"
        );
        let size = ["-x", "80", "-y", "24"];
        let session = [&["new-session", "-d", "-c", "/"], &size[..], &[&script]].concat();
        let output = terminal.run(&session);
        assert!(output.status.success(), "{output:?}");
        Some(terminal)
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        environment::clear(&mut command).args(["-u", "-L", &self.name, "-f", "/dev/null"]);
        // A user without a login has a shell that runs nothing.
        command.env("SHELL", "/bin/sh");
        command.args(words).current_dir("/").output().unwrap()
    }

    /// What is on the screen.
    fn screen(&self) -> String {
        String::from_utf8(self.run(&["capture-pane", "-p"]).stdout).unwrap()
    }

    fn wait_for(&self, text: &str) -> String {
        until::some(&format!("{text:?} on the screen:\n{}", self.screen()), || {
            Some(self.screen()).filter(|screen| screen.contains(text))
        })
    }

    fn press(&self, key: &str) {
        assert!(self.run(&["send-keys", key]).status.success());
    }

    fn pid(&self) -> i32 {
        until::some("the pid", || self.server.directory.read("top-process").trim().parse().ok())
    }

    /// The command has ended with this code, and the terminal is as it was before.
    fn assert_restored(&self, code: u8) {
        self.wait_for(&format!("code={code}\n"));
        let state = self.run(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(String::from_utf8(state.stdout).unwrap(), "0 1\n");
        let read = |name| self.server.directory.read(name);
        until::holds("the state of the terminal", || read("after").ends_with('\n'));
        assert_eq!(read("after"), read("before"));
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

#[test]
fn the_server_and_its_workers_are_on_the_screen_and_keys_change_it() {
    let server = Setup::of("stream:route").workers(2).start();
    let Some(terminal) = Terminal::open(&server, &server.pid().to_string()) else { return };
    terminal.wait_for("workers   2 of 2 ");
    // The screen may be shown in part.
    until::holds("the last line", || {
        terminal.screen().lines().nth(23).is_some_and(|line| line.starts_with("q quit"))
    });
    let screen = terminal.screen();
    assert!(screen.contains("stream:route"), "{screen}");
    for pid in server.workers() {
        assert!(screen.contains(&format!(" {pid} ")), "{pid} in {screen}");
    }
    let (mut busy, writer) = server.occupy("pipe");
    terminal.wait_for("s GET /");
    writer.finish();
    assert_eq!(busy.response().status, 200);
    terminal.press("?");
    terminal.wait_for("resident memory");
    terminal.press("?");
    terminal.press("s");
    terminal.wait_for("sort: req/s");
    terminal.press("p");
    terminal.wait_for("PAUSED");
    assert!(terminal.run(&["resize-window", "-x", "120", "-y", "30"]).status.success());
    until::holds("a larger screen", || {
        terminal.screen().lines().nth(29).is_some_and(|line| line.starts_with("q quit"))
    });
    terminal.press("q");
    terminal.assert_restored(0);
}

#[test]
fn a_signal_restores_the_terminal() {
    let server = Setup::of("environ").start();
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let Some(terminal) = Terminal::open(&server, &server.pid().to_string()) else { return };
        terminal.wait_for("q quit");
        process::signal(terminal.pid(), signal);
        terminal.assert_restored(code);
    }
}

/// A terminal that is no process's controlling terminal, so no signal reports its end: the side of
/// the screen and keys, and the side of a program.
fn pseudo_terminal() -> (File, File) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let screen = posix_openpt(flags).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let path = ptsname_r(&screen).unwrap();
    let options = ["-F", &path, "rows", "24", "cols", "80"];
    assert!(Command::new("stty").args(options).status().unwrap().success());
    let flags = OFlag::O_NOCTTY.bits();
    let program = File::options().read(true).write(true).custom_flags(flags).open(path).unwrap();
    (File::from(OwnedFd::from(screen)), program)
}

#[test]
fn a_terminal_that_is_gone_ends_the_view() {
    let server = Setup::of("environ").start();
    let (mut screen, terminal) = pseudo_terminal();
    let mut command = Command::new(program());
    environment::clear(&mut command).args(["top", &server.pid().to_string()]);
    command.stdin(terminal.try_clone().unwrap()).stdout(terminal).stderr(Stdio::piped());
    let mut view = command.spawn().unwrap();
    // The command has the terminal open too.
    drop(command);
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("q quit") {
        let mut bytes = [0; 4096];
        let count = screen.read(&mut bytes).unwrap();
        seen.extend_from_slice(&bytes[..count]);
    }
    drop(screen);
    let ended = until::within(until::DEADLINE, || view.try_wait().unwrap());
    view.kill().ok();
    let output = view.wait_with_output().unwrap();
    assert_eq!(ended.and_then(|status| status.code()), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("monoceros: cannot use the terminal: "), "{text}");
}

#[test]
fn the_view_follows_a_server_through_an_upgrade_and_misses_one_that_has_ended() {
    let server = Setup::of("environ").flags(&["--pid", "master.pid"]).start();
    let by_pid = server.pid().to_string();
    let by_file = format!("--pid {}", server.directory.join("master.pid").display());
    let Some(one) = Terminal::open(&server, &by_pid) else { return };
    let Some(two) = Terminal::open(&server, &by_file) else { return };
    one.wait_for(&format!("pid {by_pid} "));
    two.wait_for(&format!("pid {by_pid} "));
    server.upgrade();
    let new = server.pid();
    for terminal in [&one, &two] {
        terminal.wait_for(&format!("pid {new} "));
    }
    assert_eq!(ask(&server, &["stop"]).code, 0);
    for terminal in [&one, &two] {
        terminal.wait_for(&format!("the server with pid {new} has ended"));
        terminal.press("q");
        terminal.wait_for("code=0");
    }
}

#[test]
fn without_a_terminal_or_a_server_the_reason_is_printed() {
    let server = Setup::of("environ").start();
    let answer = ask(&server, &["top"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
    assert!(answer.stderr.starts_with("monoceros: top needs a terminal"), "{answer:?}");
    assert_eq!(answer.stderr.lines().count(), 1);
    let Some(terminal) = Terminal::open(&server, "2147483647") else { return };
    terminal.wait_for("monoceros: cannot find pid 2147483647: no such process");
    terminal.wait_for("code=1");
}
