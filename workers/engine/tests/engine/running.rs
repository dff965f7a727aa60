//! A worker in this process, and the master's ends of its channel and scoreboard.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use monoceros_config::AccessFormat;
use monoceros_engine::{
    AccessLog, ApplicationKind, Engine, EngineParts, Exchange, LayerFactory, ListenerParts,
    MultiplexerFactory, Options, RequestSource, Wait,
};
use monoceros_log::{Destination, LineLog, LogFile};
use monoceros_sys::fork::Private;
use monoceros_wire::channel::{MasterEnd, pair};
use monoceros_wire::listener::{
    ListenerAddress, ListenerDescription, ListenerOptions, ProxyProtocol, Scheme,
};
use monoceros_wire::scoreboard::{BoardShape, Scoreboard};
use monoceros_wire::{Generation, Slot};

/// Long enough for a loaded machine; a test that passes never waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The worker without its application threads. It ends when this is dropped, as a
/// worker whose master has died; its threads stay.
pub(crate) struct RunningEngine {
    pub(crate) worker: Engine,
    pub(crate) master: MasterEnd,
    pub(crate) board: Scoreboard,
    pub(crate) address: SocketAddr,
    pub(crate) log: PathBuf,
}

/// The parts between the sockets of a worker under test and its application.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) layer: Option<LayerFactory>,
    pub(crate) protocol: Option<MultiplexerFactory>,
    pub(crate) proxy_protocol: ProxyProtocol,
}

impl RunningEngine {
    /// Starts one; `name` is the access log's, and the loop calls `reopen` on that
    /// message of the master.
    pub(crate) fn start(
        name: &str,
        options: Options,
        reopen: impl FnMut() + Send + 'static,
    ) -> Self {
        let engine = Self::prepare(name, options, Wire::default(), reopen);
        engine.worker.start().unwrap();
        engine
    }

    /// As above, with a layer between its connections and HTTP.
    pub(crate) fn with_layer(name: &str, options: Options, layer: LayerFactory) -> Self {
        let wire = Wire { layer: Some(layer), ..Wire::default() };
        let engine = Self::prepare(name, options, wire, || {});
        engine.worker.start().unwrap();
        engine
    }

    /// As above, with another protocol in place of HTTP/1.
    pub(crate) fn with_protocol(
        name: &str,
        options: Options,
        protocol: MultiplexerFactory,
    ) -> Self {
        let wire = Wire { protocol: Some(protocol), ..Wire::default() };
        let engine = Self::prepare(name, options, wire, || {});
        engine.worker.start().unwrap();
        engine
    }

    /// As above, without its I/O thread.
    pub(crate) fn prepare(
        name: &str,
        options: Options,
        wire: Wire,
        mut reopen: impl FnMut() + Send + 'static,
    ) -> Self {
        let Wire { layer, protocol, proxy_protocol } = wire;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let description = ListenerDescription {
            name: name.to_owned(),
            address: ListenerAddress::Internet(address),
            scheme: Scheme::Http,
            alpn: Vec::new(),
            options: ListenerOptions { defer_accept: true, proxy_protocol },
            access: None,
        };
        let (master, channel_end) = pair().unwrap();
        let shape = match options.application {
            ApplicationKind::Threads { count, .. } => BoardShape::of_threads(count),
            ApplicationKind::Events { streams, .. } => {
                BoardShape { sides: 1, entries: streams, listeners: 0 }
            }
        };
        let shape = shape.with_listeners(1);
        let board = Scoreboard::create(Slot(0), Generation(1), shape).unwrap();
        let theirs = Scoreboard::adopt(board.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let log = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let file = LogFile::open(Destination::File(log.clone())).unwrap();
        let format = AccessFormat::new("%(r)s|%(s)s|%(B)s|%(a)s|%(M)s").unwrap();
        let given = EngineParts {
            tls: None,
            line: None,
            channel: channel_end,
            scoreboard: theirs,
            listeners: vec![ListenerParts {
                fd: Private::from(OwnedFd::from(listener)),
                description,
                layer,
                protocol,
            }],
            access: Some(AccessLog::new(LineLog::new(Some(Arc::new(file)), None), format)),
            figures: None,
            reopen: Box::new(move |_| reopen()),
            announce: Box::new(|_| ()),
            expire: Box::new(|| ()),
        };
        let end = |_| {
            loop {
                thread::park();
            }
        };
        let worker = Engine::prepare(options, given, end).unwrap();
        worker.watch_signals().unwrap();
        Self { worker, master, board, address, log }
    }
}

impl Drop for RunningEngine {
    fn drop(&mut self) {
        std::fs::remove_file(&self.log).ok();
    }
}

/// Waits until a condition returns a value.
pub(crate) fn some<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// An application thread: responds to each request until the worker stops.
pub(crate) fn serve(requests: &RequestSource, mut respond: impl FnMut(Exchange)) {
    loop {
        while let Some(exchange) = requests.next() {
            respond(exchange);
        }
        if requests.wait() == Wait::Stop {
            return;
        }
    }
}
