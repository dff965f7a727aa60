//! Where temporary files can be made: the directories that Python's `tempfile` tries,
//! in its order.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use monoceros_sys::{reason, unnamed_file};

/// Variables that name the directory: the first usable one counts.
const VARIABLES: [&str; 3] = ["TMPDIR", "TEMP", "TMP"];

/// The directories after these; the working directory is the last one.
const USUAL: [&str; 3] = ["/tmp", "/var/tmp", "/usr/tmp"];

/// The result of a search for a directory.
#[derive(Debug)]
pub struct Temporary {
    /// The first directory in which a file could be made and written to.
    pub directory: Option<PathBuf>,
    /// The directories before it in which no file could be made, and the reasons.
    refused: Vec<(PathBuf, io::Error)>,
}

impl Temporary {
    /// Looks for a directory that the environment names.
    #[must_use]
    pub fn find() -> Self {
        let named = VARIABLES.iter().filter_map(env::var_os);
        let named = named.filter(|value| !value.is_empty()).map(PathBuf::from);
        let places = named.chain(USUAL.map(PathBuf::from)).chain([PathBuf::from(".")]);
        // The application may change its working directory.
        Self::of(places.filter_map(|place| std::path::absolute(place).ok()))
    }

    fn of(places: impl Iterator<Item = PathBuf>) -> Self {
        let mut refused: Vec<(PathBuf, io::Error)> = Vec::new();
        for place in places {
            if refused.iter().any(|(other, _)| *other == place) {
                continue;
            }
            match try_out(&place) {
                Ok(()) => return Self { directory: Some(place), refused },
                Err(error) => refused.push((place, error)),
            }
        }
        Self { directory: None, refused }
    }

    /// The line for the log: the first places that were tried cannot be used, or none
    /// can.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        if self.refused.is_empty() {
            return None;
        }
        let mut text = "no temporary files in ".to_owned();
        for (index, (place, error)) in self.refused.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            // Writing to a String does not fail.
            write!(text, "{comma}{} ({})", place.display(), reason(error)).ok();
        }
        match &self.directory {
            Some(directory) => write!(text, "; they go to {}", directory.display()).ok(),
            None => write!(
                text,
                "; bodies above 64 KiB are kept in memory, at most 64 MiB in each worker: set \
                 TMPDIR to a directory that the worker's user can write to"
            )
            .ok(),
        };
        Some(text)
    }
}

/// Makes a file and writes to it: on a full disk, files can still be made but not
/// written.
fn try_out(directory: &Path) -> io::Result<()> {
    unnamed_file::create(directory)?.write_all(b"monoceros")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(places: &[&str]) -> Temporary {
        Temporary::of(places.iter().map(PathBuf::from))
    }

    #[test]
    fn the_first_usable_directory_is_taken_and_those_before_it_are_named() {
        let here = env::temp_dir();
        let here = here.to_str().unwrap();
        let found = of(&["/proc/nowhere", "/proc/nowhere", here, "/"]);
        assert_eq!(found.directory.as_deref(), Some(Path::new(here)));
        let text = found.complaint().unwrap();
        assert!(text.starts_with("no temporary files in /proc/nowhere ("), "{text}");
        assert!(text.ends_with(&format!("; they go to {here}")) && !text.contains(", "), "{text}");
        assert_eq!(of(&[here]).complaint(), None);
    }

    #[test]
    fn without_a_directory_the_line_names_the_consequence() {
        let found = of(&["/proc/nowhere", "/proc/self/nothing"]);
        assert_eq!(found.directory, None);
        assert!(found.complaint().unwrap().contains("kept in memory"));
    }
}
