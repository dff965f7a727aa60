//! Finds the Python that runs the workers, and the extension module that it loads. Files
//! are looked for, not executed.

use monoceros_config::variable;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::master::kind::executable::{DEFAULT_PATH, is_executable};

/// The program that a worker's interpreter executes first. Its argument is the path of the
/// extension module.
pub(crate) const BOOT: &str = include_str!("boot.py");

/// The file name of the extension module.
const EXTENSION: &str = "libmonoceros_python.so";
/// Where the extension is, seen from the directory of this program: as built, as
/// `make install` puts it, and as the wheel does.
const PLACES: [&str; 3] = ["", "../lib/monoceros", "../lib"];

/// Marks the directory of a virtual environment (Python's `venv`).
const ENVIRONMENT: &str = "pyvenv.cfg";
/// Where Python has its packages (`sysconfig`): Debian's own Python uses `dist-packages`.
const LIBRARIES: [&str; 2] = ["lib", "lib64"];
const PACKAGES: [&str; 2] = ["site-packages", "dist-packages"];
/// What the wheel puts there.
const PACKAGE: &str = "monoceros/__main__.py";

/// Virtual environments in the directory of a project that developers do not have to activate.
const OWN_ENVIRONMENTS: [&str; 2] = [".venv", "venv"];

