//! An installation of the wheel for a Python, by one of the usual installers.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::directory::Directory;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::{environment, until};

/// Responds with its prefix, its executable and its version.
const WHERE: &str = "
import sys

def application(environ, start_response):
    body = '\\n'.join([sys.prefix, sys.executable, '%d.%d' % sys.version_info[:2]]).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// Makes of a wheel the one of a later version.
const LATER: &str = include_str!("later.py");

/// What a process maps of the extension: its device and its inode.
pub(crate) type File = (u64, u64);

/// What `make test-wheel` has put into the target directory: a wheel, a source
/// package, and what installs them.
fn prepared(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_monoceros")).ancestors().nth(2).unwrap().join("tests").join(name)
}

/// The package of this kind.
pub(crate) fn package(extension: &str) -> PathBuf {
    let wheels = prepared("wheels");
    let paths = fs::read_dir(&wheels).into_iter().flatten().map(|it| it.unwrap().path());
    let mut found = paths.filter(|it| it.extension() == Some(OsStr::new(extension)));
    let package = found.next().expect("a package, from `make test-wheel`");
    assert_eq!(found.next(), None, "one package in {}", wheels.display());
    package
}

/// The wheel as its next version would be.
pub(crate) fn later(directory: &Directory) -> PathBuf {
    let mut command = Command::new(installer("python"));
    command.args(["-c", LATER]).arg(package("whl")).arg(directory.path());
    PathBuf::from(run(&mut command).trim())
}

/// A program that installs packages, or the interpreter that it is written for.
pub(crate) fn installer(name: &str) -> PathBuf {
    prepared("installers/bin").join(name)
}

/// pip at work for another interpreter than its own.
pub(crate) fn pip(python: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(installer("pip"));
    environment::clear(&mut command);
    // A wheel that was compiled before would pass for one that can be compiled.
    command.args(["--disable-pip-version-check", "--no-cache-dir", "--quiet", "--python"]);
    command.arg(python).args(words);
    // What Debian asks for before pip touches the system's own Python.
    command.env("PIP_BREAK_SYSTEM_PACKAGES", "1").env("PIP_ROOT_USER_ACTION", "ignore");
    command.env_remove("PYTHONDONTWRITEBYTECODE");
    command
}

/// Installs a package that is at hand.
pub(crate) fn install_by_pip(python: &Path, words: &[&str], wheel: &Path) {
    run(pip(python, &["install", "--no-index", "--no-deps"]).args(words).arg(wheel));
}

/// uv at work, with a cache of its own, without the network.
pub(crate) fn uv(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(installer("uv"));
    environment::clear(&mut command).args(["--offline", "--quiet"]).args(words);
    command.env("UV_CACHE_DIR", directory.join("cache"));
    command.env("UV_PYTHON_DOWNLOADS", "never").env_remove("PYTHONDONTWRITEBYTECODE");
    command
}

/// Runs a command, which must succeed, and returns its output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {complaint}{text}");
    text
}

/// A virtual environment. It has one other module: of a directory in which everything
/// is to be removed pip removes the directory, `site-packages` included.
pub(crate) fn make_environment(python: &Path, path: &Path) {
    let mut command = Command::new(python);
    environment::clear(&mut command).args(["-m", "venv", "--without-pip"]).arg(path);
    run(&mut command);
    let version = fs::read_dir(path.join("lib")).unwrap().next().unwrap().unwrap();
    fs::write(version.path().join("site-packages/neighbour.py"), "").unwrap();
}

/// Every file and directory below a path.
pub(crate) fn content(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

/// A server of the program that was installed, or of what executes it, in a
/// directory with an application.
pub(crate) fn server(program: &Path) -> Setup {
    Setup::listening().binary(program).file("where.py", WHERE)
}

/// The same, executed by an interpreter.
pub(crate) fn module_server(python: &Path) -> Setup {
    server(python).script("exec \"$0\" -m monoceros \"$@\" 3<&0 0</dev/null")
}

/// Its application responds with its place.
pub(crate) fn serve(setup: Setup) -> Server {
    setup.flag("where:application").start()
}

/// The response: prefix, executable, version.
pub(crate) fn place(server: &Server) -> [String; 3] {
    let lines: Vec<_> = server.get("/").text().lines().map(str::to_owned).collect();
    lines.try_into().unwrap()
}

/// The extension that is installed below a prefix.
pub(crate) fn installed(prefix: &Path) -> File {
    let metadata = prefix.join("lib/libmonoceros_python.so").metadata().unwrap();
    (metadata.dev(), metadata.ino())
}

/// The extensions that so many workers have loaded.
pub(crate) fn loaded(server: &Server, count: usize) -> BTreeSet<File> {
    until::some("workers with an extension", || {
        let files: Vec<_> = server.workers().into_iter().map(loaded_by).collect();
        let files = Some(files).filter(|it| it.len() == count)?;
        files.into_iter().collect()
    })
}

fn loaded_by(worker: i32) -> Option<File> {
    let maps = fs::read_to_string(format!("/proc/{worker}/maps")).ok()?;
    let line = maps.lines().find(|line| line.contains("libmonoceros_python.so"))?;
    // proc_pid_maps(5): addresses, rights, offset, device, inode, path.
    let fields: Vec<_> = line.split_whitespace().collect();
    let (major, minor) = fields[3].split_once(':').unwrap();
    let number = |text| u64::from_str_radix(text, 16).unwrap();
    let device = nix::sys::stat::makedev(number(major), number(minor));
    Some((device, fields[4].parse().unwrap()))
}

/// Kills a worker, and waits for the one that takes its place.
pub(crate) fn replace_worker(server: &Server) {
    let before = server.workers();
    server.allow("SIGKILL");
    process::signal(before[0], nix::sys::signal::Signal::SIGKILL);
    server.wait_for_replacement(&before);
}
