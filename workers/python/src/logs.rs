//! The error log and the access log of this process, on descriptors that the master passes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use monoceros_config::{AccessFormat, LogFormat, WorkerSettings};
use monoceros_engine::AccessLog;
use monoceros_log::{Destination, Identity, LineLog, LogFile, RecordWriter, Syslog, SyslogLink};
use monoceros_sys::reason;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::log_role::LogRole;
use monoceros_wire::message::BootFailure;
use monoceros_wire::{Generation, Slot};

use crate::boot_failure::give_up;

/// The descriptors that came with the first message.
pub(crate) struct GivenLogs {
    pub(crate) roles: Vec<LogRole>,
    pub(crate) files: Vec<OwnedFd>,
}

/// The logs of this process. Their descriptors stay the same when the master opens them again,
/// and passes the new files.
#[derive(Clone)]
pub(crate) struct WorkerLogs {
    /// The error log.
    pub(crate) errors: Arc<RecordWriter>,
    access: Option<Arc<LogFile>>,
    /// What the access log is sent to, beside its file.
    syslog: Option<Syslog>,
    roles: Vec<LogRole>,
    captures_output: bool,
}

impl WorkerLogs {
    /// Takes the logs over, or ends this process.
    pub(crate) fn open(
        channel: &WorkerEnd,
        given: GivenLogs,
        settings: &WorkerSettings,
        app: Option<&str>,
        identity: &Identity,
    ) -> Self {
        match Self::adopt(given, settings, app) {
            Ok(logs) => {
                let level = settings.log_level().filter();
                monoceros_log::install(identity, level, Arc::clone(&logs.errors));
                logs
            }
            Err(error) => {
                give_up(channel, BootFailure::Boot, &format!("no logs: {}", reason(&error)))
            }
        }
    }

    fn adopt(given: GivenLogs, settings: &WorkerSettings, app: Option<&str>) -> io::Result<Self> {
        let (errors, access) = adopt_logs(&given.roles, given.files, settings)?;
        // The master had no descriptor for it.
        let errors = match errors {
            Some(log) => log,
            None => Arc::new(LogFile::open(Destination::Stderr)?),
        };
        let captures_output = *settings.capture_output();
        if captures_output {
            errors.capture_output()?;
        }
        let errors = Arc::new(RecordWriter::new(errors));
        let (for_errors, syslog) = syslogs(settings, app);
        errors.set_syslog(for_errors);
        Ok(Self { errors, access, syslog, roles: given.roles, captures_output })
    }

    /// Goes on with the logs and the settings that the master has sent behind the first message.
    /// The descriptor of the error log stays the same.
    ///
    /// # Errors
    /// Those of `dup3(2)` and `fstat(2)`.
    pub(crate) fn configure(
        &mut self,
        given: GivenLogs,
        settings: &WorkerSettings,
        app: Option<&str>,
    ) -> io::Result<()> {
        let (errors, access) = adopt_logs(&given.roles, given.files, settings)?;
        let log = self.errors.file();
        if let Some(errors) = errors {
            log.replace(errors.as_fd())?;
        }
        log.set_json(*settings.log_format() == LogFormat::Json);
        self.captures_output = *settings.capture_output();
        if self.captures_output {
            log.capture_output()?;
        }
        let (for_errors, syslog) = syslogs(settings, app);
        self.errors.set_syslog(for_errors);
        (self.access, self.syslog, self.roles) = (access, syslog, given.roles);
        monoceros_log::set_level(settings.log_level().filter());
        Ok(())
    }

    /// Goes on with files that the master has opened.
    pub(crate) fn replace(&self, files: Vec<OwnedFd>) {
        for (role, file) in self.roles.iter().zip(files) {
            let log = match role {
                LogRole::Error => Some(self.errors.file()),
                LogRole::Access => self.access.as_ref(),
            };
            let Some(log) = log else { continue };
            let replaced = log.replace(file.as_fd()).and_then(|()| {
                let captures = *role == LogRole::Error && self.captures_output;
                if captures { log.capture_output() } else { Ok(()) }
            });
            if let Err(error) = replaced {
                log::error!("cannot use a log that was opened again: {}", reason(&error));
            }
        }
    }

    /// The access log of these settings, if there is one.
    pub(crate) fn access_log(
        &self,
        settings: &WorkerSettings,
        slot: Slot,
        generation: Generation,
    ) -> Option<AccessLog> {
        if settings.access_logfile().is_none() && self.syslog.is_none() {
            return None;
        }
        let lines = LineLog::new(self.access.clone(), self.syslog.clone());
        let log = AccessLog::new(lines, settings.access_logformat().clone())
            .leaving_out(settings.access_log_exclude(), *settings.access_log_sample());
        Some(match settings.log_format() {
            LogFormat::Text if is_short(settings) => log.as_short(colours_are_wanted()),
            LogFormat::Text => log,
            LogFormat::Json => log.as_json(slot.0, generation.0),
        })
    }
}

/// Whether the access log is for a developer, and no other form of its lines is set.
fn is_short(settings: &WorkerSettings) -> bool {
    *settings.development() && *settings.access_logformat() == AccessFormat::usual()
}

/// Whether the user has not turned colours off: <https://no-color.org/>, `terminfo(5)`.
fn colours_are_wanted() -> bool {
    let is_empty = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    is_empty("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A log, if there is one among the descriptors of the master.
type AdoptedLog = Option<Arc<LogFile>>;

/// The error log and the access log among the descriptors of the master.
fn adopt_logs(
    roles: &[LogRole],
    files: Vec<OwnedFd>,
    settings: &WorkerSettings,
) -> io::Result<(AdoptedLog, AdoptedLog)> {
    let (mut errors, mut access) = (None, None);
    for (role, file) in roles.iter().zip(files) {
        let log = Arc::new(LogFile::adopt(file)?);
        log.set_json(*settings.log_format() == LogFormat::Json);
        match role {
            LogRole::Error => errors = Some(log),
            LogRole::Access => access = Some(log),
        }
    }
    Ok((errors, access))
}

/// What the error log and the access log are sent to, beside their files.
fn syslogs(settings: &WorkerSettings, app: Option<&str>) -> (Option<Syslog>, Option<Syslog>) {
    let name = settings.log_syslog_prefix().as_deref().or(settings.name().as_deref()).or(app);
    let syslog = settings.log_syslog().then(|| {
        let link = Arc::new(SyslogLink::new(settings.log_syslog_to().clone()));
        let facility = *settings.log_syslog_facility();
        ["error", "access"]
            .map(|kind| Syslog::new(Arc::clone(&link), facility, name.unwrap_or_default(), kind))
    });
    let (for_errors, for_access) = syslog.map(<(_, _)>::from).unzip();
    (for_errors, for_access.filter(|_| !*settings.disable_redirect_access_to_syslog()))
}
