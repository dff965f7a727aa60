//! The stacks of a process, of which two uses are made: the samples show them when a request
//! takes too long, and a command shows them when an operator asks. Both may be waiting for
//! them at the same time; what was written is for both.

use std::cell::{Cell, RefCell};

use monoceros_wire::stacks::Stacks;

/// The text is complete when it has not grown for this long, in milliseconds.
const REST_MS: u64 = 200;

/// The file, and which of the two waits for what is written to it.
#[derive(Debug)]
pub(crate) struct StacksReader {
    stacks: Stacks,
    sample: Inquiry,
    command: Inquiry,
    /// When a command last asked, in milliseconds of the monotonic clock.
    asked_ms: Cell<u64>,
    /// The length of the file at the last look, and since when it is that.
    length: Cell<(u64, u64)>,
    /// What was in the file before a command asked: it may be about a crash.
    earlier: RefCell<String>,
}

/// One use of the stacks.
#[derive(Debug, Default)]
struct Inquiry {
    waits: Cell<bool>,
    /// What was written while it waited.
    text: RefCell<Option<String>>,
}

impl Inquiry {
    fn offer(&self, text: &str) {
        if self.waits.replace(false) {
            self.text.replace(Some(text.to_owned()));
        }
    }
}

impl From<Stacks> for StacksReader {
    /// Of a process that was not asked yet.
    fn from(stacks: Stacks) -> Self {
        let (asked_ms, length, earlier) = <_>::default();
        let (sample, command) = <_>::default();
        Self { stacks, sample, command, asked_ms, length, earlier }
    }
}

impl StacksReader {
    /// The file.
    pub(crate) fn file(&self) -> &Stacks {
        &self.stacks
    }

    /// A sample waits for stacks from now on, if the process `can` write any.
    pub(crate) fn await_for_sample(&self, can: bool) {
        self.sample.waits.set(can);
    }

    /// Whether a sample still waits.
    pub(crate) fn awaits_for_sample(&self) -> bool {
        self.sample.waits.get()
    }

    /// The stacks that a sample has waited for, once they are written.
    pub(crate) fn take_for_sample(&self) -> Option<String> {
        if self.sample.waits.get() {
            self.collect();
        }
        self.sample.text.take()
    }

    /// A command waits for stacks from now on.
    pub(crate) fn await_for_command(&self, now_ms: u64) {
        if !self.sample.waits.get() && !self.command.waits.get() {
            self.earlier.borrow_mut().push_str(&self.stacks.take());
        }
        self.command.waits.set(true);
        self.asked_ms.set(now_ms);
        self.length.set((0, now_ms));
    }

    /// Whether a command still waits, or was given stacks that it has not taken.
    pub(crate) fn awaits_for_command(&self) -> bool {
        self.command.waits.get() || self.command.text.borrow().is_some()
    }

    /// The stacks that a command has waited for, once they are complete. The thread that
    /// writes them has gone on when its heartbeat comes after the request (`beat_ms`); another
    /// one has, when nothing more is written for a while.
    pub(crate) fn take_for_command(&self, beat_ms: u64, now_ms: u64) -> Option<String> {
        if self.command.waits.get() {
            let (length, since) = self.length.get();
            let found = self.stacks.length();
            let since = if found == length { since } else { now_ms };
            self.length.set((found, since));
            // The heartbeat is counted in whole milliseconds.
            let goes_on = beat_ms > self.asked_ms.get() + 1;
            if found > 0 && (goes_on || now_ms.saturating_sub(since) >= REST_MS) {
                self.collect();
            }
        }
        self.command.text.take()
    }

    /// What is written, when the process has ended.
    pub(crate) fn rest(&self) -> String {
        self.earlier.take() + &self.stacks.take()
    }

    fn collect(&self) {
        let text = self.stacks.take();
        if !text.is_empty() {
            self.sample.offer(&text);
            self.command.offer(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::{AsFd, OwnedFd};

    use super::*;

    fn reader() -> (StacksReader, File) {
        let stacks = Stacks::create().unwrap();
        let theirs = Stacks::from(stacks.as_fd().try_clone_to_owned().unwrap());
        (StacksReader::from(stacks), OwnedFd::from(theirs).into())
    }

    #[test]
    fn a_command_gets_the_whole_text() {
        let (reader, mut process) = reader();
        process.write_all(b"crash ").unwrap();
        reader.await_for_command(1000);
        assert_eq!(reader.take_for_command(5000, 1005), None, "nothing is written yet");
        process.write_all(b"a").unwrap();
        assert_eq!(reader.take_for_command(1000, 1010), None, "it may go on");
        process.write_all(b"b").unwrap();
        assert_eq!(reader.take_for_command(1000, 1205), None);
        assert_eq!(reader.take_for_command(1002, 1206).as_deref(), Some("ab"));
        assert!(!reader.awaits_for_command());
        reader.await_for_command(2000);
        process.write_all(b"c").unwrap();
        assert_eq!(reader.take_for_command(0, 2010), None);
        assert_eq!(reader.take_for_command(0, 2010 + REST_MS).as_deref(), Some("c"));
        assert_eq!(reader.rest(), "crash ");
    }

    #[test]
    fn what_is_written_is_for_both_that_wait() {
        let (reader, mut process) = reader();
        reader.await_for_sample(true);
        reader.await_for_command(1000);
        process.write_all(b"a").unwrap();
        assert_eq!(reader.take_for_sample().as_deref(), Some("a"));
        assert!(reader.awaits_for_command() && !reader.awaits_for_sample());
        assert_eq!(reader.take_for_command(0, 1001).as_deref(), Some("a"));
        process.write_all(b"b").unwrap();
        assert_eq!((reader.take_for_sample(), reader.take_for_command(9000, 9000)), (None, None));
        assert_eq!(reader.rest(), "b");
    }
}
