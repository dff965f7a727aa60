//! The environment of an application: search path, variables, loggers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::client::get;
use crate::support::setup::{Setup, python};
use crate::support::until;

/// Goes to a directory in which other users may write, and imports there what it did
/// not need before.
const MOVING: &str = "
import json, os, sys

os.mkdir('uploads')
with open('uploads/colorsys.py', 'w') as file:
    file.write('raise SystemExit')
os.chdir('uploads')

def application(environ, start_response):
    import colorsys, beside
    shown = [os.fsencode(path).decode('latin-1') for path in (*sys.path, beside.__file__)]
    body = json.dumps(shown).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// A directory whose name is not UTF-8.
const STRANGE: &str =
    "d=$(printf 'caf\\351'); mkdir $d; mv *.py $d; cd $d; exec \"$0\" \"$@\" 3<&0 0</dev/null";

#[test]
fn the_search_path_has_the_directory_of_the_server_and_not_the_current_one() {
    for flags in [&[][..], &["--preload"]] {
        let setup = Setup::of("moving:application").flags(flags).script(STRANGE);
        let setup = setup.file("moving.py", MOVING).file("beside.py", "");
        let setup = setup.flags(&["--pythonpath", ".,parts/../parts"]);
        let directory = setup.directory.path().join(OsStr::from_bytes(b"caf\xe9"));
        let server = setup.start();
        let shown = server.get("/").json();
        let shown: Vec<_> =
            shown.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let (file, path) = shown.split_last().unwrap();
        let directory: String =
            directory.as_os_str().as_bytes().iter().map(|byte| char::from(*byte)).collect();
        assert_eq!(path[..2], [&directory[..], &format!("{directory}/parts")]);
        assert_eq!(*file, format!("{directory}/beside.py"));
        assert!(path.iter().all(|entry| entry.starts_with('/')), "{path:?}");
    }
}

#[test]
fn the_process_has_a_name_for_the_server() {
    let software = |setup: Setup| setup.start().get("/").json()["SERVER_SOFTWARE"].clone();
    let variables = || Setup::of("environ:variables").variable("SERVER_SOFTWARE", "another");
    let own = software(variables());
    let own = own.as_str().unwrap();
    assert!(own.starts_with("monoceros/") && own.contains("gunicorn"), "{own}");
    assert_eq!(software(variables().flag("--preload")), own);
    assert_eq!(software(variables().flags(&["--env", "SERVER_SOFTWARE=mine"])), "mine");
    // The environ of a request has the server's name alone.
    let environ = software(Setup::of("environ"));
    assert!(!environ.as_str().unwrap().contains("gunicorn"), "{environ}");
}

/// Asks `wsgi.errors` for everything that a text stream has.
const COMPLAINING: &str = "
import faulthandler, io, logging, os, sys

def check(errors):
    assert isinstance(errors, io.TextIOBase) and isinstance(errors.buffer, io.RawIOBase)
    assert (errors.isatty(), errors.closed, errors.writable()) == (False, False, True)
    assert (errors.readable(), errors.seekable()) == (False, False)
    assert (errors.encoding, errors.errors) == ('utf-8', 'backslashreplace')
    assert errors.line_buffering and errors.name and errors.mode
    assert os.path.sameopenfile(errors.fileno(), 2)
    assert errors.write('one') == 3 and errors.flush() is None
    errors.writelines([' line in', ' pieces\\n'])
    print('print:', '\\N{SNOWMAN}', 'caf\\udce9', file=errors)
    errors.buffer.write(bytearray(b'bytes\\n'))
    handler = logging.StreamHandler(errors)
    handler.handle(logging.makeLogRecord({'msg': 'a record'}))
    with errors as same:
        assert same is errors
    errors.close()
    assert not errors.closed and not errors.buffer.closed
    for wrong in (errors.read, errors.detach, errors.tell):
        try:
            wrong()
        except io.UnsupportedOperation:
            continue
        raise AssertionError(wrong)
    for wrong in (b'bytes', None, 1):
        try:
            errors.write(wrong)
        except TypeError:
            continue
        raise AssertionError(wrong)
    faulthandler.dump_traceback(file=errors)
    errors.write('no end')

