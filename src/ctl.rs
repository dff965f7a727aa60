//! The client of the control socket: sends one command, waits for the reply, and prints it.
//! What a command does is decided by the master.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use monoceros_config::{ControlCommand, ControlTarget, Verb};
use monoceros_log::printable;
use monoceros_sys::process::Process;
use monoceros_sys::{reason, seqpacket, wait};
use monoceros_wire::channel::{Channel, Incoming};
use monoceros_wire::control::{ControlReply, ControlRequest, Status, WorkerStatus, names};

use crate::cli::complain;
use crate::master::find_master;

/// How long one of several names is tried.
const IMPOSTOR_PATIENCE: Duration = Duration::from_millis(200);
/// The exit code when the command succeeded.
const DONE: u8 = 0;
/// The exit code when it failed.
const FAILED: u8 = 1;

/// Sends a command to a running server; returns the exit code.
pub(crate) fn run(command: &ControlCommand) -> u8 {
    match carry_out(command) {
        Ok(text) => {
            // The command was carried out, even if its output cannot be written.
            drop(io::stdout().write_all(text.as_bytes()));
            DONE
        }
        Err(text) => {
            complain(&printable::text(&text));
            FAILED
        }
    }
}

/// The text to print when the command succeeded, or why it failed.
fn carry_out(command: &ControlCommand) -> Result<String, String> {
    let verb = command.verb;
    let pid = match &command.target {
        ControlTarget::Pid(pid) => *pid,
        ControlTarget::PidFile(path) => find_master(path)?,
    };
    let deadline = command.timeout.map(|timeout| Instant::now() + timeout);
    let request = request(verb, command.json)
        .ok_or_else(|| format!("{verb} failed: the server does not know this command"))?;
    // Opened before the request: later the pid may be that of another process.
    let process = (verb == Verb::Stop).then(|| Process::adopt(pid)).transpose();
    let process = process.map_err(|error| format!("cannot find pid {pid}: {}", reason(&error)))?;
    let reply = match ask(pid, request, deadline) {
        // The server was stopped in another way, and ended before it could reply.
        Err(_) if process.as_ref().is_some_and(has_ended) => {
            Answer { reply: ControlReply::Stopping, document: None }
        }
        reply => reply?,
    };
    match reply.reply {
        ControlReply::Reloaded { generation, workers } => {
            let plural = if workers == 1 { "" } else { "s" };
            Ok(format!("reloaded: gen={generation} serves with {workers} worker{plural}\n"))
        }
        ControlReply::Upgraded { pid } => {
            settle(pid, deadline);
            Ok(format!("upgraded: the new master has pid {pid}\n"))
        }
        ControlReply::Stopping => {
            process.map_or(Ok(()), |process| wait_for_end(&process, deadline))?;
            Ok("stopped\n".to_owned())
        }
        ControlReply::Status(status) => Ok(table(&status)),
        ControlReply::Document => reply
            .document
            .map(|text| text + "\n")
            .ok_or_else(|| format!("{verb} failed: the reply has come without its text")),
        ControlReply::Failed(reason) => Err(format!("{verb} failed: {reason}")),
    }
}

/// The request of a command; `None` if a master of this version has none.
fn request(verb: Verb, json: bool) -> Option<ControlRequest> {
    match verb {
        Verb::Reload => Some(ControlRequest::Reload),
        Verb::Upgrade => Some(ControlRequest::Upgrade),
        Verb::Stop => Some(ControlRequest::Stop),
        Verb::Status if json => Some(ControlRequest::Report { recent: false }),
        Verb::Status => Some(ControlRequest::Status),
        Verb::Requests if json => Some(ControlRequest::Report { recent: true }),
        Verb::Requests
        | Verb::Stacks { .. }
        | Verb::Workers(_)
        | Verb::LogLevel(_)
        | Verb::Reopen
        | Verb::Recycle { .. }
        | Verb::Top => None,
    }
}

