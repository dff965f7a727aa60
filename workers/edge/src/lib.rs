//! What the server decides by itself about connections and requests, because the settings ask
//! for it. The engine asks at accept and at the end of each head, on its I/O thread, so
//! applications that are stuck do not matter here.

mod accelerate;
mod accept;
mod access;
mod allowed_hosts;
mod arrived_request;
mod challenge;
mod connection_limit;
mod error_pages;
mod failure_page;
mod failure_part;
mod forwarding_fields;
mod health_path;
mod host_name;
mod local_client;
mod metrics_path;
mod plain;
mod rate_limits;
mod redirect;
mod static_files;
#[cfg(test)]
mod test_requests;

use std::sync::Arc;

use monoceros_config::WorkerSettings;
use monoceros_engine::{
    AcceptDecision, Arrival, CodeFailure, ConnectionLimit, Decision, LocalDecision, MasterLine,
    ResponseReviser, WorkerHealth,
};
use monoceros_http::PathPrefix;
use monoceros_wire::client_table::{ClientTable, JournalWriter};
use monoceros_wire::listener::ListenerDescription;

use crate::accept::AcceptRules;
use crate::access::{AccessControl, AccessRules};
use crate::allowed_hosts::HostCheck;
use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::challenge::Challenges;
use crate::connection_limit::TableCounter;
pub use crate::error_pages::ErrorPages;
use crate::failure_part::FailurePart;
use crate::health_path::HealthPath;
use crate::metrics_path::MetricsPath;
use crate::rate_limits::RateLimits;
use crate::redirect::HttpsRedirect;
pub use crate::static_files::ProjectFiles;
use crate::static_files::StaticFiles;

/// What the decisions are made from.
#[derive(Clone, Copy, Debug)]
pub struct EdgeInput<'a> {
    /// The settings of the worker.
    pub settings: &'a WorkerSettings,
    /// All listeners of the worker, in the order in which the engine has them.
    pub listeners: &'a [ListenerDescription],
    /// The prefix of every path, unless a trusted proxy reports another one.
    pub prefix: &'a PathPrefix,
    /// The table of all workers in which clients are counted, if the settings limit them.
    pub clients: Option<&'a Arc<ClientTable>>,
    /// The hosts that the loaded application allows, as `allowed-hosts` writes them; `None` if it
    /// allows each one.
    pub project_hosts: Option<&'a [String]>,
    /// The static files of the loaded project, for `static: auto`.
    pub project_files: &'a [ProjectFiles],
    /// Whether the worker serves, for `health-path`.
    pub health: &'a WorkerHealth,
    /// Why code of the application cannot be loaded, if it cannot be: for `reload`.
    pub failure: &'a CodeFailure,
    /// The way to the master, for `metrics-path`.
    pub line: Option<&'a MasterLine>,
}

/// The decisions of the server itself.
#[derive(Debug)]
pub struct Edge {
    /// Which connections are closed at accept.
    pub accept: Option<AcceptDecision>,
    /// The requests that the server responds to by itself.
    pub local: Option<LocalDecision>,
}

impl Edge {
    /// The decisions that the settings ask for.
    ///
    /// # Errors
    /// When the master's description of a listener has a rule that cannot be read.
    pub fn new(given: &EdgeInput) -> Result<Self, String> {
        let prefix = given.prefix.clone();
        let rules = AccessRules::of_listeners(given.settings.access(), given.listeners)?;
        let accept = AcceptRules::decision(given.settings, given.listeners, &rules);
        let parts = parts(given, rules);
        let local = (!parts.is_empty())
            .then(|| LocalDecision::new(move |arrival| decide(&parts, arrival, &prefix)));
        Ok(Self { accept, local })
    }
}

/// The revision of the application's responses that the settings ask for, if they ask for one.
#[must_use]
pub fn revision(settings: &WorkerSettings) -> Option<ResponseReviser> {
    accelerate::reviser(settings)
}

/// What the operator has to know of the settings that the decisions are made from, one text for
/// each.
#[must_use]
pub fn findings(settings: &WorkerSettings, prefix: &PathPrefix) -> Vec<String> {
    let mut findings = access::findings(settings.access(), prefix);
    findings.extend(static_files::findings(settings));
    findings
}

/// The limit of connections that the settings ask for, counted in the table of all workers.
#[must_use]
pub fn connection_limit(
    settings: &WorkerSettings,
    table: &Arc<ClientTable>,
    journal: JournalWriter,
) -> ConnectionLimit {
    let (table, limit) = (Arc::clone(table), *settings.limit_connections());
    let proxies = connection_limit::uncounted_proxies(settings);
    ConnectionLimit::new(TableCounter { table, journal, limit, proxies })
}

/// The parts of the decision on a request, in their order: the first one that does not pass a
/// request decides. Before them the engine refuses the first request of a connection beyond
/// `limit-connections`; behind them comes the application.
fn parts(given: &EdgeInput, rules: Vec<AccessRules>) -> Vec<Box<dyn DecisionPart>> {
    let settings = given.settings;
    let parts = [
        // Probes come from addresses, and with names, that no rule has foreseen.
        part(HealthPath::of(settings, given.health)),
        part(AccessControl::of(rules)),
        part(MetricsPath::of(settings, given.line)),
        part(HostCheck::of(settings, given.project_hosts)),
        part(given.clients.and_then(|table| RateLimits::new(settings.limit_rate(), table))),
        part(settings.acme_webroot().as_deref().map(Challenges::below)),
        part(settings.redirect_https().then(|| HttpsRedirect::to(given.listeners))),
        part(StaticFiles::of(settings, given.project_files)),
        // Stands for the application.
        part(settings.reload().then(|| FailurePart::new(given.listeners, given.failure))),
    ];
    parts.into_iter().flatten().collect()
}

/// A part of the decision, if the settings ask for it.
fn part<P: DecisionPart + 'static>(part: Option<P>) -> Option<Box<dyn DecisionPart>> {
    part.map(|part| Box::new(part) as Box<dyn DecisionPart>)
}

fn decide(parts: &[Box<dyn DecisionPart>], arrival: &Arrival, prefix: &PathPrefix) -> Decision {
    let request = ArrivedRequest::new(arrival, prefix);
    for part in parts {
        match part.decide(&request) {
            Decision::Pass => {}
            decision => return decision,
        }
    }
    Decision::Pass
}
