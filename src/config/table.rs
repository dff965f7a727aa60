//! The settings table: one row for each setting. To add a setting, add a row and print the
//! documentation again.
//!
//! The first paragraph of a row's comment is one sentence, which `--help` shows. A flag in
//! backquotes refers to another row.

use std::path::PathBuf;
use std::time::Duration;

use crate::access_format::{self, AccessFormat};
use crate::access_log::{AccessExclusion, Fraction};
use crate::access_rule::{self, AccessRule};
use crate::address_set::{AddressSet, ClientSet};
use crate::bind::Bind;
use crate::bind_setting::{self, BindSetting};
use crate::compression::{self, CodingName, CompressLevel, MediaPattern};
use crate::field::{FieldName, ResponseField};
use crate::forwarding::{HeaderMap, NameList, ProxyMode, RealIp, SchemeHeaders};
use crate::hosts::{self, AllowedHosts, EmptyHost};
use crate::log::{LEVELS, LogFormat, LogLevel, LogTarget};
use crate::metrics::MetricsAddress;
use crate::process::{Argument, Assignment, FileMode, SearchPath, Umask};
use crate::rate_limit::RateLimit;
use crate::reload_engine::ReloadEngine;
use crate::row::Effect::{Live, Restart, Rollout};
use crate::row::{EnvDefault, Reader, Section, TableRow, settings};
use crate::size::Size;
use crate::static_files::{self, PathPattern, StaticMapping, StaticSetting};
use crate::statsd::{StatsdAddress, StatsdPrefix, StatsdTags};
use crate::syslog::{SyslogAddress, SyslogFacility};
use crate::tls::{self, CIPHER_CHOICES, CertReqs, CertificateSource, Ciphers, TlsVersionSetting};
use crate::url_path::UrlPath;
use crate::value::Value;
use crate::worker::{DebugGuard, MOST_WORKERS, ReadyAfter, WorkerClass, Workers};

/// The maximum length of time in a setting, in seconds.
const DAY: u64 = 86_400;

/// The maximum number of workers, as a bound.
const MOST: u64 = MOST_WORKERS as u64;

