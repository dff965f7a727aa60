//! The packages for pip: their installers, where they work, and what they leave after an
//! uninstallation. `make test-wheel` makes the packages, and runs these tests.

// All of this is a test, also what is not marked as one.
#![allow(clippy::unwrap_used)]

mod installation;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "most of it is for the other tests")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use nix::sys::signal::Signal;

use installation::{
    content, install_by_pip, installed, installer, later, loaded, make_environment, module_server,
    package, pip, place, replace_worker, run, serve, server, uv,
};
use support::directory::Directory;
use support::load::Load;
use support::setup::Setup;
use support::{environment, interpreters};

/// Every interpreter that is new enough, by the path that it knows of itself: on the
/// search path may be a script that starts it.
fn pythons() -> BTreeMap<(u32, u32), PathBuf> {
    let found = interpreters::found().into_iter().filter(|(version, _)| *version >= (3, 10));
    let ask = |python| {
        let mut command = Command::new(python);
        run(command.args(["-c", "import sys; print(sys.executable, end='')"])).into()
    };
    let found: BTreeMap<_, _> = found.map(|(version, python)| (version, ask(python))).collect();
    assert!(!found.is_empty(), "there is a Python");
    found
}

fn newest_python() -> PathBuf {
    pythons().pop_last().unwrap().1
}

#[test]
fn the_wheel_is_for_every_python_and_for_systems_of_some_age() {
    let name = package("whl").file_name().unwrap().to_str().unwrap().to_owned();
    let tags = name.strip_prefix("monoceros-").unwrap().strip_suffix(".whl").unwrap();
    let (_version, tags) = tags.split_once('-').unwrap();
    assert!(tags.starts_with("cp310-abi3-manylinux_2_"), "{name}");
    // pip itself judges the tags of the file.
    let directory = Directory::new();
    let take = |version: &str, implementation: &str| {
        let mut command = Command::new(installer("pip"));
        environment::clear(&mut command).args(["download", "--quiet", "--no-index", "--no-deps"]);
        command.args(["--only-binary", ":all:", "--python-version", version]);
        command.args(["--implementation", implementation, "--dest"]).arg(directory.path());
        command.arg(package("whl")).output().unwrap().status.success()
    };
    assert!(["3.10", "3.11", "3.14"].iter().all(|version| take(version, "cp")));
    assert!(!take("3.9", "cp"), "too old");
    assert!(!take("3.11", "pp"), "PyPy");
}

#[test]
fn one_wheel_serves_every_python_and_leaves_nothing() {
    for (version, python) in pythons() {
        let directory = Directory::new();
        let venv = directory.join("venv");
        make_environment(&python, &venv);
        let before = content(&venv);
        install_by_pip(&venv.join("bin/python"), &[], &package("whl"));
        let (program, interpreter) = (venv.join("bin/monoceros"), venv.join("bin/python"));
        let called = |setup| {
            let [prefix, executable, number] = place(&serve(setup));
            assert_eq!(prefix, venv.to_str().unwrap());
            assert_eq!(executable, interpreter.to_str().unwrap());
            assert_eq!(number, format!("{}.{}", version.0, version.1));
        };
        called(server(&program));
        called(module_server(&interpreter));
        // Whatever the shell has activated.
        called(server(&program).variable("VIRTUAL_ENV", installer("..").parent().unwrap()));
        let said = |command: &mut Command| run(environment::clear(command).arg("--version"));
        let module = said(Command::new(&interpreter).args(["-m", "monoceros"]));
        assert_eq!(module, said(&mut Command::new(&program)));
        run(&mut pip(&interpreter, &["uninstall", "--yes", "monoceros"]));
        assert_eq!(content(&venv), before, "{version:?}");
    }
}

