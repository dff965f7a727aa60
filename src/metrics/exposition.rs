//! The writer of both formats: lines about a family, and its samples.

use std::fmt::{self, Write};

use crate::format::MetricsFormat;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only rises while its process lives. Its samples end with `_total`.
    Counter,
    /// A number that rises and falls.
    Gauge,
    /// How many observations were at most as large as each of some bounds.
    Histogram,
    /// The number of observations and their sum.
    Summary,
    /// Facts as labels of a sample that is always 1. It ends with `_info`.
    Info,
    /// Not known.
    Unknown,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SampleValue {
    /// A whole number.
    Count(u64),
    /// Any other number.
    Real(f64),
}

/// A text with metrics, as far as it is written.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    format: MetricsFormat,
}

/// Writes the samples of one family.
#[derive(Debug)]
pub struct FamilyWriter<'a> {
    exposition: &'a mut Exposition,
    name: &'a str,
}

impl MetricKind {
    /// Its name in both formats.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::Unknown => "unknown",
        }
    }

    /// The end of the names of its samples, where all samples have the same.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram | Self::Summary | Self::Unknown => "",
        }
    }

    /// Its name in the text format, which knows fewer types.
    fn name_in_text(self) -> &'static str {
        match self {
            Self::Info => "gauge",
            Self::Unknown => "untyped",
            Self::Counter | Self::Gauge | Self::Histogram | Self::Summary => self.name(),
        }
    }
}

impl From<u64> for SampleValue {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for SampleValue {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<u16> for SampleValue {
    fn from(count: u16) -> Self {
        Self::Count(count.into())
    }
}

impl From<bool> for SampleValue {
    fn from(is_true: bool) -> Self {
        Self::Count(is_true.into())
    }
}

impl From<f64> for SampleValue {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl fmt::Display for SampleValue {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(formatter, "{count}"),
            Self::Real(number) if number == f64::INFINITY => formatter.write_str("+Inf"),
            Self::Real(number) if number == f64::NEG_INFINITY => formatter.write_str("-Inf"),
            Self::Real(number) if number.is_nan() => formatter.write_str("NaN"),
            // With a decimal point also for whole numbers: bounds of buckets need it in
            // OpenMetrics ("canonical numbers").
            Self::Real(number) => write!(formatter, "{number:?}"),
        }
    }
}

impl Exposition {
    /// A text without any family.
    #[must_use]
    pub fn new(format: MetricsFormat) -> Self {
        // The text of a server with a few workers.
        Self { text: String::with_capacity(16 << 10), format }
    }

    /// Its format.
    #[must_use]
    pub fn format(&self) -> MetricsFormat {
        self.format
    }

    /// Begins a family. All samples of a family stand together, so it must not be begun twice.
    /// `name` is without the `_total` or `_info` of its samples. A unit must be the end of the
    /// name.
    pub fn family<'a>(
        &'a mut self,
        name: &'a str,
        kind: MetricKind,
        unit: &str,
        help: &str,
    ) -> FamilyWriter<'a> {
        // Writing to a string does not fail.
        match self.format {
            MetricsFormat::Text => {
                let suffix = kind.suffix();
                write!(self.text, "# HELP {name}{suffix} ").ok();
                self.escape(help, false);
                write!(self.text, "\n# TYPE {name}{suffix} {}\n", kind.name_in_text()).ok();
            }
            MetricsFormat::OpenMetrics => {
                writeln!(self.text, "# TYPE {name} {}", kind.name()).ok();
                if !unit.is_empty() {
                    writeln!(self.text, "# UNIT {name} {unit}").ok();
                }
                write!(self.text, "# HELP {name} ").ok();
                self.escape(help, true);
                self.text.push('\n');
            }
        }
        FamilyWriter { exposition: self, name }
    }

    /// How much is written, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Removes what was written behind the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.text.truncate(len);
    }

    /// The whole text.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.format == MetricsFormat::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// Writes text with the escapes of both formats.
    fn escape(&mut self, text: &str, with_quotes: bool) {
        for letter in text.chars() {
            match letter {
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '"' if with_quotes => self.text.push_str("\\\""),
                letter => self.text.push(letter),
            }
        }
    }
}

impl FamilyWriter<'_> {
    /// Writes a sample. `suffix` is what its name has behind that of the family, such as `_total`
    /// or `_bucket`.
    pub fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Into<SampleValue>) {
        let Self { exposition, name } = self;
        exposition.text.push_str(name);
        exposition.text.push_str(suffix);
        let mut before = '{';
        for (label, text) in labels {
            exposition.text.push(before);
            exposition.text.push_str(label);
            exposition.text.push_str("=\"");
            exposition.escape(text, true);
            exposition.text.push('"');
            before = ',';
        }
        if !labels.is_empty() {
            exposition.text.push('}');
        }
        writeln!(exposition.text, " {}", value.into()).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: MetricsFormat) -> String {
        let mut exposition = Exposition::new(format);
        let help = "A \"help\" with \\ and\nmore.";
        let mut family = exposition.family("a_seconds", MetricKind::Counter, "seconds", help);
        family.sample("_total", &[("b", "c\"\\\nd"), ("e", "")], 1.0);
        family.sample("_total", &[], 7u64);
        exposition.family("v", MetricKind::Info, "", "Facts.").sample(
            "_info",
            &[("version", "1")],
            true,
        );
        exposition.finish()
    }

    #[test]
    fn both_formats_escape_and_name_what_they_have() {
        assert_eq!(
            written(MetricsFormat::Text),
            "# HELP a_seconds_total A \"help\" with \\\\ and\\nmore.\n\
             # TYPE a_seconds_total counter\n\
             a_seconds_total{b=\"c\\\"\\\\\\nd\",e=\"\"} 1.0\n\
             a_seconds_total 7\n\
             # HELP v_info Facts.\n\
             # TYPE v_info gauge\n\
             v_info{version=\"1\"} 1\n"
        );
        assert_eq!(
            written(MetricsFormat::OpenMetrics),
            "# TYPE a_seconds counter\n\
             # UNIT a_seconds seconds\n\
             # HELP a_seconds A \\\"help\\\" with \\\\ and\\nmore.\n\
             a_seconds_total{b=\"c\\\"\\\\\\nd\",e=\"\"} 1.0\n\
             a_seconds_total 7\n\
             # TYPE v info\n\
             # HELP v Facts.\n\
             v_info{version=\"1\"} 1\n\
             # EOF\n"
        );
    }

    #[test]
    fn numbers_are_written_so_that_they_read_back() {
        for (number, text) in [
            (0.0, "0.0"),
            (0.000128, "0.000128"),
            (1e-7, "1e-7"),
            (1e21, "1e21"),
            (1_795_868_534.25, "1795868534.25"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(SampleValue::Real(number).to_string(), text);
        }
        assert_eq!(SampleValue::from(u64::MAX).to_string(), u64::MAX.to_string());
    }
}
