//! A small Debian with its own systemd, booted in a container (`systemd-nspawn(1)`)
//! from a tree that `make test-systemd` has made. What a test writes into it is
//! gone with it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;

use crate::support::directory::Directory;
use crate::support::{need, process, until};

/// Debian 12 with systemd 252, and Debian 13 with systemd 257.
const RELEASES: [&str; 2] = ["bookworm", "trixie"];

/// Where processes are grouped: each machine has groups of its own, since two
/// managers cannot share one. With version 1 systemd has two hierarchies.
const HIERARCHIES: [&str; 3] =
    ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];

/// Enters the groups that follow, and becomes the container's guardian, which
/// ends with the thread that has started it.
const ENTER: &str = "groups=$1; shift; for group in $groups; do echo $$ >$group/cgroup.procs; done;
    exec setpriv --pdeathsig KILL systemd-nspawn \"$@\"";

/// A machine that is up. Its network is the host's.
pub(crate) struct Machine {
    /// Its release's name.
    pub(crate) release: &'static str,
    guardian: Child,
    /// Its first process, as the host counts.
    init: i32,
    groups: Vec<PathBuf>,
    /// Has what it writes on its console.
    directory: Directory,
}

impl Machine {
    /// Boots a machine of each release that is there.
    pub(crate) fn each(test: impl Fn(&Self) + Sync) {
        if !need::root() {
            return;
        }
        std::thread::scope(|scope| {
            for release in RELEASES {
                let tree = trees().join(release);
                if need::met(tree.join("ready").exists(), &format!("{}", tree.display())) {
                    let test = &test;
                    scope.spawn(move || test(&Self::boot(release, &tree)));
                }
            }
        });
    }

    fn boot(release: &'static str, tree: &Path) -> Self {
        let directory = Directory::new();
        let groups = make_groups();
        let console = fs::File::create(directory.join("console")).unwrap();
        let list: Vec<_> = groups.iter().map(|it| it.to_str().unwrap()).collect();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ENTER, "enter", &list.join(" ")]);
        command.args(["--quiet", "--register=no", "--keep-unit", "--volatile=overlay", "--boot"]);
        command.args(["--console=pipe", "--setenv=TERM=dumb"]);
        command.arg(format!("--directory={}", tree.display()));
        command
            .arg(format!("--bind-ro={}:/usr/local", trees().join("installed/usr/local").display()));
        command.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console);
        let guardian = command.spawn().unwrap();
        let mut machine = Self { release, guardian, init: 0, groups, directory };
        let guardian = i32::try_from(machine.guardian.id()).unwrap();
        let booted = until::within(until::DEADLINE, || {
            if !process::is_alive(guardian) {
                return Some(false);
            }
            machine.init = *process::children(guardian).first()?;
            let state = machine.run(&["systemctl", "is-system-running"]).stdout;
            ["running\n", "degraded\n"].iter().any(|it| it.as_bytes() == state).then_some(true)
        });
        assert_eq!(
            booted,
            Some(true),
            "{release} does not boot: {}",
            machine.directory.read("console")
        );
        machine
    }

    /// A command that root of the machine is about to run.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.init.to_string()]).args(words);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command that succeeds; returns what it says.
    pub(crate) fn said(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let text = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        let release = self.release;
        assert!(output.status.success(), "{release}: {words:?}: {complaint}{text}\n{self}");
        text
    }

    /// A path in the machine, as the host sees it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.init.to_string()).join("root").join(&path[1..])
    }

    /// Writes a file in the machine, and makes the directories on the way to it.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl std::fmt::Display for Machine {
    /// What the machine's journal has of its services.
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        let words =
            ["journalctl", "--no-pager", "--boot", "--lines=80", "--output=short-monotonic"];
        let journal = self.run(&words).stdout;
        formatter.write_str(&String::from_utf8_lossy(&journal))?;
        formatter.write_char('\n')
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{self}---", self.release);
        }
        if self.init > 0 {
            process::signal(self.init, Signal::SIGKILL);
        } else {
            self.guardian.kill().ok();
        }
        self.guardian.wait().unwrap();
        for group in &self.groups {
            until::within(until::DEADLINE, || remove(group).ok());
        }
    }
}

/// Where the trees are, and what `make install` has installed for them.
fn trees() -> PathBuf {
    let program = crate::support::setup::program();
    program.ancestors().nth(2).unwrap().join("systemd")
}

fn make_groups() -> Vec<PathBuf> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("monoceros-test-{}-{number}", std::process::id());
    let is_hierarchy = |it: &&&str| Path::new(it).join("cgroup.procs").exists();
    let groups = HIERARCHIES.iter().filter(is_hierarchy).map(|it| Path::new(it).join(&name));
    let groups: Vec<_> = groups.collect();
    groups.iter().for_each(|group| fs::create_dir(group).unwrap());
    groups
}

/// Removes a group with those in it; each goes when its last process has gone.
fn remove(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