#[test]
fn an_environment_is_reached_through_a_link_and_can_be_moved() {
    let directory = Directory::new();
    let venv = directory.join("venv");
    make_environment(&newest_python(), &venv);
    install_by_pip(&venv.join("bin/python"), &[], &package("whl"));
    let link = directory.join("link");
    symlink("venv", &link).unwrap();
    let program = directory.join("monoceros");
    symlink("link/bin/monoceros", &program).unwrap();
    let is_below = |setup, directory: &Path| {
        let [prefix, executable, _] = place(&serve(setup));
        assert_eq!(prefix, directory.to_str().unwrap());
        assert_eq!(executable, directory.join("bin/python").to_str().unwrap());
    };
    is_below(server(&link.join("bin/monoceros")), &link);
    is_below(module_server(&link.join("bin/python")), &link);
    is_below(server(&program), &link);
    let moved = directory.join("moved");
    fs::rename(&venv, &moved).unwrap();
    is_below(server(&moved.join("bin/monoceros")), &moved);
    is_below(module_server(&moved.join("bin/python")), &moved);
}

/// A user's own installation lies in no environment, and the program of all
/// interpreters in one place.
#[test]
fn a_user_installs_for_each_python() {
    let directory = Directory::new();
    let base = directory.join("user");
    for (version, python) in pythons() {
        let user = ["--user", "--force-reinstall"];
        let mut install = pip(&python, &["install", "--no-index", "--no-deps"]);
        run(install.args(user).arg(package("whl")).env("PYTHONUSERBASE", &base));
        let program = base.join("bin/monoceros");
        let number = format!("{}.{}", version.0, version.1);
        // A user that installs for a Python has its directory in the search path.
        let path =
            [python.parent().unwrap().to_str().unwrap(), &env::var("PATH").unwrap()].join(":");
        let started = |setup: Setup| {
            place(&serve(setup.variable("PYTHONUSERBASE", &base).variable("PATH", &path)))
        };
        assert_eq!(started(server(&program))[2], number, "{}", python.display());
        let module = module_server(&python);
        assert_eq!(started(module)[1..], [python.to_str().unwrap().to_owned(), number]);
    }
    for python in pythons().values() {
        let mut uninstall = pip(python, &["uninstall", "--yes", "monoceros"]);
        run(uninstall.env("PYTHONUSERBASE", &base));
    }
    let left: BTreeSet<_> = content(&base).into_iter().filter(|it| !it.is_dir()).collect();
    assert_eq!(left, BTreeSet::new());
}

/// What workers load while packages are replaced: an old master's have the old
/// extension, a new master's the new one, and no request is lost.
fn replace_under_load(program: &Path, prefix: &Path, install: impl FnOnce()) {
    let server = serve(server(program).workers(2).patient());
    let old = BTreeSet::from([installed(prefix)]);
    assert_eq!(loaded(&server, 2), old);
    let load = Load::start(server.address(), 4);
    load.proceed(50);
    install();
    let new = BTreeSet::from([installed(prefix)]);
    assert_ne!(new, old, "another file is in its place");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded: gen=2 serves");
    load.proceed(50);
    server.wait_for_workers(2);
    assert_eq!(loaded(&server, 2), old, "a new worker of an old master");
    server.upgrade();
    server.wait_for_workers(2);
    load.proceed(50);
    load.finish();
    assert_eq!(loaded(&server, 2), new, "a worker of a new master");
    replace_worker(&server);
    assert_eq!(loaded(&server, 2), new);
    server.stop();
}

#[test]
fn a_later_version_is_installed_by_pip_while_a_server_runs() {
    let directory = Directory::new();
    let venv = directory.join("venv");
    make_environment(&newest_python(), &venv);
    let before = content(&venv);
    let python = venv.join("bin/python");
    install_by_pip(&python, &[], &package("whl"));
    replace_under_load(&venv.join("bin/monoceros"), &venv, || {
        install_by_pip(&python, &["-U"], &later(&directory));
    });
    run(&mut pip(&python, &["uninstall", "--yes", "monoceros"]));
    assert_eq!(content(&venv), before);
}

