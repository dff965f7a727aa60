//! The error log in systemd's journal, by the journal's own protocol: a socket in place of
//! journald's receives the entries.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::log_records::{FORGED, writing};
use crate::support::need;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Starts the server where the directory `journal` is that of journald, and standard error is
/// the journal's.
const JOURNAL: &str = "exec unshare --mount sh -c 'mount -t tmpfs tmpfs /run && \
    mkdir -p /run/systemd/journal && mount --bind journal /run/systemd/journal && \
    export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) && \
    exec \"$0\" \"$@\" 3<&0 0</dev/null' \"$0\" \"$@\"";

fn can_mount() -> bool {
    let mut command = Command::new("unshare");
    let mounts = command.args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"]).output();
    let mounts = mounts.is_ok_and(|output| output.status.success());
    need::root() && need::met(mounts, "the right to mount")
}

/// An entry, decoded as journald does it (`systemd.journal-fields(7)`, "Native Journal
/// Protocol").
fn decode(mut entry: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    while let Some(end) = entry.iter().position(|byte| *byte == b'\n') {
        let name = String::from_utf8(entry[..end].to_vec()).unwrap();
        assert!(!name.contains('='), "every field has a length: {name}");
        let length = u64::from_le_bytes(entry[end + 1..end + 9].try_into().unwrap());
        let (value, rest) = entry[end + 9..].split_at(length.try_into().unwrap());
        assert_eq!(rest[0], b'\n');
        entry = &rest[1..];
        fields.insert(name, String::from_utf8(value.to_vec()).unwrap());
    }
    fields
}

struct Journal {
    socket: UnixDatagram,
    seen: Vec<BTreeMap<String, String>>,
}

impl Journal {
    /// The journal of a server that is to be started with [`JOURNAL`].
    fn of(setup: &Setup) -> Self {
        fs::create_dir(setup.directory.join("journal")).unwrap();
        let socket = UnixDatagram::bind(setup.directory.join("journal/socket")).unwrap();
        socket.set_read_timeout(Some(until::DEADLINE)).unwrap();
        Self { socket, seen: Vec::new() }
    }

    /// Waits for an entry with this text.
    fn wait_for(&mut self, text: &str) -> BTreeMap<String, String> {
        let mut bytes = vec![0; 256 * 1024];
        loop {
            if let Some(found) = self.seen.iter().find(|it| it["MESSAGE"].contains(text)) {
                return found.clone();
            }
            let length = self.socket.recv(&mut bytes).unwrap();
            self.seen.push(decode(&bytes[..length]));
        }
    }

    /// The server ends without files of the test.
    fn remove(&self, server: &Server) {
        fs::remove_dir_all(server.directory.join("journal")).unwrap();
    }
}

#[test]
fn a_record_is_one_entry_with_fields() {
    if !can_mount() {
        return;
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let setup = writing().script(JOURNAL);
    let mut journal = Journal::of(&setup);
    let server = setup.output(theirs).spawn();
    let ready = journal.wait_for("master: serving");
    assert!(ready["MESSAGE"].starts_with("[INFO] master: serving"), "{ready:?}");
    assert_eq!((&*ready["PRIORITY"], &*ready["MONOCEROS_LOGGER"]), ("6", "monoceros.master"));
    assert_eq!(ready["SYSLOG_IDENTIFIER"], "monoceros");
    assert!(!ready.contains_key("MONOCEROS_WORKER") && !ready.contains_key("MESSAGE_ID"));
    assert_eq!(server.get("/exception").status, 500);
    let failure = journal.wait_for("GET /exception");
    assert_eq!((&*failure["PRIORITY"], &*failure["MONOCEROS_WORKER"]), ("3", "0"));
    assert_eq!(failure["MONOCEROS_GENERATION"], "1");
    let message = &failure["MESSAGE"];
    assert!(message.contains("\n  Traceback") && message.contains(FORGED), "{message}");
    server.signal(Signal::SIGHUP);
    let reloaded = journal.wait_for("reloaded: gen=2");
    let known = include_str!("../docs/logging.md");
    assert!(known.contains(&*reloaded["MESSAGE_ID"]), "{reloaded:?}");
    journal.remove(&server);
    // Without the socket, the stream has the records.
    server.signal(Signal::SIGUSR1);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    drop(server);
    let mut rest = String::new();
    ours.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("master: serving"), "{rest}");
}
