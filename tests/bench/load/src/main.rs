//! HTTP load that times single requests: an open loop and a closed loop, each in a module of its own.

mod answer;
mod arrivals;
mod closed;
mod open;
mod quantile;
mod random;
mod settings;
mod stream;
mod tls;

use std::process::ExitCode;

use settings::{Mode, Settings};

fn main() -> ExitCode {
    let settings = match Settings::read(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(reason) => {
            eprintln!("bench-load: {reason}\n{}", settings::USAGE);
            return ExitCode::from(2);
        }
    };
    let report = match &settings.mode {
        Mode::Open(mode) => open::run(&settings.target, mode).map(|report| report.to_string()),
        Mode::Closed(mode) => closed::run(&settings.target, mode).map(|report| report.to_string()),
    };
    match report {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-load: cannot load {}: {error}", settings.target.address);
            ExitCode::FAILURE
        }
    }
}