def application(environ, start_response):
    check(environ['wsgi.errors'])
    start_response('200 OK', [('Content-Length', '0')])
    return []

def many(environ, start_response):
    for _ in range(200):
        print('left', 'right', sep='-middle-', end='-end\\n', file=environ['wsgi.errors'])
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn the_error_stream_of_a_request_is_a_text_stream() {
    let setup = Setup::of("complaining:application").file("complaining.py", COMPLAINING);
    let server = setup.flag("--pythonpath=.").start();
    for count in 1..3 {
        assert_eq!(server.get("/").status, 200);
        server.wait_for_log_times("no end", count);
    }
    let log = server.log();
    let messages: Vec<_> =
        log.lines().filter_map(|line| line.split_once("gen=1 wsgi.errors: ")).collect();
    let messages: Vec<_> = messages.into_iter().map(|(_, message)| message).collect();
    // `flush` writes the line that has no end yet.
    let text = "one\n line in pieces\nprint: \u{2603} caf\\udce9\nbytes\na record\n";
    assert_eq!(messages.join("\n").matches(text).count(), 2, "{log}");
}

#[test]
fn lines_of_several_threads_and_workers_do_not_mix() {
    let setup = Setup::of("complaining:many").file("complaining.py", COMPLAINING);
    let server = setup.flag("--pythonpath=.").threads(4).workers(2).start();
    let mut connections: Vec<_> = (0..8).map(|_| server.connect()).collect();
    connections.iter_mut().for_each(|connection| connection.send(get("/")));
    connections.iter_mut().for_each(|it| assert_eq!(it.response().status, 200));
    server.wait_for_log_times("left-middle-right-end\n", 8 * 200);
    let log = server.log();
    let whole = "[INFO] worker=N gen=1 wsgi.errors: left-middle-right-end";
    let is_whole = |line: &str| {
        let line = line.replace("worker=0", "worker=N").replace("worker=1", "worker=N");
        line.ends_with(whole)
    };
    let mixed = log.lines().find(|it| it.contains("left") && !is_whole(it));
    assert_eq!(mixed, None);
}

/// Hands its own log to that of gunicorn, as many do.
const LOGGING: &str = "
import logging
server = logging.getLogger('gunicorn.error')
shop = logging.getLogger('shop')
shop.handlers = server.handlers
shop.setLevel(server.level)
shop.info('while it is loaded')

def application(environ, start_response):
    shop.debug('shop says debug')
    shop.info('shop says %s', 'info')
    server.warning('the server says warning')
    logging.getLogger('gunicorn.access').info('access says info')
    try:
        1 / 0
    except ZeroDivisionError:
        shop.exception('shop says exception')
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn the_loggers_of_gunicorn_write_the_error_log() {
    for (level, preload) in [("info", false), ("debug", false), ("info", true), ("error", false)] {
        let setup = Setup::of("logging_shop:application").file("logging_shop.py", LOGGING);
        let setup = setup.flags(&["--pythonpath=.", "--log-level", level]);
        let setup = if preload { setup.flag("--preload") } else { setup };
        let server = setup.spawn();
        server.allow("shop says exception");
        server.allow("Traceback");
        until::holds("an answer", || server.get("/").status == 200);
        server.wait_for_log("ZeroDivisionError: division by zero");
        let log = server.log();
        let who = if preload { "mold gen=1" } else { "worker=0 gen=1" };
        for (severity, text) in [
            ("DEBUG", "worker=0 gen=1 shop: shop says debug".to_owned()),
            ("INFO", format!("{who} shop: while it is loaded")),
            ("INFO", "worker=0 gen=1 shop: shop says info".to_owned()),
            ("INFO", "worker=0 gen=1 gunicorn.access: access says info".to_owned()),
            ("WARNING", "worker=0 gen=1 gunicorn.error: the server says warning".to_owned()),
            ("ERROR", "worker=0 gen=1 shop: shop says exception".to_owned()),
        ] {
            let expected = match (level, severity) {
                ("info", "DEBUG") | ("error", "DEBUG" | "INFO" | "WARNING") => 0,
                _ => 1,
            };
            let line = format!("] [{severity}] {text}\n");
            assert_eq!(log.matches(&line).count(), expected, "{level}: {line}: {log}");
            let count = log.lines().filter(|it| it.ends_with(&text)).count();
            assert_eq!(count, expected, "{level}: {text} comes once: {log}");
        }
    }
}

