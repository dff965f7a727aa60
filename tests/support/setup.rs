//! Starts a server with its arguments, its environment and its socket.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::{env, fs};

use nix::unistd::geteuid;
use socket2::SockRef;

use super::certificate::Certificate;
use super::directory::Directory;
use super::environment;
use super::server::{Finished, Server};

/// Moves the socket from standard input to descriptor 3. A shell does this, so that no other
/// child of this process inherits the socket.
const PASS: &str = "exec \"$0\" \"$@\" 3<&0 0</dev/null";
/// The same, with the variables of systemd (sd_listen_fds(3)).
const ANNOUNCE: &str = "export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 0</dev/null";
/// The same for two sockets; the second one is standard output.
const ANNOUNCE_TWO: &str = "export LISTEN_FDS=2 LISTEN_PID=$$; \
    exec \"$0\" \"$@\" 3<&0 4<&1 0</dev/null >stdout";
/// The same, with the pid of another process.
const ANNOUNCE_ANOTHER: &str = "export LISTEN_FDS=1 LISTEN_PID=$PPID; \
    exec \"$0\" \"$@\" 3<&0 0</dev/null";
/// Runs the server on a new terminal, in a new session.
const TERMINAL: &str = "exec 3<&0; for word; do line=\"$line '$word'\"; done; \
    exec script -qec \"exec '$0' $line\" /dev/null </dev/null";
/// Runs the server without root's capabilities over the network, as in many containers.
const PLAIN_USER: &str = "exec setpriv --bounding-set=-net_admin,-net_raw \
    --inh-caps=-net_admin,-net_raw \"$0\" \"$@\" 0</dev/null";
const PLAIN: &str = "exec \"$0\" \"$@\" 0</dev/null";

/// A server that is not started yet.
pub(crate) struct Setup {
    pub(crate) directory: Directory,
    arguments: Vec<OsString>,
    /// The words after `--`.
    words: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    socket: Option<OwnedFd>,
    second: Option<OwnedFd>,
    binary: PathBuf,
    address: Option<SocketAddr>,
    script: &'static str,
    output: Option<OwnedFd>,
    /// The number of certificates.
    pairs: usize,
}

impl Setup {
    /// A server for an application among `tests/apps/wsgi` and
    /// `tests/apps/broken`, with one worker.
    pub(crate) fn of(application: &str) -> Self {
        Self::listening().apps().flag(application)
    }

    /// A server whose workers run this program.
    pub(crate) fn program(words: &[&str]) -> Self {
        let mut setup = Self::listening().flags(&["--worker-class", "exec"]);
        setup.words = words.iter().map(OsString::from).collect();
        setup
    }

