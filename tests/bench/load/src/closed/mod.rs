//! Closed loop: each of a number of clients has one request outstanding, and sends the next one with the answer.
//!
//! Some of the requests may open a new connection; they are timed from before connect(2). Beside the clients new
//! connections may arrive at random moments, whatever became of the earlier ones, each timed from the moment it was
//! due. One thread, which sleeps while nothing happens: the servers may have the rest of its core.

mod client;
mod record;

use std::collections::VecDeque;
use std::io::{ErrorKind, Result};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};

use crate::arrivals::{Arrivals, Weight};
use crate::random::Random;
use crate::settings::{Closed, Requests, Target};
use crate::tls::Tls;
use client::{Client, Step};
use record::{Ending, Exchange, Origin, Record, Schedule};

/// How long a client waits after an error, so that a server that is gone is not asked without end.
const REST: Duration = Duration::from_millis(10);

/// Loads the server until all that is measured has ended, or patience has.
pub fn run(target: &Target, settings: &Closed) -> Result<Record> {
    let poll = Poll::new()?;
    let start = Instant::now();
    let schedule = Schedule::new(start, settings.warm_up, target.duration, target.patience);
    let arrivals = (settings.new_per_second > 0.0).then(|| {
        Arrivals::new(start, settings.new_per_second, target.heavy_every, target.seed + 1)
    });
    let mut load = Load {
        poll,
        target,
        settings,
        requests: target.requests(),
        tls: settings.tls.map(|version| Tls::new(version, settings.resumes)),
        clients: Vec::new(),
        free: Vec::new(),
        resting: VecDeque::new(),
        arrivals,
        random: Random::new(target.seed),
        record: Record::new(schedule),
    };
    load.start();
    load.run()?;
    Ok(load.record)
}

struct Load<'a> {
    poll: Poll,
    target: &'a Target,
    settings: &'a Closed,
    requests: Requests,
    tls: Option<Tls>,
    /// The kept clients first, then those beside them.
    clients: Vec<Option<Client>>,
    /// Places of clients beside the kept ones that have ended.
    free: Vec<usize>,
    /// Kept clients that failed, and when each goes on.
    resting: VecDeque<(Instant, usize)>,
    arrivals: Option<Arrivals>,
    random: Random,
    record: Record,
}

