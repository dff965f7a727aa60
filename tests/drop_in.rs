//! Configuration files of gunicorn, run by gunicorn and by the server: both have the same settings,
//! run the same hooks in the same order with the same arguments, and end with the same exit codes
//! and messages. The files are in `tests/gunicorn`: each directory is a project.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::client::request;
use crate::support::server::{Finished, Server};
use crate::support::setup::{Setup, python};
use crate::support::until;

/// What every project has.
const SHARED: [&str; 2] = ["application.py", "record.py"];

/// Hooks that run in the process that forks the workers.
const OF_SERVER: [&str; 8] = [
    "on_starting",
    "when_ready",
    "on_reload",
    "nworkers_changed",
    "pre_fork",
    "child_exit",
    "pre_exec",
    "on_exit",
];

/// A note that begins a part of a server's life.
const MARK: &str = "mark";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Gunicorn,
    /// The server, with an interpreter beside which gunicorn is installed.
    Beside,
    /// The server, with an interpreter that has no gunicorn.
    Without,
}

/// A project with a configuration file.
struct Project {
    name: String,
    files: BTreeMap<String, String>,
}

impl Project {
    /// The projects of a kind, by name.
    fn all(kind: &str) -> Vec<Self> {
        let directory = source().join(kind);
        let mut paths: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let mut files = BTreeMap::new();
        add_files(path, "", &mut files);
        for name in SHARED {
            files.insert(name.to_owned(), fs::read_to_string(source().join(name)).unwrap());
        }
        Self { name: path.file_name().unwrap().to_str().unwrap().to_owned(), files }
    }

    /// The lines of a file; these if there is no such file.
    fn lines<'a>(&'a self, name: &str, otherwise: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.get(name).map_or(otherwise, String::as_str).lines()
    }

    /// Prepares one of the programs.
    fn set_up(&self, program: Program, setup: Setup) -> Setup {
        // The command line is that of gunicorn: files read it.
        let mut setup = match program {
            Program::Gunicorn => setup.binary(python().with_file_name("gunicorn")),
            Program::Beside => setup.variable("MONOCEROS_PYTHON", python()),
            // The interpreter of the virtual environment, without the packages there.
            Program::Without => {
                setup.variable("MONOCEROS_PYTHON", fs::canonicalize(python()).unwrap())
            }
        };
        for (name, content) in &self.files {
            setup = setup.file(name, content);
        }
        for (name, value) in self.lines("environment", "").filter_map(|it| it.split_once('=')) {
            setup = setup.variable(name, value);
        }
        let arguments = self.lines("arguments", "application:app");
        arguments.fold(setup, |setup, argument| setup.flag(argument))
    }

    /// The number of workers that the configuration file sets.
    fn workers(&self) -> usize {
        let text = &self.files["gunicorn.conf.py"];
        let number = text.lines().find_map(|line| line.strip_prefix("workers = "));
        number.map_or(1, |number| number.parse().unwrap())
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gunicorn")
}

