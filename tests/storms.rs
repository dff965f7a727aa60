//! Many signals, in any order and at any time.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::environment;
use crate::support::load::Load;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, program};
use crate::support::until;

/// The generations of which there is a worker.
fn generations(server: &Server) -> BTreeSet<String> {
    let titles = server.workers().into_iter().map(process::title);
    let word =
        |title: String| title.split(' ').find(|it| it.starts_with("gen=")).map(str::to_owned);
    titles.filter_map(word).collect()
}

/// Waits until all is done: as many workers as asked for, of one generation, and
/// the same for a while.
fn settle(server: &Server, count: usize) {
    let mut last = Vec::new();
    let mut seen = 0;
    until::holds("workers that stay", || {
        let now = server.workers();
        let is_settled = now.len() == count && now == last && generations(server).len() == 1;
        last = now;
        seen = if is_settled { seen + 1 } else { 0 };
        seen > 20
    });
    assert_eq!(server.get("/").status, 200);
}

/// The number of workers that serve or are about to, by the master's status. The others
/// are ending, which may take long on a busy machine.
fn count_live(server: &Server) -> usize {
    let mut command = Command::new(program());
    environment::clear(&mut command).args(["status", "--json", &server.pid().to_string()]);
    command.current_dir(server.directory.path());
    // The master does not wait for a client that the machine has stopped.
    let answer = until::some("an answer", || {
        serde_json::from_slice::<Value>(&command.output().unwrap().stdout).ok()
    });
    let workers = answer["workers"].as_array().unwrap().iter();
    workers.filter(|it| ["booting", "ready"].contains(&it["state"].as_str().unwrap())).count()
}

#[test]
fn a_storm_of_reloads_fails_no_request_and_leaves_no_crowd() {
    let server = Setup::of("stream:route").workers(2).patient().start();
    let load = Load::start(server.address(), 6);
    load.proceed(20);
    let mut most = 0;
    for _ in 0..60 {
        server.signal(Signal::SIGHUP);
        until::passes(Duration::from_millis(50));
        most = most.max(count_live(&server));
    }
    settle(&server, 2);
    load.proceed(20);
    load.finish();
    assert!(most <= 3, "{most} workers at once, of which one replaces another");
}

/// Pseudo-random numbers (Marsaglia's xorshift). `SEED` in the environment repeats
/// those of a run.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        let seed = seed.unwrap_or_else(now);
        eprintln!("the same again: SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.0 ^= if left { self.0 << shift } else { self.0 >> shift };
        }
        self.0 % bound
    }
}

#[test]
fn any_mixture_of_signals_fails_no_request_and_ends_as_it_should() {
    let server = Setup::of("stream:route").workers(2).patient().start();
    let load = Load::start(server.address(), 4);
    let (mut random, mut expected, mut resized) = (Random::new(), 2_usize, 0);
    for _ in 0..60 {
        let signal = match random.below(4) {
            0 => Signal::SIGHUP,
            1 => Signal::SIGUSR1,
            2 if expected < 5 => Signal::SIGTTIN,
            _ => Signal::SIGTTOU,
        };
        server.signal(signal);
        // The same signal twice at once would be one: signal(7).
        if [Signal::SIGTTIN, Signal::SIGTTOU].contains(&signal) {
            let up = signal == Signal::SIGTTIN;
            expected = if up { expected + 1 } else { (expected - 1).max(1) };
            resized += 1;
            server.wait_for_log_times("workers asked for", resized);
        }
        load.proceed(1 + random.below(5) as usize);
    }
    settle(&server, expected);
    load.finish();
}

const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];
const OTHERS: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGUSR1,
    Signal::SIGWINCH,
    Signal::SIGUSR2,
];

/// Of two signals at once one or both end the server.
fn end_by(first: Signal, second: Signal) {
    let server = Setup::of("stream:route").start();
    // By a stop that comes right behind SIGUSR2.
    server.allow("upgrade");
    server.signal(first);
    server.signal(second);
    assert_eq!(server.wait_for_exit(), 0, "{first} and {second}");
}

#[test]
fn of_two_signals_at_once_one_that_ends_the_server_wins() {
    let mut pairs = Vec::new();
    for ending in ENDING {
        pairs.extend(ENDING.map(|other| (ending, other)));
        pairs.extend(OTHERS.iter().flat_map(|other| [(ending, *other), (*other, ending)]));
    }
    // Most of the time each waits for its workers to begin and to end.
    thread::scope(|scope| {
        for part in pairs.chunks(pairs.len().div_ceil(3)) {
            scope.spawn(|| part.iter().for_each(|(first, second)| end_by(*first, *second)));
        }
    });
}

#[test]
fn two_signals_at_once_do_not_end_a_server_by_mistake() {
    let server = Setup::of("stream:route").workers(2).start();
    // After SIGUSR2 another master may serve, which is another test's.
    let others = || OTHERS.into_iter().filter(|signal| *signal != Signal::SIGUSR2);
    for first in others() {
        for second in others() {
            server.signal(first);
            server.signal(second);
            // Brings back the workers that SIGWINCH may have sent away.
            server.signal(Signal::SIGHUP);
            assert_eq!(server.get("/").status, 200, "{first} and {second}");
        }
    }
    until::holds("workers of one generation", || generations(&server).len() == 1);
    assert!(!server.has_ended());
}
