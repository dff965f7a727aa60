//! Serves metrics, health and the state of the server by HTTP, at addresses of its own. Owns the
//! listeners of these addresses and the connections to them. It never waits, and a client costs
//! the master one response in a turn of the event loop. A report is made only when a request or a
//! worker needs one. Called by the event loop only.

mod host_names;
mod metrics_client;
mod metrics_listeners;
mod metrics_response;
mod report_pace;
mod routes;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use monoceros_config::AddressSet;
use monoceros_metrics::{Exposition, MetricsFormat};
use monoceros_sys::{memory, reason, socket};
use monoceros_wire::report::{Report, RequestReport};

use self::metrics_client::{Advance, MetricsClient};
use self::metrics_listeners::MetricsListeners;
use self::metrics_response::MetricsResponse;
use self::report_pace::ReportPace;
use self::routes::{ReportPart, Route, route};
use crate::master::act::generations::Generations;
use crate::master::act::listener::OwnedListener;
use crate::master::act::poller::{PollSource, Poller};
use crate::master::decide::event::BindError;
use crate::master::decide::id::WorkerId;
use crate::master::page::history::HistoryReport;

/// The most connections at a time.
const MAX_CLIENTS: u8 = 64;
/// The most connections that are accepted from a socket in one turn of the event loop.
const TURN: usize = 16;
/// How long no connection is accepted after an error, such as that of too many descriptors.
const PAUSE: Duration = Duration::from_secs(1);
/// The shortest time between two log lines about clients that are not allowed.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(60);
/// The most requests of workers for metrics that wait.
const MAX_ASKS: usize = 1024;

/// What responses are made from.
pub(crate) trait ReportSource {
    /// Whether a client may be sent to this server.
    fn is_ready(&self) -> bool;
    /// The state of the server.
    fn report(&mut self) -> Report;
    /// The requests that run, and the last ones, of all workers.
    fn requests(&mut self) -> Vec<RequestReport>;
    /// Adds the metrics of the application to those of the server.
    fn add_metrics(&mut self, exposition: &mut Exposition);
    /// The figures of the last minutes.
    fn history(&self) -> HistoryReport<'_>;
}

/// The server of the metrics addresses.
#[derive(Debug)]
pub(crate) struct MetricsServer {
    listeners: MetricsListeners,
    /// The clients that may connect; `None` for all.
    allowed: Option<AddressSet>,
    clients: [Option<MetricsClient>; MAX_CLIENTS as usize],
    /// The connections that may be able to continue.
    stirred: BTreeSet<u8>,
    /// The connections whose requests need a report.
    asking: BTreeSet<u8>,
    /// The workers whose clients ask for metrics.
    asks: Vec<WorkerAsk>,
    pace: ReportPace,
    refusals: RefusalLines,
    /// When connections are accepted again.
    paused: Option<Instant>,
    /// A predecessor serves the addresses, and has not passed on what it has counted: the
    /// figures of this master would be too small.
    follows: bool,
    /// Another master serves the addresses: each response is the last one of its connection.
    is_leaving: bool,
}

/// A worker's request for metrics, on behalf of a client of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerAsk {
    /// The worker.
    pub(crate) worker: WorkerId,
    /// The number that the worker has given it.
    pub(crate) number: u64,
    /// The format.
    pub(crate) format: MetricsFormat,
}

/// The metrics for a worker, in a file that only exists in memory.
#[derive(Debug)]
pub(crate) struct WorkerMetrics {
    /// The request.
    pub(crate) ask: WorkerAsk,
    /// The text.
    pub(crate) file: File,
}

/// The log lines about clients that are not allowed.
#[derive(Debug, Default)]
struct RefusalLines {
    count: u64,
    last: Option<Instant>,
}

