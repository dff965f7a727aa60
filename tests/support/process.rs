//! Processes, by the information in `/proc`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends a signal. A process that has ended is no error.
pub(crate) fn signal(pid: i32, signal: Signal) {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => (),
        Err(error) => panic!("cannot send {signal} to {pid}: {error}"),
    }
}

/// All processes.
pub(crate) fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The state's letter and the parent of a process, if it exists.
pub(crate) fn state(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and can have any characters.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The processor time of a process.
pub(crate) fn cpu(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // utime and stime, the 14th and 15th of all (proc(5)); the third is first here.
    let ticks = fields[11..13].iter().map(|it| it.parse::<u64>().unwrap()).sum::<u64>();
    // USER_HZ is 100 wherever Linux runs.
    Duration::from_millis(ticks * 10)
}

/// Sets the soft limit of a process's descriptors (`prlimit(1)`), and returns the former
/// one.
pub(crate) fn limit_descriptors(pid: i32, count: usize) -> usize {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let before = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    let mut command = Command::new("prlimit");
    command.arg(format!("--pid={pid}")).arg(format!("--nofile={count}:"));
    assert!(command.status().expect("prlimit is part of util-linux").success());
    before
}

/// Whether all threads of a process wait.
pub(crate) fn is_asleep(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stats = threads.map(|it| fs::read_to_string(it.unwrap().path().join("stat")));
    stats.flatten().all(|stat| stat.rsplit_once(") ").is_some_and(|(_, it)| it.starts_with('S')))
}

/// Whether a process exists and is not a zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|(state, _)| state != 'Z')
}

/// The living children of a process, in order of their numbers.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    let is_child = |pid: &i32| state(*pid).is_some_and(|(s, of)| of == parent && s != 'Z');
    let mut children: Vec<_> = all().into_iter().filter(is_child).collect();
    children.sort_unstable();
    children
}

/// The children of a process that wait to be reaped.
pub(crate) fn zombies(parent: i32) -> Vec<i32> {
    let is_zombie = |pid: &i32| state(*pid).is_some_and(|(s, of)| of == parent && s == 'Z');
    all().into_iter().filter(is_zombie).collect()
}

/// The running processes of a test: those with its mark in the environment, or with its
/// directory as the working directory.
pub(crate) fn marked(mark: &str, directory: &Path) -> Vec<i32> {
    let belongs = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
            || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory)
    };
    all().into_iter().filter(|pid| belongs(pid) && is_alive(*pid)).collect()
}

/// The command line as `ps` shows it.
pub(crate) fn title(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

/// The target of each descriptor of a process.
pub(crate) fn descriptors(pid: i32) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok();
    let targets = entries.filter_map(|entry| target(entry.ok()?));
    Ok(targets.map(|path| path.display().to_string()).collect())
}

/// Whether a process has this file open.
pub(crate) fn holds(pid: i32, path: &Path) -> bool {
    descriptors(pid).is_ok_and(|held| held.iter().any(|it| Path::new(it) == path))
}

/// A line of `/proc/PID/status`, such as `Uid`.
pub(crate) fn status(pid: i32, name: &str) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}
