//! Finds the file that the name of a program means, as `execvp(3)` finds it in the
//! environment that the program will have. Files are looked for, not executed.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use monoceros_sys::reason;

/// Where to look without a `PATH`, as glibc does.
pub(crate) const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// The kernel follows as many links (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Finds the file of a program, by its name or by a path that starts from
/// `directory`, where the program will start. It is absolute, so that an
/// interpreter named in its first line finds it.
///
/// # Errors
/// In words: there is none, or none that can be executed.
pub(crate) fn find_program(
    name: &OsStr,
    path: Option<&OsStr>,
    directory: &Path,
) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("cannot run a program without a name".to_owned());
    }
    let (candidates, place): (Vec<_>, _) = if name.as_bytes().contains(&b'/') {
        (vec![directory.join(name)], "")
    } else {
        let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
        // An empty entry means the working directory: joined it adds nothing.
        let directories = std::env::split_paths(path);
        (directories.map(|it| directory.join(it).join(name)).collect(), " on the PATH")
    };
    if let Some(found) = candidates.iter().find(|it| is_executable(it)) {
        return Ok(found.clone());
    }
    if let Some(found) = candidates.iter().find(|it| it.exists()) {
        let why = if found.is_file() { "permission denied" } else { "not a file" };
        return Err(format!("cannot execute {}: {why}", found.display()));
    }
    // The list was written as one text, as for a shell.
    let hint = if name.as_bytes().contains(&b' ') {
        "; a program with arguments is a list, one item for each word"
    } else {
        ""
    };
    Err(format!("cannot find the program {}{place}{hint}", name.display()))
}

/// The path of the running program, by the name it was called by: a link on the way to
/// its directory is followed anew whenever the path is used. Where that name leads to
/// another file now, or is a link itself, the path that the kernel has
/// (`/proc/self/exe`).
///
/// # Errors
/// The kernel does not report the path; the error is a text.
pub(crate) fn own_program(
    name: &OsStr,
    path: Option<&OsStr>,
    directory: &Path,
) -> Result<PathBuf, String> {
    let real = std::env::current_exe()
        .map_err(|error| format!("cannot find the path of this program: {}", reason(&error)))?;
    let is_same = |named: &PathBuf| {
        let parent = named.parent().and_then(|it| it.canonicalize().ok());
        named.file_name() == real.file_name() && parent.as_deref() == real.parent()
    };
    Ok(find_program(name, path, directory).ok().filter(is_same).unwrap_or(real))
}

/// The paths of a file: this one, and each that a link in its place leads to.
pub(crate) fn links(path: PathBuf) -> Vec<PathBuf> {
    let next = |it: &PathBuf| Some(it.parent()?.join(it.read_link().ok()?));
    std::iter::successors(Some(path), next).take(MOST_LINKS).collect()
}

/// It is a file that some user may execute.
pub(crate) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// A text for `execve(2)`.
///
/// # Errors
/// In words, for a text with a NUL in it.
pub(crate) fn c_string(text: &OsStr) -> Result<CString, String> {
    CString::new(text.as_bytes()).map_err(|_| format!("{} has a NUL in it", text.to_string_lossy()))
}

/// Makes an empty file with these permissions, for tests.
#[cfg(test)]
pub(crate) fn make_test_file(path: &Path, mode: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_program_is_found_as_execvp_finds_it() {
        let root = std::env::temp_dir().join(format!("monoceros-exec-{}", std::process::id()));
        let path = format!("{0}/one:two:{0}/three:", root.display());
        let find = |name: &str| find_program(OsStr::new(name), Some(OsStr::new(&path)), &root);
        assert_eq!(find("serve").unwrap_err(), "cannot find the program serve on the PATH");
        make_test_file(&root.join("one/serve"), 0o644);
        let refused = find("serve").unwrap_err();
        assert!(refused.ends_with("one/serve: permission denied"), "{refused}");
        make_test_file(&root.join("serve"), 0o755);
        assert_eq!(find("serve"), Ok(root.join("serve")), "an empty entry");
        make_test_file(&root.join("two/serve"), 0o755);
        assert_eq!(find("serve"), Ok(root.join("two/serve")), "a relative entry");
        assert_eq!(find("./serve"), Ok(root.join("./serve")));
        assert!(find("./one").unwrap_err().ends_with("./one: not a file"));
        assert_eq!(find("./none").unwrap_err(), "cannot find the program ./none");
        assert!(find("serve --fd 3").unwrap_err().contains("one item for each word"));
        assert!(find("").is_err());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn this_program_is_known_by_its_name_if_that_leads_to_it() {
        let root = std::env::temp_dir().join(format!("monoceros-own-{}", std::process::id()));
        let real = std::env::current_exe().unwrap();
        fs::create_dir_all(&root).unwrap();
        std::os::unix::fs::symlink(real.parent().unwrap(), root.join("bin")).unwrap();
        std::os::unix::fs::symlink(&real, root.join("link")).unwrap();
        let named = Path::new("bin").join(real.file_name().unwrap());
        let own = |name: &Path| own_program(name.as_os_str(), None, &root);
        assert_eq!(own(&named), Ok(root.join(&named)));
        assert_eq!(own(&root.join("link")), Ok(real.clone()));
        assert_eq!(own(Path::new("/bin/sh")), Ok(real));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn without_a_path_the_usual_places_count() {
        let found = find_program(OsStr::new("sh"), None, Path::new("/nonexistent")).unwrap();
        assert!(found == Path::new("/bin/sh") || found == Path::new("/usr/bin/sh"));
    }
}
