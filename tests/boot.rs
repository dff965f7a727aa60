//! Applications and settings that cannot be served: exit codes, one traceback, and no
//! process left.

use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::support::cases::until_reached;
use crate::support::server::Finished;
use crate::support::setup::{Setup, own_ip};
use crate::support::until;

/// Starts a server for an application that fails, with a pid file and a socket
/// of its own, and checks what every failure has in common.
fn fail(application: &str, workers: usize, code: i32) -> Finished {
    let setup = Setup::bare().apps().workers(workers).flags(&["--bind", "127.0.0.1:0"]);
    let end = setup.flags(&["--pid", "master.pid", application]).run();
    assert_eq!(end.code, Some(code), "{application} with {workers}:\n{}", end.stderr);
    assert!(!end.directory.join("master.pid").exists(), "{application}: the pid file stays");
    assert!(!end.stderr.contains("panicked"), "{}", end.stderr);
    end
}

fn times(end: &Finished, text: &str) -> usize {
    end.stderr.matches(text).count()
}

#[test]
fn an_application_that_raises_at_import_exits_with_3_and_one_traceback() {
    for workers in [1, 4] {
        let end = fail("raising", workers, 3);
        assert_eq!(times(&end, "Traceback (most recent call last)"), 1, "{}", end.stderr);
        assert_eq!(times(&end, "RuntimeError: raised at import"), 1, "{}", end.stderr);
    }
}

#[test]
fn a_syntax_error_exits_with_3_and_shows_the_line() {
    let end = fail("syntax", 4, 3);
    assert_eq!(times(&end, "SyntaxError"), 1, "{}", end.stderr);
    assert!(end.stderr.contains("def application(environ, start_response)"), "{}", end.stderr);
}

#[test]
fn a_missing_dependency_exits_with_3_and_names_it() {
    let end = fail("dependent", 4, 3);
    assert_eq!(times(&end, "No module named 'no_such_module_at_all'"), 1, "{}", end.stderr);
}

#[test]
fn a_module_that_does_not_exist_exits_with_3() {
    let end = fail("nowhere.to_be_found:application", 4, 3);
    assert_eq!(times(&end, "No module named 'nowhere'"), 1, "{}", end.stderr);
}

#[test]
fn sys_exit_at_import_exits_with_3() {
    let end = fail("exits", 4, 3);
    assert!(end.stderr.contains("left at import"), "{}", end.stderr);
}

#[test]
fn a_process_that_ends_at_import_exits_with_3_and_the_reason() {
    let end = fail("dies", 1, 3);
    assert!(end.stderr.contains("exit code 9"), "{}", end.stderr);
    let end = fail("crashes", 1, 3);
    assert!(end.stderr.contains("SIGSEGV"), "{}", end.stderr);
}

#[test]
fn an_application_of_asgi_exits_with_4_and_is_named_so() {
    for application in ["asynchronous:function", "asynchronous:instance"] {
        let end = fail(application, 1, 4);
        let expected = format!("{application} is no WSGI application: its call is a coroutine");
        assert_eq!(times(&end, &expected), 1, "{}", end.stderr);
    }
}

#[test]
fn an_attribute_that_is_missing_exits_with_4() {
    for workers in [1, 4] {
        let end = fail("missing:application", workers, 4);
        let lines: Vec<_> =
            end.stderr.lines().filter(|line| line.contains("application")).collect();
        assert!(!lines.is_empty() && times(&end, "Traceback") < 2, "{}", end.stderr);
    }
    fail("missing", 1, 4);
    fail("missing:a.b", 1, 4);
    let end = fail("other_name", 1, 4);
    let expected = "cannot find 'application' in the module other_name; name what it has: \
                    other_name:create_app()";
    assert_eq!(times(&end, expected), 1, "{}", end.stderr);
}

#[test]
fn an_application_that_cannot_be_called_exits_with_4() {
    for application in ["missing:number", "missing:number()", "factory:useless()"] {
        fail(application, 4, 4);
    }
}

#[test]
fn a_factory_with_wrong_arguments_exits_with_4() {
    for application in ["factory:useless(1)", "factory:make(name)", "factory:make(1"] {
        fail(application, 1, 4);
    }
}

#[test]
fn the_port_is_free_after_a_failed_boot() {
    let probe = TcpListener::bind((own_ip(), 0)).unwrap();
    let address = probe.local_addr().unwrap();
    drop(probe);
    let setup = Setup::bare().apps().workers(4).flags(&["--bind", &address.to_string()]);
    assert_eq!(setup.flag("raising").run().code, Some(3));
    TcpListener::bind(address).expect("the port is free");
}

#[test]
fn a_start_without_an_application_fails_with_one_line() {
    let end = Setup::bare().apps().run();
    assert_ne!(end.code, Some(0));
    assert!(end.stderr.lines().count() <= 3, "{}", end.stderr);
    assert!(end.stderr.contains("application"), "{}", end.stderr);
}

#[test]
fn a_stop_during_a_long_import_is_obeyed() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Setup::of("hangs").workers(2).flags(&["--graceful-timeout", "60"]).spawn();
        until::holds("two imports", || server.directory.read("importing").lines().count() == 2);
        server.signal(signal);
        assert_eq!(server.wait_for_exit(), 0, "{signal}");
    }
}

#[test]
fn an_import_that_hangs_is_ended_by_the_boot_timeout() {
    let end = Setup::of("hangs").workers(2).flags(&["--boot-timeout", "1"]).run();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    assert!(end.stderr.contains("boot-timeout"), "{}", end.stderr);
}

#[test]
fn an_import_that_hangs_is_shown_when_the_boot_timeout_ends_it() {
    let code = "import os, time\n\ndef stuck():\n    os.write(2, b'reached\\n')\n    time.sleep(100)\n\nstuck()\n";
    for flags in [&[][..], &["--preload"]] {
        let (limit, end) = until_reached(|limit| {
            let setup = Setup::of("hanging:application").file("hanging.py", code).flags(flags);
            setup.flags(&["--pythonpath=.", "--boot-timeout", limit]).run()
        });
        assert_eq!(end.code, Some(3), "{}", end.stderr);
        let late = format!("not ready within boot-timeout ({limit} s)");
        assert!(end.stderr.contains(&late), "{}", end.stderr);
        assert!(end.stderr.contains("in stuck\n"), "{}", end.stderr);
    }
}

#[test]
fn the_application_finds_the_program_s_name_and_no_arguments() {
    let code = "import sys\nargv = str(sys.argv).encode()\n\ndef application(environ, start_response):\n    start_response('200 OK', [('Content-Length', str(len(argv)))])\n    return [argv]\n";
    for flags in [&[][..], &["--preload"]] {
        let setup = Setup::of("asking:application").file("asking.py", code).flags(flags);
        let server = setup.flag("--pythonpath=.").start();
        assert_eq!(server.get("/").text(), "['monoceros']");
    }
}
