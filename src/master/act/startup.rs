//! Owns what ties this process to the terminal that it was started at: the error log, and
//! the process that waits there until the server serves. Called by the event loop only.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use monoceros_log::{Destination, RecordWriter};
use monoceros_sys::daemon::Starter;
use monoceros_sys::{reason, title};
use monoceros_wire::listener::{ListenerAddress, ListenerDescription};

use crate::master::act::generations::Generations;
use crate::master::act::logs;
use crate::master::act::worker_spec::WorkerSpec;

/// The exit code of a master that cannot begin.
pub(crate) const CANNOT_START: u8 = 1;

/// The error log, and the process that waits for this server to serve.
pub(crate) struct Startup {
    log: Arc<RecordWriter>,
    /// Only of a server that goes to the background, and until it serves.
    starter: Option<Starter>,
}

impl Startup {
    /// A server that does not serve yet.
    pub(crate) fn new(log: Arc<RecordWriter>, starter: Option<Starter>) -> Self {
        Self { log, starter }
    }

    /// Opens the master's log file again.
    pub(crate) fn reopen(&self, generations: &Generations) -> Result<(), String> {
        let Some(spec) = generations.current() else { return Ok(()) };
        let reopened = self.log.file().reopen_by(|path| logs::open(path, spec.other_user()));
        self.capture_output(spec, reopened)
    }

    /// Goes on with the error log of these settings.
    pub(crate) fn follow(&self, spec: &WorkerSpec) {
        let settings = &spec.settings;
        logs::configure(&self.log, settings, spec.name(None));
        let destination =
            logs::destination(&settings.error_logfile, Destination::Stderr, &spec.directory);
        let file = self.log.file();
        if file.destination() == destination {
            return;
        }
        let moved = file.continue_at(destination, |path| logs::open(path, spec.other_user()));
        if let Err(error) = self.capture_output(spec, moved) {
            log::error!("{error}; still writing to the old file");
        }
    }

    fn capture_output(&self, spec: &WorkerSpec, opened: io::Result<()>) -> Result<(), String> {
        let file = self.log.file();
        let captures = spec.settings.capture_output;
        let done = opened.and_then(|()| if captures { file.capture_output() } else { Ok(()) });
        done.map_err(|error| reason(&error))
    }

    /// The server serves: the starting process may return.
    pub(crate) fn release(&mut self, generations: &Generations) {
        if let Some(starter) = self.starter.take() {
            starter.answer(0);
            // The log had kept the terminal open until now.
            if let Err(error) = self.reopen(generations) {
                log::error!("{error}; still writing to the old file");
            }
        }
    }

    /// The server ends with this exit code, and may not have served.
    pub(crate) fn fail(&mut self, code: u8) {
        if let Some(starter) = self.starter.take() {
            // The starting process takes 0 for success.
            starter.answer(code.max(CANNOT_START));
        }
    }
}

/// Logs that the server serves, and names the application in the title of the process.
pub(crate) fn announce(spec: &WorkerSpec, app: &str, workers: u16) {
    // A program need not name what it serves.
    let configured = spec.app.as_deref().unwrap_or_default();
    let app = if app.is_empty() { configured } else { app };
    title::set(&format!("monoceros: master [{}]", spec.name(Some(app))));
    let addresses: Vec<_> = spec.descriptions().map(|it| it.to_string()).collect();
    let (addresses, pid) = (addresses.join(", "), std::process::id());
    let (version, plural) = (env!("CARGO_PKG_VERSION"), if workers == 1 { "" } else { "s" });
    log::info!(
        "serving {app} at {addresses} with {workers} worker{plural} (pid {pid}, monoceros {version})"
    );
    if spec.settings.development
        && let Some(url) = spec.descriptions().find_map(|it| url(&it))
    {
        log::info!("open {url} in a browser; Ctrl-C ends the server");
    }
}

/// The URL by which a browser on this machine finds a listener.
fn url(listener: &ListenerDescription) -> Option<String> {
    let mut address = match &listener.address {
        ListenerAddress::Internet(address) => *address,
        ListenerAddress::Unix(_) => return None,
    };
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    Some(format!("{}://{address}/", listener.scheme.as_str()))
}
