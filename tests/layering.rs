//! The direction of imports: of crates by their manifests, of files by their `use` lines. Two
//! files that import each other can only be read, tested and changed together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates, their directories, and the crates of this workspace that each may use.
const CRATES: [(&str, &str, &[&str]); 14] = [
    ("monoceros-sys", "src/sys", &[]),
    ("monoceros-config", "src/config", &[]),
    ("monoceros-http", "workers/http", &[]),
    ("monoceros-log", "src/log", &["monoceros-config", "monoceros-sys"]),
    ("monoceros-metrics", "src/metrics", &["monoceros-http", "monoceros-wire"]),
    ("monoceros-statsd", "src/statsd", &["monoceros-config", "monoceros-sys"]),
    ("monoceros-tls", "src/tls", &[]),
    ("monoceros-wire", "src/wire", &["monoceros-sys"]),
    (
        "monoceros-engine",
        "workers/engine",
        &[
            "monoceros-config",
            "monoceros-http",
            "monoceros-log",
            "monoceros-statsd",
            "monoceros-sys",
            "monoceros-tls",
            "monoceros-wire",
        ],
    ),
    ("monoceros-files", "workers/files", &["monoceros-engine", "monoceros-http", "monoceros-sys"]),
    (
        "monoceros-compress",
        "workers/compress",
        &["monoceros-config", "monoceros-engine", "monoceros-http"],
    ),
    (
        "monoceros-edge",
        "workers/edge",
        &[
            "monoceros-config",
            "monoceros-engine",
            "monoceros-files",
            "monoceros-http",
            "monoceros-sys",
            "monoceros-wire",
        ],
    ),
    (
        "monoceros-python",
        "workers/python",
        &[
            "monoceros-compress",
            "monoceros-config",
            "monoceros-edge",
            "monoceros-engine",
            "monoceros-http",
            "monoceros-log",
            "monoceros-statsd",
            "monoceros-sys",
            "monoceros-tls",
            "monoceros-wire",
        ],
    ),
    (
        "monoceros",
        "",
        &[
            "monoceros-config",
            "monoceros-http",
            "monoceros-log",
            "monoceros-metrics",
            "monoceros-statsd",
            "monoceros-sys",
            "monoceros-tls",
            "monoceros-wire",
        ],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn crates_use_only_the_crates_below_them() {
    for (name, directory, allowed) in CRATES {
        let manifest = fs::read_to_string(root().join(directory).join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{directory} is not {name}");
        let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
        let lines = lines.take_while(|line| !line.starts_with('['));
        let ours = lines.filter(|line| line.starts_with("monoceros-"));
        let used: BTreeSet<_> =
            ours.filter_map(|line| line.split(['.', ' ', '=']).next()).collect();
        assert_eq!(used, allowed.iter().copied().collect(), "dependencies of {name}");
    }
}

#[test]
fn no_two_files_of_a_crate_import_each_other() {
    for (name, directory, _) in CRATES {
        let crate_files = CrateFiles::read(&source_directory(directory));
        assert!(crate_files.files.len() > 1, "no source files of {name}");
        let circles = crate_files.circles();
        assert!(circles.is_empty(), "circles of files in {name}: {circles:#?}");
    }
}

/// The decisions of the master are pure: they know neither what acts, nor the system.
#[test]
fn the_deciding_part_of_the_master_touches_no_system() {
    let directory = root().join("src/master/decide");
    let mut checked = 0;
    for file in rust_files(&directory) {
        let text = without_tests(&fs::read_to_string(&file).unwrap());
        for forbidden in [
            "master::act",
            "master::kind",
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::os",
            "std::process",
            "mio::",
            "Instant::now",
            "SystemTime",
        ] {
            let is_test = file.starts_with(directory.join("master")) || file.ends_with("tests.rs");
            assert!(is_test || !text.contains(forbidden), "{} has {forbidden}", file.display());
        }
        checked += 1;
    }
    assert!(checked > 20);
}

#[test]
fn a_circle_is_found() {
    let file = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
    let files = CrateFiles::new(
        Path::new("src"),
        [
            file("src/lib.rs", "mod a;\nmod b;\nmod c;\npub use self::a::One;\n"),
            file("src/a.rs", "use crate::b::{self, Two};\n"),
            file("src/b/mod.rs", "use super::c::Three;\n"),
            file("src/c.rs", "use crate::One;\n\n#[cfg(test)]\nmod tests {\n use crate::b;\n}\n"),
            file("src/d.rs", "use crate::a;\n"),
        ],
    );
    let circles = files.circles();
    let names = ["src/a.rs", "src/b/mod.rs", "src/c.rs"].map(PathBuf::from);
    assert_eq!(circles, [BTreeSet::from(names)]);
}

/// The library or program of a crate: beside its manifest, or in `src`.
fn source_directory(directory: &str) -> PathBuf {
    let directory = root().join(directory);
    if directory.join("lib.rs").exists() { directory } else { directory.join("src") }
}

/// Every source file of a directory, except those of crates inside the directory.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let is_part = !path.join("Cargo.toml").exists();
            let is_source = !["tests", "examples", "benches"].iter().any(|it| path.ends_with(it));
            if is_part && is_source {
                found.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found
}

/// Tests may import what they like.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].to_owned()
}

/// The source files of one crate, by module path.
struct CrateFiles {
    files: BTreeMap<Vec<String>, (PathBuf, String)>,
}

impl CrateFiles {
    fn read(directory: &Path) -> Self {
        let files = rust_files(directory).into_iter();
        Self::new(directory, files.map(|it| (it.clone(), fs::read_to_string(it).unwrap())))
    }

    fn new(directory: &Path, files: impl IntoIterator<Item = (PathBuf, String)>) -> Self {
        let files = files.into_iter().map(|(path, text)| {
            let relative = path.strip_prefix(directory).unwrap().with_extension("");
            let mut module: Vec<_> =
                relative.iter().map(|it| it.to_str().unwrap().to_owned()).collect();
            let is_root = module.len() == 1 && ["lib", "main"].contains(&module[0].as_str());
            if is_root || module.last().is_some_and(|it| it == "mod") {
                module.pop();
            }
            (module, (path, without_tests(&text)))
        });
        let mut files: BTreeMap<Vec<String>, (PathBuf, String)> = files.collect();
        let tests: Vec<_> =
            files.iter().flat_map(|(module, (_, text))| test_modules(module, text)).collect();
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self { files }
    }

    /// The files that this one imports.
    fn imports(&self, module: &[String]) -> BTreeSet<Vec<String>> {
        let text = &self.files[module].1;
        let paths = use_paths(text).into_iter().filter(|(exports, _)| !exports);
        let targets = paths.filter_map(|(_, path)| self.resolve(module, &path, 0));
        targets.filter(|target| target != module).collect()
    }

    /// The file that defines what a path names; a name that is only exported again there is
    /// followed to its own file.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        let mut rest = path;
        let mut module = match rest.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => from.to_vec(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        rest = &rest[1..];
        while rest.first().is_some_and(|it| it == "super") {
            module.pop();
            rest = &rest[1..];
        }
        while let [name, after @ ..] = rest {
            let child = [module.clone(), vec![name.clone()]].concat();
            if !self.files.contains_key(&child) {
                break;
            }
            (module, rest) = (child, after);
        }
        let text = &self.files.get(&module)?.1;
        let exported = rest.first().and_then(|name| {
            let exports = use_paths(text).into_iter().filter(|(exports, _)| *exports);
            let mut exports = exports.map(|(_, path)| path);
            exports.find(|path| path.last() == Some(name))
        });
        match exported {
            Some(path) if depth < 5 => self.resolve(&module, &path, depth + 1).or(Some(module)),
            Some(_) | None => Some(module),
        }
    }

    /// Sets of files of which each imports every other, directly or through others.
    fn circles(&self) -> Vec<BTreeSet<PathBuf>> {
        let imports: BTreeMap<_, _> =
            self.files.keys().map(|module| (module.clone(), self.imports(module))).collect();
        let reach = |start: &Vec<String>| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![start.clone()]);
            while let Some(next) = open.pop() {
                for target in &imports[&next] {
                    if seen.insert(target.clone()) {
                        open.push(target.clone());
                    }
                }
            }
            seen
        };
        let reached: BTreeMap<_, _> = self.files.keys().map(|it| (it, reach(it))).collect();
        let mut circles = BTreeSet::new();
        for (module, targets) in &reached {
            let back = targets.iter().filter(|it| reached[it].contains(*module));
            let circle: BTreeSet<_> = back.map(|it| self.files[it].0.clone()).collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }
}

/// The modules that a file declares for tests only.
fn test_modules(module: &[String], text: &str) -> Vec<Vec<String>> {
    let declared = text.split("#[cfg(test)]\nmod ").skip(1);
    let names = declared.filter_map(|rest| rest.split_once(';')).map(|(name, _)| name.to_owned());
    names.map(|name| [module, &[name]].concat()).collect()
}

/// The paths of all `use` items, and whether each is exported again.
fn use_paths(text: &str) -> Vec<(bool, Vec<String>)> {
    let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for item in code.split(';') {
        let Some(start) = item.rfind("use ") else { continue };
        let before = item[..start].lines().last().unwrap_or_default().trim();
        if !(before.is_empty() || before.starts_with("pub")) {
            continue;
        }
        let mut paths = Vec::new();
        expand(item[start + 4..].trim(), &mut Vec::new(), &mut paths);
        found.extend(paths.into_iter().map(|path| (before.starts_with("pub"), path)));
    }
    found
}

/// Expands `a::{b, c::d}` to its paths.
fn expand(text: &str, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let text = text.trim();
    if let Some(list) = text.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
        let (mut depth, mut start) = (0, 0);
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&list[start..at], prefix, paths);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return expand(&list[start..], prefix, paths);
    }
    match text.split_once("::") {
        Some((first, rest)) => {
            prefix.push(first.trim().to_owned());
            expand(rest, prefix, paths);
            prefix.pop();
        }
        None if text.is_empty() => {}
        None => {
            let name = text.split_whitespace().next().unwrap_or_default();
            let mut path = prefix.clone();
            if name != "self" {
                path.push(name.to_owned());
            }
            paths.push(path);
        }
    }
}
