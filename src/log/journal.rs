//! Lines for systemd's journal. The journal adds the time and the process to each line
//! itself, and reads the priority from a prefix (`sd-daemon(3)`).

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use log::Level;

/// The variable with the device and inode of the stream to the journal
/// (`systemd.exec(5)`).
const VARIABLE: &str = "JOURNAL_STREAM";

/// Whether the journal reads this file. The variable alone is not enough: the output may
/// have been redirected since.
pub(crate) fn reads(file: &File) -> bool {
    static STREAM: OnceLock<Option<(u64, u64)>> = OnceLock::new();
    let stream = STREAM.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?));
    let identity = || file.metadata().ok().map(|it| (it.dev(), it.ino()));
    stream.is_some() && *stream == identity()
}

/// Whether the journal reads standard error.
#[must_use]
pub fn reads_stderr() -> bool {
    let copy = io::stderr().as_fd().try_clone_to_owned();
    copy.is_ok_and(|copy| reads(&File::from(copy)))
}

fn parse(value: &str) -> Option<(u64, u64)> {
    let (device, inode) = value.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// A text in which every line begins with the priority of its level (`syslog(3)`): the
/// journal makes an entry of each line.
pub struct JournalEntry<'a> {
    /// The level of all lines.
    pub level: Level,
    /// One line or several.
    pub text: &'a str,
}

impl fmt::Display for JournalEntry<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let priority = match self.level {
            Level::Error => '3',
            Level::Warn => '4',
            Level::Info => '6',
            Level::Debug | Level::Trace => '7',
        };
        for (number, line) in self.text.split('\n').enumerate() {
            if number > 0 {
                formatter.write_char('\n')?;
            }
            write!(formatter, "<{priority}>{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_priority_of_its_level() {
        let entry = |level, text| JournalEntry { level, text }.to_string();
        assert_eq!(entry(Level::Error, "one"), "<3>one");
        assert_eq!(entry(Level::Warn, "one\n  two\nthree"), "<4>one\n<4>  two\n<4>three");
        assert_eq!(entry(Level::Info, ""), "<6>");
        assert_eq!(entry(Level::Trace, "one"), entry(Level::Debug, "one"));
    }

    #[test]
    fn the_stream_is_two_numbers() {
        assert_eq!(parse("8:12345"), Some((8, 12_345)));
        for nonsense in ["", "8", "8:", ":8", "8:a", "8:1:2"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
