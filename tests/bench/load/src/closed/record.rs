//! Which exchanges are measured, what was seen of them, and how that is printed: one line of JSON, times in
//! milliseconds. No I/O, no clock of its own.

use std::fmt;
use std::time::{Duration, Instant};

use rustls::HandshakeKind;

use crate::answer::Outcome;
use crate::arrivals::Weight;
use crate::quantile::Sorted;
use crate::tls::Handshakes;

/// What a request needs before it can be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A connection that is there already.
    Kept,
    /// A new connection, as the load asks for it.
    New,
}

/// One request and its answer.
#[derive(Clone, Copy)]
pub struct Exchange {
    /// When it was due, which is before a connection is opened for it.
    pub started: Instant,
    pub origin: Origin,
    pub weight: Weight,
}

/// How an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Exchanged(Outcome),
    /// There was no connection to send it over.
    Unconnected,
    /// Nothing had ended it when patience was over.
    Abandoned,
}

/// How long after the start requests belong to the ramp.
const RAMP: Duration = Duration::from_secs(1);

/// When what is measured.
pub struct Schedule {
    pub start: Instant,
    /// The measurement's first moment.
    pub from: Instant,
    /// The first moment after it.
    pub until: Instant,
    /// When what is still unanswered is given up.
    pub patience: Instant,
}

impl Schedule {
    pub fn new(start: Instant, warm_up: Duration, duration: Duration, patience: Duration) -> Self {
        let from = start + warm_up;
        let until = from + duration;
        Self { start, from, until, patience: until + patience }
    }

    /// Whether a request that started then is measured, if it has not ended before the measurement. One that waits
    /// since the warm-up counts: what is starved for long would otherwise be in no figure.
    pub fn waits_for(&self, started: Instant) -> bool {
        started < self.until
    }

    fn is_during(&self, now: Instant) -> bool {
        self.from <= now && now < self.until
    }

    fn is_ramp(&self, started: Instant) -> bool {
        started < self.start + RAMP
    }
}

struct Sample {
    origin: Origin,
    weight: Weight,
    took: Duration,
}

/// Everything seen so far.
pub struct Record {
    schedule: Schedule,
    measured: Vec<Sample>,
    ramp: Vec<Duration>,
    /// All answers, those of the warm-up included.
    answered: u64,
    /// Answers that came while it was measured, whenever their requests started.
    meanwhile: u64,
    refused: u64,
    broken: u64,
    unconnected: u64,
    abandoned: u64,
    /// Those of connections that have carried an answer.
    handshakes: Handshakes,
}

