//! A worker's engine from outside: started, asked for desks, waited for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use mio::{Poll, Waker};
use monoceros_sys::fork::{self, Private};
use monoceros_sys::thread;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::scoreboard::{Scoreboard, State};

use crate::access::AccessLog;
use crate::core::Core;
use crate::crew::Crew;
use crate::desk::Desk;
use crate::gate::Listener;
use crate::giving_up::Told;
use crate::hub::{Hub, Wait};
use crate::io::{Hooks, Io, WAKER};
use crate::lead::Lead;
use crate::options::Options;
use crate::room::Room;
use crate::spools::Spools;

/// What a worker was given by the master.
pub struct Given {
    /// Its end of the channel, from which the first message has been taken.
    pub channel: WorkerEnd,
    /// Its scoreboard.
    pub scoreboard: Scoreboard,
    /// The listening sockets.
    pub listeners: Vec<Private>,
    /// The access log, if there is to be one.
    pub access: Option<AccessLog>,
    /// Opens the error log again, by name.
    pub reopen: Box<dyn FnMut() + Send>,
    /// Tells the application that the worker begins to drain, unless a signal has
    /// told both.
    pub announce: Box<dyn FnMut() + Send>,
}

/// The engine.
#[derive(Clone)]
pub struct Worker {
    core: Arc<Core>,
    lead: Arc<Lead>,
}

impl Worker {
    /// Makes everything ready but the I/O thread: application threads can sit
    /// down, and wait for requests. When the worker must end at once, `end` is
    /// called with the exit code, on whatever thread, and is not to return.
    ///
    /// # Errors
    /// Those of `epoll_create(2)` and `sigaction(2)`.
    pub fn prepare(
        options: Options,
        given: Given,
        end: impl Fn(i32) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let listeners: io::Result<Vec<_>> =
            given.listeners.into_iter().map(Listener::adopt).collect();
        let core = Arc::new(Core {
            hub: Hub::new(Crew::new(options.threads, options.parallel), waker),
            spools: Spools::new(options.spool_directory.clone()),
            room: Arc::new(Room::new(options.response_memory, options.response_disk)),
            workers: AtomicU16::new(options.workers),
            options,
            board: given.scoreboard,
            access: given.access,
            told: Told::default(),
            forks: fork::count(),
            leaves: AtomicBool::new(false),
        });
        let hooks = Hooks { reopen: given.reopen, announce: given.announce };
        let io = Io::new(Arc::clone(&core), poll, given.channel, listeners?, hooks)?;
        let lead = Arc::new(Lead::new(io, Box::new(end)));
        Ok(Self { core, lead })
    }

    /// Starts the I/O thread: from now on connections are accepted. To be called
    /// once, when all application threads sit.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(&self) -> io::Result<()> {
        let (runs, looks) = (Arc::clone(&self.lead), Arc::clone(&self.core));
        let run = move || {
            looks.board.show_io_thread(thread::id());
            runs.run(&looks.hub);
        };
        self.core.board.show_state(State::Serving);
        std::thread::Builder::new().name("monoceros-io".to_owned()).spawn(run).map(drop)
    }

    /// The desk of the application thread of this number; to be called on that
    /// thread.
    #[must_use]
    pub fn desk(&self, thread: usize) -> Desk {
        Desk::new(Arc::clone(&self.core), Arc::clone(&self.lead), thread)
    }

    /// Waits until the worker stops, or a signal was handled on this
    /// thread.
    #[must_use]
    pub fn wait_for_stop(&self) -> Wait {
        self.core.hub.wait_for_stop()
    }

    /// Has this worker drain: the application wants it to leave.
    pub fn leave(&self) {
        self.core.leaves.store(true, Ordering::SeqCst);
        self.core.hub.wake_loop();
    }
}
