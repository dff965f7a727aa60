//! Commands to a server, as a user runs them.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::environment;
use super::server::Server;
use super::setup::program;

/// A command that is about to run in the server's directory.
pub(crate) fn command(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program());
    environment::clear(&mut command).args(words).current_dir(directory);
    command
}

/// The output of a command and its exit code.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

pub(crate) fn run(directory: &Path, words: &[&str]) -> Answer {
    command(directory, words).output().unwrap().into()
}

/// Asks the server by its pid.
pub(crate) fn ask(server: &Server, words: &[&str]) -> Answer {
    let pid = server.pid().to_string();
    run(server.directory.path(), &[words, &[&pid]].concat())
}

/// Asks the server, and does not wait.
pub(crate) fn begin(server: &Server, words: &[&str]) -> Child {
    let pid = server.pid().to_string();
    let mut command = command(server.directory.path(), &[words, &[&pid]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn end(child: Child) -> Answer {
    child.wait_with_output().unwrap().into()
}
