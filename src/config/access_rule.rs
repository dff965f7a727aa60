//! A type of settings: a rule that allows or denies requests by client, path and method.

use std::fmt;
use std::str::FromStr;

use crate::address_set::{AddressSet, read_clients, text_of_clients};
use crate::field::is_token;
use crate::item::{ItemForm, ItemPair};
use crate::row::Bounds;
use crate::suggestion;
use crate::url_path::{check_path, escape};
use crate::value::Value;

/// What a rule does with the requests that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessVerdict {
    /// They are served.
    Allow,
    /// They are refused.
    Deny,
}

/// A rule about requests. As text: `deny=10.0.0.0/8,unix;path=/admin;method=POST,PUT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// What becomes of a request that it matches.
    pub verdict: AccessVerdict,
    /// The clients that it covers. Those of unix sockets are in it by `all` and `unix` only.
    pub networks: AddressSet,
    /// The path that it covers with everything beneath it, written as in a URL; `None` for
    /// every path.
    pub path: Option<String>,
    /// The methods that it covers, in upper case; none for every method.
    pub methods: Vec<String>,
}

const ALLOW: &str = "allow";
const DENY: &str = "deny";
const PATH: &str = "path";
const METHOD: &str = "method";

/// The names of the parts.
const PARTS: [&str; 4] = [ALLOW, DENY, PATH, METHOD];

/// The form of a rule that is a mapping: `{deny: 10.0.0.0/8, path: /admin, method: [POST]}`.
pub(crate) static ITEM: ItemForm = ItemForm {
    keys: &PARTS,
    lists: &[ALLOW, DENY, METHOD],
    nested: &[],
    check: |name, word| RuleParts::default().set(name, word),
    text,
};

impl AccessRule {
    /// Whether it matches every request, so that no rule behind it is reached.
    pub(crate) fn is_for_all(&self) -> bool {
        self.networks.all && self.path.is_none() && self.methods.is_empty()
    }
}

impl FromStr for AccessRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = RuleParts::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                format!("cannot read {part:?} in a rule; example: deny=10.0.0.0/8;path=/admin")
            })?;
            parts.set(name, value).map_err(|reason| format!("{name}: {reason}"))?;
        }
        parts.finish()
    }
}

impl fmt::Display for AccessRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            AccessVerdict::Allow => ALLOW,
            AccessVerdict::Deny => DENY,
        };
        write!(out, "{verdict}={}", text_of_clients(&self.networks))?;
        if let Some(path) = &self.path {
            write!(out, ";{PATH}={path}")?;
        }
        if !self.methods.is_empty() {
            write!(out, ";{METHOD}={}", self.methods.join(","))?;
        }
        Ok(())
    }
}

impl Value for AccessRule {
    const NONE: &'static [&'static str] = &["none", "off", "false"];

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        text.parse()
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// The parts of a rule that were read so far.
#[derive(Default)]
struct RuleParts {
    verdict: Option<(AccessVerdict, AddressSet)>,
    path: Option<String>,
    methods: Vec<String>,
}

impl RuleParts {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let is_second = match name {
            ALLOW => self.verdict.replace((AccessVerdict::Allow, read_clients(value)?)).is_some(),
            DENY => self.verdict.replace((AccessVerdict::Deny, read_clients(value)?)).is_some(),
            PATH => {
                check_path(value)?;
                self.path.replace(value.to_owned()).is_some()
            }
            METHOD => !std::mem::replace(&mut self.methods, methods(value)?).is_empty(),
            _ => {
                return Err(format!(
                    "unknown part; known are {}{}",
                    PARTS.join(", "),
                    suggestion::question(name, &PARTS)
                ));
            }
        };
        match name {
            _ if !is_second => Ok(()),
            ALLOW | DENY => Err("a rule has either allow or deny, once".to_owned()),
            _ => Err("is in the rule twice".to_owned()),
        }
    }

    fn finish(self) -> Result<AccessRule, String> {
        let Some((verdict, networks)) = self.verdict else {
            return Err("a rule needs allow or deny; example: deny=10.0.0.0/8;path=/admin".into());
        };
        Ok(AccessRule { verdict, networks, path: self.path, methods: self.methods })
    }
}

