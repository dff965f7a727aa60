//! Access rules: which clients may send which requests. The first rule that matches decides; a
//! request that no rule matches is allowed.

use std::net::IpAddr;

use monoceros_config::{AccessRule, AccessVerdict};
use monoceros_engine::{Decision, LocalResponse};
use monoceros_http::{PathPrefix, Subtree};
use monoceros_wire::listener::ListenerDescription;
use monoceros_wire::scoreboard::GivenUp;

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::plain::plain;

/// The rules of one listener: its own, and behind them those of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessRules(Vec<ReadyRule>);

/// A rule, ready to be compared with requests.
#[derive(Clone, Debug)]
struct ReadyRule {
    rule: AccessRule,
    /// The paths that it is for; `None` for all.
    subtree: Option<Subtree>,
}

impl AccessRules {
    /// These rules, in this order.
    pub(crate) fn new<'a>(rules: impl IntoIterator<Item = &'a AccessRule>) -> Self {
        Self(rules.into_iter().map(ReadyRule::new).collect())
    }

    /// The rules of each listener, from those of the server and the descriptions of the
    /// listeners. One without own rules has those of the server, and one with an empty list of
    /// its own has none.
    pub(crate) fn of_listeners(
        server: &[AccessRule],
        listeners: &[ListenerDescription],
    ) -> Result<Vec<Self>, String> {
        let of_listener = |listener: &ListenerDescription| {
            let Some(texts) = &listener.access else { return Ok(Self::new(server)) };
            let own = texts.iter().map(|text| text.parse::<AccessRule>());
            let own: Vec<_> = own.collect::<Result<_, _>>().map_err(|reason| {
                format!("the access rules of {listener} cannot be read: {reason}")
            })?;
            let behind = if own.is_empty() { &[][..] } else { server };
            Ok(Self::new(own.iter().chain(behind)))
        };
        listeners.iter().map(of_listener).collect()
    }

    /// Whether there is no rule.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rule that refuses a request; `None` if the request is allowed.
    fn refusal(&self, request: &ArrivedRequest) -> Option<&AccessRule> {
        let ReadyRule { rule, .. } = self.0.iter().find(|it| it.matches(request))?;
        (rule.verdict == AccessVerdict::Deny).then_some(rule)
    }

    /// Whether there may be a client of which each request is refused.
    pub(crate) fn may_refuse_everything(&self) -> bool {
        let is_it =
            |it: &ReadyRule| it.rule.verdict == AccessVerdict::Deny && it.is_for_all_requests();
        self.0.iter().any(is_it)
    }

    /// Whether each request of this client is refused: a rule refuses all of them, and no rule
    /// before it allows any.
    pub(crate) fn refuse_everything(&self, client: Option<IpAddr>) -> bool {
        for ready in self.0.iter().filter(|it| it.names(client)) {
            match ready.rule.verdict {
                AccessVerdict::Allow => return false,
                AccessVerdict::Deny if ready.is_for_all_requests() => return true,
                AccessVerdict::Deny => {}
            }
        }
        false
    }
}

impl ReadyRule {
    fn new(rule: &AccessRule) -> Self {
        let subtree = rule.path.as_deref().map(|path| Subtree::at(path.as_bytes()));
        let subtree = subtree.filter(|it| !it.has_every_path());
        Self { rule: rule.clone(), subtree }
    }

    fn matches(&self, request: &ArrivedRequest) -> bool {
        if !self.names(request.client_ip()) || !self.has_method(request.arrival.head.method()) {
            return false;
        }
        let Some(subtree) = &self.subtree else { return true };
        // So no spelling of a path passes by a rule.
        match self.rule.verdict {
            AccessVerdict::Allow => request.paths().all_in(subtree),
            AccessVerdict::Deny => request.paths().any_in(subtree),
        }
    }

    /// Whether it is for the client at this address; `None` is the client of a unix socket.
    fn names(&self, client: Option<IpAddr>) -> bool {
        match client {
            Some(ip) => self.rule.networks.contains(ip),
            None => self.rule.networks.contains_unix(),
        }
    }

    /// Whether it is for this method. HEAD asks for what GET would get (RFC 9110 section 9.3.2),
    /// so a rule for GET is one for HEAD too.
    fn has_method(&self, method: &[u8]) -> bool {
        let is_it = |name: &String| {
            method.eq_ignore_ascii_case(name.as_bytes())
                || method == b"HEAD" && name.eq_ignore_ascii_case("GET")
        };
        self.rule.methods.is_empty() || self.rule.methods.iter().any(is_it)
    }

    /// Whether it is for every request of the clients that it names.
    fn is_for_all_requests(&self) -> bool {
        self.subtree.is_none() && self.rule.methods.is_empty()
    }
}

