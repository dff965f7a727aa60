//! What several settings together mean for access, limits and files. Checks them against each
//! other.

use crate::access_rule::{AccessRule, AccessVerdict};
use crate::bind::Bind;
use crate::bind_setting::BindSetting;
use crate::findings::Findings;
use crate::forwarding::{ProxyMode, RealIp};
use crate::hosts::AllowedHosts;
use crate::static_files::StaticSetting;
use crate::table::Settings;
use crate::worker::{DebugGuard, WorkerClass};

/// Checks the settings of access, limits and files against each other.
pub(crate) fn check(settings: &Settings, findings: &mut Findings<'_>) {
    check_unix(settings, findings);
    if settings.worker_class == WorkerClass::Exec {
        check_exec(settings, findings);
        return;
    }
    check_rules("access", &settings.access, &[], findings);
    for rules in settings.bind.iter().filter_map(|bind| bind.access.as_deref()) {
        check_rules("bind", rules, &settings.access, findings);
    }
    check_clients(settings, findings);
    check_bodies(settings, findings);
    check_fields(settings, findings);
    check_files(settings, findings);
    warn_of_no_effect(settings, findings);
}

/// A program of class exec has the sockets for itself: the server sees no request.
fn check_exec(settings: &Settings, findings: &mut Findings<'_>) {
    let reason = "a worker of class exec reads requests itself: the server can neither refuse nor \
                  respond to them";
    let settings = [
        ("access", !settings.access.is_empty()),
        ("bind", settings.bind.iter().any(|bind| bind.access.is_some())),
        ("allowed_hosts", settings.allowed_hosts != AllowedHosts::Off),
        ("limit_rate", !settings.limit_rate.is_empty()),
        ("limit_connections", settings.limit_connections > 0),
        ("limit_request_body", findings.is_set("limit_request_body")),
        ("limit_request_spool", settings.limit_request_spool.is_some()),
        ("queue_timeout", !settings.queue_timeout.is_zero()),
        ("debug_guard", settings.debug_guard == DebugGuard::Refuse),
        ("response_headers", !settings.response_headers.is_empty()),
        ("static", !settings.static_files.is_empty()),
        ("accel", !settings.accel.is_empty()),
        ("compress", !settings.compress.is_empty()),
    ];
    findings.refuse_each(settings, reason);
}

/// Bodies that are allowed need room.
fn check_bodies(settings: &Settings, findings: &mut Findings<'_>) {
    let longest = settings.limit_request_body;
    let Some(spool) = settings.limit_request_spool else { return };
    if longest.0 == 0 || longest.0 > spool.0 {
        let reason = format!(
            "is less than limit-request-body ({longest}; 0 is no limit): a body that is longer than \
             {spool} has no room, and is answered 503"
        );
        findings.warn("limit_request_spool", &reason);
    }
}

/// A list of rules that cannot do what its author expects. `others` come behind it.
fn check_rules(
    name: &str,
    rules: &[AccessRule],
    others: &[AccessRule],
    findings: &mut Findings<'_>,
) {
    let mut all = rules.iter().chain(others);
    if !rules.is_empty() && all.all(|rule| rule.verdict == AccessVerdict::Allow) {
        let reason = "denies no request, since requests that no rule matches are allowed; end the \
                      list with deny: all";
        findings.warn(name, reason);
    }
    let last = rules.iter().position(AccessRule::is_for_all).filter(|at| at + 1 < rules.len());
    if let Some((rule, ignored)) = last.and_then(|at| Some((rules.get(at)?, rules.get(at + 1)?))) {
        findings.warn(
            name,
            &format!("{ignored} has no effect: {rule} before it matches every request"),
        );
    }
}

