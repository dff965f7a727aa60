//! Open-loop HTTP load: requests arrive as a Poisson process, whatever the server does with the earlier ones.
//!
//! One request in so many is heavy; only the light ones are timed, each from the moment it was due, so that a
//! server that makes arrivals wait cannot hide it. It polls without sleeping and wants a core of its own. Closed-loop
//! throughput is not its business.

mod arrivals;
mod connection;
mod pool;
mod report;
mod settings;

use std::process::ExitCode;
use std::time::Instant;

use arrivals::{Arrivals, Weight};
use pool::Pool;
use report::Report;
use settings::Settings;

fn main() -> ExitCode {
    let settings = match Settings::read(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(reason) => {
            eprintln!("bench-load: {reason}\n{}", settings::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&settings) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-load: cannot load {}: {error}", settings.address);
            ExitCode::FAILURE
        }
    }
}

/// Sends what is due and reads what has come until the time is over and the last answer is in, or was given up.
fn run(settings: &Settings) -> std::io::Result<Report> {
    let start = Instant::now();
    let end = start + settings.duration;
    let mut arrivals = Arrivals::new(start, settings.rate, settings.heavy_every, settings.seed);
    let mut pool = Pool::open(settings)?;
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
        if now >= end && (pool.is_idle() || now >= end + settings.patience) {
            report.abandoned = pool.outstanding();
            return Ok(report);
        }
    }
}
