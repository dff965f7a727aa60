//! Limits of requests: how many each client may send, to all paths or to those beneath one.

use std::sync::Arc;
use std::time::Duration;

use monoceros_config::RateLimit;
use monoceros_engine::Decision;
use monoceros_http::Subtree;
use monoceros_sys::clock;
use monoceros_wire::client_table::{ClientTable, Rate, RuleTag, TableRule, TooManyRequests};
use monoceros_wire::scoreboard::GivenUp;

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::plain::{plain, with_field};

/// The limits, in the table of all workers.
pub(crate) struct RateLimits {
    table: Arc<ClientTable>,
    /// At most as many as [`Covering`] has bits.
    limits: Vec<ReadyLimit>,
}

/// A limit, ready to be compared with requests.
struct ReadyLimit {
    /// The limit as the setting has it.
    text: String,
    /// The paths that it is for; `None` for all.
    subtree: Option<Subtree>,
    rule: TableRule,
}

/// A bit for each limit: whether it covers a request.
type Covering = u64;

impl RateLimits {
    /// These limits, if there are some.
    pub(crate) fn new(rates: &[RateLimit], table: &Arc<ClientTable>) -> Option<Self> {
        let limits = rates.iter().filter_map(|rate| {
            let limit = ReadyLimit::new(rate, table);
            if limit.is_none() {
                log::error!("limit-rate {rate} has no place in the table of clients: not applied");
            }
            limit
        });
        let limits: Vec<_> = limits.take(Covering::BITS as usize).collect();
        (!limits.is_empty()).then(|| Self { table: Arc::clone(table), limits })
    }

    /// Which limits cover a request: those without a path, and those beneath whose path it is in
    /// one of its spellings. So no spelling passes by a limit.
    fn covering(&self, request: &ArrivedRequest) -> Covering {
        let bits = self.limits.iter().enumerate().filter(|(_, limit)| {
            limit.subtree.as_ref().is_none_or(|subtree| request.paths().any_in(subtree))
        });
        bits.fold(0, |covering, (index, _)| covering | 1 << index)
    }

    /// The limits of these bits.
    fn of(&self, covering: Covering) -> impl Iterator<Item = &ReadyLimit> + Clone {
        let limits = self.limits.iter().enumerate();
        limits.filter(move |(index, _)| covering >> index & 1 == 1).map(|(_, limit)| limit)
    }
}

impl DecisionPart for RateLimits {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        // The client of a unix socket has no address.
        let Some(client) = request.client_ip() else { return Decision::Pass };
        let limits = self.of(self.covering(request));
        let rules = limits.clone().map(|limit| &limit.rule);
        match self.table.count_request(client.into(), rules, clock::monotonic_us()) {
            Ok(()) => Decision::Pass,
            Err(refusal) => refuse(refusal, limits.map(|limit| limit.text.as_str())),
        }
    }
}

/// Refuses a request, and names the limit among those that cover it.
fn refuse<'a>(refusal: TooManyRequests, mut limits: impl Iterator<Item = &'a str>) -> Decision {
    let TooManyRequests { rule, wait } = refusal;
    let seconds = retry_after(wait).to_string();
    let response = plain(429, "Too Many Requests");
    let limit = limits.nth(rule).unwrap_or_default();
    Decision::Refuse {
        kind: GivenUp::RateLimited,
        response: with_field(response, b"Retry-After", seconds.as_bytes()),
        reason: format!("its client has sent more than limit-rate {limit}"),
    }
}

/// A time in whole seconds (RFC 9110 section 10.2.3), after which the client need not wait again.
fn retry_after(wait: Duration) -> u128 {
    wait.as_micros().div_ceil(1_000_000).max(1)
}

