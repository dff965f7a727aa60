//! Bad values of the settings of access, limits, files, metrics and logs: each is one line that names its
//! source, and the server does not start.

use monoceros_config::{ROWS, Section};

use crate::support::setup::Setup;

/// A setting, a value that it does not have, and the reason in the error.
const VALUES: [(&str, &str, &str); 45] = [
    ("bind", ":80%eth0/1", "\"eth0/1\" is no name of an interface; example: 0.0.0.0:8000%eth0"),
    (
        "unix-mode",
        "660",
        "cannot read \"660\" as a mode in octal digits with a leading zero; examples: 0660, 0600",
    ),
    ("response-headers", "Content-Length=1", "Content-Length cannot be added: the server sets it"),
    ("server-header", "x", "cannot read \"x\" as true or false"),
    ("compress", "deflate", "\"deflate\" is not one of zstd, gzip, br"),
    ("compress-types", "html", "\"html\" is not a media type; examples: application/json, text/*"),
    ("compress-min-length", "1T", "cannot read \"1T\" as an amount of memory"),
    ("compress-level", "0", "0 is not between 1 and 19, or fast, default or best"),
    ("access", "deny=10.0.0.1/8", "deny: 10.0.0.1/8 has bits behind its prefix; write 10.0.0.0/8"),
    ("allowed-hosts", "shop.example:80", "\"shop.example:80\" has a port; write shop.example"),
    ("allowed-hosts-empty", "maybe", "\"maybe\" is not one of refuse, allow"),
    ("limit-rate", "20/day", "cannot read \"20/day\" as a rate; examples: 20/s, 5/m, 100/h"),
    ("limit-connections", "-1", "cannot read \"-1\" as a whole number"),
    ("limit-request-body", "10x", "cannot read \"10x\" as an amount of memory; examples: 512M"),
    ("limit-request-spool", "much", "cannot read \"much\" as an amount of memory"),
    ("queue-timeout", "2d", "cannot read \"2d\" as seconds; examples: 30, 30s, 500ms, 2m"),
    ("debug-guard", "panic", "\"panic\" is not one of warn, refuse, off"),
    ("static", "/a/../b=c", "\"/a/../b\" has the segment ..; write the path without it"),
    ("static", "/static/", "cannot read \"/static/\" as PREFIX=PATH; example: /static/=/srv"),
    ("static-immutable", "(a", "\"(a\" is not a regular expression: unclosed group"),
    ("static-max-age", "1y", "cannot read \"1y\" as a whole number"),
    ("static-fallthrough", "x", "cannot read \"x\" as true or false"),
    ("static-follow-links", "x", "cannot read \"x\" as true or false"),
    ("accel", "protected=c", "\"protected\" does not begin with /"),
    ("accel", "/protected/=", "the path behind /protected/= must not be empty"),
    ("accel", "auto", "cannot read \"auto\" as PREFIX=PATH; example: /static/=/srv/shop/static"),
    ("request-id-header", "X Y", "\"X Y\" is not the name of a header"),
    ("metrics", "localhost:x", "\"x\" is not a port"),
    ("metrics", "fd://3", "cannot read \"fd://3\" as an address; examples: 127.0.0.1:9180"),
    ("metrics-allow", "10.0.0.1/8", "10.0.0.1/8 has bits behind its prefix; write 10.0.0.0/8"),
    ("metrics-path", "metrics", "\"metrics\" does not begin with /"),
    ("health-path", "/a/../b", "\"/a/../b\" has the segment ..; write the path without it"),
    ("metrics-application", "x", "cannot read \"x\" as true or false"),
    (
        "statsd-host",
        "tcp://h:1",
        "cannot read \"tcp://h:1\" as an address; examples: 127.0.0.1:8125, unix:///run/statsd.sock",
    ),
    ("statsd-prefix", "a:b", "\"a:b\" has ':' in it, which the protocol does not allow"),
    ("dogstatsd-tags", "#a", "\"#a\" has '#' in it, which the protocol does not allow"),
    ("enable-backlog-metric", "x", "cannot read \"x\" as true or false"),
    ("access-log-exclude", "404x", "\"404x\" is neither a path nor a status; examples: /healthz"),
    ("access-log-sample", "1.5", "1.5 is not between 0 and 1"),
    ("log-format", "xml", "\"xml\" is not one of text, json"),
    ("log-syslog", "x", "cannot read \"x\" as true or false"),
    (
        "log-syslog-to",
        "/dev/log",
        "cannot read \"/dev/log\" as an address; examples: unix:///dev/log",
    ),
    ("log-syslog-facility", "local8", "\"local8\" is not one of kern, user, mail, daemon"),
    ("disable-redirect-access-to-syslog", "x", "cannot read \"x\" as true or false"),
    ("slow-request", "2d", "cannot read \"2d\" as seconds; examples: 30, 30s, 500ms, 2m"),
];

