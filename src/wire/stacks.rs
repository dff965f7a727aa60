//! A file in memory in which a worker's interpreter writes the stacks of its threads
//! when the master asks for them by a signal. It needs neither the interpreter's lock
//! nor a thread that is not stuck.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use monoceros_sys::memory;

/// The signal that asks for the stacks. Programs and libraries that use real-time
/// signals (`signal(7)`) count from the first or from the last of them: this one is in
/// the middle. Its default action ends a process, so it is only sent to a worker whose
/// scoreboard has a `stacks_thread`.
pub const SIGNAL: i32 = 50;

/// The most that is taken at a time, in bytes: stacks of a hundred threads.
const LIMIT: usize = 1 << 20;

/// The file, on either side.
#[derive(Debug)]
pub struct Stacks {
    file: File,
}

impl Stacks {
    /// Makes the file.
    ///
    /// # Errors
    /// Those of `memfd_create(2)`.
    pub fn create() -> io::Result<Self> {
        Ok(Self { file: memory::appended_file("monoceros-stacks")? })
    }

    /// How many bytes are written and not taken.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |found| found.len())
    }

    /// Takes what was written, in order; empty if nothing was. Text that is being
    /// written at this moment may be cut in two, or in the worst case lost: must be
    /// called when the writer has had time.
    #[must_use]
    pub fn take(&self) -> String {
        // A file in memory fails only for want of memory: then there is nothing to
        // report.
        let bytes = self.drain().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn drain(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        while bytes.len() < LIMIT {
            match self.file.read_at(&mut piece, bytes.len() as u64)? {
                0 => break,
                count => bytes.extend_from_slice(&piece[..count]),
            }
        }
        if !bytes.is_empty() {
            self.file.set_len(0)?;
        }
        Ok(bytes)
    }
}

impl From<OwnedFd> for Stacks {
    fn from(fd: OwnedFd) -> Self {
        Self { file: fd.into() }
    }
}

impl From<Stacks> for OwnedFd {
    fn from(stacks: Stacks) -> Self {
        stacks.file.into()
    }
}

impl AsFd for Stacks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The beginnings of the line in front of a thread's stack, as Python's `faulthandler` writes it.
const HEADINGS: [&str; 2] = ["Thread 0x", "Current thread 0x"];

/// The stacks with that of one thread in front, by its number in its process
/// (`pthread_self(3)`). Unchanged if they do not have the thread.
#[must_use]
pub fn with_first(stacks: &str, pthread: u64) -> String {
    let begins = |line: &str| number_of(line).is_some();
    let mut sections: Vec<Vec<&str>> = Vec::new();
    for line in stacks.lines() {
        if sections.is_empty() || begins(line) {
            sections.push(Vec::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push(line);
        }
    }
    let is_its =
        |section: &Vec<&str>| section.first().and_then(|it| number_of(it)) == Some(pthread);
    if let Some(place) = sections.iter().position(is_its) {
        let section = sections.remove(place);
        let front = usize::from(sections.first().is_some_and(|it| !begins(it[0])));
        sections.insert(front.min(place), section);
    }
    let text = |section: &Vec<&str>| section.join("\n").trim_end().to_owned();
    sections.iter().map(text).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// The stacks with the number that the kernel has for a thread (`gettid(2)`) in front of its
/// stack, behind that of its process: requests are shown with the kernel's. `threads` has both,
/// the kernel's last.
#[must_use]
pub fn with_thread_ids(stacks: &str, threads: &[(u64, u32)]) -> String {
    let mut text = String::with_capacity(stacks.len());
    for line in stacks.split_inclusive('\n') {
        let found = heading_of(line).and_then(|(number, rest)| {
            let (_, id) = threads.iter().find(|(pthread, _)| *pthread == number)?;
            Some((id, rest))
        });
        match found {
            Some((id, rest)) => {
                text.push_str(&line[..line.len() - rest.len()]);
                text.push_str(&format!(" tid={id}"));
                text.push_str(rest);
            }
            None => text.push_str(line),
        }
    }
    text
}

/// The number of the thread whose stack follows this line.
fn number_of(line: &str) -> Option<u64> {
    heading_of(line).map(|(number, _)| number)
}

/// The number of the thread whose stack follows this line, and the rest of the line behind it.
fn heading_of(line: &str) -> Option<(u64, &str)> {
    let digits = HEADINGS.iter().find_map(|heading| line.strip_prefix(heading))?;
    let end = digits.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    Some((u64::from_str_radix(number, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn two_sides() -> (Stacks, File) {
        let master = Stacks::create().unwrap();
        let worker = Stacks::from(master.as_fd().try_clone_to_owned().unwrap());
        (master, OwnedFd::from(worker).into())
    }

    #[test]
    fn the_stack_of_a_thread_comes_first() {
        let one =
            "Thread 0x00007f0000000001 (most recent call first):\n  File \"a.py\", line 1 in f";
        let two = "Thread 0x00007f0000000002 [io] (most recent call first):\n  <no Python frame>";
        let last = "Current thread 0x000000000000000a (most recent call first):\n  File \"b.py\"";
        let all = format!("{one}\n\n{two}\n\n{last}\n");
        let first = |pthread| with_first(&all, pthread);
        assert_eq!(first(0x7f00_0000_0002), format!("{two}\n\n{one}\n\n{last}"));
        assert_eq!(first(10), format!("{last}\n\n{one}\n\n{two}"));
        assert_eq!(first(0x7f00_0000_0001), all.trim_end());
        assert_eq!(first(3), all.trim_end());
        let led = format!("Stacks\n{all}");
        assert!(with_first(&led, 10).starts_with(&format!("Stacks\n\n{last}\n\n{one}")));
        for odd in ["", "\n", "Thread 0x\n", "Thread 0xzz\nThread 0x1"] {
            assert_eq!(with_first(odd, 1).replace('\n', "").len(), odd.replace('\n', "").len());
        }
    }

    #[test]
    fn the_threads_of_requests_have_the_kernels_number() {
        let text = "Thread 0x00007f01 [a] (most recent call first):\n  in f\nThread 0x00007f02:\n\
                    Current thread 0x00007f03 (most";
        let shown = with_thread_ids(text, &[(0x7f01, 71), (0x7f03, 73)]);
        let wanted = text.replace("7f01 ", "7f01 tid=71 ").replace("7f03 ", "7f03 tid=73 ");
        assert_eq!(shown, wanted);
        assert_eq!(with_first(&shown, 0x7f03), with_first(&wanted, 0x7f03));
        assert_eq!(with_thread_ids("Thread 0x\n\n", &[(0, 1)]), "Thread 0x\n\n");
    }

    #[test]
    fn written_stacks_are_taken_once() {
        let (master, mut worker) = two_sides();
        assert_eq!(master.take(), "");
        worker.write_all(b"Thread 1\n").unwrap();
        worker.write_all(b"  in f\n").unwrap();
        assert_eq!(master.length(), 16);
        assert_eq!(master.take(), "Thread 1\n  in f\n");
        assert_eq!(master.take(), "");
        worker.write_all(b"again").unwrap();
        assert_eq!(master.take(), "again");
    }

    #[test]
    fn a_file_with_any_content_is_taken_within_bounds() {
        let (master, mut worker) = two_sides();
        worker.write_all(b"\xff\0a").unwrap();
        assert_eq!(master.take(), "\u{fffd}\0a");
        worker.set_len(1 << 40).unwrap();
        assert!(master.take().len() < 2 * LIMIT);
        assert_eq!(worker.metadata().unwrap().len(), 0);
    }
}
