//! The health of the worker, at a path of the settings.

use monoceros_config::WorkerSettings;
use monoceros_engine::{Decision, LocalResponse, WorkerHealth};
use monoceros_http::percent_decoded;

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::plain::{is_read, only_read, plain, respond, with_field};

/// Responds with 200 while this worker serves.
pub(crate) struct HealthPath {
    path: Vec<u8>,
    health: WorkerHealth,
    serves: LocalResponse,
    leaves: LocalResponse,
}

impl HealthPath {
    /// At the path of the settings, if there is one.
    pub(crate) fn of(settings: &WorkerSettings, health: &WorkerHealth) -> Option<Self> {
        let path = settings.health_path().as_ref()?;
        Some(Self::new(&path.0, health))
    }

    fn new(path: &str, health: &WorkerHealth) -> Self {
        let fresh = |response| with_field(response, b"Cache-Control", b"no-store");
        Self {
            path: percent_decoded(path.as_bytes()).into_owned(),
            health: health.clone(),
            serves: fresh(plain(200, "OK")),
            leaves: fresh(plain(503, "Service Unavailable")),
        }
    }
}

impl DecisionPart for HealthPath {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        let head = request.arrival.head;
        if !request.is_at(&self.path) {
            return Decision::Pass;
        }
        if !is_read(head) {
            return respond(Some(only_read()));
        }
        let response = if self.health.serves() { &self.serves } else { &self.leaves };
        respond(Some(response.clone()))
    }
}

#[cfg(test)]
mod tests {
    use monoceros_http::PathPrefix;

    use super::*;
    use crate::test_requests::{arrival, head, internet};

    fn status(part: &HealthPath, line: &str) -> Option<u16> {
        let (head, peer) = (head(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")), internet("::1"));
        let arrival = arrival(&head, &peer);
        match part.decide(&ArrivedRequest::new(&arrival, &PathPrefix::new(b""))) {
            Decision::Respond { response, .. } => Some(response.status()),
            Decision::Pass => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_its_path_is_answered() {
        let part = HealthPath::new("/healthz", &WorkerHealth::default());
        for (line, expected) in [
            ("GET /healthz", Some(503)),
            ("HEAD /healthz?a", Some(503)),
            ("POST /healthz", Some(405)),
            ("GET /healthz/", None),
            ("GET /", None),
            ("GET /%68ealthz", Some(503)),
            ("GET /healthz%2F", None),
        ] {
            assert_eq!(status(&part, line), expected, "{line}");
        }
    }
}
