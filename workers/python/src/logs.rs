//! Opens the error log and the access log of this process.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use monoceros_config::{LogFormat, LogTarget, WorkerSettings};
use monoceros_engine::AccessLog;
use monoceros_log::{Destination, Identity, LogFile, RecordWriter};
use monoceros_sys::reason;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::BootFailure;
use monoceros_wire::{Generation, Slot};

use crate::boot_failure::give_up;
use crate::parameters::InheritedLogs;

/// The logs, if the settings name descriptors of the master's.
static ERROR_LOG: OnceLock<OwnedFd> = OnceLock::new();
static ACCESS_LOG: OnceLock<OwnedFd> = OnceLock::new();

/// Keeps the logs that the master has passed as descriptors. Must be called once,
/// before a log is opened.
pub(crate) fn keep(logs: InheritedLogs) {
    for (fd, log) in [(logs.error, &ERROR_LOG), (logs.access, &ACCESS_LOG)] {
        if let Some(fd) = fd {
            log.set(fd).ok();
        }
    }
}

/// Opens the error log, or ends this process.
pub(crate) fn open_log(
    channel: &WorkerEnd,
    settings: &WorkerSettings,
    identity: &Identity,
) -> Arc<RecordWriter> {
    match try_to_open_log(settings, identity) {
        Ok(log) => log,
        Err(error) => give_up(channel, BootFailure::Boot, &error.to_string()),
    }
}

fn try_to_open_log(
    settings: &WorkerSettings,
    identity: &Identity,
) -> io::Result<Arc<RecordWriter>> {
    let setting = settings.error_logfile();
    let (log, error) = open_or(setting, &ERROR_LOG, Destination::Stderr)?;
    let log = Arc::new(log);
    if *settings.capture_output() {
        log.capture_output()?;
    }
    let log = Arc::new(RecordWriter::new(log));
    monoceros_log::install(identity, settings.log_level().filter(), Arc::clone(&log));
    if let Some(error) = error {
        log::error!("{}; standard error is written instead", reason(&error));
    }
    Ok(log)
}

/// Opens the access log of these settings, if there is one.
pub(crate) fn open_access_log(
    settings: &WorkerSettings,
    slot: Slot,
    generation: Generation,
) -> io::Result<Option<AccessLog>> {
    let Some(setting) = settings.access_logfile() else { return Ok(None) };
    let (file, error) = open_or(setting, &ACCESS_LOG, Destination::Stdout)?;
    if let Some(error) = error {
        log::error!("{}; standard output is written instead", reason(&error));
    }
    let log = AccessLog::new(file, settings.access_logformat().clone())
        .leaving_out(settings.access_log_exclude(), *settings.access_log_sample());
    Ok(Some(match settings.log_format() {
        LogFormat::Text => log,
        LogFormat::Json => log.as_json(slot.0, generation.0),
    }))
}

/// Opens a log. If that fails, the worker serves nevertheless, and writes to a
/// standard stream until a reopening succeeds. `given` is the log if the settings name
/// a descriptor of the master's.
fn open_or(
    setting: &LogTarget,
    given: &OnceLock<OwnedFd>,
    stream: Destination,
) -> io::Result<(LogFile, Option<io::Error>)> {
    let destination = Destination::of(setting.path().map(PathBuf::from), stream.clone());
    match (destination, given.get()) {
        (Destination::Given(_), Some(fd)) => Ok((LogFile::adopt(fd.try_clone()?)?, None)),
        // In this process the number belongs to another descriptor.
        (Destination::Given(number), None) => {
            let error = io::Error::other(format!("descriptor {number} is no log"));
            Ok((LogFile::open(stream)?, Some(error)))
        }
        (destination, _) => LogFile::open_or(destination, stream),
    }
}