/// Limits for each address need the addresses of clients.
fn check_clients(settings: &Settings, findings: &mut Findings<'_>) {
    let is_unix = |bind: &BindSetting| matches!(bind.address, Bind::Unix(_) | Bind::Abstract(_));
    let are_unknown =
        |bind: &BindSetting| is_unix(bind) && settings.proxy_mode(bind) == ProxyMode::Off;
    if !settings.bind.iter().all(are_unknown) {
        return;
    }
    if !settings.limit_rate.is_empty() && settings.real_ip == RealIp::Off {
        let reason = "has no effect: clients of unix sockets have no address; set real-ip to the \
                      header in which the proxy sends it";
        findings.warn("limit_rate", reason);
    }
    if settings.limit_connections > 0 {
        let reason = "has no effect: connections to unix sockets have no address without \
                      proxy-protocol";
        findings.warn("limit_connections", reason);
    }
}

/// Fields that another setting adds.
fn check_fields(settings: &Settings, findings: &mut Findings<'_>) {
    let has =
        |name: &str| settings.response_headers.iter().any(|it| it.name.eq_ignore_ascii_case(name));
    if has("Server") && settings.server_header {
        let reason = "the server sends a Server header of its own; set server-header: off too";
        findings.refuse("response_headers", reason);
    }
    if has("Strict-Transport-Security") && settings.hsts > 0 {
        findings.refuse("response_headers", "hsts adds Strict-Transport-Security already");
    }
}

/// Files that only the application may hand out must not be open to every client.
fn check_files(settings: &Settings, findings: &mut Findings<'_>) {
    let open: Vec<_> = settings.static_files.iter().filter_map(StaticSetting::mapping).collect();
    for protected in &settings.accel {
        if let Some(open) = open.iter().find(|open| protected.path.starts_with(&open.path)) {
            let reason = format!(
                "every client gets the files of {} below {} without the application (static)",
                protected.path.display(),
                open.prefix
            );
            findings.warn("accel", &reason);
        }
    }
}

/// The file of a unix socket has a mode and a group.
fn check_unix(settings: &Settings, findings: &mut Findings<'_>) {
    let addresses = settings.bind.iter().map(|bind| &bind.address);
    let mut addresses = addresses.chain(settings.metrics.iter().map(|metrics| &metrics.0));
    if addresses.any(|address| matches!(address, Bind::Unix(_))) {
        return;
    }
    let settings = [
        ("unix_mode", settings.unix_mode.is_some()),
        ("unix_group", settings.unix_group.is_some()),
    ];
    let reason = "has no effect: neither bind nor metrics has a unix socket with a file";
    findings.warn_each(settings, reason);
}

