//! Makes the report about the server: what the decisions know, with what scoreboards and the
//! kernel show at that moment. Owns when this master was started. Called by the event loop only;
//! it changes nothing and waits for nothing.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use monoceros_sys::clock::{monotonic_ms, monotonic_us};
use monoceros_sys::socket;
use monoceros_sys::unix_queue::unix_accept_queue;
use monoceros_wire::listener::ListenerAddress;
use monoceros_wire::report::{
    CHANGES, CertificateReport, ChangeReport, ConnectionCounts, ListenerReport, ProcessReport,
    Report, RequestPlace, RequestReport, Totals, WorkerReport,
};
use monoceros_wire::scoreboard::Scoreboard;

use crate::master::act::certificates::Certificates;
use crate::master::act::former_workers::{FormerWorker, FormerWorkers};
use crate::master::act::generations::Generations;
use crate::master::act::proc_stat::{self, ProcessFigures};
use crate::master::act::processes::Processes;
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::server_facts::{ServerFacts, WorkerFacts};
use crate::master::decide::tally::{Change, TallySnapshot};

/// The parts of the event loop that a report is made of.
pub(crate) struct Sources<'a> {
    /// The generations and their listeners.
    pub(crate) generations: &'a Generations,
    /// The processes of workers and molds.
    pub(crate) processes: &'a Processes,
    /// The workers of predecessors.
    pub(crate) former: &'a FormerWorkers,
}

/// The maker of reports.
pub(crate) struct Observer {
    /// When this master was started, in seconds since 1970.
    started: f64,
    /// The pid of the predecessor.
    predecessor: Option<i32>,
}

/// One moment, in all clocks.
#[derive(Clone, Copy, Debug)]
struct Moment {
    instant: Instant,
    /// Seconds since 1970.
    wall: f64,
    monotonic_us: u64,
}

impl Moment {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), wall: wall.as_secs_f64(), monotonic_us: monotonic_us() }
    }

    /// An earlier moment, in seconds since 1970.
    fn wall_of(&self, earlier: Instant) -> f64 {
        self.wall - self.instant.saturating_duration_since(earlier).as_secs_f64()
    }
}

impl Observer {
    /// Of a master that starts now, with the pid of its predecessor.
    pub(crate) fn new(predecessor: Option<i32>) -> Self {
        Self { started: Moment::now().wall, predecessor }
    }

    /// The report.
    pub(crate) fn report(&self, facts: &ServerFacts, sources: &Sources) -> Report {
        let now = Moment::now();
        let spec = sources.generations.current();
        let found = Some(facts.app.clone()).filter(|app| !app.is_empty());
        let pid = std::process::id().cast_signed();
        let totals = sum(&facts.tally, sources);
        let workers = workers(facts, sources, now);
        let running = workers.iter().map(|worker| u64::from(worker.in_progress)).sum();
        Report {
            at: now.wall,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: spec.map(|spec| spec.name(None).to_owned()),
            application: found.or_else(|| spec.and_then(|spec| spec.app.clone())),
            state: facts.state.to_owned(),
            is_ready: facts.is_ready,
            summary: facts.summary.with_figures(running, totals.duration.count()),
            generation: facts.generation.0,
            wanted_workers: facts.wanted,
            rolling_to: facts.rolling_to.map(|generation| generation.0),
            is_upgrading: facts.is_upgrading,
            master: process(pid),
            started: self.started,
            predecessor: self.predecessor,
            workers,
            listeners: listeners(&totals, sources),
            certificates: certificates(sources),
            totals,
            changes: changes(&facts.tally),
            concerns: facts.concerns.clone(),
        }
    }

    /// The requests that run and the last ones, of all workers: first those that run, the longest
    /// first, then the others, the last ones first.
    pub(crate) fn requests(&self, facts: &ServerFacts, sources: &Sources) -> Vec<RequestReport> {
        let now = Moment::now();
        let mut found = Vec::new();
        let own = facts
            .workers
            .iter()
            .filter_map(|it| Some((place_of(it, now), sources.processes.find_board(it.worker)?)));
        let former = sources
            .former
            .iter()
            .filter_map(|it| Some((place_of_former(it, now), it.board.as_ref()?)));
        for (place, board) in own.chain(former) {
            let running = board.running();
            let ended = board.recent().into_iter().filter(|it| it.end.is_some());
            found.extend(running.iter().map(|it| RequestReport::running(it, place)));
            found.extend(ended.map(|it| RequestReport::recent(&it, place)));
        }
        found.sort_by(|one, other| {
            let by_begin = one.began.total_cmp(&other.began);
            let by_begin = if one.is_running { by_begin } else { by_begin.reverse() };
            other.is_running.cmp(&one.is_running).then(by_begin)
        });
        found
    }
}

/// The sums of the whole server: of workers that have ended, and of those that live.
fn sum(tally: &TallySnapshot, sources: &Sources) -> Totals {
    let mut totals = tally.totals.clone();
    sources.processes.boards().for_each(|(board, it)| totals.add_board(board, it));
    sources.former.iter().for_each(|worker| totals.add(&worker.counts()));
    totals
}

/// The last changes of this master and its predecessors.
pub(crate) fn changes(tally: &TallySnapshot) -> Vec<ChangeReport> {
    let now = Moment::now();
    let own = tally.changes.iter().map(|change| {
        let Change { kind, outcome, began, took, generation, text } = change;
        ChangeReport {
            kind: kind.name().to_owned(),
            outcome: outcome.name().to_owned(),
            began: now.wall_of(*began),
            took_seconds: took.as_secs_f64(),
            generation: generation.0,
            text: text.clone(),
        }
    });
    own.chain(tally.earlier.iter().cloned()).take(CHANGES).collect()
}

