//! What was seen, and how it is printed: one line of JSON, times in milliseconds.

use std::fmt;
use std::time::Duration;

use crate::answer::Outcome;
use crate::quantile::Sorted;

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
        let light = Sorted::new(self.light.clone());
        let heavy = Sorted::new(self.heavy.clone());
        write!(
            out,
            "{{\"light\":{},\"heavy\":{},\"p50_ms\":{:.3},\"p90_ms\":{:.3},\"p99_ms\":{:.3},\"max_ms\":{:.3},\
             \"heavy_p50_ms\":{:.3},\"refused\":{},\"broken\":{},\"abandoned\":{}}}",
            light.count(),
            heavy.count(),
            light.quantile(0.50),
            light.quantile(0.90),
            light.quantile(0.99),
            light.quantile(1.0),
            heavy.quantile(0.50),
            self.refused,
            self.broken,
            self.abandoned,
        )
    }
}
