//! The command line: flags and their values, nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::{SupportedProtocolVersion, version};

use crate::arrivals::Weight;

/// Printed when the command line cannot be read.
pub const USAGE: &str = "\
usage: bench-load open HOST:PORT [--rate PER_SECOND] [COMMON]
       bench-load closed HOST:PORT [--reopen SHARE] [--new-per-second N] [--heavy-connections N] [--warm-up SECONDS]
                 [--tls VERSION] [--resume yes] [COMMON]

open: requests at random moments, whatever became of the earlier ones
  --rate PER_SECOND      arrivals a second, light and heavy together (300)
closed: each connection sends its next request when it has the answer to the last
  --reopen SHARE         the share of requests, 0 to 1, for which a new connection is opened (0)
  --new-per-second N     beside the others, new connections at random moments, one request each (0)
  --heavy-connections N  this many of the connections ask for the heavy path alone (0)
  --warm-up SECONDS      nothing is measured before; only the first second is, as `ramp` (1)
  --tls VERSION          TLS of this version, 1.2 or 1.3, with a full handshake for each connection (no TLS)
  --resume yes           connections resume the session of the one before them
COMMON
  --seconds N            length of the measurement (5)
  --patience SECONDS     how much longer unanswered requests are waited for (5)
  --connections N        kept connections (open: 32, closed: 64)
  --light PATH           (/)
  --heavy PATH           (/slow)
  --heavy-every N        one request in so many, at random, is heavy; 0 for none (open: 20, closed: 0)
  --seed N               (1)";

/// What is asked, where, and for how long.
pub struct Target {
    pub address: SocketAddr,
    pub duration: Duration,
    /// How long after the end unanswered requests are waited for.
    pub patience: Duration,
    /// One request in this many, at random, is heavy; 0 for none.
    pub heavy_every: u32,
    light: String,
    heavy: String,
    /// Kept connections. In the open loop, arrivals beyond them wait, and their wait counts.
    pub connections: usize,
    pub seed: u64,
}

/// The bytes of the two requests.
pub struct Requests {
    light: Vec<u8>,
    heavy: Vec<u8>,
}

/// What only the open loop takes.
pub struct Open {
    /// Arrivals a second, light and heavy together.
    pub rate: f64,
}

/// What only the closed loop takes.
pub struct Closed {
    /// The share of requests for which the connection is closed and opened anew, from 0 to 1.
    pub reopen: f64,
    /// New connections a second beside the kept ones, one request each.
    pub new_per_second: f64,
    /// How many of the connections ask for the heavy path alone.
    pub heavy_connections: usize,
    /// How long nothing is measured.
    pub warm_up: Duration,
    /// The version of TLS.
    pub tls: Option<&'static SupportedProtocolVersion>,
    /// Whether sessions are resumed.
    pub resumes: bool,
}

/// How requests follow each other.
pub enum Mode {
    Open(Open),
    Closed(Closed),
}

pub struct Settings {
    pub target: Target,
    pub mode: Mode,
}

impl Settings {
    pub fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mode = match arguments.next().as_deref() {
            Some("open") => Mode::Open(Open { rate: 300.0 }),
            Some("closed") => Mode::Closed(Closed {
                reopen: 0.0,
                new_per_second: 0.0,
                heavy_connections: 0,
                warm_up: Duration::from_secs(1),
                tls: None,
                resumes: false,
            }),
            _ => return Err("say open or closed".to_owned()),
        };
        let address = arguments.next().ok_or("no address given")?;
        let target = Target::new(parse("HOST:PORT", &address)?, &mode);
        let mut settings = Self { target, mode };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} has no value"))?;
            settings.set(&flag, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, flag: &str, value: String) -> Result<(), String> {
        let taken = match &mut self.mode {
            Mode::Open(open) => open.set(flag, &value)?,
            Mode::Closed(closed) => closed.set(flag, &value)?,
        };
        if taken { Ok(()) } else { self.target.set(flag, value) }
    }
}

impl Open {
    /// Whether this is a flag of the open loop, and was set.
    fn set(&mut self, flag: &str, value: &str) -> Result<bool, String> {
        if flag != "--rate" {
            return Ok(false);
        }
        self.rate = positive(flag, value)?;
        Ok(true)
    }
}