/// The rules of the server without an effect for an application below this prefix, one text for
/// each: no path is beneath the path of a rule both with the prefix and without it.
pub(crate) fn findings(rules: &[AccessRule], prefix: &PathPrefix) -> Vec<String> {
    if prefix.as_bytes().is_empty() {
        return Vec::new();
    }
    let rules = rules.iter().map(ReadyRule::new);
    let idle = rules.filter(|it| it.rule.verdict == AccessVerdict::Allow && it.subtree.is_some());
    idle.map(|ReadyRule { rule, .. }| {
        let prefix = prefix.as_bytes().escape_ascii();
        format!(
            "access: {rule} allows nothing: SCRIPT_NAME is {prefix}, and no path is beneath that \
             of the rule with and without it; allow addresses, and deny paths"
        )
    })
    .collect()
}

/// Refuses the requests that the access rules deny.
pub(crate) struct AccessControl {
    /// In the order of the listeners.
    listeners: Vec<AccessRules>,
    forbidden: LocalResponse,
}

impl AccessControl {
    /// With the rules of each listener; `None` if there is no rule.
    pub(crate) fn of(listeners: Vec<AccessRules>) -> Option<Self> {
        let has_rules = listeners.iter().any(|rules| !rules.is_empty());
        has_rules.then(|| Self { listeners, forbidden: plain(403, "Forbidden") })
    }
}

impl DecisionPart for AccessControl {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        let rules = self.listeners.get(request.arrival.listener);
        let Some(rule) = rules.and_then(|rules| rules.refusal(request)) else {
            return Decision::Pass;
        };
        let (kind, response) = (GivenUp::Denied, self.forbidden.clone());
        Decision::Refuse { kind, response, reason: format!("denied by access rule {rule}") }
    }
}

#[cfg(test)]
mod tests {
    use monoceros_engine::{Address, Arrival};
    use monoceros_wire::listener::{ListenerAddress, ListenerOptions, Scheme, UnixAddress};

    use super::*;
    use crate::test_requests::{arrival, head, internet};

    /// The rules with these texts.
    fn rules(texts: &[&str]) -> AccessRules {
        let rules: Vec<AccessRule> = texts.iter().map(|text| text.parse().unwrap()).collect();
        AccessRules::new(&rules)
    }

