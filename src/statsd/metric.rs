//! One figure, as a line of the protocol.

use std::fmt::Write;

/// A figure with its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Adds to a counter.
    Count(u64),
    /// The state of something now.
    Gauge(u64),
    /// One of many values.
    Histogram(u64),
    /// A length of time, in microseconds.
    Time(u64),
}

impl Metric {
    /// Appends the line, without a line end. Times are in milliseconds, as Python writes the
    /// number.
    pub(crate) fn push(self, prefix: &str, name: &str, tags: &str, line: &mut String) {
        line.push_str(prefix);
        line.push_str(name);
        // Writing to a String cannot fail.
        match self {
            Self::Count(count) => write!(line, ":{count}|c|@1.0"),
            Self::Gauge(value) => write!(line, ":{value}|g"),
            Self::Histogram(value) => write!(line, ":{value}|h"),
            Self::Time(us) => {
                let (ms, rest) = (us / 1000, us % 1000);
                let digits = format!("{rest:03}");
                let digits = digits.trim_end_matches('0');
                write!(line, ":{ms}.{}|ms", if digits.is_empty() { "0" } else { digits })
            }
        }
        .ok();
        line.push_str(tags);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_name_value_and_type() {
        for (metric, tags, line) in [
            (Metric::Count(3), "", "a.b:3|c|@1.0"),
            (Metric::Gauge(0), "|#x:y,z", "a.b:0|g|#x:y,z"),
            (Metric::Histogram(12), "", "a.b:12|h"),
            (Metric::Time(12_000), "", "a.b:12.0|ms"),
            (Metric::Time(428), "", "a.b:0.428|ms"),
            (Metric::Time(1_050_090), "|#t", "a.b:1050.09|ms|#t"),
        ] {
            let mut found = String::new();
            metric.push("a.", "b", tags, &mut found);
            assert_eq!(found, line);
        }
    }
}