impl Closed {
    /// Whether this is a flag of the closed loop, and was set.
    fn set(&mut self, flag: &str, value: &str) -> Result<bool, String> {
        match flag {
            "--reopen" => self.reopen = number(flag, value)?,
            "--new-per-second" => self.new_per_second = number(flag, value)?,
            "--heavy-connections" => self.heavy_connections = parse(flag, value)?,
            "--warm-up" => self.warm_up = seconds(flag, value)?,
            "--tls" => self.tls = Some(tls_version(value)?),
            "--resume" => self.resumes = value == "yes",
            _ => return Ok(false),
        }
        if self.reopen > 1.0 {
            return Err("--reopen must be at most 1".to_owned());
        }
        Ok(true)
    }
}

impl Target {
    fn new(address: SocketAddr, mode: &Mode) -> Self {
        let (connections, heavy_every) = match mode {
            Mode::Open(_) => (32, 20),
            Mode::Closed(_) => (64, 0),
        };
        Self {
            address,
            duration: Duration::from_secs(5),
            patience: Duration::from_secs(5),
            heavy_every,
            light: "/".to_owned(),
            heavy: "/slow".to_owned(),
            connections,
            seed: 1,
        }
    }

    fn set(&mut self, flag: &str, value: String) -> Result<(), String> {
        match flag {
            "--seconds" => self.duration = seconds(flag, &value)?,
            "--patience" => self.patience = seconds(flag, &value)?,
            "--heavy-every" => self.heavy_every = parse(flag, &value)?,
            "--light" => self.light = value,
            "--heavy" => self.heavy = value,
            "--connections" => self.connections = parse(flag, &value)?,
            "--seed" => self.seed = parse(flag, &value)?,
            _ => return Err(format!("unknown flag {flag}")),
        }
        Ok(())
    }

    pub fn requests(&self) -> Requests {
        let bytes = |path: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).into_bytes()
        };
        Requests { light: bytes(&self.light), heavy: bytes(&self.heavy) }
    }
}

impl Requests {
    pub fn of(&self, weight: Weight) -> &[u8] {
        match weight {
            Weight::Light => &self.light,
            Weight::Heavy => &self.heavy,
        }
    }
}

fn parse<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: cannot read {value:?}"))
}

fn tls_version(value: &str) -> Result<&'static SupportedProtocolVersion, String> {
    match value {
        "1.2" => Ok(&version::TLS12),
        "1.3" => Ok(&version::TLS13),
        _ => Err(format!("--tls must be 1.2 or 1.3, not {value:?}")),
    }
}

/// Finite and not negative.
fn number(flag: &str, value: &str) -> Result<f64, String> {
    let number: f64 = parse(flag, value)?;
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err(format!("{flag} must be 0 or above"))
    }
}

fn positive(flag: &str, value: &str) -> Result<f64, String> {
    let number = number(flag, value)?;
    if number > 0.0 { Ok(number) } else { Err(format!("{flag} must be above 0")) }
}

fn seconds(flag: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(flag, value)?).map_err(|error| format!("{flag}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Settings, String> {
        Settings::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn each_mode_has_flags_of_its_own() {
        assert!(read("open 127.0.0.1:1 --rate 10 --connections 3").is_ok());
        assert!(read("closed 127.0.0.1:1 --reopen 0.5 --seconds 0.5").is_ok());
        assert!(read("closed 127.0.0.1:1 --rate 10").is_err());
        assert!(read("open 127.0.0.1:1 --reopen 0.5").is_err());
        assert!(read("closed 127.0.0.1:1 --tls 1.2 --resume yes").is_ok());
        assert!(read("closed 127.0.0.1:1 --tls 1.1").is_err());
        assert!(read("open 127.0.0.1:1 --tls 1.3").is_err());
        assert!(read("127.0.0.1:1").is_err());
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        assert!(read("open 127.0.0.1:1 --rate 0").is_err());
        assert!(read("closed 127.0.0.1:1 --reopen 1.5").is_err());
        assert!(read("closed 127.0.0.1:1 --seconds -1").is_err());
        assert!(read("closed 127.0.0.1:1 --seconds").is_err());
    }
}