#[test]
fn uv_installs_it_by_whatever_way_it_fills_environments() {
    for mode in ["clone", "copy", "hardlink", "symlink"] {
        let directory = Directory::new();
        let venv = directory.join("venv");
        let uv = |words: &[&str]| uv(directory.path(), words);
        run(uv(&["venv", "--python"]).arg(newest_python()).arg(&venv));
        // uv's own, from the first installation on.
        fs::write(venv.join(".lock"), "").unwrap();
        let before = content(&venv);
        let install = |wheel: &Path, words: &[&str]| {
            let mut command = uv(&["pip", "install", "--link-mode", mode, "--no-deps"]);
            run(command.args(words).arg(wheel).arg("--python").arg(&venv));
        };
        install(&package("whl"), &[]);
        let (program, python) = (venv.join("bin/monoceros"), venv.join("bin/python"));
        assert_eq!(mode == "symlink", installed_is_link(&venv), "{mode}");
        let module = module_server(&python);
        assert_eq!(place(&serve(module))[0], venv.to_str().unwrap(), "{mode}");
        let link = directory.join("monoceros");
        symlink(&program, &link).unwrap();
        assert_eq!(place(&serve(server(&link)))[0], venv.to_str().unwrap(), "{mode}");
        replace_under_load(&program, &venv, || install(&later(&directory), &["--upgrade"]));
        run(uv(&["pip", "uninstall", "--python"]).arg(&venv).arg("monoceros"));
        assert_eq!(content(&venv), before, "{mode}");
    }
}

fn installed_is_link(prefix: &Path) -> bool {
    prefix.join("lib/libmonoceros_python.so").is_symlink()
}

#[test]
fn pipx_and_uv_install_it_as_a_program() {
    let directory = Directory::new();
    let at = |name: &str| directory.join(name);
    let pipx = |words: &[&str]| {
        let mut command = Command::new(installer("pipx"));
        environment::clear(&mut command).args(words);
        command.env("PIPX_HOME", at("pipx")).env("PIPX_BIN_DIR", at("bin"));
        // Where it, and uv if it calls that, puts other things.
        command.env("HOME", at("home")).env("UV_CACHE_DIR", at("cache"));
        command
    };
    run(pipx(&["install", "--python"]).arg(newest_python()).arg(package("whl")));
    let server_of = |name: &str| server(&at(name).join("monoceros"));
    assert_eq!(place(&serve(server_of("bin")))[0], at("pipx/venvs/monoceros").to_str().unwrap());
    run(&mut pipx(&["uninstall", "monoceros"]));
    assert_eq!(content(&at("bin")), BTreeSet::new());
    for mode in ["copy", "symlink"] {
        let uv = |words: &[&str]| {
            let mut command = uv(directory.path(), &["tool"]);
            command.args(words).env("UV_TOOL_DIR", at("tools")).env("UV_TOOL_BIN_DIR", at("bin"));
            command
        };
        let mut install = uv(&["install", "--link-mode", mode, "--python"]);
        run(install.arg(newest_python()).arg(package("whl")));
        assert_eq!(place(&serve(server_of("bin")))[0], at("tools/monoceros").to_str().unwrap());
        run(&mut uv(&["uninstall", "monoceros"]));
        assert_eq!(content(&at("bin")), BTreeSet::new());
    }
}

#[test]
fn the_source_package_is_compiled_by_cargo() {
    let directory = Directory::new();
    let venv = directory.join("venv");
    let python = venv.join("bin/python");
    make_environment(&newest_python(), &venv);
    let install = || {
        let mut command = pip(&python, &["install"]);
        command.arg(package("gz"));
        command
    };
    // pip is found without its directory, and Cargo is not.
    let refused = install().env("PATH", "/nonexistent").output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("cargo is missing. Rust 1."), "{text}");
    // What is compiled is tested elsewhere: here it shall not take minutes.
    let mut command = install();
    for (name, value) in
        [("LTO", "off"), ("OPT_LEVEL", "0"), ("CODEGEN_UNITS", "16"), ("DEBUG", "0")]
    {
        command.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
    for name in ["CARGO_HOME", "RUSTUP_HOME"] {
        env::var_os(name).map(|value| command.env(name, value));
    }
    run(&mut command);
    let [prefix, ..] = place(&serve(server(&venv.join("bin/monoceros"))));
    assert_eq!(prefix, venv.to_str().unwrap());
}
