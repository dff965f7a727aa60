//! What the kernel reports about memory: the memory of a process, and whether it had to
//! kill a process because memory ran out. Called by `processes.rs`,
//! `worker_process.rs` and `proportional_sizes.rs`.

use std::fs;
use std::path::PathBuf;

use monoceros_sys::memory::page_size;

/// Where the kernel counts the processes that it has killed.
#[derive(Debug, Default)]
pub(crate) struct OutOfMemory {
    /// Files with a line `oom_kill N`: this control group's and the machine's.
    sources: Vec<PathBuf>,
    seen: u64,
}

impl OutOfMemory {
    /// Begins to count, in the control group of this process.
    pub(crate) fn watch() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut sources: Vec<_> = groups.lines().filter_map(source_of).collect();
        sources.push(PathBuf::from("/proc/vmstat"));
        let mut watch = Self { sources, seen: 0 };
        watch.has_struck();
        watch
    }

    /// Whether the kernel has killed a process since the last call.
    pub(crate) fn has_struck(&mut self) -> bool {
        let texts = self.sources.iter().filter_map(|path| fs::read_to_string(path).ok());
        let now: u64 = texts.filter_map(|text| count_kills(&text)).sum();
        now > std::mem::replace(&mut self.seen, now)
    }
}

/// The file of a line of `/proc/self/cgroup` (`cgroups(7)`): of version 2, or
/// of the memory controller of version 1.
fn source_of(line: &str) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
    let (root, file) = if controllers.is_empty() {
        ("/sys/fs/cgroup", "memory.events")
    } else if controllers.split(',').any(|it| it == "memory") {
        ("/sys/fs/cgroup/memory", "memory.oom_control")
    } else {
        return None;
    };
    let own = PathBuf::from(root).join(group).join(file);
    // In a container the group's own path is often mounted as the root.
    Some(if own.exists() { own } else { PathBuf::from(root).join(file) })
}

/// The number in the line `oom_kill N`.
fn count_kills(text: &str) -> Option<u64> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let mut counts = lines.filter(|(name, _)| *name == "oom_kill").map(|(_, count)| count);
    counts.next()?.trim().parse().ok()
}

/// The memory of a process that is its own, in bytes, if that may be more than
/// `limit`: its proportional set size, which takes the kernel a while to count
/// and is not asked for while all of its memory is less.
///
/// Only root may ask for the proportional set size of a process with private keys
/// (`PR_SET_DUMPABLE`, `prctl(2)`), and not every kernel can count it. Instead it is then
/// the memory without files: of a worker that a mold has forked, that includes what the
/// two still share.
pub(crate) fn measure(pid: i32, limit: u64) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let (resident, files) = read_statm(&statm)?;
    if resident <= limit {
        return Some(resident);
    }
    proportional_size(pid).or(Some(resident.saturating_sub(files)))
}

/// The proportional set size of a process, in bytes, if the kernel reports it to this process.
pub(crate) fn proportional_size(pid: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    rollup.ok().and_then(|text| proportional(&text))
}

/// The memory of a process, and the part of it that is of files and shared memory, in
/// bytes (`/proc/PID/statm`, `proc(5)`).
fn read_statm(statm: &str) -> Option<(u64, u64)> {
    let mut pages = statm.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (all, files) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some((all * page_size(), files * page_size()))
}

/// The line `Pss: N kB`, in bytes.
fn proportional(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_in_every_version_of_the_file() {
        assert_eq!(count_kills("low 0\noom 3\noom_kill 2\noom_group_kill 9\n"), Some(2));
        assert_eq!(count_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(count_kills("nr_free_pages 1\n"), None);
    }

    #[test]
    fn only_a_group_that_counts_memory_is_a_source() {
        assert!(source_of("0::/").unwrap().ends_with("memory.events"));
        assert!(source_of("4:memory:/shop").unwrap().ends_with("memory.oom_control"));
        assert_eq!(source_of("3:cpu,cpuacct:/shop"), None);
        assert_eq!(source_of("garbage"), None);
    }

    #[test]
    fn kills_for_want_of_memory_are_counted_since_the_last_look() {
        let mut watch = OutOfMemory::watch();
        assert!(!watch.sources.is_empty());
        watch.seen = 0;
        watch.has_struck();
        assert!(!watch.has_struck());
    }

    #[test]
    fn memory_is_measured_as_exactly_as_needed() {
        let pid = std::process::id().cast_signed();
        let resident = measure(pid, u64::MAX).unwrap();
        let own = measure(pid, 0).unwrap();
        assert!(resident > 0 && own > 0);
        assert_eq!(measure(0, 0), None);
        assert_eq!(read_statm("9 7 3 1 0 5 0\n"), Some((7 * page_size(), 3 * page_size())));
        assert_eq!(read_statm("9\n"), None);
        assert_eq!(proportional("Rss: 12 kB\nPss:      7 kB\nPss_Dirty: 1 kB\n"), Some(7168));
    }
}
