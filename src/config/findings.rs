//! What the checks of settings against each other find: errors and warnings, each with the
//! origin of a value.

use crate::error::{Error, Errors, ValueOrigin};
use crate::loaded::Loaded;
use crate::table::Row;

/// Errors and warnings about settings that are valid by themselves.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    loaded: &'a Loaded,
    pub(crate) errors: Errors,
    pub(crate) warnings: Vec<String>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(loaded: &'a Loaded) -> Self {
        Self { loaded, errors: Errors::default(), warnings: Vec::new() }
    }

    /// Whether a source has set the setting.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        Row::find(name).is_some_and(|row| *self.loaded.source(row) != ValueOrigin::Default)
    }

    /// Whether a configuration file in Python has set the setting.
    pub(crate) fn is_of_python(&self, name: &str) -> bool {
        Row::find(name).is_some_and(|row| self.loaded.source(row).is_python())
    }

    /// Adds an error about the value of a setting.
    pub(crate) fn refuse(&mut self, name: &str, reason: &str) {
        self.errors.0.extend(self.about(name, reason));
    }

    /// Adds a warning about the value of a setting.
    pub(crate) fn warn(&mut self, name: &str, reason: &str) {
        self.warnings.extend(self.about(name, reason).map(|text| text.to_string()));
    }

    /// Adds an error about each of these settings that `is_set`.
    pub(crate) fn refuse_each<const COUNT: usize>(
        &mut self,
        settings: [(&str, bool); COUNT],
        reason: &str,
    ) {
        let set = settings.into_iter().filter(|(_, is_set)| *is_set);
        set.for_each(|(name, _)| self.refuse(name, reason));
    }

    /// Adds a warning about each of these settings that `is_set`.
    pub(crate) fn warn_each<const COUNT: usize>(
        &mut self,
        settings: [(&str, bool); COUNT],
        reason: &str,
    ) {
        let set = settings.into_iter().filter(|(_, is_set)| *is_set);
        set.for_each(|(name, _)| self.warn(name, reason));
    }

    fn about(&self, name: &str, reason: &str) -> Option<Error> {
        let row = Row::find(name)?;
        let origin = self.loaded.source(row);
        let subject = match origin {
            ValueOrigin::CommandLine => row.subject(),
            ValueOrigin::Variable(variable) if *variable == row.variable() => String::new(),
            ValueOrigin::Variable(_) => row.subject(),
            ValueOrigin::PythonFile { .. } => row.gunicorn.unwrap_or(row.name).to_owned(),
            ValueOrigin::Default
            | ValueOrigin::Development
            | ValueOrigin::File { .. }
            | ValueOrigin::Master => row.key(),
        };
        Some(Error::new(origin.clone(), &subject, reason))
    }
}

/// What the checks find about a command line, in tests.
#[cfg(test)]
pub(crate) mod of_command_line {
    use std::ffi::OsString;
    use std::path::Path;

    use crate::{Command, load};

    /// The errors of a command line, else its warnings.
    pub(crate) fn findings(args: &[&str]) -> String {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        match load(&args, &[], Path::new("/nonexistent")) {
            Ok(Command::Run(loaded)) => loaded.warnings.join("\n"),
            Ok(other) => panic!("{other:?}"),
            Err(errors) => errors.to_string(),
        }
    }
}