/// Waits until the master is gone, which is the last of its server.
fn wait_for_end(process: &Process, deadline: Option<Instant>) -> Result<(), String> {
    let pid = process.pid();
    loop {
        let left = left(deadline);
        let ended = wait::wait(&[(process.as_fd(), wait::Readiness::Readable)], left)
            .map_err(|error| format!("cannot wait for pid {pid}: {}", reason(&error)))?;
        match ended[..] {
            [true] => return Ok(()),
            _ if left == Some(Duration::ZERO) => {
                return Err(format!("pid {pid} is not gone within --timeout; it goes on to drain"));
            }
            _ => {}
        }
    }
}

fn has_ended(process: &Process) -> bool {
    let asked = [(process.as_fd(), wait::Readiness::Readable)];
    wait::wait(&asked, Some(Duration::ZERO)).is_ok_and(|ended| ended[..] == [true])
}

/// Waits until a new master has its pid file, so that the next command finds it: the file
/// is written before the master replies. A master without a control socket serves as well.
fn settle(pid: i32, deadline: Option<Instant>) {
    drop(ask(pid, ControlRequest::Status, deadline));
}

/// A reply, and the text that has come with it.
struct Answer {
    reply: ControlReply,
    document: Option<String>,
}

fn ask(pid: i32, request: ControlRequest, deadline: Option<Instant>) -> Result<Answer, String> {
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
) -> io::Result<Answer> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1));
    let fd = channel.as_fd().as_raw_fd();
    poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE)?;
    loop {
        match channel.receive_with()? {
            (Incoming::Message(reply), descriptors) => {
                let document = descriptors.into_iter().next().map(read_document).transpose()?;
                return Ok(Answer { reply, document });
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

/// The content of a file that the master has written.
fn read_document(file: OwnedFd) -> io::Result<String> {
    let mut file = File::from(file);
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}

/// The status as a table.
fn table(status: &Status) -> String {
    let mut text = printable::line(&status.summary) + "\n";
    row(&mut text, ["slot", "gen", "pid", "state", "ready for", "requests"].map(str::to_owned));
    for worker in &status.workers {
        row(&mut text, cells(worker));
    }
    if status.omitted > 0 {
        line(&mut text, format_args!("and {} more", status.omitted));
    }
    if !status.given_up.is_empty() {
        let counts: Vec<_> =
            status.given_up.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        line(&mut text, format_args!("given up: {}", printable::line(&counts.join(", "))));
    }
    text
}

fn cells(worker: &WorkerStatus) -> [String; 6] {
    let WorkerStatus { slot, generation, pid, state, age, requests } = worker;
    [
        slot.map_or("mold".to_owned(), |slot| slot.to_string()),
        generation.to_string(),
        pid.to_string(),
        printable::line(state),
        age.map_or("-".to_owned(), duration),
        requests.to_string(),
    ]
}

fn row(text: &mut String, [slot, generation, pid, state, age, requests]: [String; 6]) {
    let cells =
        format_args!("{slot:>5} {generation:>5} {pid:>8}  {state:<9} {age:>11} {requests:>10}");
    line(text, cells);
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String does not fail");
}

/// Such as `2 h 5 min`: the two largest units.
fn duration(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, _, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoceros_wire::{Generation, Slot};

    #[test]
    fn a_status_is_a_table() {
        let worker = WorkerStatus {
            slot: Some(Slot(0)),
            generation: Generation(2),
            pid: 4_194_304,
            state: "ready".to_owned(),
            age: Some(100),
            requests: 12,
        };
        let mold = WorkerStatus { slot: None, age: None, ..worker.clone() };
        let mut status = Status::new("gen=2: all well".to_owned(), vec![worker, mold]);
        status.omitted = 3;
        status.given_up = [("refused", 12), ("late", 1)].map(|(it, n)| (it.to_owned(), n)).into();
        assert_eq!(
            table(&status),
            "gen=2: all well\n\
             \u{20}slot   gen      pid  state       ready for   requests\n\
             \u{20}   0     2  4194304  ready      1 min 40 s         12\n\
             \u{20}mold     2  4194304  ready               -         12\n\
             and 3 more\n\
             given up: 1 late, 12 refused\n"
        );
    }

    #[test]
    fn a_length_of_time_has_its_two_largest_units() {
        for (seconds, text) in
            [(0, "0 s"), (60, "1 min 0 s"), (7_500, "2 h 5 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
