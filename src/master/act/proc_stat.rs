//! What the kernel reports about a process or a thread in its file `stat`
//! (`proc_pid_stat(5)`).

use std::fs;
use std::time::Duration;

/// The kernel counts processor time in this many ticks a second, on every
/// architecture that Linux shows it to programs of (`times(2)`).
const TICKS: u64 = 100;

/// Whether a signal has stopped a process.
pub(crate) fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| fields(&stat).next().is_some_and(|state| matches!(state, "T" | "t")))
}

/// The processor time that a thread of a process has used.
pub(crate) fn processor_time(pid: i32, tid: i32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    used(&stat)
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
        assert_eq!(used("garbage"), None);
        assert_eq!(used("7 (a) R 1"), None);
    }

    #[test]
    fn this_process_runs() {
        let pid = std::process::id().cast_signed();
        assert!(!is_stopped(pid) && processor_time(pid, pid).is_some());
        assert_eq!(processor_time(pid, 0), None);
    }
}