impl MetricsServer {
    /// With the listeners of the predecessor, if there is one.
    pub(crate) fn new(inherited: Option<Vec<Rc<OwnedListener>>>) -> Self {
        Self {
            follows: inherited.is_some(),
            listeners: MetricsListeners::new(inherited.unwrap_or_default()),
            allowed: None,
            clients: [const { None }; MAX_CLIENTS as usize],
            stirred: BTreeSet::new(),
            asking: BTreeSet::new(),
            asks: Vec::new(),
            pace: ReportPace::default(),
            refusals: RefusalLines::default(),
            paused: None,
            is_leaving: false,
        }
    }

    /// Opens the addresses of generations that were read.
    pub(crate) fn open(
        &mut self,
        generations: &Generations,
        poller: &Poller,
    ) -> Result<(), BindError> {
        self.listeners.open(generations, poller)?;
        self.take_settings(generations);
        if !self.follows {
            self.listeners.accept_on_own(poller);
        }
        Ok(())
    }

    /// Closes the addresses that only dropped generations have.
    pub(crate) fn keep(&mut self, generations: &Generations, poller: &Poller) {
        self.listeners.keep(generations, poller);
        self.take_settings(generations);
    }

    fn take_settings(&mut self, generations: &Generations) {
        let Some(spec) = generations.current() else { return };
        self.allowed = spec.settings.metrics_allow.as_ref().map(|set| set.0.clone());
    }

    /// Whether a client can connect, or has connected.
    pub(crate) fn is_open(&self) -> bool {
        self.listeners.is_open()
    }

    /// The listeners that a successor is given.
    pub(crate) fn for_successor(&self) -> &[Rc<OwnedListener>] {
        self.listeners.for_successor()
    }

    /// The listeners of the predecessor belong to this master from now on.
    pub(crate) fn take_over(&mut self, poller: &Poller) {
        self.listeners.take_over(poller);
        self.follows = false;
    }

    /// The listeners belong to the successor from now on. Connections that were accepted before
    /// get their response here.
    pub(crate) fn pass_on(&mut self, poller: &Poller, now: Instant) {
        self.listeners.pass_on(poller);
        self.is_leaving = true;
        self.asks.clear();
        self.clients.iter_mut().flatten().for_each(|client| client.hurry(now));
        // What has arrived is read before connections are taken for idle ones.
        self.stirred.extend(0..MAX_CLIENTS);
    }

    /// Another master serves the addresses, and a client of this one is owed a response. Each of
    /// them has limits of time.
    pub(crate) fn is_finishing(&self) -> bool {
        self.is_leaving && self.clients.iter().flatten().any(MetricsClient::is_open)
    }

    fn close_idle(&mut self, poller: &Poller) {
        for index in 0..MAX_CLIENTS {
            if self.client(index).is_some_and(MetricsClient::is_idle) {
                self.vacate(index, poller);
            }
        }
    }

    /// Closes everything.
    pub(crate) fn close(&mut self, poller: &Poller) {
        self.listeners.close(poller);
        (0..MAX_CLIENTS).for_each(|index| self.vacate(index, poller));
    }

