//! Runs the configuration file in Python before the settings are known, at the start: there is
//! no event loop yet, so this waits for the mold.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use monoceros_sys::process::{self, ExitStatus};
use monoceros_sys::reason;
use monoceros_sys::wait::{Readiness, wait};
use monoceros_wire::Generation;
use monoceros_wire::gunicorn::{GunicornValues, MoldSettings};
use monoceros_wire::message::{FromWorker, ToWorker};

use crate::master::act::python_file::MoldFile;
use crate::master::act::worker_process::{WorkerProcess, spawn_reader};
use crate::master::decide::action::WorkerSignal;
use crate::master::kind::extension::ExtensionFile;
use crate::master::kind::link::LinkInput;

/// The time in which a mold that hangs may write its stacks.
const STACKS_LIMIT: Duration = Duration::from_secs(1);

/// Why the file has set nothing.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    /// The mold has reported that the file cannot be used: the text as gunicorn writes it, and
    /// the exit code.
    Refused(String, u8),
    /// The mold could not be started, has ended or hangs.
    Lost(String),
}

/// The mold that has run the file, until the event loop has it. It ends with a start that fails
/// before.
pub(crate) struct FirstMold(Option<WorkerProcess>);

impl FirstMold {
    /// Gives the process to the event loop.
    pub(crate) fn into_process(mut self) -> Option<WorkerProcess> {
        self.0.take()
    }
}

impl Drop for FirstMold {
    fn drop(&mut self) {
        if let Some(mold) = self.0.take() {
            // It has nothing to finish.
            mold.signal(WorkerSignal::Kill);
            drop(end(&mold));
        }
    }
}

/// Starts a mold that runs the file, and waits for what the file sets, for at most `limit`; zero
/// is no limit.
pub(crate) fn read(
    file: &MoldFile,
    extension: &ExtensionFile,
    limit: Duration,
) -> Result<(FirstMold, GunicornValues), ReadFailure> {
    let cannot = |why: &str| ReadFailure::Lost(format!("cannot run {}: {why}", file.name));
    let mold = spawn_reader(file, extension, Generation(1)).map_err(|error| cannot(&error.text))?;
    let until = (!limit.is_zero()).then(|| Instant::now() + limit);
    loop {
        match mold.read() {
            Ok(LinkInput::Message(FromWorker::ConfigRead { values })) => {
                return Ok((FirstMold(Some(mold)), values));
            }
            Ok(LinkInput::Message(FromWorker::ConfigFailed { text, code })) => {
                drop(end(&mold));
                return Err(ReadFailure::Refused(text, code));
            }
            Ok(LinkInput::Message(FromWorker::Failed { text, .. })) => {
                drop(end(&mold));
                return Err(cannot(&text));
            }
            Ok(LinkInput::Message(_) | LinkInput::Noise) => {}
            Ok(LinkInput::Closed) => {
                return Err(match end(&mold) {
                    // The file has ended it, as by `os._exit`.
                    Ok(ExitStatus::Code(code)) => {
                        let text = format!("{} has ended its process with {code}", file.name);
                        ReadFailure::Refused(text, (code & 0xff) as u8)
                    }
                    Ok(by) => cannot(&format!("its process has ended with {by}")),
                    Err(error) => cannot(&reason(&error)),
                });
            }
            Ok(LinkInput::Nothing) if until.is_some_and(|until| until <= Instant::now()) => {
                let seconds = limit.as_secs();
                let text = format!("it has not ended within boot-timeout ({seconds} s)");
                return Err(cannot(&format!("{text}{}", abort(&mold))));
            }
            Ok(LinkInput::Nothing) => {
                if let Err(why) = await_news(&mold, until) {
                    drop(end(&mold));
                    return Err(cannot(&why));
                }
            }
            Err(error) => {
                drop(end(&mold));
                return Err(cannot(&error.to_string()));
            }
        }
    }
}

/// Asks a mold that has run the file to print all settings with these, and waits until it has, or
/// cannot, for at most `limit`; zero is no limit.
pub(crate) fn print(mold: &FirstMold, settings: MoldSettings, limit: Duration) {
    let Some(mold) = &mold.0 else { return };
    mold.send_with(&ToWorker::Configure(settings), &[]);
    let until = (!limit.is_zero()).then(|| Instant::now() + limit);
    loop {
        match mold.read() {
            Ok(LinkInput::Message(FromWorker::Ready { .. } | FromWorker::Failed { .. }))
            | Ok(LinkInput::Closed)
            | Err(_) => return,
            Ok(LinkInput::Message(_) | LinkInput::Noise) => {}
            Ok(LinkInput::Nothing) if until.is_some_and(|until| until <= Instant::now()) => return,
            Ok(LinkInput::Nothing) => {
                if await_news(mold, until).is_err() {
                    return;
                }
            }
        }
    }
}

/// Waits until the mold has sent something or has ended, or until this moment.
fn await_news(mold: &WorkerProcess, until: Option<Instant>) -> Result<(), String> {
    let asked = [(mold.descriptor(), Readiness::Readable)];
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    wait(&asked, left).map(drop).map_err(|error| reason(&error))
}

/// Ends the mold, which has nothing to finish, and returns how it has ended.
fn end(mold: &WorkerProcess) -> io::Result<ExitStatus> {
    // One that has reported a failure ends by itself, with its own exit code.
    if !has_ended_within(mold, STACKS_LIMIT) {
        mold.signal(WorkerSignal::Kill);
    }
    process::reap(mold.pid())
}

/// Ends a mold that hangs. Returns its stacks, if it has written some.
fn abort(mold: &WorkerProcess) -> String {
    mold.signal(WorkerSignal::Abort);
    drop(end(mold));
    let stacks = mold.stacks();
    let stacks = stacks.trim_end();
    if stacks.is_empty() { String::new() } else { format!("\n{stacks}") }
}

fn has_ended_within(mold: &WorkerProcess, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match wait(&[(mold.pidfd().as_fd(), Readiness::Readable)], Some(left)) {
            Ok(ended) if ended[0] => return true,
            Ok(_) if !left.is_zero() => {}
            Ok(_) | Err(_) => return false,
        }
    }
}
