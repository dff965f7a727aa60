//! The messages between an operator's command and a running master, and the name of
//! their socket. Each connection has one request and one reply.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use log::LevelFilter;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Generation, Slot};

/// The longest text in a reply, in bytes; the log has the rest.
const TEXT_LIMIT: usize = 16 * 1024;
/// The most workers in a [`Status`]: so many fit into one message.
const LISTED_WORKERS: usize = 500;

/// A request of an operator's command to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlRequest {
    /// Reload, as SIGHUP; the reply follows when that has succeeded or failed.
    Reload,
    /// Upgrade, as SIGUSR2; the reply follows when the new master has taken over or has
    /// ended.
    Upgrade,
    /// Shut down, as SIGTERM; the reply follows when that has begun.
    Stop,
    /// Report the status; the reply follows at once.
    Status,
    /// Send the report about the server ([`Report`](crate::report::Report)) as JSON; the reply
    /// follows at once.
    Report {
        /// Instead of it, send the requests that run and the last ones
        /// ([`RequestReport`](crate::report::RequestReport)).
        recent: bool,
    },
    /// Show the stacks of the threads of all processes, or of the workers in one slot; the
    /// reply follows when they are written.
    Stacks {
        /// The slot of the workers.
        slot: Option<Slot>,
    },
    /// Change the number of workers; the reply follows when that number serves.
    Workers(PoolChange),
    /// Write records from this level up to the error log, in all processes and those that are
    /// started later, until a reload; the reply follows when every process does so.
    LogLevel(LevelFilter),
    /// Open the log files again, as SIGUSR1; the reply follows when every process has done so.
    Reopen,
    /// Replace all workers, or those in one slot, one by one; the reply follows when they are
    /// replaced.
    Recycle {
        /// The slot of the workers.
        slot: Option<Slot>,
    },
}

/// A change of the number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolChange {
    /// So many more than now.
    More(u16),
    /// So many fewer than now.
    Fewer(u16),
    /// To this number.
    To(u16),
}

/// The stacks of one process, in the reply to [`ControlRequest::Stacks`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStacks {
    /// The slot of a worker; a mold has none.
    pub slot: Option<Slot>,
    /// The generation of its settings and code.
    pub generation: Generation,
    /// Its pid.
    pub pid: i32,
    /// The stacks as its interpreter has written them; `None` if it has not.
    pub stacks: Option<String>,
    /// Why there are none.
    pub error: Option<String>,
}

/// The reply of the master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlReply {
    /// A generation serves whose settings were read after the request, or for it.
    Reloaded {
        /// Its number.
        generation: Generation,
        /// How many workers it has.
        workers: u16,
    },
    /// Another master serves.
    Upgraded {
        /// Its pid.
        pid: i32,
    },
    /// The server finishes what it has, and ends.
    Stopping,
    /// The status.
    Status(Status),
    /// The reply is in a file in memory, whose descriptor comes with this message: it may be
    /// longer than a message.
    Document,
    /// So many workers serve.
    Resized {
        /// Their number.
        workers: u16,
    },
    /// The workers that were to be replaced are.
    Recycled {
        /// How many there were.
        workers: u16,
    },
    /// Every process has carried the command out.
    Confirmed {
        /// How many processes there are, the master among them.
        processes: u32,
    },
    /// Many newer connections have come before a request arrived on this one. The client
    /// connects again.
    Displaced,
    /// The command cannot be executed, or has failed: the server continues as before.
    Failed(String),
}

/// The status of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The whole result in a line for people.
    pub summary: String,
    /// Every worker, also those that drain.
    pub workers: Vec<WorkerStatus>,
    /// How many workers are left out.
    pub omitted: usize,
    /// What its workers, also those that have ended, have given up by their own
    /// decision: how often, by kind
    /// ([`GivenUp::name`](crate::scoreboard::GivenUp::name)). Kinds that have not occurred
    /// are left out.
    #[serde(default)]
    pub given_up: BTreeMap<String, u64>,
}