impl Record {
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            measured: Vec::with_capacity(1 << 16),
            ramp: Vec::with_capacity(1 << 16),
            answered: 0,
            meanwhile: 0,
            refused: 0,
            broken: 0,
            unconnected: 0,
            abandoned: 0,
            handshakes: Handshakes::default(),
        }
    }

    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Takes an exchange that ended now. An abandoned one counts with the time it has waited, which is too short.
    pub fn add(&mut self, exchange: &Exchange, ending: Ending, now: Instant) {
        match ending {
            Ending::Exchanged(Outcome::Answered) => {
                self.answered += 1;
                self.meanwhile += u64::from(self.schedule.is_during(now));
                self.sample(exchange, now);
            }
            Ending::Exchanged(Outcome::Refused) => self.refused += 1,
            Ending::Exchanged(Outcome::Broken) => self.broken += 1,
            Ending::Unconnected => self.unconnected += 1,
            Ending::Abandoned => {
                self.abandoned += 1;
                self.sample(exchange, now);
            }
        }
    }

    pub fn add_handshake(&mut self, kind: HandshakeKind) {
        self.handshakes.add(kind);
    }

    fn sample(&mut self, exchange: &Exchange, now: Instant) {
        let took = now.saturating_duration_since(exchange.started);
        if self.schedule.is_ramp(exchange.started) {
            self.ramp.push(took);
        }
        if self.schedule.waits_for(exchange.started) && self.schedule.from <= now {
            self.measured.push(Sample { origin: exchange.origin, weight: exchange.weight, took });
        }
    }

    /// How many requests of this origin were measured.
    #[cfg(test)]
    pub fn count(&self, origin: Origin) -> usize {
        self.measured.iter().filter(|sample| sample.origin == origin).count()
    }

    /// Errors by kind: unconnected, refused, broken, abandoned.
    #[cfg(test)]
    pub fn failures(&self) -> [u64; 4] {
        [self.unconnected, self.refused, self.broken, self.abandoned]
    }

    fn figures(&self, which: impl Fn(&Sample) -> bool) -> Figures {
        let chosen = self.measured.iter().filter(|sample| which(sample));
        Figures(Sorted::new(chosen.map(|sample| sample.took).collect()))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = (self.schedule.until - self.schedule.from).as_secs_f64();
        write!(
            out,
            "{{\"seconds\":{seconds:.3},\"answered\":{},\"requests\":{},\"rate\":{:.1},",
            self.answered,
            self.meanwhile,
            self.meanwhile as f64 / seconds,
        )?;
        write!(
            out,
            "\"kept\":{},\"new\":{},\"light\":{},\"heavy\":{},\"all\":{},\"ramp\":{},",
            self.figures(|sample| sample.origin == Origin::Kept),
            self.figures(|sample| sample.origin == Origin::New),
            self.figures(|sample| sample.weight == Weight::Light),
            self.figures(|sample| sample.weight == Weight::Heavy),
            self.figures(|_| true),
            Figures(Sorted::new(self.ramp.clone())),
        )?;
        write!(
            out,
            "\"handshakes\":{},\"errors\":{{\"unconnected\":{},\"refused\":{},\"broken\":{},\"abandoned\":{}}}}}",
            self.handshakes, self.unconnected, self.refused, self.broken, self.abandoned,
        )
    }
}

/// How the times of some exchanges are printed.
struct Figures(Sorted);

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{{\"count\":{},\"p50_ms\":{:.3},\"p99_ms\":{:.3},\"p999_ms\":{:.3},\"max_ms\":{:.3}}}",
            self.0.count(),
            self.0.quantile(0.50),
            self.0.quantile(0.99),
            self.0.quantile(0.999),
            self.0.quantile(1.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERED: Ending = Ending::Exchanged(Outcome::Answered);

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    /// A warm-up of 2 s and a measurement of 1 s.
    fn record(start: Instant) -> Record {
        Record::new(Schedule::new(start, ms(2000), ms(1000), ms(5000)))
    }

    fn exchange(started: Instant, origin: Origin) -> Exchange {
        Exchange { started, origin, weight: Weight::Light }
    }

    #[test]
    fn what_is_under_way_while_it_is_measured_counts_and_the_rate_is_that_of_the_ends() {
        let start = Instant::now();
        let mut record = record(start);
        for (at, took) in [(0, 30), (1500, 700), (2100, 10), (2900, 400), (3000, 1)] {
            let started = start + ms(at);
            record.add(&exchange(started, Origin::Kept), ANSWERED, started + ms(took));
        }
        let took: Vec<_> = record.measured.iter().map(|sample| sample.took).collect();
        assert_eq!(took, [ms(700), ms(10), ms(400)]);
        assert_eq!(record.ramp, [ms(30)]);
        assert_eq!((record.answered, record.meanwhile), (5, 2));
    }

    #[test]
    fn what_was_given_up_counts_with_the_time_it_waited() {
        let start = Instant::now();
        let mut record = record(start);
        let late = exchange(start + ms(2500), Origin::New);
        record.add(&late, Ending::Abandoned, start + ms(8000));
        record.add(&late, Ending::Exchanged(Outcome::Broken), start + ms(8000));
        assert_eq!(record.figures(|one| one.origin == Origin::New).0.quantile(1.0), 5500.0);
        assert_eq!(record.figures(|one| one.origin == Origin::Kept).0.count(), 0);
        assert_eq!((record.answered, record.abandoned, record.broken), (0, 1, 1));
    }
}