/// Looks whether anything is left of how the loggers came to be.
const USING: &str = "
import importlib.machinery, logging, sys
from multiprocessing import util
assert all('monoceros.loggers' != type(finder).__module__ for finder in sys.meta_path)
assert type(logging.__loader__) is importlib.machinery.SourceFileLoader
assert logging.__spec__.loader is logging.__loader__
for name in 'gunicorn.error', 'gunicorn.access':
    logger = logging.getLogger(name)
    assert len(logger.handlers) == 1 and logger.level == logging.INFO and not logger.propagate
assert not logging.getLogger().handlers and not logging.getLogger('gunicorn').handlers

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

const WITHOUT: &str = "
import sys

def application(environ, start_response):
    assert 'logging' not in sys.modules
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn logging_is_unchanged_except_for_gunicorns_loggers() {
    let setup = || {
        let setup = Setup::listening().flag("--python").flag(python()).flag("--pythonpath=.");
        setup.file("using.py", USING).file("without.py", WITHOUT)
    };
    for setup in [
        setup().flag("using:application"),
        setup().flag("using:application").flag("--preload"),
        // Something imports it before the server does anything.
        setup()
            .flag("using:application")
            .variable("PYTHONPATH", ".")
            .file("sitecustomize.py", "import logging"),
        // An application without `logging` does not pay for its memory.
        setup().flag("without:application"),
    ] {
        assert_eq!(setup.start().get("/").status, 200);
    }
}

/// In place of PasteDeploy: shows what it is called with.
const DEPLOY: &str = "
import json, logging
def loadapp(uri, relative_to, global_conf):
    logging.getLogger('shop').info('loaded')
    def application(environ, start_response):
        start_response('200 OK', [('Content-Type', 'application/json')])
        return [json.dumps([uri, relative_to, global_conf]).encode()]
    return application
";

#[test]
fn a_file_of_pastedeploy_describes_the_application() {
    let ini = "[loggers]\nkeys = root\n[handlers]\nkeys = own\n[formatters]\nkeys =\n\
               [logger_root]\nlevel = INFO\nhandlers = own\n\
               [handler_own]\nclass = FileHandler\nargs = ('%(here)s/own.log',)\n";
    let setup = Setup::bare().apps().flags(&["--bind", "127.0.0.1:0", "--paste", "shop.ini#admin"]);
    let setup = setup.flags(&["--paste-global", r"a\=b=c"]).file("shop.ini", ini);
    let server = setup.file("paste/__init__.py", "").file("paste/deploy.py", DEPLOY).start();
    let called = server.get("/").json();
    let directory = server.directory.path().to_str().unwrap();
    assert_eq!(called[0], format!("config:{directory}/shop.ini#admin"));
    assert_eq!((&called[1], &called[2]["a=b"]), (&directory.into(), &"c".into()));
    assert_eq!(server.directory.read("own.log"), "loaded\n");
}

#[test]
fn without_pastedeploy_its_file_is_one_clear_line() {
    let setup = Setup::bare().apps().flags(&["--bind", "127.0.0.1:0", "--paste"]);
    let end = setup.flag("shop.ini").file("shop.ini", "").run();
    assert_eq!(end.code, Some(4), "{}", end.stderr);
    assert!(end.stderr.contains("shop.ini needs the Python package PasteDeploy"), "{}", end.stderr);
}
