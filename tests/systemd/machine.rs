//! A small Debian with its own systemd, booted in a container (`systemd-nspawn(1)`) from a
//! tree that `make test-systemd` has made. Changes of a test are discarded with it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;

use crate::support::directory::Directory;
use crate::support::{need, process, until};

/// Debian 12 with systemd 252, and Debian 13 with systemd 257.
const DEBIAN: [&str; 2] = ["bookworm", "trixie"];
/// The same, and Ubuntu 22.04 with systemd 249 and 24.04 with systemd 255, which are tested
/// where their trees exist.
const RELEASES: [&str; 4] = ["bookworm", "trixie", "jammy", "noble"];

/// Where processes are grouped: each machine has groups of its own, since two
/// managers cannot share one. With version 1 systemd has two hierarchies.
const HIERARCHIES: [&str; 3] =
    ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];

/// Enters the groups, lays memory over the tree, and becomes the container's guardian,
/// which ends with the thread that has started it. What is laid over the tree is seen by
/// the guardian alone, and outlives a reboot: then the container's manager ends with 133
/// (`--keep-unit`), and is started again. With version 2 of the groups a machine can
/// limit memory if no process is in the group above its own.
const ENTER: &str = "set -e; groups=$1 tree=$2 directory=$3; shift 3
    for group in $groups; do
        mkdir $group/guardian $group/machine; echo $$ >$group/guardian/cgroup.procs
        { echo +memory >$group/cgroup.subtree_control; } 2>/dev/null || :
    done
    mount -t tmpfs -o mode=755 tmpfs $directory; cd $directory; mkdir upper work root
    mount -t overlay -o lowerdir=$tree,upperdir=upper,workdir=work overlay root
    exec setpriv --pdeathsig KILL sh -c 'groups=$1; shift
        while (for group in $groups; do echo 0 >$group/machine/cgroup.procs; done
            exec setpriv --pdeathsig KILL systemd-nspawn \"$@\"); test $? = 133; do :; done' \
        guardian \"$groups\" --directory=$directory/root \"$@\"";

/// A command may take so long: as long as all that a test waits for.
const PATIENCE: &str = "60";

/// A machine that is up. Its network is the host's.
pub(crate) struct Machine {
    /// Its release's name.
    pub(crate) release: &'static str,
    /// Its first process, as the host counts.
    init: AtomicI32,
    guardian: i32,
    /// The thread that has started the guardian, and waits for its end.
    keeper: Option<JoinHandle<()>>,
    groups: Vec<PathBuf>,
    /// Has what it writes on its console.
    directory: Directory,
}

/// The applications under test, in a machine.
pub(crate) const APPS: &str = "/srv/apps";
/// Django, and what else these applications need.
pub(crate) const PACKAGES: &str = "/srv/packages";
/// The directory of the Debian package.
pub(crate) const PACKAGE: &str = "/srv/package";

/// The machines that tests share, in the order of the releases: each is there for as
/// long as a test uses it.
static SHARED: [Mutex<Weak<Machine>>; 4] = [const { Mutex::new(Weak::new()) }; 4];

impl Machine {
    /// Runs a test on a machine of each release that is there. Tests share machines,
    /// so what a test changes there has names of its own.
    pub(crate) fn each(test: impl Fn(&Self) + Sync) {
        Self::of_each_release(|release, tree| test(&Self::shared(release, tree)));
    }

    /// The same with machines of its own.
    pub(crate) fn each_alone(test: impl Fn(&Self) + Sync) {
        Self::of_each_release(|release, tree| test(&Self::boot(RELEASES[release], tree)));
    }

    fn of_each_release(run: impl Fn(usize, &Path) + Sync) {
        if !need::root() {
            return;
        }
        thread::scope(|scope| {
            for (number, release) in RELEASES.iter().enumerate() {
                let tree = trees().join(release);
                let is_there = tree.join("ready").exists();
                let is_optional = !DEBIAN.contains(release);
                if is_optional && !is_there {
                    continue;
                }
                if need::met(is_there, &format!("{}", tree.display())) {
                    let run = &run;
                    // What is skipped is named by its thread.
                    let name = thread::current().name().unwrap_or_default().to_owned();
                    let thread = thread::Builder::new().name(name);
                    thread.spawn_scoped(scope, move || run(number, &tree)).unwrap();
                }
            }
        });
    }

    fn shared(release: usize, tree: &Path) -> Arc<Self> {
        // A test that has failed while it booted leaves nothing behind.
        let mut shared = SHARED[release].lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let machine = Arc::new(Self::boot(RELEASES[release], tree));
            *shared = Arc::downgrade(&machine);
            machine
        })
    }

    fn boot(release: &'static str, tree: &Path) -> Self {
        let directory = Directory::new();
        fs::create_dir(directory.join("memory")).unwrap();
        let name = unique_name();
        let groups = make_groups(&name);
        let console = fs::File::create(directory.join("console")).unwrap();
        let list: Vec<_> = groups.iter().map(|it| it.to_str().unwrap()).collect();
        let mut command = Command::new("unshare");
        command.args(["--mount", "/bin/sh", "-c", ENTER, "enter", &list.join(" ")]);
        command.arg(tree).arg(directory.join("memory"));
        command.args(["--quiet", "--register=no", "--keep-unit", "--boot"]);
        command.args(["--console=pipe", "--setenv=TERM=dumb", "--hostname=machine"]);
        command.arg(format!("--machine={name}"));
        for (source, place) in shared_directories() {
            command.arg(format!("--bind-ro={}:{place}", source.display()));
        }
        command.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console);
        let (sender, receiver) = channel();
        let keeper = thread::spawn(move || keep(command, &sender));
        let guardian = receiver.recv().unwrap();
        let keeper = Some(keeper);
        let machine =
            Self { release, init: AtomicI32::new(0), guardian, keeper, groups, directory };
        machine.wait_until_up(0);
        machine.install();
        machine
    }

    /// Waits until systemd has started everything, as another process than `before`.
    fn wait_until_up(&self, before: i32) {
        let up = until::within(until::DEADLINE, || {
            if !process::is_alive(self.guardian) {
                return Some(false);
            }
            let manager = *process::children(self.guardian).first()?;
            let init = *process::children(manager).first()?;
            if init == before {
                return None;
            }
            self.init.store(init, Ordering::Relaxed);
            let state = self.run(&["systemctl", "is-system-running"]).stdout;
            ["running\n", "degraded\n"].iter().any(|it| it.as_bytes() == state).then_some(true)
        });
        let console = self.directory.read("console");
        assert_eq!(up, Some(true), "{} does not boot: {console}", self.release);
    }

    fn install(&self) {
        if has_package() {
            self.said(&["sh", "-c", &format!("dpkg --install {PACKAGE}/*.deb")]);
        }
    }

    /// Boots it again; what was written stays.
    pub(crate) fn reboot(&self) {
        let before = self.init.load(Ordering::Relaxed);
        self.run(&["systemctl", "reboot"]);
        self.wait_until_up(before);
    }

    /// The version of its systemd.
    pub(crate) fn systemd(&self) -> u32 {
        let version = self.said(&["systemctl", "--version"]);
        version.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// A command that root of the machine is about to run.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let init = self.init.load(Ordering::Relaxed).to_string();
        let mut command = Command::new("timeout");
        command.args([PATIENCE, "nsenter", "--all", "--target", &init]).args(words);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command, which must succeed, and returns its output.
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
        let init = self.init.load(Ordering::Relaxed).to_string();
        Path::new("/proc").join(init).join("root").join(&path[1..])
    }

    /// Puts a file in the machine in one step, and makes the directories on the way.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        let draft = path.with_extension("draft");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&draft, content).unwrap();
        fs::rename(draft, path).unwrap();
    }
}