/// The status of a worker or mold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its slot; a mold has none.
    pub slot: Option<Slot>,
    /// The generation of its settings and code.
    pub generation: Generation,
    /// Its pid; 0 until there is a process.
    pub pid: i32,
    /// Its state, as a word.
    pub state: String,
    /// For how many seconds it has been ready, if it is.
    pub age: Option<u64>,
    /// How many requests it had responded to at the last check.
    pub requests: u64,
}

impl ControlRequest {
    /// The reply follows when something has come out, and not at once.
    #[must_use]
    pub fn waits(&self) -> bool {
        match self {
            Self::Reload
            | Self::Upgrade
            | Self::Stacks { .. }
            | Self::Workers(_)
            | Self::LogLevel(_)
            | Self::Reopen
            | Self::Recycle { .. } => true,
            Self::Stop | Self::Status | Self::Report { .. } => false,
        }
    }
}

impl ControlReply {
    /// A failure, with the reason cut to the limit of a message.
    #[must_use]
    pub fn failed(reason: &str) -> Self {
        let end = (0..=reason.len().min(TEXT_LIMIT)).rev().find(|at| reason.is_char_boundary(*at));
        Self::Failed(reason[..end.unwrap_or_default()].to_owned())
    }
}

impl Status {
    /// The status with as many workers as a message can have.
    #[must_use]
    pub fn new(summary: String, mut workers: Vec<WorkerStatus>) -> Self {
        let omitted = workers.len().saturating_sub(LISTED_WORKERS);
        workers.truncate(LISTED_WORKERS);
        Self { summary, workers, omitted, given_up: BTreeMap::new() }
    }
}

/// The most bytes of a file that a client reads.
const FILE_LIMIT: u64 = 256 << 20;

/// Reads the JSON in the file of a [`ControlReply::Document`].
///
/// # Errors
/// Those of `read(2)`, and `InvalidData` when it is too long or is not UTF-8.
pub fn read_text(file: &File) -> io::Result<String> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text);
    let length = file.metadata()?.len();
    if length > FILE_LIMIT {
        return Err(invalid("the reply is too long"));
    }
    // The descriptor shares its position with that of the master.
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    String::from_utf8(bytes).map_err(|_| invalid("the reply is not UTF-8"))
}

/// Reads the value in the file of a [`ControlReply::Document`].
///
/// # Errors
/// As [`read_text`], and `InvalidData` when it is a value of another version of the program.
pub fn read_document<T: DeserializeOwned>(file: &File) -> io::Result<T> {
    Ok(serde_json::from_str(&read_text(file)?)?)
}

/// A value for programs, as JSON.
///
/// # Errors
/// None that a value of this crate can have.
pub fn to_json<T: Serialize>(value: &T) -> io::Result<String> {
    Ok(serde_json::to_string(value)?)
}

/// How long a client may take to send its request; the master accepts few at a time.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The abstract name (unix(7)) of the socket at which the master with this pid receives
/// commands. The kernel removes it with the master.
///
/// Containers that share a network namespace share its abstract names, and each has a
/// pid 1: so the pid namespace is part of the name.
#[must_use]
pub fn name(pid: i32) -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("monoceros/{}/{pid}", namespace.display())
}

/// Another name of the same master, which cannot be guessed: any user of the machine
/// can bind [`name`] first.
#[must_use]
pub fn secret_name(pid: i32) -> String {
    // Its keys come from the kernel's random numbers.
    let random = RandomState::new().build_hasher().finish();
    format!("{}/{random:016x}", name(pid))
}

/// The names of listening sockets whose process may be the master with this pid. The
/// kernel reports which process it is (`SO_PEERCRED`, unix(7)).
#[must_use]
pub fn names(pid: i32) -> Vec<String> {
    let name = name(pid);
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let mut names: Vec<_> = find_secret(&table, &name).map(str::to_owned).collect();
    names.insert(0, name);
    names
}

/// The pids of the masters in this pid namespace, by the names of their control sockets: any
/// process can have taken such a name.
#[must_use]
pub fn masters() -> Vec<i32> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    find_masters(&table, &name(0))
}

