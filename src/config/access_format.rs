//! Which atoms an access log format may use. Only the check at load time: the
//! engine compiles the format.

/// What may stand between the parentheses of `%(...)s`, and what it means.
pub(crate) const ATOMS: [(&str, &str); 22] = [
    ("h", "address of the client"),
    ("l", "always `-`"),
    ("u", "user name of basic authentication"),
    ("t", "date of the request"),
    ("r", "request line"),
    ("m", "method"),
    ("U", "path without query"),
    ("q", "query"),
    ("H", "protocol"),
    ("s", "status"),
    ("B", "length of the body sent, bytes"),
    ("b", "the same, `-` when nothing was sent"),
    ("f", "Referer"),
    ("a", "User-Agent"),
    ("T", "time taken, whole seconds"),
    ("M", "time taken, milliseconds"),
    ("D", "time taken, microseconds"),
    ("L", "time taken, seconds with six decimals"),
    ("p", "process of the worker"),
    ("{name}i", "header of the request"),
    ("{name}o", "header of the response"),
    ("{name}e", "variable of the WSGI environment"),
];

/// Refuses a format with an atom that is not known, or that is not closed.
pub(crate) fn check(format: &str) -> Result<(), String> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let directive = &rest[at + 1..];
        rest = match directive.strip_prefix('%') {
            Some(rest) => rest,
            None => after_atom(directive)?,
        };
    }
    Ok(())
}

fn after_atom(directive: &str) -> Result<&str, String> {
    let shown = || format!("%{}", directive.chars().take(12).collect::<String>());
    let (name, rest) = directive
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .ok_or_else(|| format!("{:?} is not an atom; write %(h)s, or %% for a percent", shown()))?;
    if !is_known(name) {
        return Err(format!("unknown atom %({name})s; known are {}", known().join(" ")));
    }
    rest.strip_prefix('s')
        .or_else(|| rest.strip_prefix('d'))
        .ok_or_else(|| format!("{:?}: an atom ends in s: %({name})s", shown()))
}

fn is_known(name: &str) -> bool {
    if let Some((named, kind)) = name.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return !named.is_empty() && matches!(kind, "i" | "o" | "e");
    }
    ATOMS.iter().any(|(atom, _)| *atom == name)
}

fn known() -> Vec<&'static str> {
    ATOMS.iter().map(|(atom, _)| *atom).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_atom_of_gunicorn_is_known() {
        for atom in ["h", "l", "u", "t", "r", "m", "U", "q", "H", "s", "B", "b", "f", "a"] {
            assert_eq!(check(&format!("%({atom})s")), Ok(()));
        }
        assert_eq!(check("%(T)s %(M)d %(D)s %(L)s %(p)s 100%% \"%({x-id}i)s\""), Ok(()));
        assert_eq!(check("%({content-type}o)s %({wsgi.url_scheme}e)s"), Ok(()));
        assert_eq!(check("no atom"), Ok(()));
    }

    #[test]
    fn an_unknown_atom_gets_the_list() {
        let reason = check("%(h)s %(x)s").unwrap_err();
        assert!(reason.starts_with("unknown atom %(x)s; known are h l u t r"), "{reason}");
        assert!(reason.ends_with("{name}i {name}o {name}e"), "{reason}");
        assert!(check("%({}i)s").is_err());
        assert!(check("%({name}x)s").is_err());
        assert!(check("%({name}e").is_err());
    }

    #[test]
    fn broken_directives_are_refused() {
        for format in ["%", "100% sure", "%h", "%(h", "%(h)", "%(h)x", "%%%", "%é"] {
            assert!(check(format).is_err(), "{format}");
        }
    }
}
