//! Runs an image in a container, as an engine does with `--read-only`, `--cap-drop ALL` and
//! `--security-opt no-new-privileges`: in new namespaces, with its command as the first
//! process.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;

use crate::image::{Image, identity};
use crate::support::client::{Connection, Response};
use crate::support::directory::Directory;
use crate::support::{environment, process, until};

/// Makes what a container sees: a root that cannot be written to, `/proc`, some
/// devices, a loopback, and nothing else but what it is given as `tmpfs`.
const ENTER: &str = "set -e; tree=$1 mounts=$2 directory=$3; shift 3
    mount --make-rprivate /
    mount --bind \"$tree\" \"$tree\"
    mount -o remount,bind,ro \"$tree\"
    mount -t proc proc \"$tree/proc\"
    mount -t tmpfs -o mode=755,size=64k devices \"$tree/dev\"
    for device in full null random urandom zero; do
        : >\"$tree/dev/$device\"; mount --bind /dev/$device \"$tree/dev/$device\"
    done
    for mount in $mounts; do
        mount -t tmpfs -o mode=1777,size=16m given \"$tree$mount\"
    done
    python3 -c \"$LOOPBACK\"
    cd \"$tree\"
    exec chroot . /usr/bin/env -i --chdir=\"$directory\" \"$@\"";

/// Brings the loopback of a new network up (`netdevice(7)`).
const LOOPBACK: &str = "import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 1))";

/// What no process of the container can have or get.
const NO_RIGHTS: &str = "--no-new-privs --bounding-set=-all --inh-caps=-all";

/// How a container is started, where it differs from its image.
#[derive(Default)]
pub(crate) struct Options<'a> {
    pub(crate) command: &'a [&'a str],
    pub(crate) variables: &'a [(&'a str, &'a str)],
    /// Where there is room for some files.
    pub(crate) tmpfs: &'a [&'a str],
}

pub(crate) struct Container<'a> {
    image: &'a Image,
    variables: Vec<(String, String)>,
    /// Waits for its first process, and ends with it.
    guardian: Child,
    /// Its first process, as the host counts.
    pub(crate) init: i32,
    directory: Directory,
}

impl<'a> Container<'a> {
    pub(crate) fn start(image: &'a Image, options: &Options) -> Self {
        let directory = Directory::new();
        let output = File::create(directory.join("log")).unwrap();
        let mut variables = image.variables.clone();
        for (name, value) in options.variables {
            variables.push(((*name).to_owned(), (*value).to_owned()));
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]);
        command.args(["/bin/sh", "-c", ENTER, "enter"]).arg(image.tree());
        command.args([&options.tmpfs.join(" "), &image.directory]);
        command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(confined(&image.user));
        match options.command {
            [] => command.args(&image.command),
            words => command.args(words),
        };
        environment::clear(&mut command).env("LOOPBACK", LOOPBACK);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let guardian = command.spawn().unwrap();
        let mut container = Self { image, variables, guardian, init: 0, directory };
        container.wait_for_init();
        container
    }

    fn wait_for_init(&mut self) {
        let guardian = i32::try_from(self.guardian.id()).unwrap();
        until::holds("the first process", || {
            let ended = self.guardian.try_wait().unwrap().is_some();
            assert!(!ended, "it has ended:\n{}", self.directory.read("log"));
            self.init = process::children(guardian).first().copied().unwrap_or_default();
            self.init > 0
        });
    }

    pub(crate) fn log(&self) -> String {
        self.directory.read("log")
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        let (found, init) = (|| self.log().contains(text), self.init);
        until::holds(&format!("{text:?} in the log"), || found() || !process::is_alive(init));
        assert!(found(), "it has ended without {text:?}:\n{}", self.log());
    }

    pub(crate) fn wait_until_ready(&self) -> SocketAddr {
        self.wait_for_log("] master: serving");
        // As the image has it, inside.
        "127.0.0.1:8000".parse().unwrap()
    }

    /// Does something in the network of the container.
    pub(crate) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.init)).unwrap();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // Of this thread, and of those that it starts.
                setns(network, CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        let address = self.wait_until_ready();
        self.inside(|| Connection::tcp(address).unwrap().get(target))
    }

    /// Runs a command in the container, as its user: what engines call `exec`.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        let init = self.init.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &init, "--mount", "--pid", "--net", "--ipc", "--uts", "--root"]);
        command.args(["/usr/bin/env", "-i", &format!("--chdir={}", self.image.directory)]);
        command.args(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(confined(&self.image.user)).args(words).output().unwrap()
    }

    /// Whether the container is well, as its engine would find, with what it keeps.
    pub(crate) fn check_health(&self) -> (bool, String) {
        let words: Vec<_> = self.image.health_check.iter().map(String::as_str).collect();
        let output = self.run(&words);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    pub(crate) fn workers(&self) -> Vec<i32> {
        process::children(self.init)
    }

    /// Stops it as its engine would.
    pub(crate) fn stop(&self) {
        let signal: Signal = self.image.stop_signal.parse().unwrap();
        process::signal(self.init, signal);
    }

    /// Waits until it has ended by itself, in order.
    pub(crate) fn wait_for_end(mut self) {
        let status = until::some("the end", || self.guardian.try_wait().unwrap());
        let log = self.log();
        assert!(status.success() && log.ends_with("master: stopped\n"), "{status}\n{log}");
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log\n{}---", self.log());
        }
        // The first process, and with it all others. It does not end with its guardian:
        // the change of its user has cleared the signal that it would get (prctl(2),
        // PR_SET_PDEATHSIG).
        if self.guardian.try_wait().unwrap().is_none() {
            if self.init > 0 {
                process::signal(self.init, Signal::SIGKILL);
            } else {
                self.guardian.kill().ok();
            }
            self.guardian.wait().unwrap();
        }
    }
}

fn confined(user: &str) -> Vec<String> {
    let options = format!("/usr/bin/setpriv {} {NO_RIGHTS}", identity(user));
    options.split(' ').map(str::to_owned).collect()
}