/// The pids in names that are like the name of the master with pid 0.
fn find_masters(table: &str, name: &str) -> Vec<i32> {
    let prefix = name.trim_end_matches('0');
    let names = find_listening(table).filter_map(|name| name.strip_prefix(prefix));
    let pids = names.filter_map(|rest| rest.split('/').next()?.parse().ok());
    let mut pids: Vec<i32> = pids.filter(|pid| *pid > 0).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// The longer names of listening sockets in the kernel's table (`proc_net(5)`):
/// number, references, protocol, flags, type, state, inode, name. A name may have
/// any characters, blanks too.
fn find_secret<'a>(table: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let is_longer =
        move |path: &&str| path.strip_prefix(name).is_some_and(|it| it.starts_with('/'));
    find_listening(table).filter(is_longer)
}

/// The abstract names of listening sockets in the kernel's table.
fn find_listening(table: &str) -> impl Iterator<Item = &str> {
    const LISTENS: &str = "00010000";
    table.lines().filter_map(|line| {
        let (_, path) = line.split_once(" @")?;
        let listens = line.split_ascii_whitespace().nth(3) == Some(LISTENS);
        listens.then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Channel, Incoming, ends};
    use crate::scoreboard::GivenUp;

    #[test]
    fn the_longest_replies_fit_into_a_message() {
        let worker = WorkerStatus {
            slot: Some(Slot(u16::MAX)),
            generation: Generation(u32::MAX),
            pid: i32::MIN,
            state: "draining".to_owned(),
            age: Some(u64::MAX),
            requests: u64::MAX,
        };
        let status = Status::new("x".repeat(1000), vec![worker; 2000]);
        let given_up = GivenUp::ALL.map(|kind| (kind.name().to_owned(), u64::MAX)).into();
        let status = Status { given_up, ..status };
        assert_eq!((status.workers.len(), status.omitted), (500, 1500));
        let failed = ControlReply::failed(&"\u{1}é".repeat(TEXT_LIMIT));
        let (here, there): (
            Channel<ControlReply, ControlRequest>,
            Channel<ControlRequest, ControlReply>,
        ) = ends().unwrap();
        for answer in [ControlReply::Status(status), failed] {
            here.send(&answer).unwrap();
            assert_eq!(there.receive().unwrap(), Incoming::Message(answer));
        }
    }

    #[test]
    fn a_document_is_read_from_its_beginning() {
        let text = "\u{1}".repeat(1 << 20);
        let stacks = vec![ProcessStacks { stacks: Some(text), ..ProcessStacks::default() }; 3];
        let json = to_json(&stacks).unwrap();
        let file = monoceros_sys::memory::sealed_file("test", json.as_bytes()).unwrap();
        assert_eq!(read_document::<Vec<ProcessStacks>>(&file).unwrap(), stacks);
        let error = read_document::<u8>(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn longer_names_are_found_in_the_kernels_table() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0: 00000002 00000000 00010000 0005 01 11 @monoceros/pid:[1]/12\n\
            0: 00000002 00000000 00010000 0005 01 12 @monoceros/pid:[1]/12/abc\n\
            0: 00000002 00000000 00000000 0005 03 13 @monoceros/pid:[1]/12/def\n\
            0: 00000002 00000000 00010000 0005 01 14 @monoceros/pid:[1]/123/abc\n\
            0: 00000003 00000000 00000000 0001 03 15\n\
            0: 00000002 00000000 00010000 0005 01 16 @monoceros/pid:[1]/12/a b\n";
        let found: Vec<_> = find_secret(table, "monoceros/pid:[1]/12").collect();
        assert_eq!(found, ["monoceros/pid:[1]/12/abc", "monoceros/pid:[1]/12/a b"]);
        assert_eq!(find_masters(table, "monoceros/pid:[1]/0"), [12, 123]);
        assert!(find_masters(table, "monoceros/pid:[2]/0").is_empty());
        assert_ne!(secret_name(1), secret_name(1));
        assert!(secret_name(i32::MAX).len() < 107, "unix(7)");
    }

    #[test]
    fn masters_have_names_of_their_own() {
        assert_ne!(name(1), name(12));
        assert!(name(i32::MAX).len() < 107, "unix(7)");
    }
}
