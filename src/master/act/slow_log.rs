//! Owns the file for slow requests, if the settings name one; without it they go to the error
//! log. Called by the event loop only.

use std::sync::Arc;

use log::Level;
use monoceros_config::LogFormat;
use monoceros_log::{Destination, LogFile, LogRecord, RecordWriter, Severity, write_with};
use monoceros_sys::reason;
use monoceros_sys::user::Credentials;
use monoceros_wire::trace_ids::TraceIds;

use crate::master::act::logs;
use crate::master::act::worker_spec::WorkerSpec;

/// The reports about slow requests.
#[derive(Debug, Default)]
pub(crate) struct SlowLog {
    file: Option<SlowFile>,
}

#[derive(Debug)]
struct SlowFile {
    destination: Destination,
    log: Arc<LogFile>,
    writer: RecordWriter,
}

impl SlowLog {
    /// Goes to the file that these settings name. One that cannot be opened leaves the reports
    /// in the error log.
    pub(crate) fn follow(&mut self, spec: &WorkerSpec) {
        let wanted = spec.settings.slow_logfile.as_ref();
        let wanted = wanted.map(|it| logs::destination(it, Destination::Stderr, &spec.directory));
        if self.file.as_ref().map(|it| &it.destination) != wanted.as_ref() {
            self.file = wanted.and_then(|destination| open(destination, spec.owner.as_ref()));
        }
        if let Some(file) = &self.file {
            file.log.set_json(spec.settings.log_format == LogFormat::Json);
        }
    }

    /// Opens the file again by its name.
    pub(crate) fn reopen(&self, owner: Option<&Credentials>) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.log.reopen_by(|path| logs::open(path, owner)) {
            log::error!("{}; still writing slow requests to the old file", reason(&error));
        }
    }

    /// Writes a report about the request with these identifiers.
    pub(crate) fn write(&self, id: String, trace: Option<TraceIds>, text: &str) {
        let trace = trace.map(TraceIds::facts).into_iter().flatten();
        let facts: Vec<_> = [("request_id", id)].into_iter().chain(trace).collect();
        match &self.file {
            None => {
                let facts: Vec<_> = facts.iter().map(|(name, it)| (*name, it.as_str())).collect();
                write_with(Level::Warn, &facts, format_args!("{text}"));
            }
            Some(file) => {
                let mut record = LogRecord::own(Severity::Warning, text);
                let facts = facts.into_iter().map(|(name, value)| (name.into(), value));
                record.fields.extend(facts);
                file.writer.write(&record);
            }
        }
    }
}

fn open(destination: Destination, owner: Option<&Credentials>) -> Option<SlowFile> {
    match LogFile::open_by(destination.clone(), |path| logs::open(path, owner)) {
        Ok(log) => {
            let log = Arc::new(log);
            let writer = RecordWriter::new(Arc::clone(&log));
            Some(SlowFile { destination, log, writer })
        }
        Err(error) => {
            let why = reason(&error);
            log::error!("cannot open slow-logfile: {why}; slow requests go to the error log");
            None
        }
    }
}
