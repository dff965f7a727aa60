//! Reads the configuration file: a flat YAML mapping of settings.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_yaml::{Mapping, Value};

use crate::error::{Errors, ValueOrigin};
use crate::file_value::{FileWord, scalar, words};
use crate::gunicorn::Foreign;
use crate::raw::text_of;
use crate::raw_setting::{RawSetting, RawText};
use crate::source_lines::SourceText;
use crate::suggestion;
use crate::table::{ROWS, Row};

/// Reads the file at `path`, called `name` in errors.
pub(crate) fn read(path: &Path, name: &str, errors: &mut Errors) -> Vec<RawSetting> {
    let whole = ValueOrigin::File { name: name.to_owned(), line: None };
    match std::fs::read(path).map(|bytes| text_of(OsStr::from_bytes(&bytes))) {
        // serde_yaml would read the byte order mark of some editors as a document.
        Ok(text) => parse(text.strip_prefix('\u{feff}').unwrap_or(&text), name, errors),
        Err(error) => {
            errors.add(whole, "", format!("cannot read it: {}", cause(&error)));
            Vec::new()
        }
    }
}

fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn parse(text: &str, name: &str, errors: &mut Errors) -> Vec<RawSetting> {
    let page = SourceText::new(text);
    let origin = |line| ValueOrigin::File { name: name.to_owned(), line };
    let mapping = match serde_yaml::from_str(text) {
        Ok(Value::Mapping(mapping)) => mapping,
        Ok(Value::Null) => Mapping::new(),
        Ok(_) => {
            errors.add(origin(None), "", "must be a mapping of settings, such as workers: 4");
            return Vec::new();
        }
        Err(error) => {
            let reason = without_location(&error);
            let line = error.location().map(|location| location.line());
            errors.add(origin(page.line_of_second(&reason).or(line)), "", reason);
            return Vec::new();
        }
    };
    let mut said: Vec<RawSetting> = Vec::new();
    for (key, value) in &mapping {
        if let Some(new) = entry(&page, &origin, (key, value), errors) {
            match said.iter().find(|old| old.row.name == new.row.name) {
                Some(old) => {
                    let reason =
                        format!("is the same setting as {}, which is set above", old.subject);
                    errors.add(new.origin, &new.subject, reason);
                }
                None => said.push(new),
            }
        }
    }
    said
}

