//! An instance of the packaged unit, in a machine.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::machine::Machine;
use crate::support::client::{Connection, Response};
use crate::support::setup::own_ip;
use crate::support::until;

/// Responds with its version or with the length of a body, waits for a file, fails, or
/// evaluates Python, as a hostile application would.
const APPLICATION: &str = "
import os, socket, time

def application(environ, start_response):
    path, body, gate = environ['PATH_INFO'], environ['wsgi.input'].read(), GATE
    answer = 'VERSION'
    if path == '/fail':
        raise ValueError('raised for the journal')
    if path == '/length':
        answer = str(len(body))
    if path == '/eval':
        try:
            answer = repr(eval(body))
        except Exception as error:
            answer = type(error).__name__
    while path == '/wait' and not os.path.exists(gate):
        time.sleep(0.01)
    answer = answer.encode()
    start_response('200 OK', [('Content-Length', str(len(answer)))])
    return [answer]
";

/// The configuration is written; nothing runs.
pub(crate) struct Shop<'a> {
    pub(crate) machine: &'a Machine,
    /// The instance.
    pub(crate) name: String,
    /// Its service.
    pub(crate) unit: String,
    pub(crate) address: SocketAddr,
}

impl<'a> Shop<'a> {
    /// Makes code and configuration, for port 8000.
    pub(crate) fn install(machine: &'a Machine) -> Self {
        Self::install_at(machine, 8000)
    }

    pub(crate) fn install_at(machine: &'a Machine, port: u16) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("shop-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let unit = format!("monoceros@{name}.service");
        // Machines share the host's addresses.
        let shop = Self { machine, name, unit, address: (own_ip(), port).into() };
        shop.deploy("one");
        shop.configure("");
        shop
    }

    /// Writes the configuration, with these lines at its end.
    pub(crate) fn configure(&self, lines: &str) {
        self.configure_with("preload: true\napp: wsgi\n", lines);
    }

    /// Writes the configuration of another application.
    pub(crate) fn configure_with(&self, application: &str, lines: &str) {
        let (directory, address) = (self.directory(), self.address);
        // The pace of a busy host.
        let common = "threads: 4\ndrain-idle: 20\n";
        let text = format!("{application}{common}chdir: {directory}\nbind: {address}\n{lines}");
        self.machine.write(&self.configuration(), &text);
        // Passwords are in such files: only root can read them.
        self.machine.said(&["chmod", "600", &self.configuration()]);
    }

    pub(crate) fn configuration(&self) -> String {
        format!("/etc/monoceros/{}.yaml", self.name)
    }

    fn directory(&self) -> String {
        format!("/srv/{}", self.name)
    }

    /// Adds lines to the section of the service.
    pub(crate) fn drop_in(&self, lines: &str) {
        let directory = format!("/etc/systemd/system/{}.d", self.unit);
        let count = fs::read_dir(self.machine.path(&directory)).map_or(0, Iterator::count);
        self.machine.write(&format!("{directory}/{count}.conf"), &format!("[Service]\n{lines}"));
        self.machine.said(&["systemctl", "daemon-reload"]);
    }

    /// Puts a version of the code, of three letters, in place.
    pub(crate) fn deploy(&self, version: &str) {
        let gate = format!("'{}/open'", self.directory());
        let code = APPLICATION.replace("VERSION", version).replace("GATE", &gate);
        self.machine.write(&format!("{}/wsgi.py", self.directory()), &code);
    }

    /// Puts code in place that cannot be imported.
    pub(crate) fn break_code(&self) {
        let path = format!("{}/wsgi.py", self.directory());
        self.machine.write(&path, "import no_such_module\n");
    }

    /// Lets requests for `/wait` come to an end.
    pub(crate) fn open(&self) {
        self.machine.write(&format!("{}/open", self.directory()), "");
    }

    /// Does something to the unit that succeeds.
    pub(crate) fn systemctl(&self, verb: &str) {
        self.machine.said(&["systemctl", verb, &self.unit]);
    }

