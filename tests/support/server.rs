//! A server for one test. When the test ends, also by a panic, all its processes are ended.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::thread;

use nix::sys::signal::Signal;

use super::aftermath;
use super::client::{Connection, Response, get};
use super::directory::Directory;
use super::pipe::{Pipe, Writer};
use super::process;
use super::until;

/// A part of the line that the master logs when all workers serve.
const READY: &str = "] master: serving";

/// A part of the line with the pid of a new master.
const NAMED: &str = "the new master has pid ";

/// A master that runs or has ended.
pub(crate) struct Server {
    child: RefCell<Child>,
    /// The present master, if it is not the process that was started: a daemon, or the new
    /// master of an upgrade.
    adopted: Cell<Option<i32>>,
    pub(crate) directory: Directory,
    pub(crate) mark: String,
    address: Option<SocketAddr>,
    /// Parts of log lines that do not fail the test.
    allowed: RefCell<Vec<String>>,
    /// The numbers of descriptors and workers of the master when it began to serve.
    baseline: Cell<Option<(usize, usize)>>,
    status: Cell<Option<ExitStatus>>,
}

/// The results of a program that has ended.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) directory: Directory,
}

impl Server {
    pub(crate) fn new(
        child: Child,
        directory: Directory,
        mark: String,
        address: Option<SocketAddr>,
    ) -> Self {
        let (adopted, allowed, baseline, status) = <_>::default();
        let child = RefCell::new(child);
        Self { child, adopted, directory, mark, address, allowed, baseline, status }
    }

    /// The pid of the master.
    pub(crate) fn pid(&self) -> i32 {
        self.adopted.get().unwrap_or_else(|| self.child.borrow().id().try_into().unwrap())
    }

    /// Sets another process as the master.
    pub(crate) fn adopt(&self, master: i32) {
        // Reaps the former master, if it has ended.
        self.has_ended();
        self.adopted.set(Some(master));
        self.baseline.set(None);
    }

    /// Upgrades the server, and waits until the old master has ended.
    pub(crate) fn upgrade(&self) {
        let before = self.log().matches(NAMED).count();
        self.signal(Signal::SIGUSR2);
        self.wait_for_log_times(NAMED, before + 1);
        self.follow();
    }

    /// Waits until a new master has taken over and the old one has ended.
    pub(crate) fn follow(&self) {
        let new = self.named_master();
        let line = format!("[{new}] [INFO] master: has taken over");
        // The wait ends also if the new master has ended.
        until::holds("a new master", || self.log().contains(&line) || !process::is_alive(new));
        assert!(self.log().contains(&line), "it has not taken over:\n{}", self.log());
        until::holds("the end of the old master", || self.has_ended());
        self.adopt(new);
    }

    /// The pid of the new master that the log names last.
    pub(crate) fn named_master(&self) -> i32 {
        self.wait_for_log(NAMED);
        let log = self.log();
        let (_, after) = log.rsplit_once(NAMED).unwrap();
        after.lines().next().unwrap().parse().unwrap()
    }

    /// The pids of the running workers.
    pub(crate) fn workers(&self) -> Vec<i32> {
        process::children(self.pid())
    }

    /// Waits until one of the workers `old` has been replaced: their number is the same, and
    /// they are not.
    pub(crate) fn wait_for_replacement(&self, old: &[i32]) {
        until::holds("another worker", || {
            let now = self.workers();
            now.len() == old.len() && now != old
        });
    }

    /// Waits until there are exactly `count` workers, none of them among `old`.
    pub(crate) fn wait_for_new_workers(&self, old: &[i32], count: usize) {
        until::holds("new workers alone", || {
            let now = self.workers();
            now.len() == count && !now.iter().any(|pid| old.contains(pid))
        });
    }

    /// Waits until there are exactly `count` workers.
    pub(crate) fn wait_for_workers(&self, count: usize) -> Vec<i32> {
        until::some(&format!("{count} workers"), || {
            Some(self.workers()).filter(|workers| workers.len() == count)
        })
    }

    /// The text on standard error: the error log by default.
    pub(crate) fn log(&self) -> String {
        self.directory.read("stderr")
    }