/// What is written on standard error by a server that does not start.
fn error(setup: Setup, code: i32) -> String {
    let end = setup.run();
    assert_eq!(end.code, Some(code), "{}", end.stderr);
    assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    end.stderr
}

#[test]
fn a_bad_value_is_one_line_with_its_source() {
    for (key, value, reason) in VALUES {
        let file = format!("name: shop\n{key}: '{value}'\n");
        let variable = format!("MONOCEROS_{}", key.replace('-', "_").to_uppercase());
        for (setup, code, source) in [
            (
                Setup::bare().file("monoceros.yaml", &file),
                1,
                format!("monoceros.yaml line 2: {key}"),
            ),
            (Setup::bare().variable(&variable, value), 1, variable.clone()),
            (Setup::bare().flag(format!("--{key}={value}")), 2, format!("--{key}")),
        ] {
            let error = error(setup, code);
            assert!(error.contains(&format!(": {source}: {reason}")), "{source}: {error}");
        }
    }
}

#[test]
fn each_setting_of_access_files_and_metrics_has_a_bad_value() {
    let sections = [Section::Access, Section::Static, Section::Metrics];
    for row in ROWS.iter().filter(|row| sections.contains(&row.section)) {
        assert!(VALUES.iter().any(|(key, _, _)| *key == row.key()), "{}", row.key());
    }
}

#[test]
fn a_bad_part_of_a_mapping_or_list_has_its_own_line() {
    for (yaml, reason) in [
        ("access:\n- allow: ::1\n- deny: all\n  path: admin\n", "4: access: path: \"admin\" does"),
        ("access:\n  deny:\n  - 10.0.0.1\n  - x\n", "4: access: deny: \"x\" is not an address"),
        ("access:\n- path: /a\n", "2: access: a rule needs allow or deny; example: deny=10"),
        ("access:\n- allow: all\n  deny: all\n", "2: access: deny: a rule has either allow or"),
        ("access:\n- deny: all\n  methods: [POST]\n", "3: access: methods: unknown option; known"),
        (
            "bind:\n- ':80'\n- address: ':81'\n  access:\n  - deny: all\n    method: [A B]\n",
            "6: bind: access: method: \"A B\" is not a method",
        ),
        ("bind:\n- address: ':81'\n  access: deny=x\n", "3: bind: access: deny: \"x\" is not an"),
        ("allowed-hosts:\n- a.example\n- '*'\n", "3: allowed-hosts: * allows every host, which"),
        ("limit-rate:\n  /a: 5/m\n  /b: 5\n", "3: limit-rate: cannot read \"5\" as a rate"),
        ("limit-rate:\n- 5/s\n- /b: 5/x\n", "3: limit-rate: cannot read \"5/x\" as a rate"),
        ("limit-rate: [5/s, 5/s]\n", "1: limit-rate: 5/s is in it twice"),
        ("response-headers:\n  X-A: b\n  Date: now\n", "3: response-headers: Date cannot be added"),
        ("response-headers:\n  X-A: \"a\\nb\"\n", "2: response-headers: \"a\\nb\" cannot be the"),
        ("static:\n  /a/: b\n  c: d\n", "3: static: \"c\" does not begin with /"),
        ("static:\n- auto\n- /a: ''\n", "3: static: the path behind /a= must not be empty"),
        ("static: {/a: b, /a/: c}\n", "1: static: /a/ is in it twice"),
        ("static:\n  /a:\n", "2: static: a name or value is not a word"),
        ("accel: [auto]\n", "1: accel: cannot read \"auto\" as PREFIX=PATH"),
        ("compress: [gzip, gzip]\n", "1: compress: gzip is in it twice"),
        ("compress: []\n", "1: compress: the list is empty"),
        ("unix-group: ''\n", "1: unix-group: must not be empty"),
        ("metrics: [':1', '0.0.0.0:1']\n", "1: metrics: 0.0.0.0:1 is in it twice"),
        ("metrics-allow:\n- ::1\n- x\n", "3: metrics-allow: \"x\" is not an address"),
        ("access-log-exclude:\n- /a\n- b\n", "3: access-log-exclude: \"b\" is neither a path"),
        ("access-log-exclude: [404, 404]\n", "1: access-log-exclude: 404 is in it twice"),
        ("slow-logfile: ''\n", "1: slow-logfile: must not be empty"),
        ("syslog_prefix: ''\n", "1: syslog_prefix: must not be empty"),
        ("unix-mode: 0o660\n", "1: unix-mode: cannot read \"432\" as a mode in octal digits"),
    ] {
        let error = error(Setup::bare().file("monoceros.yaml", yaml), 1);
        let expected = format!("monoceros.yaml line {reason}");
        assert!(error.contains(&expected), "{expected:?}: {error}");
    }
}