    /// A server without an application. The test binds the socket and passes it on, so no
    /// other process can take the port.
    pub(crate) fn listening() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut setup = Self::bare();
        setup.address = Some(listener.local_addr().unwrap());
        setup.socket(listener).flags(&["--bind", "fd://3"])
    }

    /// Removes root's rights over the network. For a server that binds its addresses
    /// itself.
    pub(crate) fn unprivileged(mut self) -> Self {
        if geteuid().is_root() {
            self.script = PLAIN_USER;
        }
        self
    }

    /// Uses an address that no other test has, also while it is free: for tests that use the
    /// address after the server.
    pub(crate) fn apart(mut self) -> Self {
        let listener = TcpListener::bind((own_ip(), 0)).unwrap();
        self.address = Some(listener.local_addr().unwrap());
        self.socket(listener)
    }

    /// The program without arguments.
    pub(crate) fn bare() -> Self {
        let directory = Directory::new();
        let (arguments, words, variables) = <_>::default();
        let (socket, second, address, output) = (None, None, None, None);
        Self {
            directory,
            arguments,
            words,
            variables,
            socket,
            second,
            binary: program(),
            address,
            script: PLAIN,
            output,
            pairs: 0,
        }
    }

    /// The applications under test, and the interpreter of the tests.
    pub(crate) fn apps(self) -> Self {
        let paths = format!("{},{}", apps("wsgi").display(), apps("broken").display());
        self.flag("--python").flag(python()).flags(&["--pythonpath", &paths])
    }

    /// Announces the socket with `LISTEN_FDS`, which replaces all addresses.
    pub(crate) fn announced(mut self) -> Self {
        self.script = ANNOUNCE;
        self
    }

    /// Announces the socket to a process that is not the server.
    pub(crate) fn announced_to_another(mut self) -> Self {
        self.script = ANNOUNCE_ANOTHER;
        self
    }

    /// Announces the socket, and this one as the next.
    pub(crate) fn announced_with(mut self, second: impl Into<OwnedFd>) -> Self {
        self.second = Some(second.into());
        self.script = ANNOUNCE_TWO;
        self
    }

    /// Starts it on a terminal.
    pub(crate) fn on_terminal(mut self) -> Self {
        self.script = TERMINAL;
        self
    }

    /// Runs another file than the one just built.
    pub(crate) fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = path.into();
        self
    }

    /// Passes this socket as descriptor 3.
    pub(crate) fn socket(mut self, socket: impl Into<OwnedFd>) -> Self {
        self.socket = Some(socket.into());
        self.script = PASS;
        self
    }

    /// Starts the program by another line of shell: it is `$0`, its arguments
    /// are `$@`, and standard input is the socket, if there is one.
    pub(crate) fn script(mut self, script: &'static str) -> Self {
        self.script = script;
        self
    }

    /// Lets standard output and standard error lead elsewhere: the log is then
    /// not seen.
    pub(crate) fn output(mut self, output: impl Into<OwnedFd>) -> Self {
        self.output = Some(output.into());
        self
    }

    /// Gives the connections the smallest send buffer.
    pub(crate) fn narrow(self) -> Self {
        let socket = self.socket.as_ref().expect("the test binds the socket");
        // Connections inherit it from the listener: tcp(7).
        SockRef::from(socket).set_send_buffer_size(4096).unwrap();
        self
    }

    pub(crate) fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.arguments.push(flag.into());
        self
    }

    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.arguments.extend(flags.iter().map(OsString::from));
        self
    }

    pub(crate) fn workers(self, count: usize) -> Self {
        self.flags(&["--workers", &count.to_string()])
    }

    /// Makes draining workers wait longer for idle clients. By default an idle connection is
    /// closed after a second, which may be just when a slow machine runs its client.
    pub(crate) fn patient(self) -> Self {
        self.flags(&["--drain-idle", "20"])
    }

    pub(crate) fn threads(self, count: usize) -> Self {
        self.flags(&["--threads", &count.to_string()])
    }

    pub(crate) fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Uses this certificate, beside those given before. The files are `certificate-N.pem` and
    /// `certificate-N.key` in the server's working directory; the first N is 0.
    pub(crate) fn certificate(mut self, certificate: &Certificate) -> Self {
        let files = certificate.write(&self.directory, &format!("certificate-{}", self.pairs));
        self.pairs += 1;
        self.flag("--certfile").flag(files.certfile).flag("--keyfile").flag(files.keyfile)
    }

    /// A file in the server's working directory.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.directory.write(name, content);
        self
    }

    /// Starts the server and waits until it serves.
    pub(crate) fn start(self) -> Server {
        let server = self.spawn();
        server.wait_until_ready();
        server
    }

    /// Starts the server.
    pub(crate) fn spawn(self) -> Server {
        let mark = format!("UNDER_TEST={}", self.directory.path().display());
        let output = |name| fs::File::create(self.directory.join(name)).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", self.script]).arg(self.binary).args(&self.arguments);
        if !self.words.is_empty() {
            command.arg("--").args(&self.words);
        }
        command.current_dir(self.directory.path()).process_group(0);
        command.stdout(output("stdout")).stderr(output("stderr"));
        if let Some(output) = self.output {
            command.stdout(output.try_clone().unwrap()).stderr(output);
        }
        let (name, value) = mark.split_once('=').unwrap();
        environment::clear(&mut command).env(name, value).envs(self.variables);
        if let Some(socket) = self.socket {
            command.stdin(Stdio::from(socket));
        }
        if let Some(second) = self.second {
            command.stdout(Stdio::from(second));
        }
        Server::new(command.spawn().unwrap(), self.directory, mark, self.address)
    }

    /// Runs the program to its end.
    pub(crate) fn run(self) -> Finished {
        self.spawn().wait_for_end()
    }
}

/// A loopback address that no other test uses, also in another run at the same time: a port
/// there is free until the test binds it.
pub(crate) fn own_ip() -> Ipv4Addr {
    static NUMBER: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 128, low, NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A name for an abstract socket that no other test has. Abstract names belong to the
/// network namespace, which several pid namespaces can share (`unix(7)`).
pub(crate) fn own_name() -> String {
    static NUMBER: AtomicU8 = AtomicU8::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let namespace = fs::metadata("/proc/self/ns/pid").unwrap().ino();
    format!("monoceros-test-{namespace}-{}-{number}", std::process::id())
}

/// The program under test: the one just built, or another one that is installed.
pub(crate) fn program() -> PathBuf {
    let installed = env::var_os("PROGRAM_UNDER_TEST").map(PathBuf::from);
    installed.unwrap_or_else(|| BUILT.into())
}

const BUILT: &str = env!("CARGO_BIN_EXE_monoceros");

/// The interpreter with Django and Flask, which `make test` has set up.
pub(crate) fn python() -> PathBuf {
    let python = Path::new(BUILT).ancestors().nth(2).unwrap().join("tests/venv/bin/python");
    assert!(python.exists(), "{} is missing: `make test` sets it up", python.display());
    python
}

/// Copies an executable file, and replaces an existing one. Another process writes the copy:
/// if this process had it open for writing, a process that another test forks would have
/// the descriptor too, and executing the file would fail (`ETXTBSY`, `execve(2)`).
pub(crate) fn install(from: &Path, to: &Path) {
    let draft = to.with_extension("draft");
    let copied = Command::new("cp").arg(from).arg(&draft).status().unwrap();
    assert!(copied.success(), "a copy of {}", from.display());
    fs::rename(draft, to).unwrap();
}

/// A directory of applications.
pub(crate) fn apps(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps").join(name)
}
