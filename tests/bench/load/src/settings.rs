//! The command line: flags and their values, nothing else.

use std::net::SocketAddr;
use std::time::Duration;

/// Printed when the command line cannot be read.
pub const USAGE: &str = "usage: bench-load HOST:PORT [--rate PER_SECOND] [--seconds N] [--heavy-every N] \
[--light PATH] [--heavy PATH] [--connections N] [--seed N]";

/// What to send, where to, how fast and for how long.
pub struct Settings {
    pub address: SocketAddr,
    /// Arrivals per second, light and heavy together.
    pub rate: f64,
    pub duration: Duration,
    /// How long after the end unanswered requests are waited for.
    pub patience: Duration,
    /// One arrival in this many, at random, is heavy.
    pub heavy_every: u32,
    pub light: String,
    pub heavy: String,
    /// Keep-alive connections; arrivals beyond them wait, and their wait counts.
    pub connections: usize,
    pub seed: u64,
}

impl Settings {
    pub fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let address = arguments.next().ok_or("no address given")?;
        let mut settings = Self {
            address: parse("HOST:PORT", &address)?,
            rate: 300.0,
            duration: Duration::from_secs(5),
            patience: Duration::from_secs(5),
            heavy_every: 20,
            light: "/".to_owned(),
            heavy: "/slow".to_owned(),
            connections: 32,
            seed: 1,
        };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} has no value"))?;
            settings.set(&flag, value)?;
        }
        if !(settings.rate.is_finite() && settings.rate > 0.0) {
            return Err("--rate must be above 0".to_owned());
        }
        Ok(settings)
    }

    fn set(&mut self, flag: &str, value: String) -> Result<(), String> {
        match flag {
            "--rate" => self.rate = parse(flag, &value)?,
            "--seconds" => self.duration = Duration::from_secs(parse(flag, &value)?),
            "--heavy-every" => self.heavy_every = parse(flag, &value)?,
            "--light" => self.light = value,
            "--heavy" => self.heavy = value,
            "--connections" => self.connections = parse(flag, &value)?,
            "--seed" => self.seed = parse(flag, &value)?,
            _ => return Err(format!("unknown flag {flag}")),
        }
        Ok(())
    }
}

fn parse<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: cannot read {value:?}"))
}