fn process(pid: i32) -> ProcessReport {
    let ProcessFigures { used, resident } = proc_stat::figures(pid).unwrap_or_default();
    ProcessReport { pid, cpu_seconds: used.as_secs_f64(), rss: resident, pss: None }
}

fn workers(facts: &ServerFacts, sources: &Sources, now: Moment) -> Vec<WorkerReport> {
    let own = facts.workers.iter().map(|worker| {
        let board = sources.processes.find_board(worker.worker);
        let kind = match worker.slot {
            None => "mold",
            Some(_) if sources.processes.is_program(worker.worker) => "program",
            Some(_) => "worker",
        };
        let report = WorkerReport {
            kind: kind.to_owned(),
            state: worker.state.to_owned(),
            since: worker.spawned.map_or(now.wall, |at| now.wall_of(at)),
            ready_since: worker.ready_since.map(|at| now.wall_of(at)),
            ..WorkerReport::default()
        };
        with_board(report, place_of(worker, now), board)
    });
    let former = sources.former.iter().map(|worker| {
        let report = WorkerReport {
            kind: "worker".to_owned(),
            state: "draining".to_owned(),
            since: now.wall,
            ..WorkerReport::default()
        };
        with_board(report, place_of_former(worker, now), worker.board.as_ref())
    });
    own.chain(former).collect()
}

/// A report of a worker with what its scoreboard and the kernel show.
fn with_board(
    report: WorkerReport,
    place: RequestPlace,
    board: Option<&Scoreboard>,
) -> WorkerReport {
    let report = WorkerReport {
        slot: place.slot,
        generation: place.generation,
        process: if place.pid > 0 { process(place.pid) } else { ProcessReport::default() },
        ..report
    };
    let Some(board) = board else { return report };
    let beat = board.last_beat_ms();
    let age_ms = monotonic_ms().saturating_sub(beat);
    let (counters, running) = (board.counters(), board.running());
    WorkerReport {
        requests: counters.requests,
        errors: counters.statuses.errors(),
        connections: board.connections(),
        threads: u16::try_from(board.sides()).unwrap_or(u16::MAX),
        in_progress: board.in_progress(),
        waiting: board.queued(),
        beat_age_seconds: (beat > 0).then(|| age_ms as f64 / 1e3),
        running: running.iter().map(|it| RequestReport::running(it, place)).collect(),
        ..report
    }
}

fn place_of(worker: &WorkerFacts, now: Moment) -> RequestPlace {
    RequestPlace {
        slot: worker.slot.map(|slot| slot.0),
        generation: worker.generation.0,
        pid: worker.pid,
        now_us: now.monotonic_us,
        now: now.wall,
    }
}

fn place_of_former(worker: &FormerWorker, now: Moment) -> RequestPlace {
    RequestPlace {
        slot: Some(worker.record.slot.0),
        generation: worker.record.generation.0,
        pid: worker.record.pid,
        now_us: now.monotonic_us,
        now: now.wall,
    }
}

fn listeners(totals: &Totals, sources: &Sources) -> Vec<ListenerReport> {
    let Some(spec) = sources.generations.current() else { return Vec::new() };
    let mut found: Vec<ListenerReport> = Vec::new();
    for description in spec.descriptions() {
        let address = description.address.to_string();
        // Several sockets may have one address.
        if found.iter().any(|it| it.address == address) {
            continue;
        }
        let mut connections = ConnectionCounts::default();
        for (board, addresses) in sources.processes.boards() {
            add_open(&mut connections, board, addresses, &address);
        }
        for worker in sources.former.iter() {
            if let Some(board) = &worker.board {
                add_open(&mut connections, board, &worker.record.listeners, &address);
            }
        }
        let queue = accept_queue(spec, &address);
        found.push(ListenerReport {
            queue: queue.map(|(length, _)| length),
            queue_limit: queue.map(|(_, limit)| limit),
            scheme: description.scheme.as_str().to_owned(),
            connections,
            accepted: totals.accepted.get(&address).copied().unwrap_or_default(),
            address,
        });
    }
    found
}

/// The connections that wait at an address, and how many can; those of all its sockets.
fn accept_queue(spec: &WorkerSpec, address: &str) -> Option<(u32, u32)> {
    let sockets = spec.listeners.iter().flat_map(|it| it.sockets().zip(it.addresses()));
    let sockets = sockets.filter(|(_, bound)| bound.to_string() == address);
    let queues = sockets.filter_map(|(socket, bound)| match bound {
        ListenerAddress::Internet(_) => socket::accept_queue(socket),
        ListenerAddress::Unix(_) => unix_accept_queue(socket).ok(),
    });
    queues.reduce(|sum, more| (sum.0.saturating_add(more.0), sum.1.saturating_add(more.1)))
}

fn add_open(sum: &mut ConnectionCounts, board: &Scoreboard, addresses: &[String], wanted: &str) {
    let counts = board.listeners().into_iter().zip(addresses);
    counts.filter(|(_, address)| *address == wanted).for_each(|(it, _)| sum.add(it.open));
}

fn certificates(sources: &Sources) -> Vec<CertificateReport> {
    let certificates = sources.generations.current().and_then(|spec| spec.certificates.as_ref());
    certificates.map(Certificates::reports).unwrap_or_default()
}
