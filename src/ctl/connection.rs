//! A connection of a command to the master: one request, one reply.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use monoceros_sys::{reason, seqpacket};
use monoceros_wire::channel::{Channel, Incoming};
use monoceros_wire::control::{ControlReply, ControlRequest, names};

/// How long one of several names is tried.
const IMPOSTOR_PATIENCE: Duration = Duration::from_millis(200);
/// How often a command connects whose connections newer ones displace.
const MOST_ATTEMPTS: usize = 50;

/// What the master has replied.
#[derive(Debug)]
pub(crate) struct Replied {
    /// The message.
    pub(crate) reply: ControlReply,
    /// The file that has come with it.
    pub(crate) file: Option<File>,
}

/// Sends a request to the master with this pid, and waits for its reply.
///
/// # Errors
/// With the reason, for people.
pub(crate) fn ask(
    pid: i32,
    request: ControlRequest,
    deadline: Option<Instant>,
) -> Result<Replied, String> {
    for _ in 0..MOST_ATTEMPTS {
        let replied = ask_once(pid, request, deadline)?;
        if replied.reply != ControlReply::Displaced {
            return Ok(replied);
        }
    }
    Err(format!("too many commands are connected to pid {pid}; try again"))
}

fn ask_once(
    pid: i32,
    request: ControlRequest,
    deadline: Option<Instant>,
) -> Result<Replied, String> {
    let channel = connect(pid, deadline)?;
    let cannot = |error: &io::Error| format!("cannot ask pid {pid}: {}", reason(error));
    match channel.send(&request) {
        // The server replies before it closes a connection that it refuses.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(cannot(&error)),
        Ok(()) | Err(_) => {}
    }
    receive(&channel, deadline).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => {
            "no answer within --timeout; what was asked for goes on".to_owned()
        }
        io::ErrorKind::UnexpectedEof => {
            format!("the server with pid {pid} ended before it answered")
        }
        _ => cannot(&error),
    })
}

/// A connection to the master with this pid and to no other process. Other processes can
/// have taken its name, or longer ones, and need not accept a connection: with several
/// names each one is tried for a short time.
fn connect(
    pid: i32,
    deadline: Option<Instant>,
) -> Result<Channel<ControlRequest, ControlReply>, String> {
    loop {
        let names = names(pid);
        let patience = (names.len() > 1).then_some(IMPOSTOR_PATIENCE);
        let limit = left(deadline).into_iter().chain(patience).min();
        let tries: Vec<_> = names.iter().map(|name| try_to_connect(pid, name, limit)).collect();
        let is_worth = tries.iter().any(|it| matches!(it, Err(Missed { again: true, .. })));
        let mut reasons = Vec::new();
        for tried in tries {
            match tried {
                Ok(channel) => return Ok(channel),
                Err(Missed { text, .. }) => reasons.push(text),
            }
        }
        if !is_worth || left(deadline) == Some(Duration::ZERO) {
            return Err(reasons.swap_remove(0));
        }
    }
}

/// Why a name did not lead to the master.
struct Missed {
    text: String,
    /// It may do so later.
    again: bool,
}

fn try_to_connect(
    pid: i32,
    name: &str,
    limit: Option<Duration>,
) -> Result<Channel<ControlRequest, ControlReply>, Missed> {
    let fd = seqpacket::connect(name, limit).map_err(|error| {
        let again = error.kind() == io::ErrorKind::WouldBlock;
        let text = match error.kind() {
            io::ErrorKind::ConnectionRefused => format!(
                "pid {pid} hears no commands: it is no monoceros server, or is not in the same \
                 network and pid namespace"
            ),
            io::ErrorKind::WouldBlock => format!("pid {pid} does not answer within --timeout"),
            _ => format!("cannot reach pid {pid}: {}", reason(&error)),
        };
        Missed { text, again }
    })?;
    let missed = |text| Missed { text, again: false };
    let peer = seqpacket::peer(fd.as_fd()).map_err(|error| {
        missed(format!("cannot find out which process answers for pid {pid}: {}", reason(&error)))
    })?;
    if peer.pid != pid {
        let text = format!("pid {} answers in place of pid {pid}: nothing was asked", peer.pid);
        return Err(missed(text));
    }
    Ok(Channel::from(fd))
}

fn receive(
    channel: &Channel<ControlRequest, ControlReply>,
    deadline: Option<Instant>,
) -> io::Result<Replied> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1));
    let fd = channel.as_fd().as_raw_fd();
    poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE)?;
    loop {
        match channel.receive_with()? {
            (Incoming::Message(reply), files) => {
                return Ok(Replied { reply, file: files.into_iter().next().map(File::from) });
            }
            (Incoming::Closed, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            (Incoming::Nothing, _) if left(deadline) == Some(Duration::ZERO) => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            (Incoming::Nothing, _) => {}
        }
        match poll.poll(&mut events, left(deadline)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
}

/// The time until a deadline.
pub(crate) fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}
