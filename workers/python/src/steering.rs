//! What the worker object of hooks steers: how long the worker lives.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use monoceros_engine::Engine;
use monoceros_sys::{fork, reason};
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::FromWorker;
use pyo3::prelude::*;

use crate::hooks;
use crate::own_code::own_module;
use crate::request_hooks::RequestHooks;

/// Why a worker is replaced whose hook has asked for it.
const RETIRED_BY_HOOK: &str = "a hook has set worker.alive to False";

/// Sends the master what a hook changes of the worker's life, and shows the worker's state. What
/// is changed before the worker is ready is sent when it is.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct Steering {
    engine: Engine,
    /// How many requests the application has got, if hooks count them.
    begun: Option<Arc<AtomicU64>>,
    waiting: Mutex<WaitingMessages>,
    is_retired: AtomicBool,
}

/// The way to the master, and what is sent as soon as there is one.
#[derive(Default)]
struct WaitingMessages {
    speaker: Option<WorkerEnd>,
    messages: Vec<FromWorker>,
}

impl Steering {
    /// For the worker of this engine.
    fn new(engine: Engine, begun: Option<Arc<AtomicU64>>) -> Self {
        let (waiting, is_retired) = Default::default();
        Self { engine, begun, waiting, is_retired }
    }

    /// The worker is ready: the master takes its messages from now on.
    fn open(&self, speaker: WorkerEnd) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for message in waiting.messages.drain(..) {
            send(&speaker, &message);
        }
        waiting.speaker = Some(speaker);
    }

    fn send(&self, message: FromWorker) {
        // Another process that the application has forked is no worker.
        if fork::is_forked() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match &waiting.speaker {
            Some(speaker) => send(speaker, &message),
            None => waiting.messages.push(message),
        }
    }
}

#[pymethods]
impl Steering {
    /// Whether the worker goes on.
    fn is_alive(&self) -> bool {
        let ends = self.engine.is_draining() || self.engine.is_interrupted();
        !ends && !self.is_retired.load(Ordering::Relaxed)
    }

    /// How many requests the application has got.
    fn requests(&self) -> u64 {
        match &self.begun {
            Some(begun) => begun.load(Ordering::Relaxed),
            None => self.engine.application_requests(),
        }
    }

    /// Has the worker replaced, unless it ends already.
    fn retire(&self) {
        if !self.engine.is_interrupted() && !self.is_retired.swap(true, Ordering::Relaxed) {
            self.send(FromWorker::Retire { reason: RETIRED_BY_HOOK.to_owned() });
        }
    }

    /// Has the worker replaced after so many requests in all; `None` is no limit.
    fn allot(&self, requests: Option<u32>) {
        self.send(FromWorker::Allotment { requests: requests.unwrap_or(0) });
    }
}

/// What a worker with hooks has while it serves.
#[derive(Default)]
pub(crate) struct ServingHooks {
    /// The hooks for requests, if there are some.
    pub(crate) requests: Option<RequestHooks>,
    steering: Option<Py<Steering>>,
}

impl ServingHooks {
    /// Finds the hooks for requests, and gives the worker's object the attributes by which hooks
    /// steer the worker.
    pub(crate) fn find(py: Python, engine: &Engine) -> PyResult<Self> {
        let Some(hooks) = hooks::of_worker(py) else { return Ok(Self::default()) };
        let hooks = hooks.bind(py);
        let (worker, cfg) = (hooks.getattr("worker")?, hooks.getattr("server")?.getattr("cfg")?);
        let begun = Arc::new(AtomicU64::new(0));
        let requests = RequestHooks::find(&cfg, &worker, Arc::clone(&begun))?;
        let counted = requests.is_some().then_some(begun);
        let steering = Bound::new(py, Steering::new(engine.clone(), counted))?;
        let module = own_module(py, include_str!("steering.py"), "monoceros.steering")?;
        module.getattr("steer")?.call1((worker, &steering))?;
        Ok(Self { requests, steering: Some(steering.unbind()) })
    }

    /// The worker is ready: hooks steer it by this channel.
    pub(crate) fn open(&self, speaker: WorkerEnd) {
        if let Some(steering) = &self.steering {
            steering.get().open(speaker);
        }
    }
}

fn send(speaker: &WorkerEnd, message: &FromWorker) {
    match speaker.send(message) {
        // The master has ended, so the worker drains.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            log::warn!("cannot send the master what a hook has changed: {}", reason(&error));
        }
        Ok(()) => {}
    }
}
