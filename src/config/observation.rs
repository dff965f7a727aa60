//! What several settings together mean for metrics and logs. Checks them against each other.

use crate::access_log::Fraction;
use crate::bind::Bind;
use crate::findings::Findings;
use crate::log::LogFormat;
use crate::metrics::MetricsAddress;
use crate::statsd::StatsdTags;
use crate::table::{Settings, WorkerSettings};
use crate::url_path::is_same_path;
use crate::worker::WorkerClass;

/// The names of gunicorn's own class of loggers: what it does is done here anyway.
const GUNICORNS_LOGGER: [&str; 2] = ["gunicorn.glogging.Logger", "simple"];

impl Settings {
    /// Whether there is an access log: in a file, sent to syslog, or Python's.
    #[must_use]
    pub fn has_access_log(&self) -> bool {
        let is_sent = self.log_syslog && !self.disable_redirect_access_to_syslog;
        self.access_logfile.is_some() || is_sent || self.logs_through_python()
    }

    /// Whether workers log through Python's logging.
    fn logs_through_python(&self) -> bool {
        let class = self.logger_class.as_deref();
        let is_own = class.is_some_and(|it| !GUNICORNS_LOGGER.contains(&it));
        is_own || self.log_config.is_some() || self.log_config_json.is_some()
    }
}

impl WorkerSettings {
    /// Whether workers log through Python's logging.
    #[must_use]
    pub fn logs_through_python(&self) -> bool {
        self.0.logs_through_python()
    }
}

/// Checks the settings of metrics and logs against each other.
pub(crate) fn check(settings: &Settings, findings: &mut Findings<'_>) {
    check_addresses(settings, findings);
    check_statsd(settings, findings);
    check_syslog(findings, settings.log_syslog);
    if settings.worker_class == WorkerClass::Exec {
        check_exec(settings, findings);
        return;
    }
    check_paths(settings, findings);
    check_access_log(settings, findings);
    check_slow_requests(settings, findings);
}

/// A program of class exec has the sockets for itself: the server sees no request.
fn check_exec(settings: &Settings, findings: &mut Findings<'_>) {
    let reason = "a worker of class exec reads requests itself: the server neither sees nor \
                  counts them";
    let has_id_field = settings.request_id_header.is_some();
    let settings = [
        ("metrics_path", settings.metrics_path.is_some()),
        ("health_path", settings.health_path.is_some()),
        ("metrics_application", settings.metrics_application),
        ("request_id_header", has_id_field && findings.is_set("request_id_header")),
        ("access_log_exclude", !settings.access_log_exclude.is_empty()),
        ("access_log_sample", settings.access_log_sample != Fraction::ONE),
        ("slow_request", !settings.slow_request.is_zero()),
    ];
    findings.refuse_each(settings, reason);
}

/// The addresses of metrics, and which clients reach them.
fn check_addresses(settings: &Settings, findings: &mut Findings<'_>) {
    let is_chosen = |bind: &Bind| !matches!(bind, Bind::Tcp { port: 0, .. });
    for MetricsAddress(address) in settings.metrics.iter().filter(|it| is_chosen(&it.0)) {
        if settings.bind.iter().any(|bind| bind.address == *address) {
            let reason = format!("{address} is in bind too; metrics need an address of their own");
            findings.refuse("metrics", &reason);
        }
    }
    let open = settings.metrics.iter().find(|it| it.0.is_public());
    if let (Some(MetricsAddress(address)), None) = (open, &settings.metrics_allow) {
        let reason = format!(
            "every client that reaches {address} can read what the server does, also the paths \
             of requests; list the clients in metrics-allow"
        );
        findings.warn("metrics", &reason);
    }
    if settings.metrics.is_empty() && settings.metrics_path.is_none() {
        let settings = [
            ("metrics_allow", settings.metrics_allow.is_some()),
            ("metrics_application", settings.metrics_application),
        ];
        findings.warn_each(settings, "has no effect: neither metrics nor metrics-path is set");
    }
}

