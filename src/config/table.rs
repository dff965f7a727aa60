//! The settings table: one row per setting, and nothing else about settings
//! anywhere. To add a setting, add a row and print the documentation again.
//!
//! The first paragraph of a row's comment is one sentence and is what `--help`
//! shows. A flag in backquotes refers to another row.

use std::path::PathBuf;
use std::time::Duration;

use crate::access_format::{self, AccessFormat};
use crate::bind::Bind;
use crate::log::{LEVELS, LogLevel, LogTarget};
use crate::process::{Argument, Assignment, SearchPath, Umask};
use crate::row::Effect::{Live, Restart, Rollout};
use crate::row::{EnvDefault, Reader, Section, TableRow, settings};
use crate::size::Size;
use crate::value::Value;
use crate::worker::{MOST_WORKERS, ReadyAfter, WorkerClass, Workers};

/// Longest length of time that a setting may have, in seconds.
const DAY: u64 = 86_400;

/// The most workers, as a bound of numbers.
const MOST: u64 = MOST_WORKERS as u64;

/// One row of the table.
pub type Row = TableRow<Settings>;

settings! {
    /// The application to serve, as `MODULE` or `MODULE:CALLABLE`.
    ///
    /// `shop.wsgi` means the callable `application` in the module `shop.wsgi`;
    /// `shop:app` names the callable; `shop:create_app("production")` calls it
    /// with literal arguments to get one. Without any, a Django project is found
    /// by the `manage.py` in the directory.
    app: Option<String> = None, [Master], {
        section: Section::Application, positional: true, placeholder: "APP",
        effect: Rollout, gunicorn: Some("wsgi_app"),
    };

    /// The program that workers of class exec run, with its arguments.
    ///
    /// On the command line everything behind two dashes is part of it; in the
    /// configuration file it is a list of words. It is looked up on the `PATH`
    /// of its own environment, runs once for each worker, and serves from the
    /// sockets that it finds open from descriptor 3 on (`LISTEN_FDS`).
    program: Vec<Argument> = Vec::new(), [Master], {
        section: Section::Application, positional: true, placeholder: "-- PROGRAM [ARGUMENT]...",
        effect: Rollout,
    };

    /// Directory to change to before anything else is done.
    ///
    /// Relative paths in other settings start from it, except that of `--config`.
    chdir: Option<PathBuf> = None, [Master], {
        section: Section::Application, placeholder: "DIRECTORY",
        effect: Rollout, gunicorn: Some("chdir"),
    };

    /// Directories to add to Python's search path, with commas between them.
    pythonpath: SearchPath = SearchPath::default(), [Worker], {
        section: Section::Application, placeholder: "DIRECTORIES",
        effect: Rollout, gunicorn: Some("pythonpath"),
    };

    /// The Python interpreter that runs the application.
    ///
    /// Without it: the one that has executed `python -m monoceros`, else that of the
    /// virtual environment in which the `monoceros` program lies, else
    /// `$VIRTUAL_ENV/bin/python`, else the one that pip has installed the program for
    /// outside of an environment, else `python3` on the `PATH`. CPython 3.10 or later.
    python: Option<PathBuf> = None, [Master], {
        section: Section::Application, placeholder: "PATH",
        effect: Rollout,
    };

    /// Environment variable for the application; can be repeated.
    ///
    /// In the configuration file either a list of `NAME=VALUE` or a mapping of
    /// names to values.
    env: Vec<Assignment> = Vec::new(), [Master], {
        section: Section::Application, short: Some('e'), placeholder: "NAME=VALUE",
        mapping: true,
        effect: Rollout, gunicorn: Some("raw_env"),
    };

    /// Address to listen on; can be repeated.
    ///
    /// `HOST:PORT`, `HOST` (port 8000), `:PORT` (all IPv4 addresses),
    /// `[IPV6]:PORT`, `unix:PATH`, `unix:@NAME` (the abstract name space of
    /// Linux), or `fd://NUMBER` (a listening socket that was passed in).
    bind: Vec<Bind> = vec![Bind::Tcp { host: "127.0.0.1".to_owned(), port: 8000 }], [Listener], {
        section: Section::Socket, short: Some('b'), placeholder: "ADDRESS",
        effect: Rollout, gunicorn: Some("bind"),
        env_default: Some(EnvDefault { variable: "PORT", template: "0.0.0.0:{}" }),
    };

    /// Most connections that may wait to be accepted, for each address.
    ///
    /// The kernel cuts it to `net.core.somaxconn`.
    backlog: u32 = 2048, [Listener], {
        section: Section::Socket, placeholder: "COUNT", range: Some((1, 1_000_000)),
        effect: Rollout, gunicorn: Some("backlog"),
    };

    /// Number of worker processes.
    ///
    /// `auto` means as many as there are processors to use: what the affinity
    /// mask and the processor quota of the control group (a container's limit)
    /// allow.
    workers: Workers = Workers::Count(1), [Master], {
        section: Section::Workers, short: Some('w'), placeholder: "COUNT",
        range: Some((1, MOST)), effect: Live,
        gunicorn: Some("workers"), differs: Some("`auto` is understood; an empty `WEB_CONCURRENCY` is as good as none"),
        env_default: Some(EnvDefault { variable: "WEB_CONCURRENCY", template: "{}" }),
    };

    /// Kind of worker: `wsgi` or `exec`.
    ///
    /// `wsgi` serves a WSGI application; `sync` and `gthread`, gunicorn's names,
    /// are understood as `wsgi`. `exec` runs any program that can serve from a
    /// socket it inherits, named behind two dashes; settings that are about HTTP or
    /// Python mean nothing to it.
    worker_class: WorkerClass = WorkerClass::Wsgi, [Master], {
        section: Section::Workers, short: Some('k'), placeholder: "CLASS",
        effect: Rollout, gunicorn: Some("worker_class"),
        differs: Some("`sync` and `gthread` both mean `wsgi`, which keeps connections alive and reads slow clients without occupying a thread; `exec` runs any other server"),
    };

    /// How long a worker of class exec lives before it counts as ready.
    ///
    /// A program that says `READY=1` to `NOTIFY_SOCKET` (`sd_notify(3)`) is ready
    /// at once. With `notify` only such a word counts, and `--boot-timeout` ends
    /// a program that does not say it. 0 takes every program for ready that could
    /// be executed. Other classes tell when they are ready.
    ready_after: ReadyAfter = ReadyAfter::Length(Duration::from_secs(1)), [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        choices: &[("notify", "when it says so")],
        effect: Rollout,
    };

    /// Load the application once, in a process that forks the workers.
    ///
    /// Workers share the memory of what was loaded, and one that died is replaced
    /// in milliseconds, by the code that was loaded. A reload loads the new code in
    /// a new such process, the mold. What the application opens at import is
    /// either shared by all workers, like connections, or missing in them, like
    /// threads; a warning names it.
    preload: bool = false, [Master], {
        section: Section::Workers,
        effect: Rollout, gunicorn: Some("preload_app"),
        differs: Some("a reload loads the new code; the master never runs the application"),
    };

    /// Threads in each worker that run the application.
    ///
    /// With 1 the application runs on Python's main thread. Several are for an
    /// application that waits, for a database or for other servers: when the
    /// running thread waits, the next one runs. Threads that compute share the
    /// interpreter's lock and gain nothing, so one at a time is at work then;
    /// more workers use more processors.
    threads: u16 = 1, [Master, Worker], {
        section: Section::Workers, placeholder: "COUNT", range: Some((1, 1024)),
        effect: Rollout, gunicorn: Some("threads"),
    };

    /// Most connections that a worker keeps open at a time.
    ///
    /// When there are as many, answers say `Connection: close` until one in ten
    /// is free. A new connection takes the place of one that has been idle for two
    /// seconds, else of a client that has been sending its request for a second,
    /// which is answered 503, else of the slowest that has been reading its answer
    /// for ten seconds, which is reset; else it waits.
    worker_connections: u32 = 1000, [Worker], {
        section: Section::Workers, placeholder: "COUNT", range: Some((1, 1_000_000)),
        effect: Rollout, gunicorn: Some("worker_connections"),
        differs: Some("enforced for every class"),
    };

    /// Longest time a request may take until its answer begins.
    ///
    /// It counts while the application has the request, in each thread. After half
    /// this time and at its end the log shows where the request is stuck. At its end the
    /// request's client is answered 504; the worker is replaced, its other requests
    /// finish, and then it is killed. An answer that comes piece by piece may be
    /// silent for as long as its client stays; when clients have left, and such
    /// answers have held every thread of a worker for so long since, it is replaced
    /// too. What the application does after its last piece counts again. A worker
    /// that gives no sign of life for so long, and for 5 seconds at least, is killed
    /// and replaced as well. 0 turns the check off.
    timeout: Duration = Duration::from_secs(30), [Master], {
        section: Section::Workers, short: Some('t'), placeholder: "SECONDS",
        range: Some((0, DAY)), effect: Rollout,
        gunicorn: Some("timeout"),
        differs: Some("holds for each request, in every class and thread; its client gets an answer (504)"),
    };

    /// Time for which the server goes on to serve after SIGTERM, before it drains.
    ///
    /// For load balancers that are told of the stop at the same time as the server,
    /// and still send new connections for some seconds. Everything goes on as
    /// before meanwhile, but no reload, upgrade or withdrawal begins. A second
    /// SIGTERM ends the delay; SIGINT and SIGQUIT stop the server at once.
    /// `graceful_timeout` counts from the end of the delay: what stops the server has
    /// to grant the sum of both.
    shutdown_delay: Duration = Duration::ZERO, [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Live,
    };

    /// Longest time a draining worker may take to finish its requests.
    ///
    /// A worker that is to stop, for a reload or for good, accepts nothing more
    /// and finishes what it has; what is left after this time is killed. Requests
    /// that the application has not begun by three quarters of it are answered
    /// 503.
    graceful_timeout: Duration = Duration::from_secs(30), [Master, Worker], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout, gunicorn: Some("graceful_timeout"),
        differs: Some("also holds for the workers that a reload replaces"),
    };

    /// Longest time a connection may be idle while its worker drains.
    ///
    /// A client that was just about to send its next request still gets the
    /// answer, with `Connection: close`, instead of a closed connection.
    /// `graceful_timeout` holds nevertheless. 0 closes idle connections at once.
    drain_idle: Duration = Duration::from_secs(1), [Worker], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Longest time a new worker may take to get ready.
    ///
    /// It counts from the start of its process and includes loading the
    /// application. A worker that takes longer is killed; at the first start that
    /// ends the server, later the workers that serve go on. 0 turns the limit off.
    boot_timeout: Duration = Duration::from_secs(60), [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Most workers that may live at a time beyond their number.
    ///
    /// A reload starts so many new workers before it lets old ones go; those that
    /// finish their last requests are not counted. If `--max-unavailable` is 0 it
    /// is 1 at least: without any room nothing could be replaced.
    ///
    /// With 0, and 1 for `--max-unavailable`, a new worker starts when an old one
    /// has ended: for applications that open a port or take a lock when they are
    /// imported.
    max_surge: u16 = 1, [Master], {
        section: Section::Workers, placeholder: "COUNT", range: Some((0, MOST)),
        effect: Live,
    };

    /// Most workers that may be missing while others are replaced.
    ///
    /// With 0 a worker goes only when another one is ready to take its place.
    max_unavailable: u16 = 0, [Master], {
        section: Section::Workers, placeholder: "COUNT", range: Some((0, MOST)),
        effect: Live,
    };

    /// Time for which a new worker must have been ready before it counts.
    ///
    /// A reload goes on to the next worker only then; a new worker that dies
    /// before has failed.
    min_ready_seconds: Duration = Duration::ZERO, [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Live,
    };

    /// Longest time a reload may go without one more new worker that serves.
    ///
    /// Then it is given up, and the old generation serves again. 0 turns the limit
    /// off.
    progress_deadline: Duration = Duration::from_secs(600), [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Live,
    };

    /// Longest time a new master may take to serve when the program is upgraded.
    ///
    /// On SIGUSR2 the program is executed again beside the running one. If it does
    /// not serve with workers of its own after this time it is ended, and all goes
    /// on as before.
    upgrade_timeout: Duration = Duration::from_secs(120), [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((1, DAY)),
        effect: Live,
    };

    /// Requests after which a worker is replaced; 0 for never.
    ///
    /// Its place is taken by a new worker, which is ready first. The number is
    /// looked at once a second. One worker is replaced at a time.
    max_requests: u32 = 0, [Master], {
        section: Section::Workers, placeholder: "COUNT",
        effect: Live, gunicorn: Some("max_requests"),
        differs: Some("the new worker is ready before the old one goes; the number is looked at once a second"),
    };

    /// Random addition to `--max-requests`, for each worker another one.
    max_requests_jitter: u32 = 0, [Master], {
        section: Section::Workers, placeholder: "COUNT",
        effect: Live, gunicorn: Some("max_requests_jitter"),
    };

    /// Time after which a worker is replaced; 0 for never.
    max_lifetime: Duration = Duration::ZERO, [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, 365 * DAY)),
        effect: Live,
    };

    /// Random addition to `--max-lifetime`, for each worker another one.
    max_lifetime_jitter: Duration = Duration::ZERO, [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, 365 * DAY)),
        effect: Live,
    };

    /// Memory beyond which a worker is replaced, such as `512M`; 0 for any.
    ///
    /// What counts is what is its own: the proportional set size, in which memory
    /// that workers share is divided by their number. It must be found too large
    /// three times, a second apart.
    max_rss: Size = Size(0), [Master], {
        section: Section::Workers, placeholder: "SIZE",
        effect: Live,
    };

    /// Longest time a connection may be idle before a request.
    ///
    /// It counts between two requests, and before the first one: load balancers
    /// open connections in advance.
    /// The default is longer than the 60 seconds for which common load balancers
    /// keep an idle connection to a server. The side that closes later never
    /// sends a request into a connection that is just being closed. An idle
    /// connection occupies no thread. 0 closes each connection after its response.
    keep_alive: Duration = Duration::from_secs(75), [Worker], {
        section: Section::Http, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout, gunicorn: Some("keepalive"),
        differs: Some("75 seconds instead of 2, so that a load balancer closes first; idle connections occupy no thread here"),
    };

    /// Longest time a client may take to send the head of a request.
    ///
    /// It counts from the first byte of the request to the empty line after the
    /// last header. 0 turns the limit off. With `keep-alive` 0 it is also how long
    /// a new connection may wait with its first byte.
    header_timeout: Duration = Duration::from_secs(10), [Worker], {
        section: Section::Http, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Longest time a client may send nothing more of a request's body.
    ///
    /// A drip is not enough: what arrives has to be a minimum of progress. 0
    /// turns the limit off.
    body_timeout: Duration = Duration::from_secs(30), [Worker], {
        section: Section::Http, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Longest time a client may take nothing more of a response.
    ///
    /// What counts is what its system has acknowledged. Then the connection is
    /// reset, and the log says so. 0 turns the limit off.
    write_timeout: Duration = Duration::from_secs(60), [Worker], {
        section: Section::Http, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Memory that responses may take in a worker while slow clients read them.
    ///
    /// A client that cannot take a response at once occupies no thread: what is
    /// left waits in memory, as far as this goes and up to 1M of a response that is
    /// made piece by piece, and then on disk (`--response-disk`). Where neither has
    /// room, the application waits for the client; if that leaves no thread for
    /// requests that wait, the answers to the slowest clients are given up.
    response_memory: Size = Size(64 << 20), [Worker], {
        section: Section::Http, placeholder: "SIZE",
        effect: Rollout,
    };

    /// Disk that responses may take in a worker while slow clients read them.
    ///
    /// The files have no name, in the directory for temporary files. A single
    /// response takes at most a quarter: a longer one that is made piece by
    /// piece holds its thread. A response with the header `X-Accel-Buffering: no`
    /// never waits in memory or on disk. 0 uses no disk.
    response_disk: Size = Size(1 << 30), [Worker], {
        section: Section::Http, placeholder: "SIZE",
        effect: Rollout,
    };

    /// Longest request line, in bytes; 0 is no limit of its own.
    ///
    /// A longer one is answered with 414.
    limit_request_line: u32 = 4094, [Worker], {
        section: Section::Http, placeholder: "BYTES", range: Some((0, 8190)),
        effect: Rollout, gunicorn: Some("limit_request_line"),
        differs: Some("more than 8190 is an error instead of being cut to it"),
    };

    /// Most headers that a request may have.
    ///
    /// More are answered with 431.
    limit_request_fields: u32 = 100, [Worker], {
        section: Section::Http, placeholder: "COUNT", range: Some((1, 32_768)),
        effect: Rollout, gunicorn: Some("limit_request_fields"),
        differs: Some("a value out of range is an error"),
    };

    /// Longest header, from its name to the end of its line, in bytes.
    ///
    /// A longer one is answered with 431. gunicorn's spelling of the flag,
    /// `--limit-request-field_size`, is understood.
    limit_request_field_size: u32 = 8190, [Worker], {
        section: Section::Http, placeholder: "BYTES", range: Some((1, 1_048_576)),
        aliases: &["limit-request-field_size"],
        effect: Rollout, gunicorn: Some("limit_request_field_size"),
        differs: Some("a value out of range is an error"),
    };

    /// Name in the titles of the processes.
    ///
    /// Without it, the application's.
    name: Option<String> = None, [Master, Worker], {
        section: Section::Process, short: Some('n'), placeholder: "NAME",
        effect: Rollout, gunicorn: Some("proc_name"),
    };

    /// Run in the background, detached from the terminal.
    daemon: bool = false, [Master], {
        section: Section::Process, short: Some('D'),
        effect: Restart, gunicorn: Some("daemon"),
    };

    /// File to write the number of the master process to.
    pid: Option<PathBuf> = None, [Master], {
        section: Section::Process, short: Some('p'), placeholder: "FILE",
        effect: Restart, gunicorn: Some("pidfile"),
        differs: Some("a change takes effect with a restart"),
    };

    /// User to run the workers as, by name or number.
    ///
    /// Workers that give up the master's user or group do so before any
    /// application code runs, and get no privileges back through programs such
    /// as sudo (`no_new_privs`). `HOME`, `USER` and `LOGNAME` are that user's, unless
    /// `--env` sets them.
    user: Option<String> = None, [Master, Listener], {
        section: Section::Process, short: Some('u'), placeholder: "USER",
        effect: Rollout, gunicorn: Some("user"),
    };

    /// Group to run the workers as, by name or number.
    group: Option<String> = None, [Master, Listener], {
        section: Section::Process, short: Some('g'), placeholder: "GROUP",
        effect: Rollout, gunicorn: Some("group"),
    };

    /// Give the workers all groups of their user.
    initgroups: bool = false, [Master], {
        section: Section::Process,
        effect: Rollout, gunicorn: Some("initgroups"),
    };

    /// Permissions that files made by the server and the application do not get.
    ///
    /// Octal with a leading zero (`022`, `0o22`), else decimal or `0x` hexadecimal.
    /// Unless it is set, it holds for unix sockets alone, and all else keeps the
    /// mask that the server was started with.
    umask: Umask = Umask(0), [Master, Listener], {
        section: Section::Process, short: Some('m'), placeholder: "MASK",
        effect: Rollout, gunicorn: Some("umask"),
    };

    /// Least severe message in the error log.
    log_level: LogLevel = LogLevel::Info, [Master, Worker], {
        section: Section::Logging, placeholder: "LEVEL", choices: &LEVELS,
        effect: Rollout, gunicorn: Some("loglevel"),
        differs: Some("an unknown level is an error instead of `info`"),
    };

    /// File for messages of the server; `-` is standard error.
    error_logfile: LogTarget = LogTarget::Stream, [Master, Worker], {
        section: Section::Logging, placeholder: "FILE", aliases: &["log-file"],
        effect: Rollout, gunicorn: Some("errorlog"),
    };

    /// File for a line about each request; `-` is standard output.
    access_logfile: Option<LogTarget> = None, [Master, Worker], {
        section: Section::Logging, placeholder: "FILE",
        effect: Rollout, gunicorn: Some("accesslog"),
    };

    /// Format of a line in the access log.
    ///
    /// gunicorn's atoms, each written as `%(ATOM)s`; `%%` is a percent sign.
    access_logformat: AccessFormat = AccessFormat::usual(), [Worker], {
        section: Section::Logging, placeholder: "FORMAT",
        choices: &access_format::ATOMS,
        effect: Rollout, gunicorn: Some("access_log_format"),
        differs: Some("an unknown atom is an error instead of `-`"),
    };

    /// Send the application's standard output and error to the error log.
    capture_output: bool = false, [Master, Worker], {
        section: Section::Logging,
        effect: Rollout, gunicorn: Some("capture_output"),
    };

    /// The configuration file, YAML.
    ///
    /// Without it `./monoceros.yaml` is read if it exists. Root reads only a file
    /// that no other user can change, nor the directories on the way; the user who
    /// has become root by `sudo` counts as root.
    config: Option<PathBuf> = None, [Master], {
        section: Section::Configuration, short: Some('c'), placeholder: "FILE", in_file: false,
        effect: Restart, gunicorn: Some("config"),
        differs: Some("YAML instead of Python; `./monoceros.yaml` instead of `./gunicorn.conf.py`"),
    };

    /// Check the settings and the application, say what is wrong, and exit.
    check_config: bool = false, [Master], {
        section: Section::Configuration, in_file: false,
        effect: Restart, gunicorn: Some("check_config"),
    };

    /// Check as `--check-config`, and print every setting with its source.
    ///
    /// What is printed can be used as a configuration file.
    print_config: bool = false, [Master], {
        section: Section::Configuration, in_file: false,
        effect: Restart, gunicorn: Some("print_config"),
    };
}

impl Row {
    /// The setting that a key of the file or the rest of a variable means.
    ///
    /// `-` and `_` are the same; gunicorn's name is as good as ours.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        let name = key.replace('-', "_");
        ROWS.iter().find(|row| row.names().any(|known| known == name))
    }

    /// The default as text, empty if there is none.
    #[must_use]
    pub fn default_text(&self) -> String {
        self.texts(&Settings::default()).join(" ")
    }
}

impl Settings {
    /// The rows that differ from `other`; [`Row::effect`] says what each needs.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<&'static Row> {
        ROWS.iter().filter(|row| row.texts(self) != row.texts(other)).collect()
    }
}

#[cfg(test)]
mod tests;
