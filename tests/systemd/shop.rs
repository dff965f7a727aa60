//! The service that `docs/operating.md` describes, in a machine.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Output;
use std::sync::LazyLock;

use crate::machine::Machine;
use crate::support::client::{Connection, Response};
use crate::support::setup::own_ip;
use crate::support::until;

/// Says which version it is, waits for a file, or fails.
const APPLICATION: &str = "
import os, time

def application(environ, start_response):
    if environ['PATH_INFO'] == '/fail':
        raise ValueError('raised for the journal')
    while environ['PATH_INFO'] == '/wait' and not os.path.exists('/srv/shop/open'):
        time.sleep(0.01)
    start_response('200 OK', [('Content-Length', '3')])
    return [b'VERSION']
";

/// The blocks of the section about systemd: the unit, and what else it may have.
static BLOCKS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split("### With systemd\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let blocks = section.split("```ini\n").skip(1).map(|it| it.split("```").next().unwrap());
    blocks.map(str::to_owned).collect()
});

/// The unit is written; nothing runs.
pub(crate) struct Shop<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) address: SocketAddr,
}

impl<'a> Shop<'a> {
    /// Makes user, code, virtual environment and unit, as documented.
    pub(crate) fn install(machine: &'a Machine) -> Self {
        machine.said(&["useradd", "--system", "shop"]);
        machine.said(&["python3", "-m", "venv", "--without-pip", "/srv/shop/venv"]);
        let ip: Ipv4Addr = own_ip();
        let shop = Self { machine, address: (ip, 8000).into() };
        shop.deploy("one");
        machine.write("/etc/systemd/system/shop.service", &BLOCKS[0]);
        // Machines share the host's addresses, and the pace of a busy host.
        let bind = shop.address;
        shop.drop_in(&format!(
            "Environment=MONOCEROS_BIND={bind} MONOCEROS_THREADS=4 MONOCEROS_DRAIN_IDLE=20\n"
        ));
        shop
    }

    /// Adds the documented restrictions.
    pub(crate) fn harden(&self) {
        let block = BLOCKS[1].strip_prefix("[Service]\n").unwrap();
        self.drop_in(block);
    }

    /// Adds lines to the section of the service.
    pub(crate) fn drop_in(&self, lines: &str) {
        let directory = self.machine.path("/etc/systemd/system/shop.service.d");
        let count = fs::read_dir(directory).map_or(0, Iterator::count);
        let path = format!("/etc/systemd/system/shop.service.d/{count}.conf");
        self.machine.write(&path, &format!("[Service]\n{lines}"));
        self.machine.said(&["systemctl", "daemon-reload"]);
    }

    /// Puts a version of the code, of three letters, in place.
    pub(crate) fn deploy(&self, version: &str) {
        let code = APPLICATION.replace("VERSION", version);
        self.machine.write("/srv/shop/current/shop/wsgi.py", &code);
    }

    /// Puts code in place that cannot be imported.
    pub(crate) fn break_code(&self) {
        self.machine.write("/srv/shop/current/shop/wsgi.py", "import no_such_module\n");
    }

    /// Lets requests for `/wait` come to an end.
    pub(crate) fn open(&self) {
        self.machine.write("/srv/shop/open", "");
    }

    /// Does something to the unit that succeeds.
    pub(crate) fn systemctl(&self, verb: &str) {
        self.machine.said(&["systemctl", verb, "shop"]);
    }

    /// Tries something that may fail.
    pub(crate) fn attempt(&self, verb: &str) -> Output {
        self.machine.run(&["systemctl", verb, "shop"])
    }

    /// A property of the unit.
    pub(crate) fn property(&self, name: &str) -> String {
        let said = self.machine.said(&["systemctl", "show", "--value", "--property", name, "shop"]);
        said.trim().to_owned()
    }

    /// Waits until a property has a value.
    pub(crate) fn wait_for(&self, name: &str, value: &str) {
        let found = until::within(until::DEADLINE, || (self.property(name) == value).then_some(()));
        let machine = self.machine;
        assert!(found.is_some(), "{}: {name} is not {value}\n{machine}", machine.release);
    }

    /// Has the old state of the unit as it should be after a stop.
    pub(crate) fn assert_stopped_well(&self) {
        self.wait_for("ActiveState", "inactive");
        assert_eq!(self.property("Result"), "success", "{}", self.machine);
        assert_eq!(self.property("ExecMainStatus"), "0", "{}", self.machine);
    }

    pub(crate) fn connect(&self) -> Connection {
        let machine = self.machine;
        Connection::tcp(self.address).unwrap_or_else(|error| panic!("{error}\n{machine}"))
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    /// The messages of the unit in the journal of this priority and worse.
    pub(crate) fn journal(&self, priority: &str) -> String {
        let words = ["journalctl", "--no-pager", "--unit=shop", "--output=cat", "--priority"];
        // What was written last may not be there yet.
        self.machine.said(&["journalctl", "--sync"]);
        self.machine.said(&[&words[..], &[priority, "_SYSTEMD_UNIT=shop.service"]].concat())
    }
}