/// The paths at which the server responds in place of the application.
fn check_paths(settings: &Settings, findings: &mut Findings<'_>) {
    let paths = settings.metrics_path.as_ref().zip(settings.health_path.as_ref());
    if paths.is_some_and(|(metrics, health)| is_same_path(&metrics.0, &health.0)) {
        findings.refuse("health_path", "is the path of metrics-path too");
    }
    let Some(field) = &settings.request_id_header else { return };
    if settings.response_headers.iter().any(|it| it.name.eq_ignore_ascii_case(&field.0)) {
        let reason = format!(
            "request-id-header adds {} with the identifier of each request; set \
             request-id-header: none too",
            field.0
        );
        findings.refuse("response_headers", &reason);
    }
}

fn check_statsd(settings: &Settings, findings: &mut Findings<'_>) {
    if settings.statsd_host.is_some() {
        return;
    }
    let settings = [
        ("statsd_prefix", !settings.statsd_prefix.0.is_empty()),
        ("dogstatsd_tags", settings.dogstatsd_tags != StatsdTags::default()),
        ("enable_backlog_metric", settings.enable_backlog_metric),
    ];
    findings.warn_each(settings, "has no effect: statsd-host is not set");
}

fn check_syslog(findings: &mut Findings<'_>, is_used: bool) {
    if is_used {
        return;
    }
    let settings = [
        "log_syslog_to",
        "log_syslog_prefix",
        "log_syslog_facility",
        "disable_redirect_access_to_syslog",
    ];
    let settings = settings.map(|name| (name, findings.is_set(name)));
    findings.warn_each(settings, "has no effect: log-syslog is off");
}

fn check_access_log(settings: &Settings, findings: &mut Findings<'_>) {
    if settings.has_access_log() {
        if settings.log_format == LogFormat::Json && findings.is_set("access_logformat") {
            findings.warn("access_logformat", "has no effect with log-format: json");
        }
        return;
    }
    let settings = [
        ("access_log_exclude", !settings.access_log_exclude.is_empty()),
        ("access_log_sample", settings.access_log_sample != Fraction::ONE),
    ];
    findings.warn_each(settings, "has no effect: there is no access log; set access-logfile");
}

fn check_slow_requests(settings: &Settings, findings: &mut Findings<'_>) {
    let (slow, timeout) = (settings.slow_request, settings.timeout);
    if slow.is_zero() && settings.slow_logfile.is_some() {
        findings.warn("slow_logfile", "has no effect: slow-request is not set");
    }
    if !slow.is_zero() && !timeout.is_zero() && slow >= timeout {
        let reason = format!(
            "is not less than timeout ({}s), which ends a request that has not begun its response",
            timeout.as_secs_f64()
        );
        findings.warn("slow_request", &reason);
    }
}

#[cfg(test)]
mod tests {
    use crate::findings::of_command_line::findings;

    #[test]
    fn the_server_sees_no_request_of_a_program() {
        for (flag, value) in [
            ("--metrics-path", "/metrics"),
            ("--health-path", "/healthz"),
            ("--metrics-application", ""),
            ("--request-id-header", "X-Id"),
            ("--access-log-exclude", "404"),
            ("--access-log-sample", "0.5"),
            ("--slow-request", "2"),
        ] {
            let words = ["-k", "exec", "--metrics", ":0", "--metrics-allow", "all", flag, value];
            let words = words.into_iter().filter(|word| !word.is_empty());
            let error = findings(&words.chain(["--", "run"]).collect::<Vec<_>>());
            let start = format!("{flag}: a worker of class exec reads requests itself: ");
            assert!(error.starts_with(&start) && error.lines().count() == 1, "{error}");
        }
        let harmless = ["-k", "exec", "--metrics", "[::1]:1", "--log-format", "json"];
        let none = ["--request-id-header", "none", "--statsd-host", "h:1", "--", "run"];
        assert_eq!(findings(&[&harmless[..], &none].concat()), "");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for (args, error) in [
            (
                &["-b", ":80", "--metrics", "0.0.0.0:80", "--metrics-allow", "all"][..],
                "--metrics: 0.0.0.0:80 is in bind too; metrics need an address of their own",
            ),
            (
                &["--metrics-path", "/a/", "--health-path", "/a"],
                "--health-path: is the path of metrics-path too",
            ),
            (
                &["--response-headers", "x-request-id=1"],
                "--response-headers: request-id-header adds X-Request-ID with the identifier of \
                 each request; set request-id-header: none too",
            ),
        ] {
            assert_eq!(findings(args), error, "{args:?}");
        }
    }