    /// When there is something to do, though no event has occurred.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let next_turn = (!self.stirred.is_empty()).then_some(now);
        let needs_report = self.needs_report();
        let report = needs_report.then(|| self.pace.next().unwrap_or(now));
        let steps = self.clients.iter().flatten().map(MetricsClient::until);
        steps.chain(next_turn).chain(report).chain(self.paused).min()
    }

    /// Accepts the connections that wait.
    pub(crate) fn accept(&mut self, poller: &Poller, now: Instant) {
        let mut accepted = Vec::new();
        for listener in self.listeners.sockets() {
            for left in (0..TURN).rev() {
                match socket::accept(listener) {
                    Ok(connection) => accepted.push(connection),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        log::warn!("cannot accept a client of metrics: {}", reason(&error));
                        self.paused = Some(now + PAUSE);
                        break;
                    }
                }
                if left == 0 {
                    // More connections may wait, which the kernel does not report again.
                    self.paused = Some(now);
                }
            }
        }
        for connection in accepted {
            self.admit(connection.fd, connection.peer, poller, now);
        }
    }

    /// Keeps a connection, if its client may connect and there is room.
    fn admit(
        &mut self,
        fd: OwnedFd,
        peer: Option<std::net::SocketAddr>,
        poller: &Poller,
        now: Instant,
    ) {
        let is_allowed = |set: &AddressSet| match peer {
            Some(peer) => set.contains(peer.ip()),
            None => set.contains_unix(),
        };
        if !self.allowed.as_ref().is_none_or(is_allowed) {
            let client = peer.map_or_else(|| "a unix socket".to_owned(), |it| it.ip().to_string());
            return self.refusals.note(&client, now);
        }
        let Some(index) = self.find_room(poller) else {
            return log::debug!("no room for another client of metrics");
        };
        let client = MetricsClient::new(fd, peer.is_none(), now);
        if let Err(error) = poller.register_both(client.as_fd(), PollSource::MetricsClient(index)) {
            return log::warn!("cannot serve a client of metrics: {}", reason(&error));
        }
        self.clients[usize::from(index)] = Some(client);
        self.stirred.insert(index);
    }

    /// A place for a connection; the one that has been idle for the longest time makes room.
    fn find_room(&mut self, poller: &Poller) -> Option<u8> {
        let free = (0..MAX_CLIENTS).find(|index| self.client(*index).is_none());
        free.or_else(|| {
            let spare = (0..MAX_CLIENTS)
                .filter_map(|index| Some((self.client(index)?.spare_since()?, index)));
            let (_, index) = spare.min()?;
            self.vacate(index, poller);
            Some(index)
        })
    }

    fn client(&self, index: u8) -> Option<&MetricsClient> {
        self.clients.get(usize::from(index))?.as_ref()
    }

    fn vacate(&mut self, index: u8, poller: &Poller) {
        self.stirred.remove(&index);
        self.asking.remove(&index);
        let client = self.clients.get_mut(usize::from(index)).and_then(Option::take);
        if let Some(client) = client {
            poller.deregister(client.as_fd());
        }
    }

    /// An event of a connection.
    pub(crate) fn stir(&mut self, index: u8) {
        if self.client(index).is_some() {
            self.stirred.insert(index);
        }
    }

    /// A client of a worker asks for metrics. What gets no response the worker gives up: a request
    /// too many, and one to a master that does not count any more.
    pub(crate) fn ask(&mut self, ask: WorkerAsk) {
        if self.asks.len() < MAX_ASKS && !self.is_leaving {
            self.asks.push(ask);
        }
    }

    /// Whether a request waits for a report that can be made.
    fn needs_report(&self) -> bool {
        !self.asking.is_empty() || !self.asks.is_empty() && !self.follows
    }

    /// Does what can be done now: reads requests, writes responses, closes connections whose time
    /// is over. Returns the metrics for workers.
    pub(crate) fn serve(
        &mut self,
        source: &mut impl ReportSource,
        poller: &Poller,
    ) -> Vec<WorkerMetrics> {
        let now = Instant::now();
        if self.paused.take_if(|until| *until <= now).is_some() {
            self.accept(poller, now);
        }
        self.close_overdue(poller, now);
        for index in std::mem::take(&mut self.stirred) {
            self.advance(index, source, poller, now);
        }
        if self.is_leaving {
            self.close_idle(poller);
        }
        if self.needs_report() && self.pace.allows(now) {
            return self.make_report(source, poller, now);
        }
        Vec::new()
    }

    fn close_overdue(&mut self, poller: &Poller, now: Instant) {
        for index in 0..MAX_CLIENTS {
            if self.client(index).is_some_and(|client| client.until() <= now) {
                self.vacate(index, poller);
            }
        }
    }

    /// Continues a connection by one response at most.
    fn advance(&mut self, index: u8, source: &impl ReportSource, poller: &Poller, now: Instant) {
        let Some(client) = self.clients.get_mut(usize::from(index)).and_then(Option::as_mut) else {
            return;
        };
        match client.advance(now) {
            Advance::Waits => {}
            Advance::Answered => drop(self.stirred.insert(index)),
            Advance::Ended => self.vacate(index, poller),
            Advance::Asks => {
                let Some(head) = client.asked() else { return };
                match route(head, &self.listeners.configured(), client.is_local) {
                    Route::Fixed(response) => self.respond(index, &response, poller, now),
                    Route::Readiness => {
                        let status = if source.is_ready() { 200 } else { 503 };
                        self.respond(index, &MetricsResponse::plain(status), poller, now);
                    }
                    Route::Report(_) => drop(self.asking.insert(index)),
                }
            }
        }
    }

    fn respond(&mut self, index: u8, response: &MetricsResponse, poller: &Poller, now: Instant) {
        let client = self.clients.get_mut(usize::from(index)).and_then(Option::as_mut);
        let Some(client) = client else { return };
        client.respond(response, self.is_leaving, now);
        match client.advance(now) {
            Advance::Waits | Advance::Asks => {}
            Advance::Answered => drop(self.stirred.insert(index)),
            Advance::Ended => self.vacate(index, poller),
        }
    }

    /// Makes a report, and every response that needs one.
    fn make_report(
        &mut self,
        source: &mut impl ReportSource,
        poller: &Poller,
        now: Instant,
    ) -> Vec<WorkerMetrics> {
        let report = source.report();
        let mut made: Vec<(ReportPart, MetricsResponse)> = Vec::new();
        let addresses = self.listeners.configured();
        for index in std::mem::take(&mut self.asking) {
            let asked = self
                .client(index)
                .and_then(|client| Some(route(client.asked()?, &addresses, client.is_local)));
            let Some(Route::Report(part)) = asked else { continue };
            let known = made.iter().find(|(known, _)| *known == part);
            let response = known.map(|(_, response)| response.clone()).unwrap_or_else(|| {
                let response = make_part(part, &report, source);
                made.push((part, response.clone()));
                response
            });
            self.respond(index, &response, poller, now);
        }
        let asks = self.asks.drain(..);
        let metrics = asks.filter_map(|ask| make_file(ask, &report, source)).collect();
        self.pace.note(now, Instant::now());
        metrics
    }
}

