//! What an application finds around it: the search path, variables, loggers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::setup::Setup;

/// Goes to a directory in which others may write, and imports there what it did
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
        let directory = setup.directory.path().join(OsStr::from_bytes(b"caf\xe9"));
        let server = setup.start();
        let shown = server.get("/").json();
        let shown: Vec<_> =
            shown.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let (file, path) = shown.split_last().unwrap();
        let directory: String =
            directory.as_os_str().as_bytes().iter().map(|byte| char::from(*byte)).collect();
        assert_eq!(path[0], directory);
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