impl Load<'_> {
    fn start(&mut self) {
        self.clients.resize_with(self.target.connections, || None);
        for place in 0..self.target.connections {
            let exchange = self.next_exchange(place, Instant::now());
            self.connect(place, exchange);
        }
    }

    fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let now = Instant::now();
            self.wake_resting(now);
            self.accept_arrivals(now);
            if self.is_over(now) {
                return Ok(());
            }
            match self.poll.poll(&mut events, Some(self.timeout(now))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                self.take(event, &mut buffer);
            }
        }
    }

    /// What was measured has ended, or is given up.
    fn is_over(&mut self, now: Instant) -> bool {
        let schedule = self.record.schedule();
        if now < schedule.until {
            return false;
        }
        let is_measured = |client: &&Client| schedule.waits_for(client.exchange().started);
        let left: Vec<Exchange> =
            self.clients.iter().flatten().filter(is_measured).map(|one| *one.exchange()).collect();
        if now >= schedule.patience {
            for exchange in &left {
                self.record.add(exchange, Ending::Abandoned, now);
            }
            return true;
        }
        left.is_empty()
    }

    fn timeout(&self, now: Instant) -> Duration {
        let schedule = self.record.schedule();
        let end = if now < schedule.until { schedule.until } else { schedule.patience };
        let arrival = self.arrivals.as_ref().map_or(end, Arrivals::next);
        let rested = self.resting.front().map_or(end, |&(until, _)| until);
        end.min(arrival).min(rested).saturating_duration_since(now)
    }

    fn wake_resting(&mut self, now: Instant) {
        while let Some(&(until, place)) = self.resting.front() {
            if until > now {
                return;
            }
            self.resting.pop_front();
            let exchange = self.next_exchange(place, now);
            self.connect(place, exchange);
        }
    }

    /// Opens the connections beside the kept ones that are due.
    fn accept_arrivals(&mut self, now: Instant) {
        while let Some(request) = self.arrivals.as_mut().and_then(|arrivals| arrivals.due(now)) {
            let place = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            let exchange =
                Exchange { started: request.due, origin: Origin::New, weight: request.weight };
            self.connect(place, exchange);
        }
    }

    /// What the kept client in this place asks for next.
    fn next_exchange(&mut self, place: usize, now: Instant) -> Exchange {
        let weight = if place < self.settings.heavy_connections {
            Weight::Heavy
        } else {
            Weight::draw(&mut self.random, self.target.heavy_every)
        };
        let reopen = self.settings.reopen > 0.0 && self.random.uniform() < self.settings.reopen;
        let origin = if reopen { Origin::New } else { Origin::Kept };
        Exchange { started: now, origin, weight }
    }

    fn connect(&mut self, place: usize, exchange: Exchange) {
        // The old connection is closed first.
        self.clients[place] = None;
        let session = self.tls.as_ref().map(|tls| tls.session(place));
        let (registry, address) = (self.poll.registry(), self.target.address);
        let made = Client::connect(registry, Token(place), address, session, exchange);
        match made {
            Ok(mut client) => {
                let step = client.send(self.requests.of(exchange.weight));
                self.clients[place] = Some(client);
                self.follow(place, exchange, step);
            }
            Err(_) => self.fail(place, exchange, Ending::Unconnected),
        }
    }

    fn take(&mut self, event: &Event, buffer: &mut [u8]) {
        let place = event.token().0;
        let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let exchange = *client.exchange();
        let step = client.ready(event, self.requests.of(exchange.weight), buffer);
        self.follow(place, exchange, step);
    }

    /// Goes on with a client after a step.
    fn follow(&mut self, place: usize, exchange: Exchange, step: Step) {
        let Step::Ended { ending, keep } = step else {
            return;
        };
        if !matches!(ending, Ending::Exchanged(crate::answer::Outcome::Answered)) {
            return self.fail(place, exchange, ending);
        }
        let now = Instant::now();
        self.record.add(&exchange, ending, now);
        let client = self.clients[place].as_ref();
        if let Some(kind) = client.and_then(Client::handshake) {
            self.record.add_handshake(kind);
        }
        if place >= self.target.connections {
            return self.leave(place);
        }
        let next = self.next_exchange(place, now);
        let kept = self.clients[place].as_mut().filter(|_| keep && next.origin == Origin::Kept);
        let Some(client) = kept else {
            return self.connect(place, next);
        };
        client.renew(next);
        let step = client.send(self.requests.of(next.weight));
        if let Step::Ended { ending, .. } = step {
            self.fail(place, next, ending);
        }
    }

    fn fail(&mut self, place: usize, exchange: Exchange, ending: Ending) {
        let now = Instant::now();
        self.record.add(&exchange, ending, now);
        if place >= self.target.connections {
            return self.leave(place);
        }
        self.clients[place] = None;
        self.resting.push_back((now + REST, place));
    }

    /// A client beside the kept ones has done what it came for.
    fn leave(&mut self, place: usize) {
        self.clients[place] = None;
        self.free.push(place);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    use super::*;
    use crate::settings::{Mode, Settings};

    /// Answers each request with these bytes until the client closes; its threads end with the test program.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                thread::spawn(move || serve(stream, answer));
            }
        });
        address
    }

    fn serve(mut stream: TcpStream, answer: &str) {
        let mut request = [0; 1024];
        while stream.read(&mut request).is_ok_and(|count| count > 0) {
            thread::sleep(Duration::from_millis(2));
            if stream.write_all(answer.as_bytes()).is_err() || answer.contains("close") {
                return;
            }
        }
    }

    fn load(address: SocketAddr, flags: &str) -> Record {
        let line = format!("closed {address} --connections 4 --warm-up 0 --patience 0.2 {flags}");
        let settings = Settings::read(line.split_whitespace().map(str::to_owned)).unwrap();
        let Mode::Closed(mode) = &settings.mode else { panic!("not the closed loop") };
        run(&settings.target, mode).unwrap()
    }

    fn answered(status: &str, header: &str) -> &'static str {
        format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n{header}\r\nok").leak()
    }

    #[test]
    fn a_kept_connection_is_used_again() {
        let record = load(server(answered("200 OK", "")), "--seconds 0.3");
        let (kept, new) = (record.count(Origin::Kept), record.count(Origin::New));
        assert!(kept > 4 && new == 0, "{kept} kept, {new} new");
        assert_eq!(record.failures(), [0; 4]);
    }

    #[test]
    fn a_server_that_closes_each_connection_is_no_error() {
        let record = load(server(answered("200 OK", "Connection: close\r\n")), "--seconds 0.3");
        assert!(record.count(Origin::Kept) > 4);
        assert_eq!(record.failures(), [0; 4]);
    }

    #[test]
    fn new_connections_are_opened_as_asked() {
        let record = load(server(answered("200 OK", "")), "--seconds 0.3 --reopen 1");
        let (kept, new) = (record.count(Origin::Kept), record.count(Origin::New));
        assert!(kept == 0 && new > 4, "{kept} kept, {new} new");
        let record = load(server(answered("200 OK", "")), "--seconds 0.3 --new-per-second 100");
        let (kept, new) = (record.count(Origin::Kept), record.count(Origin::New));
        assert!(kept > 4 && new > 4, "{kept} kept, {new} new");
        assert_eq!(record.failures(), [0; 4]);
    }

    #[test]
    fn errors_are_counted_by_kind() {
        let [unconnected, refused, broken, abandoned] =
            load(server(answered("503 Service Unavailable", "")), "--seconds 0.1").failures();
        assert!(refused > 0 && [unconnected, broken, abandoned] == [0; 3]);

        let [unconnected, refused, broken, abandoned] = load(
            server("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n"),
            "--seconds 0.1",
        )
        .failures();
        assert!(broken > 0 && [unconnected, refused, abandoned] == [0; 3]);

        assert_eq!(load(server("HTTP/1.1 200 OK\r\n"), "--seconds 0.1").failures(), [0, 0, 0, 4]);

        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let [unconnected, refused, broken, abandoned] = load(nobody, "--seconds 0.1").failures();
        assert!(unconnected > 0 && [refused, broken, abandoned] == [0; 3]);
    }
}
