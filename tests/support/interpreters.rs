//! Finds the Python interpreters of this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

const ASK: &str =
    "import platform, sys; print(platform.python_implementation(), *sys.version_info[:2])";

/// The interpreters on the search path and of pyenv, one of each version.
pub(crate) fn found() -> BTreeMap<(u32, u32), PathBuf> {
    let home = env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
    let pyenv = env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
    let versions = fs::read_dir(pyenv.join("versions")).into_iter().flatten();
    let mut candidates: Vec<_> =
        versions.filter_map(|entry| Some(entry.ok()?.path().join("bin/python"))).collect();
    for directory in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        candidates.extend((6..30).map(|minor| directory.join(format!("python3.{minor}"))));
        candidates.push(directory.join("python2.7"));
    }
    candidates.retain(|path| path.exists());
    candidates.into_iter().filter_map(|path| Some((version(&path)?, path))).collect()
}

/// The version of an interpreter, if it is CPython and works.
fn version(path: &PathBuf) -> Option<(u32, u32)> {
    let output = Command::new(path).args(["-c", ASK]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim().trim_matches(['(', ')']);
    let mut words = text.split([' ', ',', '\'']).filter(|word| !word.is_empty());
    (words.next()? == "CPython").then_some(())?;
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}
