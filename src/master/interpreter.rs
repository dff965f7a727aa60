//! Which Python runs the workers, and the extension module that it loads.
//! Files are looked for, not run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::executable::{DEFAULT_PATH, is_executable};

/// What a worker's interpreter runs first; its argument is the extension.
pub(crate) const BOOT: &str = include_str!("boot.py");

/// The file name of the extension module.
const EXTENSION: &str = "libmonoceros_python.so";
/// Where the extension is, seen from the directory of this program: as built,
/// and as installed.
const PLACES: [&str; 2] = ["", "../lib/monoceros"];

/// Marks the directory of a virtual environment (Python's `venv`).
const ENVIRONMENT: &str = "pyvenv.cfg";

/// Finds the interpreter: the one that is set, that of the virtual environment
/// that this program lies in, that of the active one, the first on the path. A
/// program in an environment was installed for it, whatever the shell that calls
/// it has activated; beside any other program lies no Python that belongs to it.
/// `programs` are this program's paths: the one it was called by, which may be a
/// link in an environment, and its file's. The interpreter's links are not
/// followed: it finds its virtual environment by the name it is called by.
pub(crate) fn find_python(
    set: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    programs: &[&Path],
    directory: &Path,
) -> Result<PathBuf, String> {
    if let Some(set) = set {
        let by_name = set.components().count() == 1 && !directory.join(set).exists();
        let found = if by_name { on_path(set, &variable) } else { Some(directory.join(set)) };
        return found.ok_or_else(|| format!("cannot find {} on the PATH", set.display()));
    }
    let around = programs.iter().filter_map(|it| it.ancestors().nth(2));
    let around = around.filter(|it| it.join(ENVIRONMENT).is_file()).map(Path::to_owned);
    let active = variable("VIRTUAL_ENV").filter(|it| !it.is_empty()).map(PathBuf::from);
    let environments = around.chain(active);
    let mut pythons = environments.map(|it| directory.join(it).join("bin/python"));
    let python = pythons.find(|it| is_executable(it));
    python.or_else(|| on_path(Path::new("python3"), &variable)).ok_or_else(|| {
        "cannot find an interpreter: no python3 is on the PATH; name one with --python".to_owned()
    })
}

/// Finds the extension module that belongs to this program.
pub(crate) fn find_extension(program: &Path) -> Result<PathBuf, String> {
    let directory = program.parent().unwrap_or(Path::new("/"));
    let places = PLACES.map(|place| directory.join(place).join(EXTENSION));
    places.iter().find(|place| place.is_file()).cloned().ok_or_else(|| {
        let [built, installed] = places.map(|place| place.display().to_string());
        format!("cannot find the Python extension: neither {built} nor {installed} exists")
    })
}

fn on_path(name: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(<OsString as AsRef<OsStr>>::as_ref(&path))
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn make(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_nearest_interpreter_is_taken() {
        let name = format!("monoceros-python-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let program = root.join("bin/monoceros");
        let variable = |name: &str| match name {
            "VIRTUAL_ENV" => Some(root.join("venv").into_os_string()),
            "PATH" => Some(root.join("path").into_os_string()),
            _ => None,
        };
        let link = root.join("linked/bin/monoceros");
        let programs = [link.as_path(), program.as_path()];
        let find = |set: Option<&str>| find_python(set.map(Path::new), variable, &programs, &root);
        assert!(find(None).unwrap_err().contains("--python"));
        make(&root.join("path/python3"), 0o755);
        assert_eq!(find(None), Ok(root.join("path/python3")));
        make(&root.join("venv/bin/python"), 0o644);
        assert_eq!(find(None), Ok(root.join("path/python3")), "it cannot be executed");
        make(&root.join("venv/bin/python"), 0o755);
        assert_eq!(find(None), Ok(root.join("venv/bin/python")));
        make(&root.join("bin/python"), 0o755);
        make(&root.join("bin/python3"), 0o755);
        assert_eq!(find(None), Ok(root.join("venv/bin/python")), "beside is no environment");
        make(&root.join(ENVIRONMENT), 0o644);
        assert_eq!(find(None), Ok(root.join("bin/python")));
        make(&root.join("linked/bin/python"), 0o755);
        make(&root.join("linked").join(ENVIRONMENT), 0o644);
        assert_eq!(find(None), Ok(root.join("linked/bin/python")));
        assert_eq!(find(Some("python3")), Ok(root.join("path/python3")));
        assert_eq!(find(Some("other/python")), Ok(root.join("other/python")));
        assert_eq!(find(Some("python9")).unwrap_err(), "cannot find python9 on the PATH");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_extension_is_beside_the_program_or_installed() {
        let name = format!("monoceros-extension-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let program = root.join("bin/monoceros");
        assert!(find_extension(&program).unwrap_err().contains("lib/monoceros"));
        make(&program, 0o755);
        make(&root.join("lib/monoceros").join(EXTENSION), 0o644);
        let installed = find_extension(&program).unwrap();
        assert!(installed.ends_with("lib/monoceros/libmonoceros_python.so"));
        make(&root.join("bin").join(EXTENSION), 0o644);
        assert_eq!(find_extension(&program).unwrap(), root.join("bin").join(EXTENSION));
        fs::remove_dir_all(root).unwrap();
    }
}
