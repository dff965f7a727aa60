//! The formats of the text, and which one a client gets.

use monoceros_http::MediaRange;

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// The text format of Prometheus, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The media types of a format.
struct FormatType {
    name: &'static [u8],
    /// The values of the parameter `version` that name this format.
    versions: &'static [&'static [u8]],
}

/// The text format has no other syntax in version 1.0.0, which only allows more names.
const TEXT: FormatType = FormatType { name: b"text/plain", versions: &[b"0.0.4", b"1.0.0"] };
const OPEN_METRICS: FormatType =
    FormatType { name: b"application/openmetrics-text", versions: &[b"0.0.1", b"1.0.0"] };

impl MetricsFormat {
    /// The format for a client that sends these Accept fields: OpenMetrics, if the client names it
    /// and does not prefer the other one. A client that accepts neither gets text: to send
    /// something is allowed (RFC 9110 section 12.4.1), and people can read it.
    pub fn accepted<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut text, mut open_metrics) = (None, None);
        for range in MediaRange::all_of(fields) {
            let place = if TEXT.is_named_by(&range) {
                &mut text
            } else if OPEN_METRICS.is_named_by(&range) {
                &mut open_metrics
            } else {
                continue;
            };
            *place = (*place).max(Some(range.quality()));
        }
        match open_metrics {
            Some(quality) if quality > 0 && Some(quality) >= text => Self::OpenMetrics,
            Some(_) | None => Self::Text,
        }
    }

    /// The media type for Content-Type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl FormatType {
    fn is_named_by(&self, range: &MediaRange) -> bool {
        let is_known = |version: &[u8]| self.versions.contains(&version);
        range.is(self.name) && range.parameter(b"version").is_none_or(is_known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_format_that_it_prefers() {
        use MetricsFormat::{OpenMetrics, Text};
        for (accept, format) in [
            ("", Text),
            ("*/*", Text),
            ("application/*", Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Text),
            ("application/json", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"", OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0.5, text/plain;q=0.5", OpenMetrics),
            ("application/openmetrics-text;q=0.4, text/plain;version=0.0.4;q=0.5", Text),
            ("application/openmetrics-text;q=0.4, text/plain;version=0.0.3", OpenMetrics),
            // Prometheus 2.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            // Prometheus 3, which is configured to prefer its older format.
            (
                "text/plain;version=0.0.4;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1",
                Text,
            ),
        ] {
            assert_eq!(MetricsFormat::accepted([accept.as_bytes()]), format, "{accept}");
        }
        let fields = [&b"text/plain;q=0.2"[..], b"application/openmetrics-text;q=0.3"];
        assert_eq!(MetricsFormat::accepted(fields), OpenMetrics);
    }
}
