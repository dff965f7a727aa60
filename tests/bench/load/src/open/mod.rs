//! Open loop: requests arrive as a Poisson process, whatever the server does with the earlier ones.
//!
//! One request in so many is heavy. Each is timed from the moment it was due, so that a server that makes arrivals
//! wait cannot hide it. It polls without sleeping and wants a core of its own.

mod connection;
mod pool;
mod report;

use std::io::Result;
use std::time::Instant;

use crate::arrivals::{Arrivals, Weight};
use crate::settings::{Open, Target};
use pool::Pool;
use report::Report;

/// Sends what is due and reads what has come until the time is over and the last answer is in, or was given up.
pub fn run(target: &Target, settings: &Open) -> Result<Report> {
    let start = Instant::now();
    let end = start + target.duration;
    let mut arrivals = Arrivals::new(start, settings.rate, target.heavy_every, target.seed);
    let mut pool = Pool::open(target)?;
    let mut report = Report::default();
    loop {
        let now = Instant::now();
        while let Some(request) = arrivals.due(now.min(end)) {
            pool.push(request);
        }
        pool.send_waiting();
        for (request, outcome) in pool.receive() {
            match request.weight {
                Weight::Light => report.light(request.due.elapsed(), outcome),
                Weight::Heavy => report.heavy(request.due.elapsed(), outcome),
            }
        }
        if now >= end && (pool.is_idle() || now >= end + target.patience) {
            report.abandoned = pool.outstanding();
            return Ok(report);
        }
    }
}
