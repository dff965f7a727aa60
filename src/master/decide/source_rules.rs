//! Which files below a directory of sources matter when `reload` watches it. Touches no file.

use std::ffi::OsStr;

/// The ending of a module of Python.
pub(crate) const MODULE_ENDING: &str = ".py";
/// Endings of files that programs write while the application runs, and of an editor's copies.
const IGNORED_ENDINGS: [&str; 17] = [
    "~",
    ".bak",
    ".db",
    ".db-journal",
    ".db-shm",
    ".db-wal",
    ".lock",
    ".log",
    ".orig",
    ".pid",
    ".pyc",
    ".pyo",
    ".sqlite",
    ".sqlite3",
    ".sqlite3-journal",
    ".swp",
    ".tmp",
];
/// Directories without sources of the application.
const IGNORED_DIRECTORIES: [&str; 3] = ["__pycache__", "node_modules", "site-packages"];
/// The file whose writing vim tries before it writes the one that is edited.
const TRIAL_FILE: &str = "4913";

/// A part of the files below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TreeContent {
    /// All that people write, such as templates.
    Everything,
    /// The modules of Python.
    Modules,
}

impl TreeContent {
    /// A file with this name matters.
    pub(crate) fn has_file(self, name: &OsStr) -> bool {
        let ends = |ending: &str| name.as_encoded_bytes().ends_with(ending.as_bytes());
        match self {
            Self::Modules => ends(MODULE_ENDING) && !is_hidden(name),
            Self::Everything => {
                let is_ignored = IGNORED_ENDINGS.into_iter().any(ends);
                !is_ignored && !is_hidden(name) && name != TRIAL_FILE
            }
        }
    }

    /// A directory with this name may have files that matter.
    pub(crate) fn has_directory(self, name: &OsStr) -> bool {
        !is_hidden(name) && IGNORED_DIRECTORIES.iter().all(|it| name != *it)
    }
}

/// Directories of versions and environments, swap files of editors, temporary files.
fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || name.as_encoded_bytes().starts_with(b"#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_matter_and_what_programs_write_beside_them_does_not() {
        let matters = |name: &str| TreeContent::Everything.has_file(OsStr::new(name));
        for name in ["index.html", "mail.txt", "style.css", "macro.jinja2", "logo.svg"] {
            assert!(matters(name), "{name}");
        }
        for name in [
            "db.sqlite3",
            "db.sqlite3-journal",
            "shop.log",
            ".index.html.swp",
            "index.html~",
            "4913",
            "#index.html#",
            "views.cpython-312.pyc",
            "gunicorn.pid",
        ] {
            assert!(!matters(name), "{name}");
        }
    }

    #[test]
    fn modules_matter_in_a_project_and_its_environments_do_not() {
        let tree = TreeContent::Modules;
        assert!(tree.has_file(OsStr::new("views.py")) && tree.has_directory(OsStr::new("shop")));
        for name in ["views.pyc", "db.sqlite3", "index.html", ".#views.py"] {
            assert!(!tree.has_file(OsStr::new(name)), "{name}");
        }
        for name in ["__pycache__", ".git", ".venv", "node_modules", "site-packages"] {
            assert!(!tree.has_directory(OsStr::new(name)), "{name}");
        }
    }
}