    /// Tries something that may fail.
    pub(crate) fn attempt(&self, verb: &str) -> Output {
        self.machine.run(&["systemctl", verb, &self.unit])
    }

    /// A property of the unit.
    pub(crate) fn property(&self, name: &str) -> String {
        let words = ["systemctl", "show", "--value", "--property", name, &self.unit];
        self.machine.said(&words).trim().to_owned()
    }

    pub(crate) fn main_pid(&self) -> String {
        self.property("MainPID")
    }

    /// Waits until a property has a value.
    pub(crate) fn wait_for(&self, name: &str, value: &str) {
        let found = until::within(until::DEADLINE, || (self.property(name) == value).then_some(()));
        let machine = self.machine;
        assert!(found.is_some(), "{}: {name} is not {value}\n{machine}", machine.release);
    }

    /// Waits until it serves with another main process than this one.
    pub(crate) fn wait_for_another(&self, main: &str) {
        let found = until::within(until::DEADLINE, || {
            let is_other = !["0", main].contains(&&*self.main_pid());
            (is_other && self.property("ActiveState") == "active").then_some(())
        });
        let machine = self.machine;
        assert!(found.is_some(), "{}: no other main process\n{machine}", machine.release);
    }

    /// Has the old state of the unit as it should be after a stop.
    pub(crate) fn assert_stopped_well(&self) {
        self.wait_for("ActiveState", "inactive");
        assert_eq!(self.property("Result"), "success", "{}", self.machine);
        assert_eq!(self.property("ExecMainStatus"), "0", "{}", self.machine);
    }

    /// Stops it, which ends well.
    pub(crate) fn stop(&self) {
        self.systemctl("stop");
        self.assert_stopped_well();
    }

    pub(crate) fn connect(&self) -> Connection {
        let machine = self.machine;
        Connection::tcp(self.address).unwrap_or_else(|error| panic!("{error}\n{machine}"))
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    /// Posts a body; returns what is answered.
    pub(crate) fn post(&self, target: &str, body: &[u8]) -> String {
        let mut connection = self.connect();
        let length = body.len();
        connection
            .send(format!("POST {target} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n"));
        connection.send(body);
        let response = connection.response();
        assert_eq!(response.status, 200, "{}", self.machine);
        response.text()
    }

    /// Has the application evaluate Python; returns the result, or the error's name.
    pub(crate) fn evaluate(&self, python: &str) -> String {
        self.post("/eval", python.as_bytes())
    }

    /// Has its worker crash, and waits for another one.
    pub(crate) fn crash_worker(&self) {
        let worker = self.evaluate("os.getpid()");
        self.machine.said(&["sh", "-c", &format!("kill -SEGV {worker}")]);
        // A request that the worker gets at its end is reset.
        until::holds("the end of the worker", || self.journal("err").contains(" died: SIGSEGV"));
        until::holds("another worker", || self.evaluate("os.getpid()") != worker);
    }

    /// The socket of the socket unit, as the host sees it.
    pub(crate) fn socket(&self) -> PathBuf {
        self.machine.path(&format!("/run/monoceros/{}.sock", self.name))
    }

    /// The messages of the unit in the journal of this priority and worse.
    pub(crate) fn journal(&self, priority: &str) -> String {
        let words = ["journalctl", "--no-pager", "--output=cat", "--priority", priority];
        // What was written last may not be there yet.
        self.machine.said(&["journalctl", "--sync"]);
        let unit = format!("_SYSTEMD_UNIT={}", self.unit);
        self.machine.said(&[&words[..], &[&*unit]].concat())
    }

    /// The entries of the unit in the journal that match, in their order.
    pub(crate) fn entries(&self, matches: &[&str]) -> Vec<serde_json::Value> {
        let words = ["journalctl", "--no-pager", "--all", "--output=json"];
        self.machine.said(&["journalctl", "--sync"]);
        let unit = format!("_SYSTEMD_UNIT={}", self.unit);
        let said = self.machine.said(&[&words[..], &[&*unit], matches].concat());
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