fn warn_of_no_effect(settings: &Settings, findings: &mut Findings<'_>) {
    let has_files = !settings.static_files.is_empty() || !settings.accel.is_empty();
    for (names, is_used, reason) in [
        (
            &["allowed_hosts_empty"][..],
            settings.allowed_hosts != AllowedHosts::Off,
            "has no effect while allowed-hosts is off",
        ),
        (
            &["static_immutable", "static_max_age", "static_fallthrough"],
            !settings.static_files.is_empty(),
            "has no effect: static names no files",
        ),
        (&["static_follow_links"], has_files, "has no effect: static and accel name no files"),
        (
            &["compress_types", "compress_min_length", "compress_level"],
            !settings.compress.is_empty(),
            "has no effect: compress names no coding",
        ),
    ] {
        for name in
            names.iter().filter(|name| !is_used && findings.is_set(name)).collect::<Vec<_>>()
        {
            findings.warn(name, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::findings::of_command_line::findings;

    #[test]
    fn a_program_of_class_exec_reads_requests_itself() {
        for (flag, value) in [
            ("--access", "deny=::1"),
            ("--bind", ":80?access=deny=::1"),
            ("--allowed-hosts", "example.org"),
            ("--limit-rate", "5/s"),
            ("--limit-connections", "5"),
            ("--limit-request-body", "1G"),
            ("--limit-request-spool", "1G"),
            ("--queue-timeout", "5"),
            ("--debug-guard", "refuse"),
            ("--response-headers", "X-A=b"),
            ("--static", "/a=b"),
            ("--accel", "/a=b"),
            ("--compress", "gzip"),
        ] {
            let error = findings(&["-k", "exec", flag, value, "--", "run"]);
            let start = format!("{flag}: a worker of class exec reads requests itself: ");
            assert!(error.starts_with(&start) && error.lines().count() == 1, "{error}");
        }
        let harmless = ["-k", "exec", "--access", "none", "--bind", ":80%eth0", "--", "run"];
        assert_eq!(findings(&harmless), "");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for (args, error) in [
            (
                &["--response-headers", "server: shop"][..],
                "--response-headers: the server sends a Server header of its own; set \
                 server-header: off too",
            ),
            (
                &["--response-headers", "Strict-Transport-Security=max-age=1", "--hsts", "1"],
                "--response-headers: hsts adds Strict-Transport-Security already",
            ),
            (
                &["-b", ":1", "-b", ":1?access=deny=all"],
                "--bind: 0.0.0.0:1 is in it twice, with different options",
            ),
        ] {
            assert_eq!(findings(args), error, "{args:?}");
        }
    }

    #[test]
    fn settings_without_an_effect_are_warned_of() {
        for (args, warning) in [
            (&["--access", "allow=::1"][..], "--access: denies no request, since requests that no"),
            (&["-b", ":1?access=allow=all"], "--bind: denies no request"),
            (
                &["--access", "deny=all", "--access", "allow=::1"],
                "--access: allow=::1 has no effect: deny=all before it matches every request",
            ),
            (
                &["--limit-request-spool", "512M"],
                "--limit-request-spool: is less than limit-request-body (1G; 0 is no limit): a body \
                 that is longer than 512M has no room",
            ),
            (&["-b", "unix:a", "--limit-rate", "1/s"], "--limit-rate: has no effect: clients of"),
            (&["-b", "unix:a", "--limit-connections", "1"], "--limit-connections: has no effect"),
            (&["--unix-mode", "0600"], "--unix-mode: has no effect: neither bind nor"),
            (&["--unix-group", "a", "-b", "unix:@a"], "--unix-group: has no effect"),
            (&["--allowed-hosts-empty", "allow"], "--allowed-hosts-empty: has no effect while"),
            (&["--static-max-age", "5"], "--static-max-age: has no effect: static names no files"),
            (&["--static-follow-links"], "--static-follow-links: has no effect: static and accel"),
            (&["--compress-level", "best"], "--compress-level: has no effect: compress names no"),
            (
                &["--static", "/s=/srv", "--accel", "/p=/srv/private"],
                "--accel: every client gets the files of /srv/private below /s without",
            ),
        ] {
            let text = findings(args);
            assert!(text.starts_with(warning) && text.lines().count() == 1, "{args:?}: {text}");
        }
    }

    #[test]
    fn settings_that_fit_together_are_accepted() {
        for args in [
            &["--access", "allow=::1", "--access", "deny=all"][..],
            &["--access", "deny=::1;path=/admin", "-b", ":1?access=none"],
            &["--access", "deny=all", "-b", ":1?access=allow=::1"],
            &["-b", "unix:a", "-b", ":1", "--limit-rate", "1/s", "--limit-connections", "9"],
            &["-b", "unix:a", "--limit-rate", "1/s", "--real-ip", "forwarded"],
            &["-b", "unix:a?proxy-protocol=v2", "--limit-connections", "9", "--unix-mode", "0600"],
            &["--response-headers", "Server=shop", "--server-header=off"],
            &["--metrics", "unix:a", "--unix-mode", "0600"],
            &["--limit-request-spool", "2G"],
            &["--limit-request-spool", "512M", "--limit-request-body", "100M"],
            &["--allowed-hosts", "auto", "--allowed-hosts-empty", "allow"],
            &["--static", "auto", "--static-max-age", "5", "--accel", "/p=/srv/p"],
            &["--compress", "gzip", "--compress-level", "9", "--compress-types", "text/*"],
            &["--accel", "/p=/srv", "--static-follow-links"],
        ] {
            assert_eq!(findings(args), "", "{args:?}");
        }
    }
}
