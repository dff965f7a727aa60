//! A type of settings: how many requests a client may send in a time.

use std::fmt;
use std::time::Duration;

use crate::row::Bounds;
use crate::url_path::check_path;
use crate::value::{Value, each_once, integer};

/// The maximum number of rules.
pub const MOST_RATES: usize = 64;

/// The maximum of a rate's numbers.
const LARGEST: u64 = 1_000_000;

/// The units of time, in seconds.
const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// A limit for the requests of each client. As text: `20/s burst 40`, `/login=5/m`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// The path of the requests that count, with everything beneath it, written as in a URL;
    /// `None` for all requests.
    pub prefix: Option<String>,
    /// How many requests a client may send in `period`, on average; at least 1.
    pub count: u32,
    /// The time in which a client may send `count` requests.
    pub period: Duration,
    /// The size of the bucket: how many requests may come at once; at least 1.
    pub burst: u32,
}

impl fmt::Display for RateLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.period.as_secs();
        let unit =
            UNITS.iter().find(|(_, length)| *length == seconds).map_or("s", |(unit, _)| *unit);
        if let Some(prefix) = &self.prefix {
            write!(out, "{prefix}=")?;
        }
        write!(out, "{}/{unit}", self.count)?;
        if self.burst == self.count { Ok(()) } else { write!(out, " burst {}", self.burst) }
    }
}

impl Value for RateLimit {
    const NONE: &'static [&'static str] = &["none", "off", "false"];

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let (prefix, rate) = match text.rsplit_once('=') {
            Some((prefix, rate)) => (Some(prefix), rate),
            None => (None, text),
        };
        prefix.map_or(Ok(()), check_path)?;
        let words: Vec<_> = rate.split_whitespace().collect();
        let (rate, burst) = match words[..] {
            [rate] => (rate, None),
            [rate, "burst", burst] => (rate, Some(burst)),
            _ => return Err(refusal(rate)),
        };
        let (count, unit) = rate.split_once('/').ok_or_else(|| refusal(rate))?;
        let (_, seconds) =
            UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| refusal(rate))?;
        let count = number(count, rate)?;
        let burst = burst.map_or(Ok(count), |burst| number(burst, burst))?;
        let period = Duration::from_secs(*seconds);
        Ok(Self { prefix: prefix.map(str::to_owned), count, period, burst })
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }

    fn join(words: Vec<String>) -> Vec<String> {
        let mut joined: Vec<String> = Vec::new();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            match (joined.last_mut(), words.peek()) {
                (Some(rate), Some(burst)) if word == "burst" => {
                    rate.push_str(&format!(" burst {burst}"));
                    words.next();
                }
                _ => joined.push(word),
            }
        }
        joined
    }

    fn check_list(rates: &[Self]) -> Result<(), String> {
        if rates.len() > MOST_RATES {
            return Err(format!("has {} rates; at most {MOST_RATES} are possible", rates.len()));
        }
        each_once(rates)
    }
}

/// Reads a number of requests; `text` is what an error quotes.
fn number(word: &str, text: &str) -> Result<u32, String> {
    let number = integer(word).ok_or_else(|| refusal(text))?;
    match u32::try_from(number) {
        Ok(count) if (1..=LARGEST).contains(&number) => Ok(count),
        Ok(_) | Err(_) => Err(format!("{word} is not between 1 and {LARGEST}")),
    }
}

fn refusal(text: &str) -> String {
    format!("cannot read {text:?} as a rate; examples: 20/s, 5/m, 100/h, '20/s burst 40'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Result<RateLimit, String> {
        RateLimit::parse(text, None)
    }

    #[test]
    fn a_rate_has_a_prefix_a_period_and_a_burst() {
        let of = |prefix: Option<&str>, count, seconds, burst| RateLimit {
            prefix: prefix.map(str::to_owned),
            count,
            period: Duration::from_secs(seconds),
            burst,
        };
        for (text, expected) in [
            ("20/s", of(None, 20, 1, 20)),
            ("20/s burst 40", of(None, 20, 1, 40)),
            ("/login=5/m", of(Some("/login"), 5, 60, 5)),
            ("/a=b/=100/h burst 1", of(Some("/a=b/"), 100, 3600, 1)),
        ] {
            let read = rate(text).unwrap();
            assert_eq!(read, expected, "{text}");
            assert_eq!(read.to_string(), text);
        }
        assert_eq!(rate("20/s  burst 20").unwrap().to_string(), "20/s");
        assert_eq!(rate("/x= 5/m").unwrap().to_string(), "/x=5/m");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for (text, part) in [
            ("", "cannot read \"\" as a rate; examples: 20/s"),
            ("20", "cannot read \"20\" as a rate"),
            ("20/d", "cannot read \"20/d\" as a rate"),
            ("x/s", "cannot read \"x/s\" as a rate"),
            ("-1/s", "cannot read \"-1/s\" as a rate"),
            ("0/s", "0 is not between 1 and 1000000"),
            ("1000001/s", "1000001 is not between"),
            ("20/s burst", "cannot read \"20/s burst\""),
            ("burst", "'20/s burst 40'"),
            ("20/s burst 0", "0 is not between"),
            ("20/s burst x", "cannot read \"x\""),
            ("login=5/m", "\"login\" does not begin with /"),
            ("/login", "cannot read \"/login\" as a rate"),
        ] {
            let reason = rate(text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn the_number_of_rates_is_limited() {
        let texts = |count: usize| (0..count).map(|it| format!("/{it}=1/s")).collect::<Vec<_>>();
        assert_eq!(Vec::<RateLimit>::read(&texts(64), None).unwrap().len(), 64);
        let reason = Vec::<RateLimit>::read(&texts(65), None).unwrap_err();
        assert_eq!(reason, "has 65 rates; at most 64 are possible");
        let both = ["5/s", "100/h"].map(str::to_owned);
        assert!(Vec::<RateLimit>::read(&both, None).is_ok(), "several rates for the same requests");
        let twice = ["/a=1/s", "/a=1/s burst 1"].map(str::to_owned);
        assert_eq!(Vec::<RateLimit>::read(&twice, None).unwrap_err(), "/a=1/s is in it twice");
    }
}