impl std::fmt::Display for Machine {
    /// What the machine's journal has of its services.
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        let words =
            ["journalctl", "--no-pager", "--boot", "--lines=200", "--output=short-monotonic"];
        let journal = self.run(&words).stdout;
        formatter.write_str(&String::from_utf8_lossy(&journal))?;
        formatter.write_char('\n')
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Two nested namespaces of processes end with the first one's first process.
        let init = self.init.load(Ordering::Relaxed);
        process::signal(if init > 0 { init } else { self.guardian }, Signal::SIGKILL);
        self.keeper.take().unwrap().join().unwrap();
        for group in &self.groups {
            until::within(until::DEADLINE, || remove(group).ok());
        }
    }
}

/// Starts the guardian, sends its pid, and waits for its end.
fn keep(mut command: Command, number: &Sender<i32>) {
    let mut guardian = command.spawn().unwrap();
    number.send(i32::try_from(guardian.id()).unwrap()).unwrap();
    guardian.wait().unwrap();
}

/// Where the trees are, and what is installed on them.
fn trees() -> PathBuf {
    target().join("systemd")
}

fn target() -> PathBuf {
    let program = crate::support::setup::program();
    program.ancestors().nth(2).unwrap().to_owned()
}

/// What machines see of the host, and where.
fn shared_directories() -> Vec<(PathBuf, &'static str)> {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps");
    let mut shared = vec![(apps, APPS)];
    let versions = fs::read_dir(target().join("tests/venv/lib")).into_iter().flatten().flatten();
    shared.extend(versions.map(|it| (it.path().join("site-packages"), PACKAGES)));
    shared.push(if has_package() {
        (trees().join("package"), PACKAGE)
    } else {
        (trees().join("installed/usr/local"), "/usr/local")
    });
    shared
}

/// Whether the package is there: otherwise what `make install` has installed is tested.
pub(crate) fn has_package() -> bool {
    trees().join("package").exists()
}

/// A name that no other machine of this host has.
fn unique_name() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("monoceros-test-{}-{number}", std::process::id())
}

fn make_groups(name: &str) -> Vec<PathBuf> {
    let is_hierarchy = |it: &&&str| Path::new(it).join("cgroup.procs").exists();
    let groups = HIERARCHIES.iter().filter(is_hierarchy).map(|it| Path::new(it).join(name));
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
