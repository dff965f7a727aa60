//! Responses of the server itself that the settings ask for: redirects to https, and the files
//! by which an authority checks the control over a name (ACME, RFC 8555). The engine asks at the
//! end of each head, on its I/O thread, so applications that are stuck do not matter here.

mod challenge;
mod plain;
mod redirect;

use monoceros_config::WorkerSettings;
use monoceros_engine::{Decision, LocalDecision};
use monoceros_wire::listener::ListenerDescription;

use crate::challenge::Challenges;
use crate::redirect::HttpsRedirect;

/// How many bytes of a request's body are dropped, so that its connection can continue: 64 KiB.
const DISCARD: u64 = 64 << 10;

/// The decision that the settings ask for, if they ask for one. `listeners` are all of the
/// worker.
#[must_use]
pub fn local_decision(
    settings: &WorkerSettings,
    listeners: &[ListenerDescription],
) -> Option<LocalDecision> {
    let challenges = settings.acme_webroot().as_deref().map(Challenges::below);
    let redirect = settings.redirect_https().then(|| HttpsRedirect::to(listeners));
    if challenges.is_none() && redirect.is_none() {
        return None;
    }
    Some(LocalDecision::new(move |arrival| {
        let challenge = challenges.as_ref().and_then(|it| it.respond(arrival));
        let response = challenge.or_else(|| redirect.as_ref()?.respond(arrival));
        match response {
            Some(response) => Decision::Respond { response, discard: DISCARD },
            None => Decision::Pass,
        }
    }))
}
