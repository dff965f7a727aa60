//! A check of gunicorn's settings as gunicorn makes it: what fails only at a start, such as a log
//! file in a directory that another machine has, is a warning. Called before the settings of a
//! check become a generation.

use std::path::{Path, PathBuf};

use monoceros_config::{LogTarget, Settings};
use monoceros_log::Destination;
use monoceros_sys::user::Credentials;

use crate::master::act::certificates::Certificates;
use crate::master::act::logs;
use crate::master::act::worker_spec::find_owner;

/// Leaves out of these settings what a start would fail with, and returns the reasons.
pub(super) fn leave_out(settings: &mut Settings, start: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let owner = find_owner(settings).unwrap_or_else(|text| {
        found.push(text);
        (settings.user, settings.group, settings.initgroups) = (None, None, false);
        None
    });
    let directory = settings.directory(start);
    found.extend(leave_logs_out(settings, &directory, owner.as_ref()));
    if settings.has_certificates()
        && let Err(text) = Certificates::read(settings, &directory, owner.as_ref())
    {
        found.push(text);
        let lists: [&mut Vec<PathBuf>; 2] = [&mut settings.certfile, &mut settings.keyfile];
        lists.into_iter().for_each(Vec::clear);
        settings.certificates.clear();
    }
    // The mold configures Python's logging, and reports why it cannot.
    (settings.log_config, settings.log_config_json, settings.logger_class) = (None, None, None);
    found.into_iter().map(|text| format!("{text}; a start fails with that")).collect()
}

/// Leaves out the log files that cannot be opened, and returns the reasons.
fn leave_logs_out(
    settings: &mut Settings,
    directory: &Path,
    owner: Option<&Credentials>,
) -> Vec<String> {
    let failure =
        |target: &LogTarget, stream| logs::open_setting(target, stream, directory, owner).err();
    let access = settings.access_logfile.as_ref();
    let access = access.and_then(|target| failure(target, Destination::Stdout));
    if access.is_some() {
        settings.access_logfile = None;
    }
    let errors = failure(&settings.error_logfile, Destination::Stderr);
    if errors.is_some() {
        settings.error_logfile = LogTarget::Stream;
    }
    access.into_iter().chain(errors).collect()
}