fn add_files(directory: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            add_files(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// Compares something of each project, and fails with all differences.
fn compare(kind: &str, least: usize, difference: impl Fn(&Project) -> Option<String>) {
    let projects = Project::all(kind);
    assert!(projects.len() >= least, "only {} projects of {kind}", projects.len());
    let found = projects.iter().filter_map(|project| {
        difference(project).map(|text| format!("--- {kind}/{}\n{text}", project.name))
    });
    let found: Vec<_> = found.collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The lines of two texts that differ.
fn differing(theirs: &str, ours: &str) -> Option<String> {
    let (mut theirs, mut ours): (Vec<_>, Vec<_>) =
        (theirs.lines().collect(), ours.lines().collect());
    let (all_theirs, all_ours) = (theirs.clone(), ours.clone());
    theirs.retain(|line| !all_ours.contains(line));
    ours.retain(|line| !all_theirs.contains(line));
    let is_same = all_theirs == all_ours;
    (!is_same).then(|| format!("gunicorn: {theirs:#?}\nmonoceros: {ours:#?}"))
}

/// The parts of gunicorn's messages that the server's have as well: the first line and the last.
fn essence(message: &str) -> Vec<&str> {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next();
    // Addresses in memory differ.
    [first, lines.next_back()].into_iter().flatten().map(until_address).collect()
}

fn until_address(line: &str) -> &str {
    line.split(" at 0x").next().unwrap_or(line)
}

/// A text without the name of the directory: names of files are relative.
fn anonymous(finished: &Finished, text: &str) -> String {
    let directory = finished.directory.path().to_str().unwrap();
    text.replace(&format!("{directory}/"), "").replace(directory, "DIRECTORY")
}

#[test]
fn each_file_has_the_settings_that_gunicorn_finds_in_it() {
    compare("files", 25, |project| {
        let print = |program| project.set_up(program, Setup::bare()).flag("--print-config").run();
        let theirs = print(Program::Gunicorn);
        let difference = |program| {
            let found = differing_settings(&theirs, &print(program));
            found.map(|text| format!("{program:?}: {text}"))
        };
        difference(Program::Beside).or_else(|| difference(Program::Without))
    });
}

/// What this server refuses by its documentation: the settings are printed all the same.
#[test]
fn a_file_with_a_setting_that_is_refused_is_printed_as_gunicorn_prints_it() {
    compare("refused", 4, |project| {
        let print = |program| project.set_up(program, Setup::bare()).flag("--print-config").run();
        let theirs = print(Program::Gunicorn);
        [Program::Beside, Program::Without].into_iter().find_map(|program| {
            let ours = print(program);
            if (theirs.code, ours.code) != (Some(0), Some(1)) {
                return Some(format!("{:?} and {:?}: {}", theirs.code, ours.code, ours.stderr));
            }
            if !ours.stderr.contains("monoceros: gunicorn.conf.py: ") {
                return Some(format!("{program:?} writes {}", ours.stderr));
            }
            differing(&anonymous(&theirs, &theirs.stdout), &anonymous(&ours, &ours.stdout))
        })
    });
}

fn differing_settings(theirs: &Finished, ours: &Finished) -> Option<String> {
    if theirs.code != ours.code {
        return Some(format!("{:?} and {:?}: {}", theirs.code, ours.code, ours.stderr));
    }
    let message = anonymous(ours, &ours.stderr);
    differing(&anonymous(theirs, &theirs.stdout), &anonymous(ours, &ours.stdout)).or_else(|| {
        let missing = |part: &&str| theirs.code != Some(0) && !message.contains(*part);
        let wanted = anonymous(theirs, &theirs.stderr);
        let missing: Vec<_> = essence(&wanted).into_iter().filter(missing).collect();
        (!missing.is_empty()).then(|| format!("{missing:?} is missing in {message}"))
    })
}

#[test]
fn a_start_that_a_hook_ends_has_the_exit_code_of_gunicorn() {
    compare("failing", 5, |project| {
        let run = |program| {
            let setup = project.set_up(program, Setup::listening());
            let setup = match program {
                Program::Gunicorn => setup.flag("--no-control-socket"),
                Program::Beside | Program::Without => setup,
            };
            setup.run()
        };
        let (theirs, ours) = (run(Program::Gunicorn), run(Program::Beside));
        let text = format!("the hook {} fails", project.name);
        let shows = |it: &Finished| it.stderr.contains(&text);
        let is_same = theirs.code == ours.code && shows(&theirs) == shows(&ours);
        (!is_same).then(|| format!("{:?} and {:?}: {}", theirs.code, ours.code, ours.stderr))
    });
}

/// One note of a hook.
struct Note {
    pid: i64,
    hook: String,
    facts: String,
}

impl Note {
    fn read(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).unwrap();
        Self {
            pid: value["pid"].as_i64().unwrap_or_default(),
            hook: value["hook"].as_str().unwrap().to_owned(),
            facts: value["facts"].to_string(),
        }
    }

    fn is_of_server(&self) -> bool {
        OF_SERVER.contains(&self.hook.as_str())
    }

    fn is_of_request(&self) -> bool {
        self.hook.ends_with("_request")
    }
}

/// The life of a server, by the notes of its hooks.
struct Life {
    /// For each part the hooks of the server in their order, without repetitions.
    orders: Vec<Vec<String>>,
    /// For each part all hooks with their arguments.
    arguments: Vec<Vec<String>>,
    /// For each worker its hooks.
    workers: Vec<Vec<String>>,
}

impl Life {
    fn of(notes: &[Note]) -> Self {
        let parts: Vec<_> = notes.split(|note| note.hook == MARK).collect();
        let orders = parts.iter().enumerate().map(|(number, part)| order(part, number)).collect();
        // Of three workers gunicorn ends the oldest, and the server the newest.
        let (first, last) = parts.split_at(PARTS - 2);
        let last = last.iter().copied().flatten();
        let arguments = first.iter().map(|part| arguments_of(part.iter()));
        let arguments = arguments.chain([arguments_of(last)]).collect();
        let mut workers = BTreeMap::<i64, Vec<String>>::new();
        for note in notes.iter().filter(|it| !it.is_of_server() && !it.is_of_request()) {
            workers.entry(note.pid).or_default().push(note.hook.clone());
        }
        let mut workers: Vec<_> = workers.into_values().collect();
        workers.sort();
        Self { orders, arguments, workers }
    }

    /// Each part that is not as in this other life, as both have it.
    fn differences(&self, other: &Self) -> Option<String> {
        let both = [
            ("order", &self.orders, &other.orders),
            ("arguments", &self.arguments, &other.arguments),
            ("workers", &self.workers, &other.workers),
        ];
        let mut found = String::new();
        for (what, theirs, ours) in both {
            for number in 0..theirs.len().max(ours.len()) {
                let (theirs, ours) = (theirs.get(number), ours.get(number));
                if theirs != ours {
                    found += &format!("{what} {number}: gunicorn {theirs:#?}\nhere {ours:#?}\n");
                }
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

/// The hooks of the server. Where workers are replaced, the server replaces one after the other, so
/// their ends are left out; at the end of the server they count.
fn order(part: &[Note], number: usize) -> Vec<String> {
    let is_end = number == PARTS - 1;
    let hooks = part.iter().filter(|it| it.is_of_server() && (is_end || it.hook != "child_exit"));
    let mut order: Vec<_> = hooks.map(|it| it.hook.clone()).collect();
    order.dedup();
    order
}

fn arguments_of<'a>(part: impl Iterator<Item = &'a Note>) -> Vec<String> {
    let mut all: Vec<_> = part.map(|note| format!("{} {}", note.hook, note.facts)).collect();
    all.sort();
    all
}

/// Start, reload, one worker more, one less, end.
const PARTS: usize = 5;

/// A server with hooks, while it lives.
struct Living {
    program: Program,
    server: Server,
}

impl Living {
    fn new(program: Program, project: &Project) -> Self {
        let setup = project.set_up(program, Setup::listening());
        let server = match program {
            Program::Gunicorn => setup.flag("--no-control-socket").spawn(),
            Program::Beside | Program::Without => setup.spawn(),
        };
        Self { program, server }
    }

    fn notes(&self) -> Vec<Note> {
        self.server.directory.read("notes").lines().map(Note::read).collect()
    }

    /// Waits until so many workers have begun, and so many have ended.
    fn wait_for(&self, begun: usize, ended: usize) {
        let count = |hook| self.notes().iter().filter(|it| it.hook == hook).count();
        let what = format!("{begun} workers that have begun and {ended} that have ended");
        until::holds(&what, || {
            assert!(!self.server.has_ended(), "it has ended:\n{}", self.server.log());
            count("post_worker_init") == begun && count("child_exit") == ended
        });
    }

    fn wait_for_log(&self, text: &str) {
        if self.program != Program::Gunicorn {
            self.server.wait_for_log(text);
        }
    }

    fn mark(&self) {
        let path = self.server.directory.join("notes");
        let mark = format!("{{\"pid\": 0, \"hook\": \"{MARK}\", \"facts\": {{}}}}\n");
        let mut notes = OpenOptions::new().append(true).open(path).unwrap();
        notes.write_all(mark.as_bytes()).unwrap();
    }

    /// Lives the whole life of a server.
    fn live(self, workers: usize) -> Life {
        self.wait_for(workers, 0);
        self.wait_for_log("] master: serving");
        let fields = [("X-Foo", "bar"), ("Connection", "close")];
        let response = self.server.ask(request("GET", "/a%20shop?q=1", &fields, ""));
        assert_eq!(response.text(), "abc");
        self.wait_for_request();
        self.mark();
        self.server.signal(Signal::SIGHUP);
        self.wait_for(2 * workers, workers);
        self.wait_for_log("reloaded: gen=2 serves");
        self.mark();
        self.server.signal(Signal::SIGTTIN);
        self.wait_for(2 * workers + 1, workers);
        self.mark();
        self.server.signal(Signal::SIGTTOU);
        self.wait_for(2 * workers + 1, workers + 1);
        self.mark();
        self.server.signal(Signal::SIGTERM);
        assert_eq!(self.server.wait_for_exit(), 0, "{}", self.server.log());
        let notes = self.notes();
        self.server.allow("post_request");
        self.server.allow("Traceback");
        self.server.wait_for_end();
        Life::of(&notes)
    }

    /// The last hook of a request runs after its response.
    fn wait_for_request(&self) {
        let is_set = self.server.directory.read("gunicorn.conf.py").contains("def post_request");
        let is_noted = || self.notes().iter().any(|note| note.hook == "post_request");
        until::holds("the hook after a request", || !is_set || is_noted());
    }
}

#[test]
fn each_hook_runs_as_gunicorn_runs_it() {
    compare("hooks", 9, |project| {
        let live = |program| Living::new(program, project).live(project.workers());
        let theirs = live(Program::Gunicorn);
        [Program::Beside, Program::Without].into_iter().find_map(|program| {
            let found = theirs.differences(&live(program));
            found.map(|parts| format!("{program:?}: {parts}"))
        })
    });
}