/// Reads the methods of a rule.
fn methods(text: &str) -> Result<Vec<String>, String> {
    let words: Vec<_> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    match words.iter().find(|word| !is_token(word)) {
        Some(word) => Err(format!("{word:?} is not a method")),
        None if words.is_empty() => {
            Err("names no method; leave it out for every method".to_owned())
        }
        None => Ok(words.iter().map(|word| word.to_ascii_uppercase()).collect()),
    }
}

/// The text of a rule that is a mapping.
fn text(pairs: &[ItemPair<'_>]) -> Result<String, String> {
    let part = |(name, words): &ItemPair<'_>| match *name {
        // These letters separate the parts of a rule, and the options of an address.
        PATH => format!("{PATH}={}", escape(&words.concat(), ";&")),
        name => format!("{name}={}", words.join(",")),
    };
    let text = pairs.iter().map(part).collect::<Vec<_>>().join(";");
    text.parse::<AccessRule>().map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_clients_a_path_and_methods() {
        let rule: AccessRule = "deny=10.0.0.0/8, ::1;path=/admin;method=post,PUT".parse().unwrap();
        assert_eq!(rule.verdict, AccessVerdict::Deny);
        assert!(rule.networks.contains("10.1.2.3".parse().unwrap()));
        assert!(rule.networks.contains("::1".parse().unwrap()));
        assert!(!rule.networks.contains("11.0.0.1".parse().unwrap()));
        assert!(!rule.networks.contains_unix());
        assert_eq!(
            (rule.path.as_deref(), rule.methods.concat()),
            (Some("/admin"), "POSTPUT".into())
        );
        for text in ["allow=all", "deny=unix,10.0.0.1;path=/a%3Bb", "deny=all,::1;method=GET"] {
            let rule: AccessRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
            assert_eq!(rule.is_for_all(), text == "allow=all", "{text}");
        }
        let everything: AccessRule = "method=GET; allow=*".parse().unwrap();
        assert_eq!(everything.to_string(), "allow=all;method=GET");
        assert!(everything.networks.contains_unix());
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (text, error) in [
            ("", "a rule needs allow or deny; example: deny=10.0.0.0/8;path=/admin"),
            ("path=/a", "a rule needs allow or deny; example: deny=10.0.0.0/8;path=/admin"),
            (
                "deny 10.0.0.1",
                "cannot read \"deny 10.0.0.1\" in a rule; example: deny=10.0.0.0/8;path=/admin",
            ),
            ("deny=all;allow=all", "allow: a rule has either allow or deny, once"),
            ("deny=all;deny=all", "deny: a rule has either allow or deny, once"),
            ("deny=all;path=/a;path=/b", "path: is in the rule twice"),
            (
                "deny=all;pth=/a",
                "pth: unknown part; known are allow, deny, path, method; did you mean path?",
            ),
            ("deny=", "deny: names no client; all means every client"),
            ("deny=10.0.0.1/8", "deny: 10.0.0.1/8 has bits behind its prefix; write 10.0.0.0/8"),
            (
                "deny=localhost",
                "deny: \"localhost\" is not an address; examples: 10.0.0.7, 10.0.0.0/8, \
                 2001:db8::/32, all",
            ),
            ("deny=all;path=admin", "path: \"admin\" does not begin with /"),
            ("deny=all;method=", "method: names no method; leave it out for every method"),
            ("deny=all;method=A B", "method: \"A B\" is not a method"),
        ] {
            assert_eq!(text.parse::<AccessRule>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_mapping_becomes_the_text_of_a_rule() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let pairs = [
            (DENY, words(&["10.0.0.0/8", "::1"])),
            (PATH, words(&["/a;b&c"])),
            (METHOD, words(&["POST"])),
        ];
        let rule = text(&pairs).unwrap();
        assert_eq!(rule, "deny=10.0.0.0/8,::1;path=/a%3Bb%26c;method=POST");
        assert!(text(&pairs[1..]).unwrap_err().starts_with("a rule needs allow or deny"));
    }
}