/// The text of serde_yaml's error without its position, which the origin already has.
fn without_location(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn entry(
    page: &SourceText<'_>,
    origin: &dyn Fn(Option<usize>) -> ValueOrigin,
    (key, value): (&Value, &Value),
    errors: &mut Errors,
) -> Option<RawSetting> {
    let Some(key) = scalar(key) else {
        errors.add(origin(None), "", "the name of a setting must be a word");
        return None;
    };
    let line = page.line_of(&key);
    let row = match Row::find(&key) {
        Some(row) if row.in_file => row,
        Some(row) => {
            let reason = format!("cannot be set in the file; use {}", row.flag());
            errors.add(origin(line), &key, reason);
            return None;
        }
        None => {
            errors.add(origin(line), &key, unknown(&key));
            return None;
        }
    };
    match words(row, value, page.value_of(line)) {
        Ok(words) => {
            let raw = |(text, line): FileWord| RawText { text, origin: origin(line) };
            let words = words.into_iter().map(raw).collect();
            Some(RawSetting { row, subject: key, origin: origin(line), words })
        }
        Err(refusal) => {
            errors.add(origin(refusal.line.or(line)), &key, refusal.reason);
            None
        }
    }
}

fn unknown(key: &str) -> String {
    if let Some(foreign) = Foreign::find(key) {
        return foreign.refusal();
    }
    let known: Vec<_> = ROWS.iter().filter(|row| row.in_file).map(Row::key).collect();
    format!("unknown setting{}", suggestion::question(&key.replace('_', "-"), &known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Vec<RawSetting>, String) {
        let mut errors = Errors::default();
        let said = parse(text, "shop.yaml", &mut errors);
        (said, errors.to_string())
    }

    fn words(said: &RawSetting) -> Vec<&str> {
        said.words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn scalars_lists_and_mappings_are_read() {
        let (said, errors) = read_text(
            "workers: 4\ndaemon: true\nname: shop\nbind: [':1', ':2']\nenv:\n  A: 1\n  B: x y\n",
        );
        assert_eq!(errors, "");
        let texts: Vec<_> = said.iter().map(words).collect();
        assert_eq!(
            texts,
            [vec!["4"], vec!["true"], vec!["shop"], vec![":1", ":2"], vec!["A=1", "B=x y"]]
        );
    }

    #[test]
    fn gunicorns_names_are_known() {
        let text = "worker_class: sync\npidfile: a\nlimit_request_field_size: 1\nwsgi_app: a:b\n";
        let (said, errors) = read_text(text);
        assert_eq!(errors, "");
        let names: Vec<_> = said.iter().map(|said| said.row.name).collect();
        assert_eq!(names, ["worker_class", "pid", "limit_request_field_size", "app"]);
    }

    #[test]
    fn an_empty_file_has_no_settings() {
        for text in ["", "# only a comment\n", "---\n", "{}"] {
            let (said, errors) = read_text(text);
            assert_eq!((said.len(), errors.as_str()), (0, ""), "{text:?}");
        }
    }

    #[test]
    fn anything_but_a_mapping_is_refused() {
        for text in ["- a\n", "workers\n", "3"] {
            let reason = "shop.yaml: must be a mapping of settings, such as workers: 4";
            assert_eq!(read_text(text).1, reason);
        }
    }

    #[test]
    fn lines_are_found() {
        let text = "# first\n\nworkers: 2\nbind:\n  # here\n  - :1\n\n  - :2\n'name': x\n";
        let (said, _) = read_text(text);
        let lines: Vec<_> = said.iter().map(|said| said.origin.to_string()).collect();
        assert_eq!(lines, ["shop.yaml line 3", "shop.yaml line 4", "shop.yaml line 9"]);
        let items: Vec<_> = said[1].words.iter().map(|word| word.origin.to_string()).collect();
        assert_eq!(items, ["shop.yaml line 6", "shop.yaml line 8"]);
        let (said, _) = read_text("{workers: 2}");
        assert_eq!(said[0].origin.to_string(), "shop.yaml");
    }

    #[test]
    fn an_item_can_be_a_mapping() {
        let (said, errors) = read_text(
            "bind:\n  - ':80'\n  - address: https://:443\n    proxy_protocol: v2\n\
             certificates: [/etc/live, {certfile: 'a,b', keyfile: c}]\n",
        );
        assert_eq!(errors, "");
        assert_eq!(words(&said[0]), [":80", "https://:443?proxy-protocol=v2"]);
        assert_eq!(words(&said[1]), ["/etc/live", "certfile=a%2Cb,keyfile=c"]);
        let items: Vec<_> = said[0].words.iter().map(|word| word.origin.to_string()).collect();
        assert_eq!(items, ["shop.yaml line 2", "shop.yaml line 3"]);
        let (said, _) = read_text("bind: {address: ':80', scheme: http}\n");
        assert_eq!(words(&said[0]), [":80?scheme=http"]);
        let (said, errors) = read_text(
            "access:\n- allow: [10.0.0.0/8, unix]\n  path: /a;b\n- {deny: all, method: [POST, PUT]}\n\
             - deny=::1\nbind: [{address: ':80', access: [{deny: all}, allow=::1]}, \
             {address: ':81', access: none}]\n",
        );
        assert_eq!(errors, "");
        let access = ["allow=10.0.0.0/8,unix;path=/a%3Bb", "deny=all;method=POST,PUT", "deny=::1"];
        assert_eq!(words(&said[0]), access);
        assert_eq!(words(&said[1]), [":80?access=deny=all&access=allow=::1", ":81?access=none"]);
    }

    #[test]
    fn a_list_can_have_mappings_of_names_to_values() {
        let (said, errors) = read_text(
            "static:\n- auto\n- /a/: b\n  /c: d\nlimit-rate: [20/s burst 40, {/login: 5/m}]\n\
             response-headers:\n  X-A: 1\n  X-B: \"a: b\"\n",
        );
        assert_eq!(errors, "");
        assert_eq!(words(&said[0]), ["auto", "/a/=b", "/c=d"]);
        let lines: Vec<_> = said[0].words.iter().map(|word| word.origin.to_string()).collect();
        assert_eq!(lines, ["shop.yaml line 2", "shop.yaml line 3", "shop.yaml line 4"]);
        assert_eq!(words(&said[1]), ["20/s burst 40", "/login=5/m"]);
        assert_eq!(words(&said[2]), ["X-A=1", "X-B=a: b"]);
    }

    #[test]
    fn an_error_in_an_item_has_its_line() {
        for (text, error) in [
            (
                "bind:\n- ':1'\n- address: ':2'\n  proxy-protocol: v2\n  acces: [a]\n",
                "5: bind: acces: unknown option; known are address, scheme, proxy-protocol, \
                 access; did you mean access?",
            ),
            (
                "bind:\n  - {address: ':1', proxy-protokol: v2}\n",
                "2: bind: proxy-protokol: unknown option; known are address, scheme, \
                 proxy-protocol, access; did you mean proxy-protocol?",
            ),
            ("bind:\n  - proxy-protocol: v1\n", "2: bind: address is missing"),
            ("bind:\n  - address:\n      - ':1'\n", "2: bind: address: takes a word"),
            (
                "bind:\n- address: ':1'\n  scheme: ftp\n",
                "3: bind: scheme: \"ftp\" is not one of auto, http, https",
            ),
            (
                "bind:\n- address: ':1'\n  access:\n  - allow: ::1\n  - path: /a\n    deny: x\n",
                "6: bind: access: deny: \"x\" is not an address; examples: 10.0.0.7, 10.0.0.0/8, \
                 2001:db8::/32, all",
            ),
            (
                "access:\n- deny: all\n- method: [A, B]\n",
                "3: access: a rule needs allow or deny; example: deny=10.0.0.0/8;path=/admin",
            ),
            ("access:\n- deny: all\n  path: [a]\n", "3: access: path: takes a word"),
            (
                "access:\n- deny: all\n  method:\n  - A\n  - b c\n",
                "5: access: method: \"b c\" is not a method",
            ),
            ("access: {allow: all, deny: []}\n", "1: access: deny: the list is empty"),
            ("static:\n- auto\n- /a: [b]\n", "3: static: a name or value is not a word"),
            (
                "static:\n  /a: b\n  /c=d: e\n",
                "3: static: /c=d: a name has no = in it; in a path it is written %3D",
            ),
            (
                "certificates: [{certfile: a, passphrase: b}]\n",
                "1: certificates: passphrase: unknown option; known are certfile, keyfile",
            ),
            ("certfile:\n  - {a: b}\n", "2: certfile: an item of the list is not a word"),
        ] {
            assert_eq!(read_text(text).1, format!("shop.yaml line {error}"), "{text}");
        }
    }

    #[test]
    fn unknown_and_misplaced_keys_are_errors() {
        let (_, errors) = read_text("wrokers: 2\nconfig: a\nspew: true\nzzz: 1\n1: 2\n");
        assert_eq!(
            errors,
            "shop.yaml line 1: wrokers: unknown setting; did you mean workers?\n\
             shop.yaml line 2: config: cannot be set in the file; use --config\n\
             shop.yaml line 3: spew: gunicorn's spew does not exist here: use python -m trace\n\
             shop.yaml line 4: zzz: unknown setting\n\
             shop.yaml line 5: 1: unknown setting"
        );
    }

    #[test]
    fn values_of_the_wrong_form_are_errors() {
        let (_, errors) = read_text("workers: [1]\nbind:\nname: {a: b}\nenv: [[a]]\n");
        assert_eq!(
            errors,
            "shop.yaml line 1: workers: takes one value, not a list\n\
             shop.yaml line 2: bind: has no value; leave it out for the default\n\
             shop.yaml line 3: name: takes a word, not a mapping\n\
             shop.yaml line 4: env: an item of the list is not a word"
        );
    }

    #[test]
    fn a_repeated_key_is_an_error() {
        let (_, errors) = read_text("pid: a\npidfile: b\n");
        assert_eq!(
            errors,
            "shop.yaml line 2: pidfile: is the same setting as pid, which is set above"
        );
        let (_, errors) = read_text("workers: 1\nname: x\nworkers: 2\n");
        assert_eq!(errors, "shop.yaml line 3: duplicate entry with key \"workers\"");
    }

    #[test]
    fn a_syntax_error_has_its_line() {
        let (_, errors) = read_text("workers: 1\nname: 'x\n");
        assert!(errors.starts_with("shop.yaml line "), "{errors}");
        assert!(!errors.contains(" at line "), "{errors}");
    }
}
