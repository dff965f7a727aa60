//! The metrics of a server as text: what a [`Report`] has, in a format of Prometheus.
//!
//! [`FAMILIES`] is the one table of names, types, units, labels and help texts;
//! docs/monitoring.md has the same table. [`render`] writes it, and [`Exposition`] is the writer
//! for what others add. [`MetricsFormat`] is chosen by the Accept field of the request.
//!
//! This crate reads no clock, no socket and no setting.

mod application;
mod exposition;
mod families;
mod format;
mod readings;

use monoceros_wire::report::Report;

pub use crate::application::{BrokenFile, MergedMetrics, used_length};
pub use crate::exposition::{Exposition, FamilyWriter, MetricKind, SampleValue};
pub use crate::families::{FAMILIES, MetricFamily, is_own};
pub use crate::format::MetricsFormat;

/// Writes every family for which the report has figures. The caller may add other families
/// before it finishes the text.
#[must_use]
pub fn render(report: &Report, format: MetricsFormat) -> Exposition {
    let mut exposition = Exposition::new(format);
    for family in FAMILIES {
        family.write(report, &mut exposition);
    }
    exposition
}
