//! A proxy in front of the server: nginx or HAProxy, as a child process in the foreground,
//! with the configuration of docs/proxies.md.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use super::directory::Directory;
use super::environment;
use super::setup::own_ip;
use super::{need, process, until};

/// Reads the code block in this language below this heading of docs/proxies.md.
pub(crate) fn example(heading: &str, language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxies.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let (_, block) = section.split_once(&format!("\n```{language}\n")).expect(language);
    block.split_once("\n```").unwrap().0.to_owned() + "\n"
}

/// Replaces each of these, which must be in the text.
pub(crate) fn replace(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "no {old:?} in {text}");
        text.replace(old, new)
    })
}

/// An address of a loopback network that no other test uses.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((own_ip(), 0)).unwrap().local_addr().unwrap()
}

/// Finds a program of the system, or names the test as skipped.
fn program(name: &str) -> Option<PathBuf> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    need::met(found.is_some(), &format!("{name}: apt install {name}"));
    found
}

/// A running proxy, which ends with the test.
pub(crate) struct Proxy {
    child: Child,
    directory: Directory,
}

impl Proxy {
    /// Starts nginx with this configuration, and waits until it listens at the address. `None`
    /// if there is no nginx.
    pub(crate) fn nginx(configuration: &str, address: SocketAddr) -> Option<Self> {
        let program = program("nginx")?;
        let directory = Directory::new();
        let path = |name: &str| directory.join(name).display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {};\n", path(&format!("{kind}.temporary"))))
            .collect();
        directory.write("conf.d/paths.conf", &temporary);
        let configuration = replace(
            configuration,
            &[
                ("/run/nginx.pid", &path("nginx-number")),
                ("/var/log/nginx/", &path("")),
                ("/etc/nginx/conf.d/", &path("conf.d/")),
            ],
        );
        let file = directory.write("nginx.conf", &configuration);
        let mut command = Command::new(program);
        command.arg("-c").arg(file).args(["-e", &path("error.log"), "-g", "daemon off;"]);
        Some(Self::start(command, directory, address))
    }

    /// Starts HAProxy with this configuration, and waits until it listens at the address.
    /// `None` if there is no HAProxy.
    pub(crate) fn haproxy(configuration: &str, address: SocketAddr) -> Option<Self> {
        let program = program("haproxy")?;
        let directory = Directory::new();
        let mut configuration = configuration.to_owned();
        if !geteuid().is_root() {
            let user = "    user haproxy\n    group haproxy\n";
            configuration = replace(&configuration, &[(user, "")]);
        }
        let file = directory.write("haproxy.cfg", &configuration);
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(file);
        Some(Self::start(command, directory, address))
    }

    fn start(mut command: Command, directory: Directory, address: SocketAddr) -> Self {
        let output = File::create(directory.join("output")).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        command.current_dir("/").process_group(0);
        let child = environment::clear(&mut command).spawn().unwrap();
        let mut proxy = Self { child, directory };
        until::holds("a proxy that listens", || {
            let ended = proxy.child.try_wait().unwrap();
            assert_eq!(ended, None, "the proxy has ended:\n{}", proxy.log());
            TcpStream::connect(address).is_ok()
        });
        proxy
    }

    /// What the proxy has written, but for its access log.
    pub(crate) fn log(&self) -> String {
        self.directory.read("output") + &self.directory.read("error.log")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- proxy\n{}---", self.log());
        }
        // Both end at once with SIGTERM; nginx ends its workers, which SIGKILL would not.
        process::signal(self.child.id().try_into().unwrap(), Signal::SIGTERM);
        until::within(until::DEADLINE, || self.child.try_wait().unwrap());
    }
}
