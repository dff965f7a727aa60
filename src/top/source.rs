//! Asks the master for reports, in a thread of its own, so that a server that does not answer
//! does not keep the view from answering keys. When the server has ended, it looks for the
//! master that has taken over from it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use monoceros_config::ControlTarget;
use monoceros_sys::eventfd::EventDescriptor;
use monoceros_sys::process::Process;
use monoceros_sys::{reason, wait};
use monoceros_wire::control::{ControlReply, ControlRequest, masters, read_document};
use monoceros_wire::report::Report;

use crate::ctl::connection::{Replied, ask};
use crate::master::find_master;
use crate::top::view::TopAnswer;

/// The time that the master has for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The source of reports.
pub(crate) struct TopSource {
    requests: Sender<()>,
    answers: Receiver<TopAnswer>,
    /// Readable when there is an answer.
    arrived: Arc<EventDescriptor>,
    is_asked: bool,
}

impl TopSource {
    /// Asks for the first report, and starts the thread for the others.
    ///
    /// # Errors
    /// Why there is no report.
    pub(crate) fn start(
        target: &ControlTarget,
        limit: Option<Duration>,
    ) -> Result<(Self, TopAnswer), String> {
        let mut server = ObservedServer::find(target)?;
        let first = server.report(limit.unwrap_or(PATIENCE))?;
        let cannot = |error: std::io::Error| format!("cannot ask the server: {}", reason(&error));
        let arrived = Arc::new(EventDescriptor::new().map_err(cannot)?);
        let (requests, asked) = channel();
        let (answering, answers) = channel();
        let signal = Arc::clone(&arrived);
        let run = move || {
            while asked.recv().is_ok() && answering.send(server.look()).is_ok() {
                signal.raise();
            }
        };
        thread::Builder::new().name("monoceros-top".to_owned()).spawn(run).map_err(cannot)?;
        Ok((Self { requests, answers, arrived, is_asked: false }, first))
    }

    /// Asks for a report, unless one is on its way.
    pub(crate) fn ask(&mut self) {
        // The thread runs as long as this value exists.
        self.is_asked = self.is_asked || self.requests.send(()).is_ok();
    }

    /// The next answer, if one has arrived.
    pub(crate) fn take(&mut self) -> Option<TopAnswer> {
        self.arrived.clear();
        let answer = self.answers.try_recv().ok()?;
        self.is_asked = false;
        Some(answer)
    }
}

impl AsFd for TopSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.arrived.as_fd()
    }
}

/// A server, and its present master.
struct ObservedServer {
    target: ControlTarget,
    pid: i32,
    /// Holds the pid: later it may be that of another process.
    process: Process,
}

impl ObservedServer {
    fn find(target: &ControlTarget) -> Result<Self, String> {
        let pid = match target {
            ControlTarget::Pid(pid) => *pid,
            ControlTarget::PidFile(path) => find_master(path)?,
        };
        Ok(Self { target: target.clone(), pid, process: hold(pid)? })
    }

    /// A report, or why there is none. Follows the server to another master.
    fn look(&mut self) -> TopAnswer {
        if let ControlTarget::PidFile(path) = &self.target
            && let Ok(pid) = find_master(path)
        {
            self.follow(pid);
        }
        let answer = self.report(PATIENCE);
        // A master that has passed everything on ends when its workers have drained.
        let leaves = match &answer {
            Ok(TopAnswer::Reported(_, report)) => report.state == "draining",
            Ok(_) => false,
            Err(_) => self.has_ended(),
        };
        if leaves && let Some(pid) = self.find_successor() {
            self.follow(pid);
            return self.report(PATIENCE).unwrap_or_else(TopAnswer::Silent);
        }
        answer.unwrap_or_else(|text| match self.has_ended() {
            true => TopAnswer::Ended(format!("the server with pid {} has ended", self.pid)),
            false => TopAnswer::Silent(text),
        })
    }

    fn follow(&mut self, pid: i32) {
        if pid != self.pid
            && let Ok(process) = hold(pid)
        {
            (self.pid, self.process) = (pid, process);
        }
    }

    fn has_ended(&self) -> bool {
        wait::is_readable(self.process.as_fd())
    }

    fn report(&self, limit: Duration) -> Result<TopAnswer, String> {
        let report = ask_report(self.pid, limit)?;
        Ok(TopAnswer::Reported(self.pid, Box::new(report)))
    }

    /// The master that has taken over from this one, as it reports itself.
    fn find_successor(&self) -> Option<i32> {
        let follows = |pid: &i32| {
            let report = ask_report(*pid, PATIENCE);
            report.is_ok_and(|report| report.predecessor == Some(self.pid))
        };
        masters().into_iter().filter(|pid| *pid != self.pid).find(follows)
    }
}

fn hold(pid: i32) -> Result<Process, String> {
    Process::adopt(pid).map_err(|error| format!("cannot find pid {pid}: {}", reason(&error)))
}

fn ask_report(pid: i32, limit: Duration) -> Result<Report, String> {
    let deadline = Instant::now() + limit;
    let Replied { reply, file } =
        ask(pid, ControlRequest::Report { recent: false }, Some(deadline))?;
    match (reply, file) {
        (ControlReply::Document, Some(file)) => read_document(&file)
            .map_err(|error| format!("cannot read the report of pid {pid}: {}", reason(&error))),
        (ControlReply::Failed(text), _) => Err(text),
        _ => Err(format!("pid {pid} does not report about itself")),
    }
}
