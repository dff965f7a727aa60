//! A terminal at which a person types: a pseudo-terminal (`pty(7)`) whose keys and screen the test
//! has, made by `script(1)`.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use super::client::Connection;
use super::setup::{program, python};
use super::until;
use super::{environment, process};

/// A terminal in which the program runs.
pub(crate) struct Console {
    directory: PathBuf,
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Console {
    /// Runs the program with these words in a directory, with the interpreter of the tests.
    pub(crate) fn run(directory: &Path, words: &str, variables: &[(&str, &str)]) -> Self {
        Self::shell(directory, &format!("exec '{}' {words}", program().display()), variables)
    }

    /// Runs a line of shell there.
    pub(crate) fn shell(directory: &Path, line: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new("script");
        environment::clear(&mut command).args(["-qefc", line, "/dev/null"]);
        command.env("SHELL", "/bin/sh").env("MONOCEROS_PYTHON", python());
        command.env("UNDER_TEST", directory).envs(variables.iter().copied()).current_dir(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                written.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { directory: directory.to_owned(), child, keys, screen }
    }

    /// All that was written to the screen.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Waits for a text on the screen, and returns all that was written.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let found = until::within(until::DEADLINE, || {
            Some(self.screen()).filter(|screen| screen.contains(text))
        });
        found.unwrap_or_else(|| panic!("no {text:?} on the screen:\n{}", self.screen()))
    }

    /// Types these keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// The address that the screen offers to open.
    pub(crate) fn address(&self) -> SocketAddr {
        let screen = self.wait_for("in a browser");
        let url = screen.split("open http://").nth(1).unwrap();
        url.split('/').next().unwrap().parse().unwrap()
    }

    /// A connection to that address.
    pub(crate) fn connect(&self) -> Connection {
        Connection::tcp(self.address()).unwrap()
    }

    /// The exit code of the program.
    pub(crate) fn wait_for_exit(&mut self) -> i32 {
        let what = format!("the end; the screen:\n{}", self.screen());
        until::some(&what, || self.child.try_wait().unwrap()).code().unwrap()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if !thread::panicking() {
            // The terminal is closed, and its server ends.
            let mark = format!("UNDER_TEST={}", self.directory.display());
            until::holds("the end of the server", || {
                process::marked(&mark, &self.directory).is_empty()
            });
        }
    }
}