impl ReadyLimit {
    fn new(rate: &RateLimit, table: &ClientTable) -> Option<Self> {
        let RateLimit { prefix, count, period, burst } = rate;
        let text = rate.to_string();
        let rule = table.rule(RuleTag::of(&text), Rate::new(*count, *period, *burst))?;
        let subtree = prefix.as_deref().map(|path| Subtree::at(path.as_bytes()));
        let subtree = subtree.filter(|it| !it.has_every_path());
        Some(Self { text, subtree, rule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_requests::{arrival, head, internet};
    use monoceros_engine::Address;
    use monoceros_http::PathPrefix;
    use monoceros_wire::listener::UnixAddress;

    fn rate(prefix: Option<&str>, burst: u32) -> RateLimit {
        let prefix = prefix.map(str::to_owned);
        RateLimit { prefix, count: 1, period: Duration::from_secs(3600), burst }
    }

    fn limits(rates: &[RateLimit]) -> RateLimits {
        let table = Arc::new(ClientTable::create().unwrap());
        let tags: Vec<_> = rates.iter().map(|rate| RuleTag::of(&rate.to_string())).collect();
        table.assign_rules(&tags, &[]).unwrap();
        RateLimits::new(rates, &table).unwrap()
    }

    /// The reason of the refusal of a GET; `None` if it passes.
    fn refusal(limits: &RateLimits, path: &str, peer: &Address) -> Option<String> {
        let head = head(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let (arrival, prefix) = (arrival(&head, peer), PathPrefix::default());
        match limits.decide(&ArrivedRequest::new(&arrival, &prefix)) {
            Decision::Pass => None,
            Decision::Refuse { kind: GivenUp::RateLimited, reason, .. } => Some(reason),
            other => panic!("{other:?}"),
        }
    }

    fn passes(limits: &RateLimits, path: &str, ip: &str) -> bool {
        refusal(limits, path, &internet(ip)).is_none()
    }

    #[test]
    fn every_spelling_of_a_path_counts_for_its_limit() {
        let limits = limits(&[rate(Some("/login"), 7)]);
        for path in [
            "/login",
            "/login/x",
            "//login",
            "/%6Cogin",
            "/x/../login",
            "/login/../x",
            "/./login?a",
        ] {
            assert!(passes(&limits, path, "192.0.2.1"), "{path}");
        }
        for path in ["/login", "/LOGIN/../login", "/x//..//login"] {
            assert!(!passes(&limits, path, "192.0.2.1"), "{path}");
        }
        for path in ["/loginx", "/", "/x/login"] {
            assert!((0..9).all(|_| passes(&limits, path, "192.0.2.1")), "{path}");
        }
    }

    #[test]
    fn a_request_counts_for_all_limits_that_cover_it_and_the_reason_names_one() {
        let limits = limits(&[rate(None, 3), rate(Some("/a"), 1), rate(Some("/"), 5)]);
        let refusal = |path| refusal(&limits, path, &internet("192.0.2.1"));
        assert_eq!(refusal("/a"), None);
        let reason = "its client has sent more than limit-rate /a=1/h";
        assert_eq!(refusal("/a").as_deref(), Some(reason));
        assert_eq!((refusal("/b"), refusal("/b")), (None, None));
        let reason = "its client has sent more than limit-rate 1/h burst 3";
        assert_eq!(refusal("/b").as_deref(), Some(reason));
    }

    #[test]
    fn clients_of_unix_sockets_are_not_limited() {
        let limits = limits(&[rate(None, 1)]);
        let peer = Address::Unix(UnixAddress::Unnamed);
        assert!((0..5).all(|_| refusal(&limits, "/", &peer).is_none()));
        assert!(passes(&limits, "/", "::ffff:192.0.2.1") && !passes(&limits, "/", "192.0.2.1"));
    }

    #[test]
    fn a_client_is_asked_to_wait_for_whole_seconds() {
        for (us, seconds) in [(1, 1), (1_000_000, 1), (1_000_001, 2), (59_999_999, 60)] {
            assert_eq!(retry_after(Duration::from_micros(us)), seconds, "{us}");
        }
    }
}
