//! Owns the listening sockets of the metrics addresses, by the generations that have them. Called
//! by the metrics server.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use monoceros_config::Bind;
use monoceros_sys::reason;
use monoceros_wire::Generation;

use crate::master::act::generations::Generations;
use crate::master::act::listener::{OwnedListener, open_all};
use crate::master::act::poller::{PollSource, Poller};
use crate::master::decide::event::BindError;

/// The listeners of the metrics addresses. Unlike those of the workers, the master accepts on
/// them.
#[derive(Debug, Default)]
pub(super) struct MetricsListeners {
    open: Vec<Rc<OwnedListener>>,
    /// The listeners of each generation that may serve.
    by_generation: BTreeMap<Generation, Vec<Rc<OwnedListener>>>,
    /// Those that are registered: a connection to one that belongs to the predecessor is the
    /// predecessor's to accept.
    accepting: Vec<Rc<OwnedListener>>,
}

impl MetricsListeners {
    /// With those of the predecessor.
    pub(super) fn new(inherited: Vec<Rc<OwnedListener>>) -> Self {
        Self { open: inherited, ..Self::default() }
    }

    /// Opens the addresses of the generations that were read and have none yet.
    pub(super) fn open(
        &mut self,
        generations: &Generations,
        poller: &Poller,
    ) -> Result<(), BindError> {
        for (generation, spec) in generations.all() {
            if self.by_generation.contains_key(&generation) {
                continue;
            }
            let binds: Vec<_> = spec.settings.metrics.iter().map(|it| it.0.clone()).collect();
            let listeners = open_all(&binds, &spec.options(), &mut self.open);
            if listeners.is_err() {
                self.close_unused(poller);
            }
            self.by_generation.insert(generation, listeners?);
        }
        Ok(())
    }

    /// Closes the listeners that only dropped generations have.
    pub(super) fn keep(&mut self, generations: &Generations, poller: &Poller) {
        self.by_generation.retain(|generation, _| generations.find(*generation).is_ok());
        self.close_unused(poller);
    }

    fn close_unused(&mut self, poller: &Poller) {
        let used = |it: &Rc<OwnedListener>| {
            it.is_borrowed()
                || self.by_generation.values().flatten().any(|other| Rc::ptr_eq(it, other))
        };
        let (kept, closed): (Vec<_>, Vec<_>) = self.open.drain(..).partition(used);
        self.open = kept;
        for listener in closed {
            self.stop_accepting(poller, |it| Rc::ptr_eq(it, &listener));
            listener.remove_file();
        }
    }

    fn stop_accepting(&mut self, poller: &Poller, is_it: impl Fn(&Rc<OwnedListener>) -> bool) {
        let stopped = self.accepting.extract_if(.., |it| is_it(it));
        stopped.for_each(|it| it.sockets().for_each(|socket| poller.deregister(socket)));
    }

    /// Accepts on every listener that is this master's own.
    pub(super) fn accept_on_own(&mut self, poller: &Poller) {
        for listener in self.open.iter().filter(|it| !it.is_borrowed()) {
            if self.accepting.iter().any(|it| Rc::ptr_eq(it, listener)) {
                continue;
            }
            for (socket, address) in listener.sockets().zip(listener.addresses()) {
                log::info!("metrics at {address}");
                if let Err(error) = poller.register(socket, PollSource::MetricsListeners) {
                    log::error!("cannot serve metrics at {address}: {}", reason(&error));
                }
            }
            self.accepting.push(Rc::clone(listener));
        }
    }

    /// The sockets on which connections are accepted.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.accepting.iter().flat_map(|listener| listener.sockets())
    }

    /// The addresses of the settings that are open.
    pub(super) fn configured(&self) -> Vec<Bind> {
        self.open.iter().filter_map(|it| it.configured().cloned()).collect()
    }

    /// Whether connections are accepted on one at least.
    pub(super) fn is_open(&self) -> bool {
        !self.accepting.is_empty()
    }

    /// What a successor is given.
    pub(super) fn for_successor(&self) -> &[Rc<OwnedListener>] {
        &self.open
    }

    /// The predecessor's listeners are this master's own from now on.
    pub(super) fn take_over(&mut self, poller: &Poller) {
        self.open.iter().for_each(|listener| listener.own());
        self.close_unused(poller);
        self.accept_on_own(poller);
    }

    /// The listeners belong to the successor from now on.
    pub(super) fn pass_on(&mut self, poller: &Poller) {
        self.stop_accepting(poller, |_| true);
        self.open.clear();
        self.by_generation.clear();
    }

    /// Closes all listeners.
    pub(super) fn close(&mut self, poller: &Poller) {
        self.by_generation.clear();
        self.close_unused(poller);
    }
}
