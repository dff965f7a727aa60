//! systemd's journal: whether it reads a stream, and its native protocol, which has fields,
//! and in which a record with several lines is one entry.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::OnceLock;

use monoceros_sys::{memory, packet};

use crate::identity::Identity;
use crate::record::{LogRecord, MESSAGE_ID};
use crate::severity::Severity;

/// The variable with the device and inode of the stream to the journal
/// (`systemd.exec(5)`).
const VARIABLE: &str = "JOURNAL_STREAM";
/// The socket of the native protocol (`systemd-journald.service(8)`).
const SOCKET: &str = "/run/systemd/journal/socket";
/// The name under which the journal shows the server.
const IDENTIFIER: &str = "monoceros";

/// Whether the journal reads this file. The variable alone is not enough: the output may
/// have been redirected since.
pub(crate) fn reads(file: &File) -> bool {
    static STREAM: OnceLock<Option<(u64, u64)>> = OnceLock::new();
    let stream = STREAM.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?));
    let identity = || file.metadata().ok().map(|it| (it.dev(), it.ino()));
    stream.is_some() && *stream == identity()
}

/// Whether the journal reads standard error.
#[must_use]
pub fn reads_stderr() -> bool {
    let copy = io::stderr().as_fd().try_clone_to_owned();
    copy.is_ok_and(|copy| reads(&File::from(copy)))
}

/// A text in which every line begins with this severity's priority, for the stream to the
/// journal, which makes an entry of each line (`sd-daemon(3)`).
#[must_use]
pub fn prioritized(severity: Severity, text: &str) -> String {
    let prefix = format!("<{}>", severity.priority());
    let lines: Vec<_> = text.split('\n').map(|line| format!("{prefix}{line}")).collect();
    lines.join("\n")
}

fn parse(value: &str) -> Option<(u64, u64)> {
    let (device, inode) = value.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// A connection to the journal by its native protocol. It has no lock, and each entry is one
/// datagram, so processes that the application forks can use it too.
#[derive(Debug)]
pub(crate) struct JournalSocket {
    socket: OwnedFd,
}

impl JournalSocket {
    /// Connects, if the stream is the journal's own: a socket. `None` where the native protocol
    /// cannot be used.
    pub(crate) fn for_stream(stream: &File) -> Option<Self> {
        let is_socket = stream.metadata().is_ok_and(|it| it.file_type().is_socket());
        if is_socket { Self::connect(Path::new(SOCKET)).ok() } else { None }
    }

    /// Connects to the socket at `path`.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket: socket.into() })
    }

    /// Sends an entry without waiting. Returns whether the journal has it. An entry that is too
    /// long for a datagram is sent as a file in memory (`sd_journal_sendv(3)`).
    pub(crate) fn send(&self, entry: &[u8]) -> bool {
        let too_long = |error: &io::Error| {
            matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::ENOBUFS))
        };
        match packet::send(self.socket.as_fd(), entry, &[]) {
            Err(error) if too_long(&error) => {
                let sealed = memory::sealed_file("journal-entry", entry);
                let send = |file: File| packet::send(self.socket.as_fd(), &[], &[file.as_fd()]);
                sealed.and_then(send).is_ok()
            }
            sent => sent.is_ok(),
        }
    }
}

/// The entry of a record, with this message.
pub(crate) fn entry(record: &LogRecord, message: &str, identity: Identity) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + message.len());
    push(&mut out, "MESSAGE", message);
    push(&mut out, "PRIORITY", &record.severity.priority().to_string());
    push(&mut out, "SYSLOG_IDENTIFIER", IDENTIFIER);
    push(&mut out, "MONOCEROS_LOGGER", record.logger.unwrap_or(identity.logger()));
    if let Some(slot) = identity.slot() {
        push(&mut out, "MONOCEROS_WORKER", &slot.to_string());
    }
    if let Some(generation) = identity.generation() {
        push(&mut out, "MONOCEROS_GENERATION", &generation.to_string());
    }
    for (name, value) in &record.fields {
        match name.as_ref() {
            MESSAGE_ID => push(&mut out, "MESSAGE_ID", value),
            name => push(&mut out, &format!("MONOCEROS_{}", field_name(name)), value),
        }
    }
    out
}

