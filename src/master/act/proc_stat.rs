//! What the kernel reports about a process or a thread in its files `stat` and `status`
//! (`proc_pid_stat(5)`, `proc_pid_status(5)`).

use std::fs;
use std::time::Duration;

use monoceros_sys::memory::page_size;

/// The kernel counts processor time in this many ticks a second, on every
/// architecture that Linux shows it to programs of (`times(2)`).
const TICKS: u64 = 100;

/// Whether a signal has stopped a process.
pub(crate) fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| fields(&stat).next().is_some_and(|state| matches!(state, "T" | "t")))
}

/// Whether a process has a handler for a signal.
pub(crate) fn catches(pid: i32, signal: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| has_handler(&status, signal))
}

fn has_handler(status: &str, signal: i32) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The processor time that a thread of a process has used.
pub(crate) fn processor_time(pid: i32, tid: i32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    used(&stat)
}

/// The processor time and the memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessFigures {
    /// The processor time that it has used.
    pub(crate) used: Duration,
    /// Its resident memory in bytes.
    pub(crate) resident: Option<u64>,
}

/// The processor time and the memory of a process; `None` if there is no such process.
pub(crate) fn figures(pid: i32) -> Option<ProcessFigures> {
    figures_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn figures_of(stat: &str) -> Option<ProcessFigures> {
    // Field 24 of the whole line, in pages.
    let pages = fields(stat).nth(21).and_then(|field| field.parse::<u64>().ok());
    let resident = pages.map(|pages| pages.saturating_mul(page_size()));
    Some(ProcessFigures { used: used(stat)?, resident })
}

fn used(stat: &str) -> Option<Duration> {
    // Fields 14 and 15 of the whole line.
    let mut times = fields(stat).skip(11).map(|field| field.parse::<u64>().ok());
    let ticks = times.next()??.checked_add(times.next()??)?;
    Some(Duration::from_millis(ticks.saturating_mul(1000 / TICKS)))
}

/// The fields from the third on: the second may have blanks in it, and ends
/// with the last parenthesis.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a ) b) T 1 7 7 0 -1 4 5 0 0 0 250 50 0 0 20 0 1 0 9 9 9";

    #[test]
    fn fields_are_found_behind_any_name() {
        assert_eq!(fields(STAT).next(), Some("T"));
        assert_eq!(used(STAT), Some(Duration::from_secs(3)));
        let figures =
            ProcessFigures { used: Duration::from_secs(3), resident: Some(9 * page_size()) };
        assert_eq!(figures_of(STAT), Some(figures));
        assert_eq!(used("garbage"), None);
        assert_eq!(used("7 (a) R 1"), None);
    }

    #[test]
    fn a_handler_is_a_bit_of_the_mask() {
        let status = "Name:\ta\nSigIgn:\t0000000000000003\nSigCgt:\t0002000000004002\n";
        for (signal, is_caught) in [(1, false), (2, true), (15, true), (50, true), (64, false)] {
            assert_eq!(has_handler(status, signal), is_caught, "{signal}");
        }
        assert!(!has_handler("Name:\ta\n", 2) && !catches(0, 2));
    }

    #[test]
    fn this_process_runs() {
        let pid = std::process::id().cast_signed();
        assert!(!is_stopped(pid) && processor_time(pid, pid).is_some());
        assert_eq!(processor_time(pid, 0), None);
        assert!(figures(pid).unwrap().resident.unwrap() > 0);
        assert_eq!(figures(0), None);
    }
}