    fn allows(rules: &AccessRules, peer: &Address, method: &str, path: &str, prefix: &str) -> bool {
        let head = head(&format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let prefix = PathPrefix::new(prefix.as_bytes());
        let arrival = arrival(&head, peer);
        rules.refusal(&ArrivedRequest::new(&arrival, &prefix)).is_none()
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = rules(&[
            "allow=10.0.0.7",
            "deny=10.0.0.0/8",
            "deny=2001:db8::/32",
            "allow=all;path=/public",
            "deny=unix;path=/metrics",
            "deny=all;path=/admin;method=POST",
        ]);
        let unix = Address::Unix(UnixAddress::Unnamed);
        for (peer, method, path, is_allowed) in [
            (internet("10.0.0.7"), "POST", "/admin", true),
            (internet("10.0.0.8"), "GET", "/public", false),
            (internet("2001:db8::1"), "GET", "/", false),
            (internet("2001:db9::1"), "GET", "/", true),
            (internet("192.0.2.1"), "GET", "/metrics", true),
            (internet("192.0.2.1"), "GET", "/admin", true),
            (internet("192.0.2.1"), "POST", "/admin/x", false),
            (internet("192.0.2.1"), "POST", "/public/x", true),
            (unix.clone(), "GET", "/metrics", false),
            (unix.clone(), "GET", "/", true),
            (unix, "POST", "/admin", false),
        ] {
            let found = allows(&rules, &peer, method, path, "");
            assert_eq!(found, is_allowed, "{peer} {method} {path}");
        }
        assert!(allows(&AccessRules::default(), &internet("10.0.0.1"), "GET", "/", ""));
    }

    #[test]
    fn a_rule_for_get_is_one_for_head() {
        let client = internet("192.0.2.1");
        for (text, method, is_allowed) in [
            ("deny=all;method=GET", "GET", false),
            ("deny=all;method=GET", "HEAD", false),
            ("deny=all;method=GET", "POST", true),
            ("deny=all;method=HEAD", "HEAD", false),
            ("deny=all;method=HEAD", "GET", true),
            ("deny=all;method=PUT,DELETE", "DELETE", false),
        ] {
            let found = allows(&rules(&[text]), &client, method, "/", "");
            assert_eq!(found, is_allowed, "{text} {method}");
        }
    }

    #[test]
    fn a_path_is_looked_at_with_and_without_the_prefix() {
        let client = internet("192.0.2.1");
        for (text, path, is_allowed) in [
            ("deny=all;path=/admin", "/shop/admin", false),
            ("deny=all;path=/shop/admin", "/shop/admin", false),
            ("deny=all;path=/admin", "/shop/../admin", false),
            ("deny=all;path=/admin", "/shop//admin", false),
            ("deny=all;path=/admin", "/shop/x", true),
            ("deny=all;path=/shop", "/shop", false),
        ] {
            assert_eq!(
                allows(&rules(&[text]), &client, "GET", path, "/shop"),
                is_allowed,
                "{text}"
            );
        }
        let island = rules(&["allow=all;path=/public", "deny=all"]);
        assert!(allows(&island, &client, "GET", "/public/x", ""));
        for path in ["/public/../admin", "/public%2f..%2fadmin", "//public", "/publicity", "/"] {
            assert!(!allows(&island, &client, "GET", path, ""), "{path}");
        }
        assert!(!allows(&island, &client, "GET", "/shop/public", "/shop"));
        let everything = rules(&["allow=all;path=/", "deny=all"]);
        assert!(allows(&everything, &client, "GET", "/shop/..//x", "/shop"));
    }

    #[test]
    fn the_prefix_that_a_proxy_reports_counts() {
        let (head, peer) = (head("GET /shop/admin HTTP/1.1\r\nHost: a\r\n\r\n"), internet("::1"));
        let (none, shop) = (PathPrefix::default(), PathPrefix::new(b"/shop"));
        let rules = rules(&["deny=all;path=/admin"]);
        let arrived = arrival(&head, &peer);
        assert!(rules.refusal(&ArrivedRequest::new(&arrived, &none)).is_none());
        let arrived = Arrival { prefix: Some(&shop), ..arrived };
        assert!(rules.refusal(&ArrivedRequest::new(&arrived, &none)).is_some());
    }

    #[test]
    fn rules_that_allow_a_path_are_reported_below_a_prefix() {
        let texts = ["allow=all;path=/a", "allow=all;path=/", "deny=all;path=/a", "allow=::1"];
        let rules: Vec<AccessRule> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(findings(&rules, &PathPrefix::default()).is_empty());
        let found = findings(&rules, &PathPrefix::new(b"/shop"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("access: allow=all;path=/a allows nothing: SCRIPT_NAME is "));
    }

    #[test]
    fn the_rules_of_a_listener_come_before_those_of_the_server() {
        let server: Vec<AccessRule> = vec!["deny=all;path=/admin".parse().unwrap()];
        let own = |texts: &[&str]| Some(texts.iter().map(|it| (*it).to_owned()).collect());
        for (access, root_is_allowed, admin_is_allowed) in [
            (None, true, false),
            (own(&[]), true, true),
            (own(&["allow=10.0.0.1"]), true, true),
            (own(&["allow=10.0.0.2"]), true, false),
            (own(&["deny=10.0.0.0/8"]), false, false),
        ] {
            let listener = ListenerDescription {
                name: "a".to_owned(),
                address: ListenerAddress::Internet(([127, 0, 0, 1], 80).into()),
                scheme: Scheme::Http,
                alpn: Vec::new(),
                options: ListenerOptions::default(),
                access: access.clone(),
            };
            let rules = AccessRules::of_listeners(&server, &[listener]).unwrap();
            let client = internet("10.0.0.1");
            let found = ["/", "/admin"].map(|path| allows(&rules[0], &client, "GET", path, ""));
            assert_eq!(found, [root_is_allowed, admin_is_allowed], "{access:?}");
        }
    }

    #[test]
    fn a_client_is_refused_at_accept_only_if_nothing_of_it_can_be_allowed() {
        let client = Some("10.0.0.1".parse().unwrap());
        for (texts, refused, unix_refused) in [
            (&[][..], false, false),
            (&["deny=all"], true, true),
            (&["deny=10.0.0.0/8"], true, false),
            (&["deny=unix"], false, true),
            (&["deny=all;path=/"], true, true),
            (&["deny=all;path=/admin"], false, false),
            (&["deny=all;method=POST"], false, false),
            (&["deny=all;path=/admin", "deny=all"], true, true),
            (&["allow=all;path=/a", "deny=all"], false, false),
            (&["allow=10.0.0.1;method=GET", "deny=all"], false, true),
            (&["allow=10.0.0.2", "deny=all"], true, true),
            (&["deny=all", "allow=all"], true, true),
        ] {
            let rules = rules(texts);
            let found = (rules.refuse_everything(client), rules.refuse_everything(None));
            assert_eq!(found, (refused, unix_refused), "{texts:?}");
        }
    }
}