    #[test]
    fn settings_without_an_effect_are_warned_of() {
        for (args, warning) in [
            (
                &["--metrics", ":9180"][..],
                "--metrics: every client that reaches 0.0.0.0:9180 can read what the server does",
            ),
            (
                &["--metrics-allow", "all"],
                "--metrics-allow: has no effect: neither metrics nor metrics-path is set",
            ),
            (&["--metrics-application"], "--metrics-application: has no effect: neither"),
            (&["--statsd-prefix", "a"], "--statsd-prefix: has no effect: statsd-host is not set"),
            (&["--dogstatsd-tags", "a:b"], "--dogstatsd-tags: has no effect"),
            (&["--enable-backlog-metric"], "--enable-backlog-metric: has no effect"),
            (&["--log-syslog-to", "udp://h"], "--log-syslog-to: has no effect: log-syslog is off"),
            (&["--log-syslog-prefix", "a"], "--log-syslog-prefix: has no effect"),
            (&["--log-syslog-facility", "cron"], "--log-syslog-facility: has no effect"),
            (
                &["--disable-redirect-access-to-syslog"],
                "--disable-redirect-access-to-syslog: has no effect",
            ),
            (
                &["--access-log-exclude", "404"],
                "--access-log-exclude: has no effect: there is no access log; set access-logfile",
            ),
            (
                &[
                    "--access-log-sample",
                    "0",
                    "--log-syslog",
                    "--disable-redirect-access-to-syslog",
                ],
                "--access-log-sample: has no effect",
            ),
            (
                &["--access-logfile", "-", "--log-format", "json", "--access-logformat", "%(h)s"],
                "--access-logformat: has no effect with log-format: json",
            ),
            (&["--slow-logfile", "a"], "--slow-logfile: has no effect: slow-request is not set"),
            (&["--slow-request", "30"], "--slow-request: is not less than timeout (30s), which"),
        ] {
            let text = findings(args);
            assert!(text.starts_with(warning) && text.lines().count() == 1, "{args:?}: {text}");
        }
    }

    #[test]
    fn settings_that_fit_together_are_accepted() {
        for args in [
            &["--metrics", "localhost", "--metrics", "unix:a", "--metrics-application"][..],
            &["--metrics", "127.0.0.2:1", "-b", "127.0.0.1:1"],
            &["-b", "127.0.0.1:0", "--metrics", "127.0.0.1:0"],
            &["--metrics-path", "/metrics", "--metrics-allow", "10.0.0.0/8,unix"],
            &["--statsd-host", "h", "--statsd-prefix", "a", "--enable-backlog-metric"],
            &["--log-syslog", "--log-syslog-to", "tcp://h", "--access-log-sample", "0.5"],
            &["--access-logfile", "-", "--access-log-exclude", "/healthz"],
            &["--slow-request", "2", "--slow-logfile", "-"],
            &["--slow-request", "30", "--timeout", "0"],
            &["--response-headers", "X-Request-ID=1", "--request-id-header", "none"],
        ] {
            assert_eq!(findings(args), "", "{args:?}");
        }
    }
}
