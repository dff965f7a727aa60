//! Parses a Dockerfile: stages with their steps. An unknown step is an error, so that none is
//! skipped.

use std::path::Path;
use std::{fs, mem};

/// One `FROM` with what follows it.
pub(crate) struct Stage {
    /// What it starts from.
    pub(crate) base: String,
    /// What later stages call it.
    pub(crate) name: Option<String>,
    pub(crate) steps: Vec<Step>,
}

/// One instruction.
pub(crate) enum Step {
    /// A line of shell.
    Run(String),
    /// Files, from the context or an earlier stage, to a directory.
    Copy {
        from: Option<String>,
        sources: Vec<String>,
        to: String,
    },
    Variables(Vec<(String, String)>),
    Directory(String),
    User(String),
    StopSignal(String),
    Command(Vec<String>),
    HealthCheck(Vec<String>),
    /// For people and registries.
    Note,
}

/// Reads the stages of a file.
pub(crate) fn read(path: &Path) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for line in instructions(&fs::read_to_string(path).unwrap()) {
        let (word, rest) = line.split_once(' ').unwrap();
        let words: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
        if word == "FROM" {
            let name = words.get(2).cloned();
            stages.push(Stage { base: words[0].clone(), name, steps: Vec::new() });
            continue;
        }
        let step = match word {
            "RUN" => Step::Run(rest.to_owned()),
            "COPY" => copy(words),
            "ENV" => Step::Variables(words.iter().map(|word| variable(word)).collect()),
            "WORKDIR" => Step::Directory(rest.to_owned()),
            "USER" => Step::User(rest.to_owned()),
            "STOPSIGNAL" => Step::StopSignal(rest.to_owned()),
            "CMD" => Step::Command(list(rest)),
            "HEALTHCHECK" => Step::HealthCheck(list(rest.split_once("CMD ").unwrap().1)),
            "LABEL" | "EXPOSE" | "VOLUME" => Step::Note,
            _ => panic!("{}: {word} is not known here", path.display()),
        };
        stages.last_mut().unwrap().steps.push(step);
    }
    stages
}

/// Lines without comments, those that go on joined.
fn instructions(text: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), String::new());
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(part) => open += part,
            None => found.push(mem::take(&mut open) + line),
        }
    }
    found
}

fn copy(mut words: Vec<String>) -> Step {
    let from = words[0].strip_prefix("--from=").map(str::to_owned);
    if from.is_some() {
        words.remove(0);
    }
    let to = words.pop().unwrap();
    assert!(words.iter().all(|word| !word.starts_with("--")), "{words:?}");
    Step::Copy { from, sources: words, to }
}

fn variable(word: &str) -> (String, String) {
    assert!(!word.contains(['"', '\'', '$']), "quotes and references are not known here: {word}");
    let (name, value) = word.split_once('=').unwrap();
    (name.to_owned(), value.to_owned())
}

/// The form without a shell.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text} is no list: {error}"))
}