/// Letters, digits and underscores: other names are not accepted.
fn field_name(name: &str) -> String {
    let letter = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

/// Appends a field with its length in front of the value, so that no value can add a field.
fn push(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read as _;
    use std::os::unix::fs::FileExt;

    /// Decodes an entry as the journal does.
    fn decode(mut entry: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !entry.is_empty() {
            let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
            let name = String::from_utf8(entry[..end].to_vec()).unwrap();
            let length = u64::from_le_bytes(entry[end + 1..end + 9].try_into().unwrap());
            let (value, rest) = entry[end + 9..].split_at(length.try_into().unwrap());
            assert_eq!(rest[0], b'\n');
            entry = &rest[1..];
            let before = fields.insert(name, String::from_utf8(value.to_vec()).unwrap());
            assert!(before.is_none());
        }
        fields
    }

    fn directory(name: &str) -> std::path::PathBuf {
        let name = format!("monoceros-journal-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn an_entry_has_the_fields_of_its_record_and_no_other() {
        let mut record = LogRecord::own(Severity::Error, "x\nPRIORITY=0\nMESSAGE_ID=1");
        record.fields = [("message_id", "ab"), ("request_id", "r\nPRIORITY=0"), ("odd-name", "y")]
            .map(|(name, value)| (name.into(), value.to_owned()))
            .to_vec();
        let worker = Identity::Worker { slot: 3, generation: 4 };
        let found = decode(&entry(&record, "x\n  PRIORITY=0", worker));
        let expected = [
            ("MESSAGE", "x\n  PRIORITY=0"),
            ("PRIORITY", "3"),
            ("SYSLOG_IDENTIFIER", "monoceros"),
            ("MONOCEROS_LOGGER", "monoceros.worker"),
            ("MONOCEROS_WORKER", "3"),
            ("MONOCEROS_GENERATION", "4"),
            ("MESSAGE_ID", "ab"),
            ("MONOCEROS_REQUEST_ID", "r\nPRIORITY=0"),
            ("MONOCEROS_ODD_NAME", "y"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn an_entry_that_is_too_long_for_a_datagram_arrives_as_a_file() {
        let directory = directory("long");
        let path = directory.join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let socket = JournalSocket::connect(&path).unwrap();
        assert!(socket.send(b"short"));
        let mut bytes = [0; 16];
        assert_eq!(journal.recv(&mut bytes).unwrap(), 5);
        let long = vec![b'x'; 4 << 20];
        assert!(socket.send(&long));
        let (length, files) = packet::receive(journal.as_fd(), &mut bytes).unwrap();
        assert_eq!((length, files.len()), (0, 1));
        let mut file = File::from(files.into_iter().next().unwrap());
        assert!(file.write_at(b"y", 0).is_err(), "it is sealed");
        let mut found = Vec::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut found).unwrap();
        assert!(found == long);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_journal_that_does_not_read_does_not_hold_up_the_sender() {
        let directory = directory("full");
        let path = directory.join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let socket = JournalSocket::connect(&path).unwrap();
        let mut sent = 0;
        while socket.send(b"entry") {
            sent += 1;
        }
        assert!(sent > 0);
        drop(journal);
        assert!(!socket.send(b"entry"));
        assert!(JournalSocket::connect(&directory.join("missing")).is_err());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn each_line_has_the_priority_of_its_severity() {
        assert_eq!(prioritized(Severity::Error, "one"), "<3>one");
        assert_eq!(prioritized(Severity::Warning, "one\n  two"), "<4>one\n<4>  two");
        assert_eq!(prioritized(Severity::Info, ""), "<6>");
    }

    #[test]
    fn the_stream_is_two_numbers() {
        assert_eq!(parse("8:12345"), Some((8, 12_345)));
        for nonsense in ["", "8", "8:", ":8", "8:a", "8:1:2"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