/// Makes a response from a report.
fn make_part(part: ReportPart, report: &Report, source: &mut impl ReportSource) -> MetricsResponse {
    let json = match part {
        ReportPart::Metrics(format) => {
            let text = metrics_text(report, format, source);
            return MetricsResponse::new(200, format.content_type(), text);
        }
        ReportPart::Status => report.to_json(),
        ReportPart::History => source.history().to_json(),
        ReportPart::Requests => serde_json::to_string(&source.requests()).map_err(io::Error::from),
    };
    match json {
        Ok(json) => MetricsResponse::new(200, "application/json", json),
        Err(error) => {
            log::error!("cannot write a report: {}", reason(&error));
            MetricsResponse::plain(500)
        }
    }
}

/// The metrics of the server, and those of the application behind them.
fn metrics_text(report: &Report, format: MetricsFormat, source: &mut impl ReportSource) -> String {
    let mut exposition = monoceros_metrics::render(report, format);
    source.add_metrics(&mut exposition);
    exposition.finish()
}

/// Writes metrics for a worker.
fn make_file(
    ask: WorkerAsk,
    report: &Report,
    source: &mut impl ReportSource,
) -> Option<WorkerMetrics> {
    let text = metrics_text(report, ask.format, source);
    match memory::sealed_file("monoceros-metrics", text.as_bytes()) {
        Ok(file) => Some(WorkerMetrics { ask, file }),
        Err(error) => {
            log::error!("cannot pass metrics to a worker: {}", reason(&error));
            None
        }
    }
}

impl RefusalLines {
    /// A client was not allowed to connect.
    fn note(&mut self, client: &str, now: Instant) {
        self.count += 1;
        if self.last.is_some_and(|last| now < last + REFUSAL_INTERVAL) {
            return;
        }
        let (count, plural) = (self.count, if self.count == 1 { "" } else { "s" });
        log::warn!(
            "closed {count} connection{plural} to a metrics address, the last one from {client}: \
             not in metrics-allow"
        );
        (self.count, self.last) = (0, Some(now));
    }
}
