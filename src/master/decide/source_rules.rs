//! Which files below a directory of sources matter when `reload` watches it. Touches no file.

use std::ffi::OsStr;

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

/// A file with this name is one that people write, such as a template.
pub(crate) fn is_source(name: &OsStr) -> bool {
    let ends = |ending: &str| name.as_encoded_bytes().ends_with(ending.as_bytes());
    !IGNORED_ENDINGS.into_iter().any(ends) && !is_hidden(name) && name != TRIAL_FILE
}

/// A directory with this name may have such files.
pub(crate) fn may_have_sources(name: &OsStr) -> bool {
    !is_hidden(name) && IGNORED_DIRECTORIES.iter().all(|it| name != *it)
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
        let matters = |name: &str| is_source(OsStr::new(name));
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
    fn directories_of_programs_have_no_sources() {
        assert!(may_have_sources(OsStr::new("shop")));
        for name in ["__pycache__", ".git", ".venv", "node_modules", "site-packages"] {
            assert!(!may_have_sources(OsStr::new(name)), "{name}");
        }
    }
}
