//! A worker's engine from outside: starting it, its request sources, and the wait for
//! its end.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use mio::{Poll, Waker};
use monoceros_sys::fork;
use monoceros_sys::thread;
use monoceros_tls::TlsServer;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::scoreboard::{ReportedState, Running, Scoreboard};

use crate::event_loop::control::{ControlParts, Hooks, SignalInput};
use crate::event_loop::drain::DrainOrigin;
use crate::event_loop::{EventLoop, WAKER};
use crate::handoff::Handoff;
use crate::handoff::event_source::EventSource;
use crate::handoff::loop_owner::LoopOwner;
use crate::handoff::source::RequestSource;
use crate::handoff::wait::Wait;
use crate::listen::gate::{Listener, ListenerParts};
use crate::master_line::MasterLine;
use crate::options::Options;
use crate::record::access::AccessLog;
use crate::record::figures::RequestFigures;
use crate::record::giving_up::LossLog;
use crate::shared::Shared;
use crate::spool::Spools;
use crate::stream::request_ids::RequestIds;
use crate::transport::room::Room;

/// What the master has given to a worker.
pub struct EngineParts {
    /// Its end of the channel, from which the first message has been taken.
    pub channel: WorkerEnd,
    /// Its scoreboard.
    pub scoreboard: Scoreboard,
    /// The listening sockets.
    pub listeners: Vec<ListenerParts>,
    /// TLS, whose material a message of the master replaces; `None` without TLS.
    pub tls: Option<TlsServer>,
    /// The way to the master for requests with a reply, which has a copy of `channel`; `None`
    /// if no request needs it.
    pub line: Option<MasterLine>,
    /// The access log, if there is one.
    pub access: Option<AccessLog>,
    /// Figures for a statsd server, if there is one.
    pub figures: Option<RequestFigures>,
    /// Opens the error log again, by name.
    pub reopen: Box<dyn FnMut(Vec<OwnedFd>) + Send>,
    /// Notifies the application that the worker begins to drain.
    pub announce: Box<dyn FnMut(DrainOrigin) + Send>,
    /// Notifies the application that a request has run for longer than `timeout`.
    pub expire: Box<dyn FnMut() + Send>,
}

/// The engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    loop_owner: Arc<LoopOwner>,
    signals: Arc<SignalInput>,
    /// The I/O thread runs.
    has_started: Arc<AtomicBool>,
}

impl Engine {
    /// Makes everything but the I/O thread: application threads can register, and wait
    /// for requests. When the worker must end at once, `end` is called with the exit
    /// code, on any thread, and must not return.
    ///
    /// # Errors
    /// Those of `epoll_create(2)` and `eventfd(2)`.
    pub fn prepare(
        options: Options,
        given: EngineParts,
        end: impl Fn(i32) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let listeners = given.listeners.into_iter().enumerate().map(Listener::adopt).collect();
        let shared = Arc::new(Shared {
            handoff: Handoff::new(options.application, options.queue_timeout, waker)?,
            spools: Spools::new(
                options.spool_directory.clone(),
                options.spool_limit,
                options.spool_count.clone(),
            ),
            room: Arc::new(Room::new(options.response_memory, options.response_disk)),
            workers: AtomicU16::new(options.workers),
            ids: RequestIds::new(options.id_field.clone(), given.scoreboard.id_prefix()),
            options,
            board: given.scoreboard,
            access: given.access,
            figures: given.figures,
            losses: LossLog::default(),
            forks: fork::count(),
            leaves: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
        });
        let hooks = Hooks { reopen: given.reopen, announce: given.announce, expire: given.expire };
        let signals = Arc::new(SignalInput::default());
        let (channel, line, tls) = (given.channel, given.line, given.tls);
        let control = ControlParts { channel, line, tls, signals: Arc::clone(&signals), hooks };
        let io = EventLoop::new(Arc::clone(&shared), poll, control, listeners)?;
        let loop_owner = Arc::new(LoopOwner::new(io, Box::new(end)));
        Ok(Self { shared, loop_owner, signals, has_started: Arc::default() })
    }

    /// From now on the worker acts on signals. Must be called once, when the application is
    /// loaded, on the thread that has its handlers: these are called too.
    ///
    /// # Errors
    /// Those of `sigaction(2)`.
    pub fn watch_signals(&self) -> io::Result<()> {
        self.signals.collect()?;
        self.shared.handoff.wake_loop();
        Ok(())
    }

    /// Starts the I/O thread before the application is loaded. Until [`Engine::start`] the server
    /// responds by itself, and other requests wait.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start_early(&self) -> io::Result<()> {
        self.has_started.store(true, Ordering::Relaxed);
        let (runs, looks) = (Arc::clone(&self.loop_owner), Arc::clone(&self.shared));
        let run = move || {
            looks.board.show_io_thread(thread::id());
            runs.run(&looks.handoff);
        };
        std::thread::Builder::new().name("monoceros-io".to_owned()).spawn(run).map(drop)
    }

    /// Starts the I/O thread, which accepts connections from now on. Must be called
    /// once, when all application threads have registered. Without it, the application
    /// runs the loop ([`EventSource::turn_loop`]).
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(&self) -> io::Result<()> {
        self.shared.options.health.begin();
        if !self.shared.handoff.is_draining() {
            self.shared.board.show_state(ReportedState::Serving);
        }
        if self.has_started.load(Ordering::Relaxed) { Ok(()) } else { self.start_early() }
    }

    /// The requests of the application thread of this number; must be called on that
    /// thread.
    #[must_use]
    pub fn requests(&self, thread: usize) -> RequestSource {
        RequestSource::new(Arc::clone(&self.shared), Arc::clone(&self.loop_owner), thread)
    }

    /// The requests for an application with its own event loop; must be called on the
    /// thread that runs that loop. `None` where requests go to threads.
    #[must_use]
    pub fn events(&self) -> Option<EventSource> {
        EventSource::new(Arc::clone(&self.shared), Arc::clone(&self.loop_owner))
    }

    /// Waits until the worker stops, or a signal was handled on this
    /// thread.
    #[must_use]
    pub fn wait_for_stop(&self) -> Wait {
        self.shared.handoff.wait_for_stop()
    }

    /// How many requests the application has got.
    #[must_use]
    pub fn application_requests(&self) -> u64 {
        let board = &self.shared.board;
        board.requests() + u64::from(board.in_progress())
    }

    /// Whether the worker drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.handoff.is_draining()
    }

    /// The request that this thread runs; `None` if it runs none, and in a process that the
    /// application has forked.
    #[must_use]
    pub fn request_of_this_thread(&self) -> Option<Running> {
        self.shared.board.running_on(thread::id())
    }

    /// Drains this worker: the application has asked for its end.
    pub fn leave(&self) {
        self.shared.leaves.store(true, Ordering::SeqCst);
        self.shared.handoff.wake_loop();
    }

    /// Whether a signal ends this worker at once (SIGINT, SIGQUIT).
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.shared.is_interrupted.load(Ordering::SeqCst)
    }
}
