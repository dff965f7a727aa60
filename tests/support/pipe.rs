//! A named pipe between a test and the application: each can wait for the other without
//! sleeping.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::directory::Directory;
use super::until;

pub(crate) struct Pipe {
    path: PathBuf,
}

impl Pipe {
    pub(crate) fn new(directory: &Directory, name: &str) -> Self {
        let path = directory.join(name);
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        Self { path }
    }

    /// The query that names the pipe, for the applications under test.
    pub(crate) fn query(&self) -> String {
        format!("pipe={}", self.path.display())
    }

    /// Whether the application has begun the request.
    pub(crate) fn is_started(&self) -> bool {
        self.path.with_extension("started").exists()
    }

    /// Waits until the application reads from the pipe, and opens the writing end.
    pub(crate) fn open(&self) -> Writer {
        let mut options = OpenOptions::new();
        // Without a reader the call fails at once: fifo(7).
        options.write(true).custom_flags(nix::libc::O_NONBLOCK);
        Writer(until::some("a reader of the pipe", || options.open(&self.path).ok()))
    }
}

/// Calls the function that the path names with the reading end of the pipe that the query names.
const CALLS: &str = "
def application(environ, start_response):
    said = 'idle'
    name = environ['PATH_INFO'][1:]
    if name:
        pipe = os.open(environ['QUERY_STRING'].partition('=')[2], os.O_RDONLY)
        said = str(globals()[name](pipe))
        os.close(pipe)
    start_response('200 OK', [('Content-Length', str(len(said)))])
    return [said.encode()]
";

/// The source of an application that calls one of these functions for each request, and responds
/// with its result.
pub(crate) fn calling(functions: &str) -> String {
    format!("import os\n{functions}{CALLS}")
}

/// The writing end. When it is dropped, the application reads the end of the file.
pub(crate) struct Writer(File);

impl Writer {
    pub(crate) fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Writes a text, if the application still reads.
    pub(crate) fn try_say(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes())
    }

    /// Closes the pipe: the application continues.
    pub(crate) fn finish(self) {
        drop(self);
    }
}