/// Finds the interpreter: the one that is set, the one that has called this
/// program, that of the virtual environment that this program lies in, that of the
/// active one, for development one in `directory`, the one that the program was
/// installed for, the first on the path. A
/// program in an environment was installed for it, whatever the shell that calls
/// it has activated; beside any other program lies no Python that belongs to it.
/// `programs` are this program's paths: the one it was called by, which may be a
/// link in an environment, those that this leads to, and its file's. The
/// interpreter's links are not followed: it finds its virtual environment by the
/// name it is called by.
pub(crate) fn find_python(
    set: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    programs: &[PathBuf],
    directory: &Path,
    is_development: bool,
) -> Result<PathBuf, String> {
    if let Some(set) = set {
        let by_name = set.components().count() == 1 && !directory.join(set).exists();
        let found = if by_name { on_path(set, &variable) } else { Some(directory.join(set)) };
        return found.ok_or_else(|| format!("cannot find {} on the PATH", set.display()));
    }
    let around = programs.iter().filter_map(|it| it.ancestors().nth(2));
    let around = around.filter(|it| it.join(ENVIRONMENT).is_file()).map(Path::to_owned);
    let path_in = |name| variable(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let own = OWN_ENVIRONMENTS.iter().map(|it| directory.join(it));
    let own = own.filter(|it| is_development && it.join(ENVIRONMENT).is_file());
    let environments = around.chain(path_in("VIRTUAL_ENV")).chain(own);
    let environments = environments.map(|it| it.join("bin/python"));
    let mut pythons =
        path_in(variable::CALLER).into_iter().chain(environments).map(|it| directory.join(it));
    let python = pythons.find(|it| is_executable(it));
    let python = python.or_else(|| programs.iter().find_map(|it| installed_for(it, &variable)));
    python.or_else(|| on_path(Path::new("python3"), &variable)).ok_or_else(|| {
        "cannot find an interpreter: no python3 is on the PATH; name one with --python".to_owned()
    })
}

/// Finds the interpreter that pip has installed this program for, if it was pip and
/// not into a virtual environment: the version in the name of the directory where
/// the rest of the package lies. `pip install --user` of several versions shares the
/// program, which is then that of the last.
fn installed_for(program: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let prefix = program.ancestors().nth(2)?;
    let libraries = LIBRARIES.iter().filter_map(|it| fs::read_dir(prefix.join(it)).ok());
    let versions = libraries
        .flatten()
        .filter_map(Result::ok)
        .filter(|it| it.file_name().to_str().is_some_and(|name| name.starts_with("python3.")));
    let places = versions.flat_map(|it| PACKAGES.map(|packages| it.path().join(packages)));
    let installed = places.filter_map(|it| {
        let time = it.join(PACKAGE).metadata().ok()?.modified().ok()?;
        Some((time, it.parent()?.file_name()?.to_owned()))
    });
    let (_, name) = installed.max()?;
    let beside = prefix.join("bin").join(&name);
    Some(beside).filter(|it| is_executable(it)).or_else(|| on_path(Path::new(&name), variable))
}

/// Finds the extension module that belongs to this program: first where its file is,
/// then where a link to it is. A package of Python may consist of links into a store
/// where the program and the extension have other places.
pub(crate) fn find_extension(programs: &[PathBuf]) -> Result<PathBuf, String> {
    let places = |program: &PathBuf| {
        let directory = program.parent().unwrap_or(Path::new("/"));
        PLACES.map(|place| directory.join(place).join(EXTENSION))
    };
    let mut known = programs.iter().rev().flat_map(places);
    known.find(|place| place.is_file()).ok_or_else(|| {
        let [built, installed, by_pip] = programs.last().map(places).unwrap_or_default();
        let (built, installed, by_pip) = (built.display(), installed.display(), by_pip.display());
        format!("cannot find the Python extension: none of {built}, {installed}, {by_pip} exists")
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
    use crate::master::kind::executable::make_test_file;
    use monoceros_wire::message::{BootFailure, FromWorker};
    use std::fs;

    #[test]
    fn the_boot_program_uses_the_format_of_the_wire() {
        for name in [variable::CHANNEL, variable::EXTENSION] {
            assert!(BOOT.contains(&format!("\"{name}\"")), "{name}");
        }
        let failure = BootFailure::Interpreter;
        let failed = FromWorker::Failed { failure, text: "TEXT".to_owned() };
        let message = serde_json::to_string(&failed).unwrap().replace("\"TEXT\"", "text");
        assert!(BOOT.replace(' ', "").contains(&message), "{message}");
    }

    #[test]
    fn the_nearest_interpreter_is_taken() {
        let name = format!("monoceros-python-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let program = root.join("bin/monoceros");
        let variable = |name: &str| match name {
            "VIRTUAL_ENV" => Some(root.join("venv").into_os_string()),
            "PATH" => Some(root.join("path").into_os_string()),
            variable::CALLER => Some(root.join("caller").into_os_string()),
            _ => None,
        };
        let link = root.join("linked/bin/monoceros");
        let programs = [link, program];
        let find =
            |set: Option<&str>| find_python(set.map(Path::new), variable, &programs, &root, false);
        let find_own = || find_python(None, |_| None, &[], &root.join("project"), true);
        make_test_file(&root.join("project/venv/bin/python"), 0o755);
        assert_ne!(find_own(), Ok(root.join("project/venv/bin/python")), "it is no environment");
        make_test_file(&root.join("project/venv").join(ENVIRONMENT), 0o644);
        assert_eq!(find_own(), Ok(root.join("project/venv/bin/python")));
        assert!(find(None).unwrap_err().contains("--python"));
        make_test_file(&root.join("path/python3"), 0o755);
        assert_eq!(find(None), Ok(root.join("path/python3")));
        make_test_file(&root.join("lib/python3.10/dist-packages").join(PACKAGE), 0o644);
        assert_eq!(find(None), Ok(root.join("path/python3")), "there is no such interpreter");
        make_test_file(&root.join("path/python3.10"), 0o755);
        assert_eq!(find(None), Ok(root.join("path/python3.10")), "installed for another prefix");
        make_test_file(&root.join("bin/python3.10"), 0o755);
        assert_eq!(find(None), Ok(root.join("bin/python3.10")), "installed for this prefix");
        make_test_file(&root.join("lib64/python3.11/site-packages").join(PACKAGE), 0o644);
        make_test_file(&root.join("path/python3.11"), 0o755);
        assert_eq!(find(None), Ok(root.join("path/python3.11")), "installed last");
        make_test_file(&root.join("venv/bin/python"), 0o644);
        assert_eq!(find(None), Ok(root.join("path/python3.11")), "it cannot be executed");
        make_test_file(&root.join("venv/bin/python"), 0o755);
        assert_eq!(find(None), Ok(root.join("venv/bin/python")));
        make_test_file(&root.join("bin/python"), 0o755);
        make_test_file(&root.join("bin/python3"), 0o755);
        assert_eq!(find(None), Ok(root.join("venv/bin/python")), "beside is no environment");
        make_test_file(&root.join(ENVIRONMENT), 0o644);
        assert_eq!(find(None), Ok(root.join("bin/python")));
        make_test_file(&root.join("linked/bin/python"), 0o755);
        make_test_file(&root.join("linked").join(ENVIRONMENT), 0o644);
        assert_eq!(find(None), Ok(root.join("linked/bin/python")));
        make_test_file(&root.join("caller"), 0o755);
        assert_eq!(find(None), Ok(root.join("caller")));
        assert_eq!(find(Some("python3")), Ok(root.join("path/python3")));
        assert_eq!(find(Some("other/python")), Ok(root.join("other/python")));
        assert_eq!(find(Some("python9")).unwrap_err(), "cannot find python9 on the PATH");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_extension_is_beside_the_program_or_installed() {
        let name = format!("monoceros-extension-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let programs = [root.join("linked/bin/monoceros"), root.join("bin/monoceros")];
        let find = || find_extension(&programs);
        let missing = format!("{} exists", root.join("bin/../lib").join(EXTENSION).display());
        assert!(find().unwrap_err().contains(&missing));
        let places = ["linked/lib", "linked/bin", "lib", "lib/monoceros", "bin"];
        let places = places.map(|it| root.join(it).join(EXTENSION));
        for directory in ["linked/bin", "bin"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        // Each comes before those that were there already.
        for place in &places {
            make_test_file(place, 0o644);
            assert_eq!(find().unwrap().canonicalize().unwrap(), place.canonicalize().unwrap());
        }
        fs::remove_dir_all(root).unwrap();
    }
}
