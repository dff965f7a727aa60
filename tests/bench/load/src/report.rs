//! What was seen, and how it is printed: one line of JSON, times in milliseconds.

use std::fmt;
use std::time::Duration;

use crate::connection::Outcome;

#[derive(Default)]
pub struct Report {
    light: Vec<Duration>,
    heavy: Vec<Duration>,
    refused: usize,
    broken: usize,
    /// Requests still unanswered when patience ended.
    pub abandoned: usize,
}

impl Report {
    pub fn light(&mut self, took: Duration, outcome: Outcome) {
        if self.count(outcome) {
            self.light.push(took);
        }
    }

    pub fn heavy(&mut self, took: Duration, outcome: Outcome) {
        if self.count(outcome) {
            self.heavy.push(took);
        }
    }

    fn count(&mut self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Answered => return true,
            Outcome::Refused => self.refused += 1,
            Outcome::Broken => self.broken += 1,
        }
        false
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let light = sorted(&self.light);
        let heavy = sorted(&self.heavy);
        write!(
            out,
            "{{\"light\":{},\"heavy\":{},\"p50_ms\":{:.3},\"p90_ms\":{:.3},\"p99_ms\":{:.3},\"max_ms\":{:.3},\
             \"heavy_p50_ms\":{:.3},\"refused\":{},\"broken\":{},\"abandoned\":{}}}",
            light.len(),
            heavy.len(),
            quantile(&light, 0.50),
            quantile(&light, 0.90),
            quantile(&light, 0.99),
            quantile(&light, 1.0),
            quantile(&heavy, 0.50),
            self.refused,
            self.broken,
            self.abandoned,
        )
    }
}

fn sorted(times: &[Duration]) -> Vec<Duration> {
    let mut times = times.to_vec();
    times.sort_unstable();
    times
}

/// In milliseconds, by nearest rank; 0 of nothing.
fn quantile(sorted: &[Duration], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