/// A row of the table.
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

    /// File of PasteDeploy that describes the application, in place of APP.
    ///
    /// `FILE#NAME` means the section `app:NAME`, and `FILE` the section `app:main`. If the file
    /// has a section `loggers`, it configures Python's logging. The Python package PasteDeploy has
    /// to be installed beside the application.
    paste: Option<String> = None, [Master], {
        section: Section::Application, placeholder: "FILE", aliases: &["paster"],
        effect: Rollout, gunicorn: Some("paste"),
    };

    /// Value for every section of the file of `--paste`; can be repeated.
    paste_global: Vec<Assignment> = Vec::new(), [Worker], {
        section: Section::Application, placeholder: "NAME=VALUE", mapping: true,
        effect: Rollout, gunicorn: Some("raw_paste_global_conf"),
    };

    /// The program that workers of class exec run, with its arguments.
    ///
    /// On the command line everything after two dashes is the program; in the configuration
    /// file it is a list of words. The program is looked up on the `PATH` of its own
    /// environment. It runs once for each worker and serves from the sockets that are
    /// open from descriptor 3 on (`LISTEN_FDS`).
    program: Vec<Argument> = Vec::new(), [Master], {
        section: Section::Application, positional: true, placeholder: "-- PROGRAM [ARGUMENT]...",
        effect: Rollout,
    };

    /// Working directory of the server, to which it changes first.
    ///
    /// Relative paths in other settings start from it, except that of `--config`.
    chdir: Option<PathBuf> = None, [Master], {
        section: Section::Application, placeholder: "DIRECTORY",
        effect: Rollout, gunicorn: Some("chdir"),
    };

    /// Directories to add to Python's module search path, separated by commas.
    pythonpath: SearchPath = SearchPath::default(), [Worker], {
        section: Section::Application, placeholder: "DIRECTORIES",
        effect: Rollout, gunicorn: Some("pythonpath"),
    };

    /// The Python interpreter that runs the application.
    ///
    /// Without it: the one that has executed `python -m monoceros`, else that of the
    /// virtual environment in which the `monoceros` program lies, else
    /// `$VIRTUAL_ENV/bin/python`, for `monoceros dev` else that of an environment `.venv` or
    /// `venv` in the application's directory, else the one that pip has installed the program
    /// for outside of an environment, else `python3` on the `PATH`. CPython 3.10 or later.
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
    ///
    /// With `https://` before it (`https://0.0.0.0:443`; port 443 if there is none) a TCP
    /// address serves HTTPS, and needs a certificate (`--certfile` or `--certificates`); with
    /// `http://` (port 80 if there is none) it serves plain HTTP. Without a scheme it serves
    /// HTTPS if there is a certificate. Other addresses have the scheme as an option:
    /// `unix:PATH?scheme=http`.
    ///
    /// The name of a network interface behind a percent sign (`http://0.0.0.0:8000%eth0`)
    /// admits only connections that come in by it (`SO_BINDTODEVICE`).
    ///
    /// Options stand behind a question mark: `:8000?proxy-protocol=v2` sets
    /// `--proxy-protocol` for this address only, and `:8000?access=deny=all;path=/admin`, which
    /// can be repeated behind `&`, rules that come before those of `--access`. In the
    /// configuration file an address with options can be a mapping: `{address: ':8000',
    /// proxy-protocol: v2}`, with the keys `address`, `scheme`, `proxy-protocol` and `access`, a
    /// list of rules.
    bind: Vec<BindSetting> = vec![BindSetting::from(Bind::local())], [Listener], {
        section: Section::Socket, short: Some('b'), placeholder: "ADDRESS",
        item: Some(&bind_setting::ITEM),
        effect: Rollout, gunicorn: Some("bind"),
        differs: Some("`https://` and `http://` choose the scheme of one address, `%eth0` its network interface"),
        env_default: Some(EnvDefault { variable: "PORT", template: "0.0.0.0:{}" }),
    };

    /// Maximum number of connections that wait to be accepted, for each address.
    ///
    /// The kernel cuts it to `net.core.somaxconn`.
    backlog: u32 = 2048, [Listener], {
        section: Section::Socket, placeholder: "COUNT", range: Some((1, 1_000_000)),
        effect: Rollout, gunicorn: Some("backlog"),
    };

    /// Mode of the files of unix sockets, as octal digits with a leading zero.
    ///
    /// `0660` lets the owner and the group connect. Without it the mode is 0777 without the bits
    /// of `--umask`.
    unix_mode: Option<FileMode> = None, [Listener], {
        section: Section::Socket, placeholder: "MODE",
        effect: Rollout,
    };

    /// Group of the files of unix sockets, by name or number.
    ///
    /// The default is the group of the workers. Only root can choose a group that the server's
    /// user is not a member of.
    unix_group: Option<String> = None, [Listener], {
        section: Section::Socket, placeholder: "GROUP",
        effect: Rollout,
    };

    /// Number of worker processes.
    ///
    /// `auto` means as many as there are processors to use: what the affinity
    /// mask and the processor quota of the control group (a container's limit)
    /// allow.
    workers: Workers = Workers::Count(1), [Master], {
        section: Section::Workers, short: Some('w'), placeholder: "COUNT",
        range: Some((1, MOST)), effect: Live,
        gunicorn: Some("workers"), differs: Some("`auto` is accepted too; an empty `WEB_CONCURRENCY` is ignored"),
        env_default: Some(EnvDefault { variable: "WEB_CONCURRENCY", template: "{}" }),
    };

    /// Kind of worker: `wsgi` or `exec`.
    ///
    /// `wsgi` serves a WSGI application; `sync` and `gthread`, gunicorn's names,
    /// mean `wsgi` too. `exec` runs any program that can serve from an inherited socket;
    /// the program stands after two dashes. Settings for HTTP and Python have no effect on
    /// it.
    worker_class: WorkerClass = WorkerClass::Wsgi, [Master], {
        section: Section::Workers, short: Some('k'), placeholder: "CLASS",
        effect: Rollout, gunicorn: Some("worker_class"),
        differs: Some("`sync` and `gthread` both mean `wsgi`, which keeps connections alive and reads slow clients without occupying a thread; `exec` runs any other server"),
    };

    /// Time after which a worker of class exec counts as ready.
    ///
    /// A program that sends `READY=1` to `NOTIFY_SOCKET` (`sd_notify(3)`) is ready at
    /// once. With `notify` only that message counts, and `--boot-timeout` ends a
    /// program that does not send it. With 0 a program is ready as soon as it has
    /// been executed. Workers of other classes report when they are ready.
    ready_after: ReadyAfter = ReadyAfter::Length(Duration::from_secs(1)), [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        choices: &[("notify", "when it sends `READY=1`")],
        effect: Rollout,
    };

    /// Load the application once, in a process that forks the workers.
    ///
    /// The workers share the memory of what was loaded. A worker that died is
    /// replaced in milliseconds, by the code that was loaded. A reload loads the new
    /// code in a new process of this kind, a mold. What the application opens at
    /// import is shared by all workers (connections) or missing in them (threads); a
    /// warning names it.
    preload: bool = false, [Master], {
        section: Section::Workers,
        effect: Rollout, gunicorn: Some("preload_app"),
        differs: Some("a reload loads the new code; the master never runs the application"),
    };

    /// Number of application threads in each worker.
    ///
    /// With 1 the application runs on Python's main thread. More threads are for an
    /// application that waits for a database or other servers: while one thread
    /// waits, the next one runs. Threads that compute share the interpreter's lock
    /// and gain nothing, so the server lets one run at a time then; more workers use
    /// more processors.
    threads: u16 = 1, [Master, Worker], {
        section: Section::Workers, placeholder: "COUNT", range: Some((1, 1024)),
        effect: Rollout, gunicorn: Some("threads"),
    };

    /// Maximum number of open connections in each worker.
    ///
    /// When all are in use, responses carry `Connection: close` until one in ten is
    /// free. A new connection takes the place of one that has been idle for two
    /// seconds, else of one whose client has been sending its request for a second
    /// (it is answered 503), else of the slowest whose client has been reading its
    /// response for ten seconds (it is reset). Otherwise the new connection waits.
    worker_connections: u32 = 1000, [Worker], {
        section: Section::Workers, placeholder: "COUNT", range: Some((1, 1_000_000)),
        effect: Rollout, gunicorn: Some("worker_connections"),
        differs: Some("enforced for every class"),
    };

    /// Maximum time that the application may take to begin a response.
    ///
    /// The time counts while the application has the request, in each thread. After
    /// half of it, and at its end, the log shows where in the code the request is. At
    /// its end the client is answered 504; the worker is replaced: its other requests
    /// finish, and then it is killed.
    ///
    /// A response that is sent piece by piece may pause for as long as its client
    /// stays connected. When the clients have left, and such responses have held
    /// every thread of a worker for this time since then, the worker is replaced as
    /// well. What the application does after its last piece counts again.
    ///
    /// A worker whose heartbeat stops for this time, and for at least 5 seconds, is
    /// killed and replaced. 0 disables the check.
    timeout: Duration = Duration::from_secs(30), [Master], {
        section: Section::Workers, short: Some('t'), placeholder: "SECONDS",
        range: Some((0, DAY)), effect: Rollout,
        gunicorn: Some("timeout"),
        differs: Some("applies to each request, in every class and thread; its client gets a response (504)"),
    };

    /// Time between SIGTERM and the drain, in which the server serves as before.
    ///
    /// For load balancers that learn of the stop at the same time as the server, and
    /// send new connections for some seconds after it. No reload, upgrade or
    /// withdrawal begins in this time. A second SIGTERM ends the delay; SIGINT and
    /// SIGQUIT stop the server at once. `graceful_timeout` counts from the end of the
    /// delay, so an init system that stops the server has to allow the sum of both.
    shutdown_delay: Duration = Duration::ZERO, [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Live,
    };

    /// Maximum time for a draining worker to finish its requests.
    ///
    /// A worker that is to leave, in a reload or a shutdown, accepts no new
    /// connections and finishes its requests. At the end of this time it is killed.
    /// Requests that the application has not begun after three quarters of the time
    /// are answered 503.
    graceful_timeout: Duration = Duration::from_secs(30), [Master, Worker], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout, gunicorn: Some("graceful_timeout"),
        differs: Some("also applies to the workers that a reload replaces"),
    };

    /// Maximum time that a connection may be idle while its worker drains.
    ///
    /// A client that is about to send its next request still gets a response, with
    /// `Connection: close`, instead of a closed connection. `graceful_timeout` limits
    /// this time too. 0 closes idle connections at once.
    drain_idle: Duration = Duration::from_secs(1), [Worker], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Maximum time for a new worker to become ready.
    ///
    /// The time counts from the start of the process and includes loading the
    /// application. A worker that takes longer is killed. During the first start this
    /// ends the server; later the workers that serve stay. 0 disables the limit.
    boot_timeout: Duration = Duration::from_secs(60), [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Maximum number of workers beyond `--workers` during a rollout.
    ///
    /// A reload starts this many new workers before it drains old ones. Workers that
    /// finish their last requests do not count. If `--max-unavailable` is 0, this is
    /// at least 1: otherwise no worker could be replaced.
    ///
    /// With 0 here and 1 for `--max-unavailable`, a new worker starts when an old one
    /// has ended: for applications that open a port or take a lock when they are
    /// imported.
    max_surge: u16 = 1, [Master], {
        section: Section::Workers, placeholder: "COUNT", range: Some((0, MOST)),
        effect: Live,
    };

    /// Maximum number of workers that may be unavailable during a rollout.
    ///
    /// With 0 a worker drains only when its replacement is ready.
    max_unavailable: u16 = 0, [Master], {
        section: Section::Workers, placeholder: "COUNT", range: Some((0, MOST)),
        effect: Live,
    };

    /// Time that a new worker must stay ready before a rollout counts it.
    ///
    /// A reload goes on to the next worker only after this time. A new worker that
    /// dies earlier has failed.
    min_ready_seconds: Duration = Duration::ZERO, [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Live,
    };

    /// Maximum time of a reload without another new worker that serves.
    ///
    /// After this time the server gives the reload up, and the old generation serves again.
    /// 0 disables the limit.
    progress_deadline: Duration = Duration::from_secs(600), [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Live,
    };

    /// Maximum time for a new master to begin serving in an upgrade.
    ///
    /// SIGUSR2 executes the program again beside the running one. If the new master
    /// does not serve with its own workers after this time, it is ended, and the old one
    /// stays.
    upgrade_timeout: Duration = Duration::from_secs(120), [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((1, DAY)),
        effect: Live,
    };

    /// Number of requests after which a worker is replaced; 0 disables this.
    ///
    /// A replacement is ready before the worker leaves. The master checks the number
    /// once a second, and replaces one worker at a time.
    max_requests: u32 = 0, [Master], {
        section: Section::Workers, placeholder: "COUNT",
        effect: Live, gunicorn: Some("max_requests"),
        differs: Some("the new worker is ready before the old one drains; the number is checked once a second"),
    };

    /// Random addition to `--max-requests`, chosen for each worker.
    max_requests_jitter: u32 = 0, [Master], {
        section: Section::Workers, placeholder: "COUNT",
        effect: Live, gunicorn: Some("max_requests_jitter"),
    };

    /// Time after which a worker is replaced; 0 disables this.
    max_lifetime: Duration = Duration::ZERO, [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, 365 * DAY)),
        effect: Live,
    };

    /// Random addition to `--max-lifetime`, chosen for each worker.
    max_lifetime_jitter: Duration = Duration::ZERO, [Master], {
        section: Section::Workers, placeholder: "SECONDS", range: Some((0, 365 * DAY)),
        effect: Live,
    };

    /// Memory above which a worker is replaced, such as `512M`; 0 disables this.
    ///
    /// The measure is the proportional set size, in which memory that workers share
    /// is divided by their number. A worker is replaced when it is above the limit
    /// three times, a second apart.
    max_rss: Size = Size(0), [Master], {
        section: Section::Workers, placeholder: "SIZE",
        effect: Live,
    };

    /// Maximum time that a connection may be idle before a request.
    ///
    /// The time counts between two requests, and before the first one: load balancers
    /// open connections in advance. The default is longer than the 60 seconds for
    /// which common load balancers keep an idle connection: the side that closes
    /// later never sends a request into a connection that is being closed. An idle
    /// connection occupies no thread. 0 closes each connection after its response.
    keep_alive: Duration = Duration::from_secs(75), [Worker], {
        section: Section::Http, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout, gunicorn: Some("keepalive"),
        differs: Some("75 seconds instead of 2, so that a load balancer closes first; idle connections occupy no thread here"),
    };

    /// Maximum time for a client to send the head of a request.
    ///
    /// The time counts from the first byte of the request to the empty line after the
    /// last header. 0 disables the limit. With `keep-alive` 0 it also limits the time until
    /// the first byte on a new connection.
    header_timeout: Duration = Duration::from_secs(10), [Worker], {
        section: Section::Http, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Maximum time without progress while a request's body is received.
    ///
    /// Progress is 1 KiB: a few bytes within the time are not enough. 0 disables the limit.
    body_timeout: Duration = Duration::from_secs(30), [Worker], {
        section: Section::Http, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Maximum time without progress while a response is sent.
    ///
    /// Progress is what the client's system has acknowledged. At the end of the time
    /// the connection is reset, and a line is logged. 0 disables the limit.
    write_timeout: Duration = Duration::from_secs(60), [Worker], {
        section: Section::Http, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Memory for responses that wait for slow clients, in each worker.
    ///
    /// A client that cannot take a response at once occupies no thread. The rest of
    /// the response waits in memory, up to this amount and up to 1M of a response
    /// that is sent piece by piece, and then on disk (`--response-disk`). Where
    /// neither has room, the application waits for the client; if that leaves no
    /// thread for waiting requests, the server gives up the responses to the slowest
    /// clients.
    response_memory: Size = Size(64 << 20), [Worker], {
        section: Section::Http, placeholder: "SIZE",
        effect: Rollout,
    };

    /// Disk space for responses that wait for slow clients, in each worker.
    ///
    /// The files have no name, and are in the directory for temporary files. A single
    /// response takes at most a quarter: a longer one that is sent piece by piece
    /// holds its thread. A response with the header `X-Accel-Buffering: no` never
    /// waits in memory or on disk. 0 uses no disk.
    response_disk: Size = Size(1 << 30), [Worker], {
        section: Section::Http, placeholder: "SIZE",
        effect: Rollout,
    };

    /// Maximum length of the request line in bytes; 0 disables the limit.
    ///
    /// A longer request line is answered 414. The whole head has at most 1 MiB.
    limit_request_line: u32 = 4094, [Worker], {
        section: Section::Http, placeholder: "BYTES", range: Some((0, 8190)),
        effect: Rollout, gunicorn: Some("limit_request_line"),
    };

    /// Maximum number of headers in a request.
    ///
    /// A request with more headers is answered 431.
    limit_request_fields: u32 = 100, [Worker], {
        section: Section::Http, placeholder: "COUNT", range: Some((1, 32_768)),
        effect: Rollout, gunicorn: Some("limit_request_fields"),
    };

    /// Maximum length of a header in bytes, from its name to the end of its line.
    ///
    /// A longer header is answered 431. 0 disables the limit; the whole head has at most 1 MiB.
    /// gunicorn's spelling of the flag, `--limit-request-field_size`, is accepted too.
    limit_request_field_size: u32 = 8190, [Worker], {
        section: Section::Http, placeholder: "BYTES", range: Some((0, 1_048_576)),
        aliases: &["limit-request-field_size"],
        effect: Rollout, gunicorn: Some("limit_request_field_size"),
        differs: Some("0 disables the limit, where gunicorn 27 takes 8190"),
    };

    /// Headers to add to each response that has none of that name; can be repeated.
    ///
    /// In the configuration file a mapping of names to values, or a list of `NAME=VALUE`. A
    /// header that the application sets stays as it is. The server's own responses, such as
    /// 404 and 503, have them too. Headers of the connection and of a response's length and
    /// coding are refused. `none` is the empty list.
    response_headers: Vec<ResponseField> = Vec::new(), [Worker], {
        section: Section::Http, placeholder: "NAME=VALUE", mapping: true,
        effect: Rollout,
    };

    /// Send a `Server` header with the name of this server.
    ///
    /// On the command line `=off` behind the flag leaves it out. One that the application sets is
    /// sent in any case.
    server_header: bool = true, [Worker], {
        section: Section::Http,
        effect: Rollout,
    };

    /// The header that identifies a request; `none` uses no header.
    ///
    /// A request that has the header keeps its identifier, if that is at most 128 letters of ASCII,
    /// digits, dots, underscores and dashes; any other request gets a new one. The application
    /// finds it in its environ (`HTTP_X_REQUEST_ID`), log lines about the request have it, and
    /// every response has the header.
    request_id_header: Option<FieldName> = Some(FieldName("X-Request-ID".to_owned())), [Worker], {
        section: Section::Http, placeholder: "HEADER",
        effect: Rollout,
    };

    /// Codings in which the application's responses are compressed; none by default.
    ///
    /// Of the codings that a client accepts with the same weight the first in the list is used.
    /// Only responses with a type of `--compress-types` and at least `--compress-min-length`
    /// bytes are compressed; one that is sent piece by piece is, whatever its length, and
    /// each piece is sent at once. Responses with a `Content-Encoding`, with
    /// `Cache-Control: no-transform`, and those of 204, 206 and 304 stay as they are. The `ETag`
    /// of a compressed response becomes a weak one.
    ///
    /// Over https the length of a compressed page can reveal a secret in it to an attacker that
    /// chooses a part of the page (BREACH). Django changes its tokens with each response for this
    /// reason.
    compress: Vec<CodingName> = Vec::new(), [Worker], {
        section: Section::Http, placeholder: "CODINGS", choices: CodingName::CHOICES,
        effect: Rollout,
    };

    /// Media types of responses that are compressed, separated by commas.
    ///
    /// `text/*` has every type of text, `*/*` every type.
    compress_types: Vec<MediaPattern> = MediaPattern::compressible(), [Worker], {
        section: Section::Http, placeholder: "TYPES",
        effect: Rollout,
    };

    /// Minimum length of a response to be compressed.
    compress_min_length: Size = Size(1024), [Worker], {
        section: Section::Http, placeholder: "SIZE",
        effect: Rollout,
    };

    /// How much time compression may take, as a word or a level.
    ///
    /// A level from 1 to 19 is that of the coding; gzip has 9 and br 11, which a higher number
    /// means there. The application's thread compresses.
    compress_level: CompressLevel = CompressLevel::Default, [Worker], {
        section: Section::Http, placeholder: "LEVEL", choices: &compression::LEVELS,
        effect: Rollout,
    };

    /// Rules that allow or deny requests; the first one that matches decides.
    ///
    /// A rule names clients: addresses, networks, `unix` for unix sockets, or `all`. It may name a
    /// path, which stands for everything beneath it too, and methods; `GET` stands for HEAD too.
    /// In the configuration file it is a mapping: `{deny: 10.0.0.0/8, path: /admin, method:
    /// [POST]}` or `{allow: [192.0.2.7, 10.0.0.0/8]}`; elsewhere it is written
    /// `deny=10.0.0.0/8;path=/admin;method=POST,PUT`. A request that no rule matches is allowed.
    /// One that is denied is answered 403 before the application gets it.
    ///
    /// `/admin` covers `/admin/x`, not `/administrator`. The path that the application gets may
    /// have slashes that it merges, and dots that it resolves. A deny rule matches if any of
    /// these spellings is beneath its path, with or without `SCRIPT_NAME`; an allow rule only if
    /// all of them are.
    ///
    /// If a client is denied whatever it requests, and neither `--real-ip` nor
    /// `--proxy-protocol` can name another one, its connections are closed when they are
    /// accepted. `--bind` can have rules for one address, which come before these; with `none`
    /// an address has no rules, not these either. `none` is the empty list.
    access: Vec<AccessRule> = Vec::new(), [Worker], {
        section: Section::Access, placeholder: "RULE", item: Some(&access_rule::ITEM),
        effect: Rollout,
    };

    /// Hosts for which requests are served, separated by commas; `off` allows all.
    ///
    /// `*.example.org` has all names below `example.org`, and not that name itself. Ports do not
    /// count. A request for another host is answered 421
    /// before the application gets it. If a request names a host in its target and in `Host`, both
    /// must be allowed.
    allowed_hosts: AllowedHosts = AllowedHosts::Off, [Worker], {
        section: Section::Access, placeholder: "HOSTS", choices: &hosts::CHOICES,
        effect: Rollout,
    };

    /// What happens to requests that name no host, as those of HTTP/1.0 may.
    ///
    /// It counts while `--allowed-hosts` is set.
    allowed_hosts_empty: EmptyHost = EmptyHost::Refuse, [Worker], {
        section: Section::Access, placeholder: "WORD", choices: EmptyHost::CHOICES,
        effect: Rollout,
    };

    /// Limits for the requests of each client address; can be repeated.
    ///
    /// `20/s` is 20 requests in a second, `5/m` 5 in a minute, `100/h` 100 in an hour. `20/s
    /// burst 40` lets 40 come at once, and then 20 in each second; without `burst` as many come
    /// at once as the first number. A request beyond a limit is answered 429 with `Retry-After`, before the
    /// application gets it. `/login=5/m` counts requests for `/login` and what is beneath it only;
    /// in the configuration file that can be a mapping: `{/login: 5/m}`.
    ///
    /// The address is that of the access log (`--real-ip`). The addresses of an IPv6 network of
    /// 64 bits count as one. All workers count in one table, which reloads keep. `none` is the
    /// empty list; at most 64 limits are possible.
    limit_rate: Vec<RateLimit> = Vec::new(), [Master, Worker], {
        section: Section::Access, placeholder: "RATE", mapping: true,
        effect: Rollout,
    };

    /// Maximum number of open connections of a client address; 0 disables it.
    ///
    /// The first request of a connection beyond it is answered 429, and the connection is closed.
    /// The address is that of the connection, or the one that the PROXY protocol names. With
    /// `real-ip`, the connections of the proxies in `forwarded-allow-ips` are not counted, unless
    /// that is `*`. All workers count together.
    limit_connections: u32 = 0, [Master, Worker], {
        section: Section::Access, placeholder: "COUNT", range: Some((0, 1_000_000)),
        effect: Rollout,
    };

    /// Maximum length of a request's body, such as `10M`; 0 disables the limit.
    ///
    /// A longer body is answered 413: by its `Content-Length` before any of it is read, else when
    /// it passes the limit.
    limit_request_body: Size = Size(1 << 30), [Worker], {
        section: Section::Access, placeholder: "SIZE",
        effect: Rollout,
    };

    /// Disk space for the bodies of requests, in all workers together.
    ///
    /// The default is a quarter of what is free in the directory for temporary files, counted
    /// without the bodies themselves.
    /// A body that has no room is answered 503; requests without a large body go on.
    limit_request_spool: Option<Size> = None, [Worker], {
        section: Section::Access, placeholder: "SIZE",
        effect: Rollout,
    };

    /// Maximum time that a request waits for an application thread; 0 disables it.
    ///
    /// At its end the client is answered 503 with `Retry-After`, and the application does not get
    /// the request.
    queue_timeout: Duration = Duration::ZERO, [Worker], {
        section: Section::Access, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// What happens when the application shows its debugger to clients.
    ///
    /// The worker looks for Django's `DEBUG`, the debug toolbar, and the debuggers of Flask and
    /// werkzeug in the application that it has loaded. Listeners at a loopback address, such as
    /// 127.0.0.1, do not count.
    debug_guard: DebugGuard = DebugGuard::Warn, [Worker], {
        section: Section::Access, placeholder: "WORD", choices: DebugGuard::CHOICES,
        effect: Rollout,
    };

    /// Files that the server sends, as `PREFIX=PATH`, or `auto`; can be repeated.
    ///
    /// `/static/=DIRECTORY` sends the files of a directory, `/favicon.ico=FILE` one file. The
    /// longest prefix of a request's path counts. In the configuration file it is a mapping:
    /// `{/static/: DIRECTORY, /favicon.ico: FILE}`. There are no index files and no listings. A
    /// file that does not exist is answered 404.
    ///
    /// With `auto` the path is that of Django's `STATIC_URL`, and the files are those of
    /// `STATIC_ROOT`; with `DEBUG` they are those that the staticfiles finders find.
    static_files as "static": Vec<StaticSetting> = Vec::new(), [Worker], {
        section: Section::Static, placeholder: "PREFIX=PATH", mapping: true,
        choices: &static_files::CHOICES,
        effect: Rollout,
    };

    /// Regular expression for names of files that never change.
    ///
    /// It is searched in the path below the prefix. Clients keep such a file for a year
    /// (`immutable`), as they do with the names that Django's `ManifestStaticFilesStorage` makes,
    /// which need no setting. `^assets/` fits what vite builds, `\.[0-9a-f]{16,}\.` the names of
    /// webpack with a hash.
    static_immutable: Option<PathPattern> = None, [Worker], {
        section: Section::Static, placeholder: "REGEX",
        effect: Rollout,
    };

    /// Time for which clients may keep a file without asking for it again.
    ///
    /// It is the `max-age` of files whose content can change under the same name.
    static_max_age: u32 = 60, [Worker], {
        section: Section::Static, placeholder: "SECONDS", range: Some((0, 365 * DAY)),
        effect: Rollout,
    };

    /// Pass requests for files that do not exist to the application.
    ///
    /// Without it they are answered 404.
    static_fallthrough: bool = false, [Worker], {
        section: Section::Static,
        effect: Rollout,
    };

    /// Follow symbolic links that lead out of the directories of files.
    ///
    /// Links that stay inside are followed in any case.
    static_follow_links: bool = false, [Worker], {
        section: Section::Static,
        effect: Rollout,
    };

    /// Directories of files that the application sends by a header; can be repeated.
    ///
    /// With `/protected/=DIRECTORY` a response with `X-Accel-Redirect: /protected/a%20b.pdf`, or
    /// with `X-Sendfile` and the path of a file in the directory, is replaced by that file: the
    /// application decides, and the server sends. In the configuration file it is a mapping:
    /// `{/protected/: DIRECTORY}`. Without it the headers are passed on, for a proxy that
    /// understands them. `none` is the empty list.
    accel: Vec<StaticMapping> = Vec::new(), [Worker], {
        section: Section::Static, placeholder: "PREFIX=DIRECTORY", mapping: true,
        effect: Rollout,
    };

    /// File with a certificate, and the certificates of its issuers behind it, as PEM.
    ///
    /// It may contain the key too. It can be repeated, with one `--keyfile` each, in the same
    /// order: a client gets the certificate that fits the name which it asks for (SNI). The
    /// first certificate is the default.
    ///
    /// The master reads certificates and keys before it gives up any privilege, and passes
    /// them on in memory. The user of the workers needs no right to read them. A renewed file
    /// takes effect without a reload, within a minute.
    certfile: Vec<PathBuf> = Vec::new(), [Master], {
        section: Section::Tls, placeholder: "FILE",
        effect: Rollout, gunicorn: Some("certfile"),
        differs: Some("it can be repeated; a renewed file takes effect without a reload"),
    };

    /// File with the private key of the certificate, as PEM.
    ///
    /// PKCS#8, PKCS#1 or SEC1, without a passphrase. Without it the key is in the file of the
    /// certificate. With several certificates there is one for each, in the same order.
    keyfile: Vec<PathBuf> = Vec::new(), [Master], {
        section: Section::Tls, placeholder: "FILE",
        effect: Rollout, gunicorn: Some("keyfile"),
        differs: Some("it can be repeated"),
    };

    /// Further certificates: pairs of files, or directories as certbot lays them out.
    ///
    /// A word is a directory such as `/etc/letsencrypt/live`: each directory in it with a
    /// `fullchain.pem` and a `privkey.pem` is a certificate. In the configuration file a
    /// mapping `{certfile: FILE, keyfile: FILE}` is a pair; elsewhere a pair is written
    /// `certfile=FILE,keyfile=FILE`. They come after those of `--certfile`.
    certificates: Vec<CertificateSource> = Vec::new(), [Master], {
        section: Section::Tls, placeholder: "DIRECTORY", item: Some(&tls::ITEM),
        effect: Rollout,
    };

    /// File with the certificates of the authorities that issue clients' certificates.
    ///
    /// Whether a client needs one is set by `--cert-reqs`. After a change, sessions that were
    /// opened under the old file are not resumed.
    ca_certs: Option<PathBuf> = None, [Master], {
        section: Section::Tls, placeholder: "FILE",
        effect: Rollout, gunicorn: Some("ca_certs"),
    };

    /// Whether a client must have a certificate.
    ///
    /// The numbers 0, 1 and 2 mean `none`, `optional` and `required`. The application gets
    /// the verified client in its environ, as `SSL_CLIENT_S_DN` and others.
    cert_reqs: CertReqs = CertReqs::None, [Master], {
        section: Section::Tls, placeholder: "WORD", choices: CertReqs::CHOICES,
        effect: Rollout, gunicorn: Some("cert_reqs"),
        differs: Some("words are accepted too"),
    };

    /// Lowest version of TLS that is accepted.
    tls_minimum_version: TlsVersionSetting = TlsVersionSetting::V12, [Master], {
        section: Section::Tls, placeholder: "VERSION", choices: TlsVersionSetting::CHOICES,
        effect: Rollout,
    };

    /// Cipher suites, separated by colons or commas; the default is all of them.
    ///
    /// The names are OpenSSL's or IANA's (`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`). They
    /// choose the suites of TLS 1.2; those of TLS 1.3 change only if one of them is named. A
    /// list with suites of TLS 1.3 only turns TLS 1.2 off. On the command line, and in gunicorn's
    /// sources, it can be an expression of OpenSSL, such as `ECDHE+AESGCM:!aNULL`.
    ciphers: Option<Ciphers> = None, [Master], {
        section: Section::Tls, placeholder: "LIST", choices: &CIPHER_CHOICES,
        effect: Rollout, gunicorn: Some("ciphers"),
        differs: Some("an expression of OpenSSL (`HIGH:!aNULL`) chooses among the suites that there are here"),
    };

    /// Refuse clients that ask for a name which no certificate has.
    ///
    /// Without it such a client, and one that names no host, gets the default certificate.
    tls_strict_sni: bool = false, [Master], {
        section: Section::Tls,
        effect: Rollout,
    };

    /// Maximum time for the TLS handshake, and for a header of the PROXY protocol.
    ///
    /// At its end the connection is closed, and counted. 0 disables the limit.
    tls_handshake_timeout: Duration = Duration::from_secs(10), [Worker], {
        section: Section::Tls, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// Give the application the client's certificate as PEM, in `SSL_CLIENT_CERT`.
    tls_client_cert_environ: bool = false, [Worker], {
        section: Section::Tls,
        effect: Rollout,
    };

    /// Redirect requests on plain listeners to https.
    ///
    /// The response is 308 with the same host and path, and the port of the https listener
    /// unless that is 443. `/.well-known/acme-challenge/` is not redirected, nor is a request
    /// of which a trusted proxy reports that the client uses https.
    redirect_https: bool = false, [Worker], {
        section: Section::Tls,
        effect: Rollout,
    };

    /// Directory with `/.well-known/acme-challenge/`, served on plain listeners.
    ///
    /// The directory of `certbot certonly --webroot -w DIRECTORY`: certificates are issued
    /// and renewed without another server. The user of the workers must be able to read it.
    acme_webroot: Option<PathBuf> = None, [Worker], {
        section: Section::Tls, placeholder: "DIRECTORY",
        effect: Rollout,
    };

    /// Time for which browsers use https only (`Strict-Transport-Security`).
    ///
    /// Responses over https have the header, unless the application sets it. 0 adds none; a
    /// usual value is 31536000, a year. Browsers keep it for that time even if https goes
    /// away.
    hsts: u32 = 0, [Worker], {
        section: Section::Tls, placeholder: "SECONDS",
        effect: Rollout,
    };

    /// Accepted for gunicorn's configurations; it has no effect.
    ///
    /// The handshake never occupies an application thread.
    do_handshake_on_connect: bool = false, [Master], {
        section: Section::Tls,
        effect: Rollout, gunicorn: Some("do_handshake_on_connect"),
        differs: Some("has no effect"),
    };

    /// Accepted for gunicorn's configurations; it has no effect.
    ///
    /// A connection that ends without the closing message of TLS ends like any other: what
    /// its client has not sent completely is not served.
    suppress_ragged_eofs: bool = true, [Master], {
        section: Section::Tls,
        effect: Rollout, gunicorn: Some("suppress_ragged_eofs"),
        differs: Some("has no effect"),
    };

    /// Accepted for gunicorn's configurations; it has no effect.
    ///
    /// The versions are set by `--tls-minimum-version`.
    ssl_version: Option<String> = None, [Master], {
        section: Section::Tls, placeholder: "VERSION",
        effect: Rollout, gunicorn: Some("ssl_version"),
        differs: Some("has no effect, as in gunicorn"),
    };

    /// Proxies whose headers are trusted, separated by commas.
    ///
    /// Addresses such as `10.0.0.7`, networks such as `10.0.0.0/8`, or `*` for all
    /// addresses. It governs the headers of `--secure-scheme-headers`,
    /// `--forwarder-headers` and `--real-ip`. Proxies on unix sockets are trusted too, as
    /// in gunicorn; `no-unix` in the list excludes them, and `none` alone trusts no proxy.
    /// An IPv4-mapped IPv6 address counts as IPv4.
    forwarded_allow_ips: AddressSet = AddressSet::local(), [Worker], {
        section: Section::Proxy, placeholder: "ADDRESSES",
        effect: Rollout, gunicorn: Some("forwarded_allow_ips"),
        differs: Some("`no-unix` and `none` are accepted too; an empty `FORWARDED_ALLOW_IPS` is ignored"),
        env_default: Some(EnvDefault { variable: "FORWARDED_ALLOW_IPS", template: "{}" }),
    };

    /// Headers by which a trusted proxy reports that its client uses https.
    ///
    /// In the configuration file either a mapping of headers to values or a list of
    /// `HEADER=VALUE`; on the command line it can be repeated. With one of these headers and
    /// exactly its value `wsgi.url_scheme` is `https`. Headers that contradict each other are
    /// answered 400. `none` uses no header.
    secure_scheme_headers: SchemeHeaders = SchemeHeaders::default(), [Worker], {
        section: Section::Proxy, placeholder: "HEADER=VALUE", mapping: true,
        effect: Rollout, gunicorn: Some("secure_scheme_headers"),
    };

    /// Headers with an underscore that only trusted proxies may send.
    ///
    /// Names separated by commas. `SCRIPT_NAME` is the part of the path under which the
    /// application is mounted; it must end at a segment of the path, otherwise the request is
    /// answered 400. `*` accepts every name, `none` no name.
    forwarder_headers: NameList = NameList::forwarders(), [Worker], {
        section: Section::Proxy, placeholder: "NAMES",
        effect: Rollout, gunicorn: Some("forwarder_headers"),
    };

    /// What happens to other headers with an underscore in their name.
    ///
    /// An application cannot distinguish `X_Forwarded_Proto` from `X-Forwarded-Proto`.
    header_map: HeaderMap = HeaderMap::Drop, [Worker], {
        section: Section::Proxy, placeholder: "WORD", choices: HeaderMap::CHOICES,
        effect: Rollout, gunicorn: Some("header_map"),
    };

    /// Whether connections begin with a header of the PROXY protocol.
    ///
    /// The header names the client's address for every request of the connection. With `v1`
    /// or `v2` a connection without it is closed. A header is accepted from
    /// `--proxy-allow-ips` only. `--bind` can have its own mode for one address. Without a
    /// word the flag means `auto`.
    proxy_protocol: ProxyMode = ProxyMode::Off, [Listener], {
        section: Section::Proxy, placeholder: "MODE", choices: ProxyMode::CHOICES,
        effect: Rollout, gunicorn: Some("proxy_protocol"),
    };

    /// Proxies that may send a header of the PROXY protocol.
    ///
    /// The words are those of `--forwarded-allow-ips`.
    proxy_allow_ips: AddressSet = AddressSet::local(), [Worker], {
        section: Section::Proxy, placeholder: "ADDRESSES", aliases: &["proxy-allow-from"],
        effect: Rollout, gunicorn: Some("proxy_allow_ips"),
    };

    /// The header that names the client's address.
    ///
    /// Exactly one header is read, since a client can forge the one that its proxy does not
    /// set. The rightmost address in it that `--forwarded-allow-ips` does not have becomes
    /// `REMOTE_ADDR` and the client of the access log. The walk begins at the address of the
    /// connection: what an untrusted client sends is not read.
    real_ip: RealIp = RealIp::Off, [Worker], {
        section: Section::Proxy, placeholder: "HEADER", choices: RealIp::CHOICES,
        effect: Rollout,
    };

    /// Name in the titles of the processes.
    ///
    /// The default is the name of the application or program.
    name: Option<String> = None, [Master, Worker], {
        section: Section::Process, short: Some('n'), placeholder: "NAME",
        effect: Rollout, gunicorn: Some("proc_name"),
    };

    /// Run in the background, detached from the terminal.
    daemon: bool = false, [Master], {
        section: Section::Process, short: Some('D'),
        effect: Restart, gunicorn: Some("daemon"),
    };

    /// File to write the process ID of the master to.
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

    /// Give the workers all groups that their user is a member of.
    initgroups: bool = false, [Master], {
        section: Section::Process,
        effect: Rollout, gunicorn: Some("initgroups"),
    };

    /// File mode creation mask of the server and the application.
    ///
    /// Octal with a leading zero (`022`, `0o22`), else decimal or `0x` hexadecimal.
    /// If it is not set, it applies to unix sockets only, and everything else keeps
    /// the mask that the server was started with.
    umask: Umask = Umask(0), [Master, Listener], {
        section: Section::Process, short: Some('m'), placeholder: "MASK",
        effect: Rollout, gunicorn: Some("umask"),
    };

    /// Address for metrics, health checks and a status page; can be repeated.
    ///
    /// `HOST:PORT`, `HOST` (port 9180), `:PORT` (all IPv4 addresses), `[IPV6]:PORT` or
    /// `unix:PATH`. The master responds there, over plain HTTP: `/metrics` for Prometheus,
    /// `/livez` and `/readyz` for health checks, `/` with a page about the state of the
    /// server, and `/status.json`. The page shows paths of requests with their queries, so the
    /// address should be one that only operators reach. `none` is the empty list.
    metrics: Vec<MetricsAddress> = Vec::new(), [Master], {
        section: Section::Metrics, placeholder: "ADDRESS",
        effect: Live,
    };

    /// Clients that may read metrics, separated by commas.
    ///
    /// Addresses, networks, `unix` for unix sockets, or `all`. Connections of others to an address
    /// of `--metrics` are closed, and their requests for `--metrics-path` are answered 404. Without
    /// it every client that reaches an address of `--metrics` may read them, and
    /// `--metrics-path` is for clients at a loopback address only.
    metrics_allow: Option<ClientSet> = None, [Master, Worker], {
        section: Section::Metrics, placeholder: "CLIENTS",
        effect: Rollout,
    };

    /// Path of the metrics on the addresses of `--bind`.
    ///
    /// Requests for it do not reach the application. The client's address is that of the access
    /// log (`--real-ip`).
    metrics_path: Option<UrlPath> = None, [Worker], {
        section: Section::Metrics, placeholder: "URL-PATH",
        effect: Rollout,
    };

    /// Path of a health check on the addresses of `--bind`.
    ///
    /// It is answered 200 while the server serves, and 503 from the moment at which it is asked to
    /// stop, without the application and without a free thread.
    health_path: Option<UrlPath> = None, [Worker], {
        section: Section::Metrics, placeholder: "URL-PATH",
        effect: Rollout,
    };

    /// Add the metrics that the application counts with `prometheus_client`.
    ///
    /// The workers' environment has `PROMETHEUS_MULTIPROC_DIR` in any case, so that the metrics of
    /// all workers add up.
    metrics_application: bool = false, [Master], {
        section: Section::Metrics,
        effect: Live,
    };

    /// Address to send figures for StatsD to: `HOST:PORT` or `unix://PATH`.
    ///
    /// They are gunicorn's, with the same names, as UDP or unix datagrams. The default port is
    /// 8125. A datagram that cannot be sent at once is lost.
    statsd_host: Option<StatsdAddress> = None, [Master, Worker], {
        section: Section::Metrics, placeholder: "ADDRESS",
        effect: Rollout, gunicorn: Some("statsd_host"),
    };

    /// What the names of figures for StatsD begin with; a dot is added.
    statsd_prefix: StatsdPrefix = StatsdPrefix::default(), [Master, Worker], {
        section: Section::Metrics, placeholder: "PREFIX",
        effect: Rollout, gunicorn: Some("statsd_prefix"),
    };

    /// Tags of DogStatsD for each figure, such as `tag1:value1,tag2:value2`.
    dogstatsd_tags: StatsdTags = StatsdTags::default(), [Master, Worker], {
        section: Section::Metrics, placeholder: "TAGS",
        effect: Rollout, gunicorn: Some("dogstatsd_tags"),
    };

    /// Send the number of connections that wait to be accepted to StatsD.
    enable_backlog_metric: bool = false, [Master], {
        section: Section::Metrics,
        effect: Live, gunicorn: Some("enable_backlog_metric"),
    };

    /// Lowest level of messages in the error log.
    log_level: LogLevel = LogLevel::Info, [Master, Worker], {
        section: Section::Logging, placeholder: "LEVEL", choices: &LEVELS,
        effect: Rollout, gunicorn: Some("loglevel"),
    };

    /// File for the error log; `-` is standard error.
    error_logfile: LogTarget = LogTarget::Stream, [Master, Worker], {
        section: Section::Logging, placeholder: "FILE", aliases: &["log-file"],
        effect: Rollout, gunicorn: Some("errorlog"),
    };

    /// File for the access log, a line per request; `-` is standard output.
    access_logfile: Option<LogTarget> = None, [Master, Worker], {
        section: Section::Logging, placeholder: "FILE",
        effect: Rollout, gunicorn: Some("accesslog"),
    };

    /// Format of a line in the access log.
    ///
    /// gunicorn's atoms, each written as `%(ATOM)s`; `%(ATOM)-15s` fills 15 columns, and `%%` is a
    /// percent sign.
    access_logformat: AccessFormat = AccessFormat::usual(), [Worker], {
        section: Section::Logging, placeholder: "FORMAT",
        choices: &access_format::ATOMS,
        effect: Rollout, gunicorn: Some("access_log_format"),
        differs: Some("`%(h)s` is the client that `--real-ip` names, and `-` at a unix socket; other bytes than printable ASCII are escaped"),
    };

    /// Requests that the access log leaves out; can be repeated.
    ///
    /// A path excludes the paths below it too; a number excludes responses with that status. `none`
    /// is the empty list. A path is left out only if it is beneath the prefix however the
    /// application reads it.
    access_log_exclude: Vec<AccessExclusion> = Vec::new(), [Worker], {
        section: Section::Logging, placeholder: "PATH|STATUS",
        effect: Rollout,
    };

    /// The part of all requests that the access log has, from 0 to 1.
    ///
    /// Which requests it has is random: with `0.1` one in ten.
    access_log_sample: Fraction = Fraction::ONE, [Worker], {
        section: Section::Logging, placeholder: "FRACTION",
        effect: Rollout,
    };

    /// Format of the lines in the error log and the access log.
    ///
    /// With `json` each line is one object; `--access-logformat` has no effect then.
    log_format: LogFormat = LogFormat::Text, [Master, Worker], {
        section: Section::Logging, placeholder: "WORD", choices: LogFormat::CHOICES,
        effect: Rollout,
    };

    /// Send the error log and the access log to syslog too.
    log_syslog: bool = false, [Master, Worker], {
        section: Section::Logging,
        effect: Rollout, gunicorn: Some("syslog"),
        differs: Some("messages have the form of RFC 5424; over TCP they are framed by their length"),
    };

    /// Address to send messages for syslog to.
    ///
    /// `unix://PATH`, `unix://PATH#dgram` or `unix://PATH#stream`, `udp://HOST:PORT` or
    /// `tcp://HOST:PORT`; the default port is 514.
    log_syslog_to: SyslogAddress = SyslogAddress::usual(), [Master, Worker], {
        section: Section::Logging, placeholder: "ADDRESS",
        effect: Rollout, gunicorn: Some("syslog_addr"),
    };

    /// The name of the program in messages for syslog.
    ///
    /// With the prefix `shop` it is `monoceros.shop.error` or `monoceros.shop.access`. The default
    /// is that of `--name`.
    log_syslog_prefix: Option<String> = None, [Master, Worker], {
        section: Section::Logging, placeholder: "PREFIX",
        effect: Rollout, gunicorn: Some("syslog_prefix"),
        differs: Some("the name begins with `monoceros` instead of `gunicorn`"),
    };

    /// The facility of messages for syslog.
    log_syslog_facility: SyslogFacility = SyslogFacility::User, [Master, Worker], {
        section: Section::Logging, placeholder: "WORD", choices: SyslogFacility::CHOICES,
        effect: Rollout, gunicorn: Some("syslog_facility"),
        differs: Some("an unknown facility is an error at the start"),
    };

    /// Leave the access log out of what is sent to syslog.
    disable_redirect_access_to_syslog: bool = false, [Master, Worker], {
        section: Section::Logging,
        effect: Rollout, gunicorn: Some("disable_redirect_access_to_syslog"),
    };

    /// File that configures Python's logging for both logs.
    ///
    /// `logging.config.fileConfig` reads it.
    ///
    /// With this, with `--log-config-json` or with `--logger-class` workers write both logs through
    /// Python's loggers `gunicorn.error` and `gunicorn.access`, and requests are logged also without
    /// `--access-logfile`. A relative path starts from the working directory of the workers.
    log_config: Option<PathBuf> = None, [Worker], {
        section: Section::Logging, placeholder: "FILE",
        effect: Rollout, gunicorn: Some("logconfig"),
    };

    /// JSON file that configures Python's logging for both logs.
    ///
    /// `logging.config.dictConfig` takes its content.
    log_config_json: Option<PathBuf> = None, [Worker], {
        section: Section::Logging, placeholder: "FILE",
        effect: Rollout, gunicorn: Some("logconfig_json"),
    };

    /// The class of the logger in Python, with its module: `shop.logs.Logger`.
    ///
    /// A class such as gunicorn's `gunicorn.glogging.Logger`, most often derived from it.
    logger_class: Option<String> = None, [Worker], {
        section: Section::Logging, placeholder: "CLASS",
        effect: Rollout, gunicorn: Some("logger_class"),
    };

    /// Time after which a request is slow; 0 disables this.
    ///
    /// The stacks of the worker that has it are logged, once and while it still runs, with the
    /// request, its age, the processor time that it has used, and the number of requests that
    /// wait behind it.
    slow_request: Duration = Duration::ZERO, [Master, Worker], {
        section: Section::Logging, placeholder: "SECONDS", range: Some((0, DAY)),
        effect: Rollout,
    };

    /// File for slow requests (`--slow-request`), instead of the error log.
    slow_logfile: Option<LogTarget> = None, [Master, Worker], {
        section: Section::Logging, placeholder: "FILE",
        effect: Rollout,
    };

    /// Send the application's standard output and error to the error log.
    capture_output: bool = false, [Master, Worker], {
        section: Section::Logging,
        effect: Rollout, gunicorn: Some("capture_output"),
    };

    /// Reload when a file that the server reads has changed.
    ///
    /// Watched are the files of the configuration, those of `--reload-extra-file`, and what the
    /// workers report of the application. The reload is the same as by a command: the old code
    /// serves until the new one is ready, and goes on if the new one cannot serve. It is for
    /// development: without it no file is watched.
    reload: bool = false, [Master, Worker], {
        section: Section::Development,
        effect: Rollout, gunicorn: Some("reload"),
        differs: Some("the old code serves until the new one is ready"),
    };

    /// Further file whose change reloads, with `--reload`; can be repeated.
    ///
    /// A directory stands for the files in it, and below it. A file that does not exist yet is
    /// waited for.
    reload_extra_file: Vec<PathBuf> = Vec::new(), [Master], {
        section: Section::Development, placeholder: "FILE",
        effect: Rollout, gunicorn: Some("reload_extra_files"),
    };

    /// How changes are noticed with `--reload`.
    ///
    /// Polling takes up to 1 % of a processor, and notices a change after a second, or
    /// later if there are very many files.
    reload_engine: ReloadEngine = ReloadEngine::Auto, [Master], {
        section: Section::Development, placeholder: "ENGINE", choices: ReloadEngine::CHOICES,
        effect: Rollout, gunicorn: Some("reload_engine"),
    };

    /// Serve as on a developer's machine; the command `dev` sets it.
    ///
    /// The access log has one short line for each request, with its method, target, status and
    /// time, in colours on a terminal; another `--access-logformat` counts. When the server serves,
    /// its address is written on the terminal. It is not for production.
    development: bool = false, [Master, Worker], {
        section: Section::Development, in_file: false,
        effect: Restart,
    };

    /// The configuration file: in YAML, or as gunicorn's in Python.
    ///
    /// A file that ends in `.yaml` or `.yml` is YAML. Any other one is Python, and so is
    /// `python:MODULE`. Without it `./monoceros.yaml` is read if it exists, else
    /// `./gunicorn.conf.py`. Root reads YAML only from a file
    /// that no other user can change, in directories that no other user can change. A
    /// user that has become root by `sudo` counts as root.
    config: Option<PathBuf> = None, [Master], {
        section: Section::Configuration, short: Some('c'), placeholder: "FILE", in_file: false,
        effect: Restart, gunicorn: Some("config"),
        differs: Some("a file that ends in `.yaml` or `.yml` is YAML; beside `./monoceros.yaml` there is no need for `./gunicorn.conf.py`, which is not read then"),
    };

    /// Check the settings and the application, report errors, and exit.
    check_config: bool = false, [Master], {
        section: Section::Configuration, in_file: false,
        effect: Restart, gunicorn: Some("check_config"),
    };

    /// Check as with `--check-config`, and print every setting with its source.
    ///
    /// What is printed can be used as a configuration file.
    print_config: bool = false, [Master], {
        section: Section::Configuration, in_file: false,
        effect: Restart, gunicorn: Some("print_config"),
    };
}

impl Row {
    /// Finds the setting of a key in the file, or of the rest of a variable's name.
    ///
    /// `-` and `_` are equal, and gunicorn's names are accepted too.
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
    /// The rows in which two values of `Settings` differ; [`Row::effect`] is what each
    /// needs to take effect.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<&'static Row> {
        ROWS.iter().filter(|row| row.texts(self) != row.texts(other)).collect()
    }
}

#[cfg(test)]
mod tests;