    /// Waits until the log contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait_for_log_times(text, 1);
    }

    /// Waits until the log contains `text` `count` times.
    pub(crate) fn wait_for_log_times(&self, text: &str, count: usize) {
        let found = || self.log().matches(text).count() >= count;
        until::holds(&format!("{text:?} in the log"), || found() || self.has_ended());
        assert!(found(), "the server has ended without {text:?}:\n{}", self.log());
    }

    /// The lines of `access.log`, of which there must be so many.
    pub(crate) fn access_lines(&self, count: usize) -> Vec<String> {
        let read = || self.directory.read("access.log");
        until::holds("lines in the access log", || read().lines().count() >= count);
        let lines: Vec<_> = read().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    /// Waits until all workers have the new file of a log open, and none has the old one.
    pub(crate) fn wait_for_reopened(&self, old: &str, new: &str) {
        let [old, new] = [old, new].map(|name| self.directory.join(name));
        until::holds("workers that have the new file open", || {
            self.workers().iter().all(|it| process::holds(*it, &new) && !process::holds(*it, &old))
        });
    }

    pub(crate) fn wait_until_ready(&self) {
        self.wait_for_log(READY);
        // Those of a master with private keys can only be seen by root.
        let held = process::descriptors(self.pid()).ok();
        self.baseline.set(held.map(|held| (held.len(), self.workers().len())));
    }

    /// The log line with the addresses.
    pub(crate) fn ready_line(&self) -> String {
        self.log().lines().find(|line| line.contains(READY)).unwrap_or_default().to_owned()
    }

    /// The address of the server: that of the test's own socket, or the first in the log.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap_or_else(|| self.address_of("http"))
    }

    /// The first address in the log with this scheme, `http` or `https`.
    pub(crate) fn address_of(&self, scheme: &str) -> SocketAddr {
        let line = self.ready_line();
        let after = line.split(&format!("{scheme}://")).nth(1);
        let after = after.unwrap_or_else(|| panic!("no {scheme} address in {line:?}"));
        let end = after.find(|c: char| !c.is_ascii_hexdigit() && !"[].:".contains(c));
        let text = after[..end.unwrap_or(after.len())].trim_end_matches(['.', ':']);
        text.parse().unwrap_or_else(|error| panic!("{error}: {text:?} in {line:?}"))
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::tcp(self.address()).expect("the server listens")
    }

    /// Sends a GET on a new connection, and reads the response.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    /// Sends bytes on a new connection, and reads one response.
    pub(crate) fn ask(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut connection = self.connect();
        connection.send(bytes);
        connection.response()
    }

    /// Sends a request that lasts until the pipe's writer is dropped. When this returns, the
    /// application has the request.
    pub(crate) fn occupy(&self, name: &str) -> (Connection, Writer) {
        let pipe = Pipe::new(&self.directory, name);
        let mut connection = self.connect();
        connection.send(get(&format!("/wait?{}", pipe.query())));
        (connection, pipe.open())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }

    /// Lines of the log that contain `text` do not fail the test.
    pub(crate) fn allow(&self, text: &str) {
        self.allowed.borrow_mut().push(text.to_owned());
    }

    pub(crate) fn has_ended(&self) -> bool {
        if self.status.get().is_none() {
            self.status.set(self.child.borrow_mut().try_wait().unwrap());
        }
        let lives = self.adopted.get().is_some_and(process::is_alive);
        self.status.get().is_some() && !lives
    }

    /// Waits until the master has ended, and returns its exit code; after a signal, the
    /// signal's number as a negative code.
    pub(crate) fn wait_for_exit(&self) -> i32 {
        until::holds("the end of the master", || self.has_ended());
        if self.adopted.get().is_some() {
            // Only its parent gets its exit code. With 0 this is its last log line.
            return i32::from(!self.log().ends_with("master: stopped\n"));
        }
        let status = self.status.get().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }

    /// Stops the server, expects the exit code 0, and runs the checks after a test.
    pub(crate) fn stop(self) {
        drop(self);
    }

    /// Waits for the end, and returns the output for the caller's checks.
    pub(crate) fn wait_for_end(self) -> Finished {
        let code = self.wait_for_exit();
        aftermath::assert_nothing_runs(&self.mark, self.directory.path());
        let (stdout, stderr) = (self.directory.read("stdout"), self.log());
        // The checks of `drop` get another directory.
        let directory = self.replace_directory();
        Finished { code: Some(code), stdout, stderr, directory }
    }

    fn replace_directory(mut self) -> Directory {
        let empty = Directory::new();
        std::mem::replace(&mut self.directory, empty)
    }

    /// Runs the checks at the end of a test, around a stop of the server.
    fn finish(&self) {
        if !self.has_ended() {
            aftermath::assert_in_order(self.pid(), self.baseline.get());
            self.signal(Signal::SIGTERM);
            assert_eq!(self.wait_for_exit(), 0, "the exit code after SIGTERM");
        }
        aftermath::assert_nothing_runs(&self.mark, self.directory.path());
        aftermath::assert_nothing_left(self.directory.path());
        aftermath::assert_clean(&self.log(), &self.allowed.borrow());
    }

    /// Kills all processes of this test.
    fn kill(&self) {
        if !self.has_ended() {
            self.signal(Signal::SIGKILL);
        }
        if self.status.get().is_none() {
            let mut child = self.child.borrow_mut();
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for pid in process::marked(&self.mark, self.directory.path()) {
            process::signal(pid, Signal::SIGKILL);
        }
    }
}

/// Kills the processes and prints the log when it is dropped during a panic.
struct Guard<'a>(&'a Server);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.kill();
            eprintln!("--- log\n{}---", self.0.log());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let guard = Guard(self);
        if !thread::panicking() {
            self.finish();
        }
        drop(guard);
    }
}