#[test]
fn settings_that_exclude_each_other_name_the_one_to_change() {
    for (yaml, reason) in [
        (
            "name: x\nresponse-headers: {Server: shop}\n",
            "2: response-headers: the server sends a Server header of its own",
        ),
        (
            "hsts: 5\nresponse-headers: {strict-transport-security: a}\n",
            "2: response-headers: hsts adds",
        ),
        (
            "worker-class: exec\nprogram: ['true']\naccess: [{deny: 10.0.0.1}]\n",
            "3: access: a worker of class exec reads requests itself",
        ),
        (
            "worker-class: exec\nprogram: ['true']\nstatic: {/a: b}\n",
            "3: static: a worker of class exec reads requests itself",
        ),
        (
            "worker-class: exec\nprogram: ['true']\nhealth-path: /healthz\n",
            "3: health-path: a worker of class exec reads requests itself",
        ),
        (
            "bind: ':80'\nmetrics: ':80'\nmetrics-allow: all\n",
            "2: metrics: 0.0.0.0:80 is in bind too",
        ),
        ("metrics-path: /a\nhealth-path: /a\n", "2: health-path: is the path of metrics-path too"),
    ] {
        let error = error(Setup::bare().file("monoceros.yaml", yaml), 1);
        let expected = format!("monoceros.yaml line {reason}");
        assert!(error.contains(&expected), "{expected:?}: {error}");
    }
}

#[test]
fn what_is_printed_reads_back() {
    let yaml = "bind:\n- address: http://127.0.0.1:0%lo\n  access: [{deny: '::1', path: /a;b}]\n\
                - unix:a?access=none\n\
                access: [{allow: [10.0.0.0/8, unix], method: [get]}, {deny: all}]\n\
                allowed-hosts: [Example.ORG, '*.example.net']\nallowed-hosts-empty: allow\n\
                limit-rate: [20/s burst 40, {/login: 5/m}]\nlimit-connections: 50\n\
                limit-request-body: 10MB\nlimit-request-spool: 1G\nqueue-timeout: 500ms\n\
                debug-guard: refuse\nresponse-headers: {X-A: 'a, \"b\"'}\nserver-header: off\n\
                static: [auto, {/static/: assets, /favicon.ico: f.ico}]\n\
                static-immutable: '[.-]\\w{8}\\.js$'\nstatic-max-age: 5\n\
                accel: {/protected/: /srv/p}\ncompress: [br, zstd]\ncompress-types: text/*,*/*\n\
                compress-min-length: 0\ncompress-level: 9\nunix-mode: 0660\nunix-group: '0'\n\
                metrics: [localhost, 'unix:m']\nmetrics-allow: [10.0.0.0/8, unix]\n\
                metrics-path: /metrics\nhealth-path: none\nstatsd_host: unix:///run/s\n\
                statsd_prefix: shop\nsyslog: true\nsyslog_addr: unix:///dev/log#dgram\n\
                syslog_facility: local7\naccess-log-exclude: [/healthz, 404]\n\
                access-log-sample: 0.10\nlog-format: json\nslow-request: 1500ms\n\
                request-id-header: none\n";
    let print = |yaml: &str| {
        let setup = Setup::bare().flags(&["--print-config", "absent"]);
        setup.file("monoceros.yaml", yaml).run().stdout
    };
    let first = print(yaml);
    let values = |text: &str| {
        let lines = text.lines().map(|line| line.split("  # ").next().unwrap_or(line));
        lines.map(str::trim_end).map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = values(&first);
    for line in [
        "  - \"http://127.0.0.1:0%lo?access=deny=::1;path=/a%3Bb\"",
        "  - \"unix:a?access=none\"",
        "  - \"allow=unix,10.0.0.0/8;method=GET\"",
        "  - \"example.org,*.example.net\"",
        "  - \"20/s burst 40\"",
        "  - \"/login=5/m\"",
        "limit-request-body: \"10M\"",
        "server-header: false",
        "  - \"X-A=a, \\\"b\\\"\"",
        "  - auto",
        "  - \"/static/=assets\"",
        "unix-mode: \"0660\"",
        "compress-level: 9",
        "  - localhost:9180",
        "  - \"unix,10.0.0.0/8\"",
        "health-path: none",
        "statsd-host: unix:///run/s",
        "log-syslog-to: \"unix:///dev/log#dgram\"",
        "access-log-sample: \"0.1\"",
        "slow-request: 1500ms",
        "request-id-header: none",
    ] {
        assert!(lines.iter().any(|it| it == line), "{line:?} in {first}");
    }
    assert_eq!(values(&print(&first)), lines);
}
