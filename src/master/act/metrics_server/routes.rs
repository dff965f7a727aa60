//! From a request to what it asks for. Called by the metrics server.

use monoceros_config::Bind;
use monoceros_http::Head;
use monoceros_metrics::MetricsFormat;

use super::host_names;
use super::metrics_response::MetricsResponse;
use crate::master::page::PageFile;

/// What a request asks for.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// A response that needs nothing of the server.
    Fixed(MetricsResponse),
    /// Whether a client may be sent here now.
    Readiness,
    /// Something that is made from a report.
    Report(ReportPart),
}

/// What is made from a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportPart {
    /// The metrics, in this format.
    Metrics(MetricsFormat),
    /// The whole report as JSON.
    Status,
    /// The requests that run, and the last ones, as JSON.
    Requests,
    /// The figures of the last minutes as JSON.
    History,
}

/// What a request asks for. `is_local`: it has come by a unix socket, which no site can have a
/// browser connect to.
pub(super) fn route(head: &Head, addresses: &[Bind], is_local: bool) -> Route {
    if !matches!(head.method(), b"GET" | b"HEAD") {
        let response = MetricsResponse::plain(405).with_field(b"Allow", b"GET, HEAD");
        return Route::Fixed(response);
    }
    match head.path() {
        b"/livez" => Route::Fixed(MetricsResponse::plain(200)),
        b"/readyz" => Route::Readiness,
        b"/metrics" => Route::Report(ReportPart::Metrics(format(head))),
        // What follows has paths and addresses of clients.
        _ if !is_local && !host_names::allows(head, addresses) => Route::Fixed(misdirected()),
        b"/status.json" => Route::Report(ReportPart::Status),
        b"/requests.json" => Route::Report(ReportPart::Requests),
        b"/history.json" => Route::Report(ReportPart::History),
        path => Route::Fixed(page_file(path)),
    }
}

/// A file of the page.
fn page_file(path: &[u8]) -> MetricsResponse {
    match PageFile::at(path) {
        Some(file) => MetricsResponse::new(200, file.content_type, file.content.as_bytes()),
        None => MetricsResponse::plain(404),
    }
}

/// The format of metrics for a client.
fn format(head: &Head) -> MetricsFormat {
    let fields = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"accept"));
    MetricsFormat::accepted(fields.map(|(_, value)| value))
}

fn misdirected() -> MetricsResponse {
    MetricsResponse::explained(
        421,
        "This page shows requests and clients, so it is not sent under a name that another site \
         could have. Use the server's IP address, localhost, or the name in the setting metrics.",
    )
}
