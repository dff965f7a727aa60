//! Tests that every setting of gunicorn is known here.

use super::*;
use crate::table::{ROWS, Row};

/// Every setting of gunicorn 27.0.1 with its flags.
const SETTINGS: &str = "\
config -c --config
wsgi_app
bind -b --bind
backlog --backlog
workers -w --workers
worker_class -k --worker-class
threads --threads
worker_connections --worker-connections
max_requests --max-requests
max_requests_jitter --max-requests-jitter
timeout -t --timeout
graceful_timeout --graceful-timeout
keepalive --keep-alive
limit_request_line --limit-request-line
limit_request_fields --limit-request-fields
limit_request_field_size --limit-request-field_size
reload --reload
reload_engine --reload-engine
reload_extra_files --reload-extra-file
spew --spew
check_config --check-config
print_config --print-config
preload_app --preload
sendfile --no-sendfile
reuse_port --reuse-port
chdir --chdir
daemon -D --daemon
raw_env -e --env
pidfile -p --pid
worker_tmp_dir --worker-tmp-dir
user -u --user
group -g --group
umask -m --umask
initgroups --initgroups
tmp_upload_dir
secure_scheme_headers
forwarded_allow_ips --forwarded-allow-ips
accesslog --access-logfile
disable_redirect_access_to_syslog --disable-redirect-access-to-syslog
access_log_format --access-logformat
errorlog --error-logfile --log-file
loglevel --log-level
capture_output --capture-output
logger_class --logger-class
logconfig --log-config
logconfig_dict
logconfig_json --log-config-json
syslog_addr --log-syslog-to
syslog --log-syslog
syslog_prefix --log-syslog-prefix
syslog_facility --log-syslog-facility
enable_stdio_inheritance -R --enable-stdio-inheritance
statsd_host --statsd-host
dogstatsd_tags --dogstatsd-tags
statsd_prefix --statsd-prefix
enable_backlog_metric --enable-backlog-metric
proc_name -n --name
default_proc_name
pythonpath --pythonpath
paste --paste --paster
on_starting
on_reload
when_ready
pre_fork
post_fork
post_worker_init
worker_int
worker_abort
pre_exec
pre_request
post_request
child_exit
worker_exit
nworkers_changed
on_exit
ssl_context
proxy_protocol --proxy-protocol
proxy_allow_ips --proxy-allow-from
protocol --protocol
uwsgi_allow_ips --uwsgi-allow-from
keyfile --keyfile
certfile --certfile
ssl_version --ssl-version
cert_reqs --cert-reqs
ca_certs --ca-certs
suppress_ragged_eofs --suppress-ragged-eofs
do_handshake_on_connect --do-handshake-on-connect
ciphers --ciphers
http_protocols --http-protocols
http2_cleartext --http2-cleartext
http2_max_concurrent_streams --http2-max-concurrent-streams
http2_initial_window_size --http2-initial-window-size
http2_max_frame_size --http2-max-frame-size
http2_max_header_list_size --http2-max-header-list-size
raw_paste_global_conf --paste-global
permit_obsolete_folding --permit-obsolete-folding
strip_header_spaces --strip-header-spaces
permit_unconventional_http_method --permit-unconventional-http-method
permit_unconventional_http_version --permit-unconventional-http-version
casefold_http_method --casefold-http-method
forwarder_headers --forwarder-headers
header_map --header-map
asgi_loop --asgi-loop
asgi_lifespan --asgi-lifespan
asgi_disconnect_grace_period --asgi-disconnect-grace-period
websocket_max_message_size --websocket-max-message-size
http_parser --http-parser
root_path --root-path
dirty_apps --dirty-app
dirty_workers --dirty-workers
dirty_timeout --dirty-timeout
dirty_threads --dirty-threads
dirty_graceful_timeout --dirty-graceful-timeout
on_dirty_starting
dirty_post_fork
dirty_worker_init
dirty_worker_exit
control_socket --control-socket
control_socket_mode --control-socket-mode
control_socket_disable --no-control-socket";

fn settings() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    SETTINGS.lines().map(|line| {
        let mut words = line.split(' ');
        (words.next().unwrap(), words.collect())
    })
}

#[test]
fn every_setting_of_gunicorn_has_a_row_or_an_error() {
    assert_eq!(settings().count(), 120);
    for (name, flags) in settings() {
        if let Some(row) = ROWS.iter().find(|row| row.gunicorn == Some(name)) {
            for flag in flags {
                let same = row.short.is_some_and(|short| flag == format!("-{short}"))
                    || flag
                        .strip_prefix("--")
                        .and_then(Row::find)
                        .is_some_and(|found| found.name == row.name);
                assert!(same, "{name}: {flag}");
            }
        } else {
            let foreign = FOREIGN.iter().find(|foreign| foreign.name == name).expect(name);
            assert_eq!(foreign.flags, flags, "{name}");
        }
    }
}

#[test]
fn every_error_is_for_a_setting_that_gunicorn_has() {
    let names: Vec<_> = settings().map(|(name, _)| name).collect();
    let ours = ROWS.iter().filter_map(|row| row.gunicorn);
    for name in ours.chain(FOREIGN.iter().map(|foreign| foreign.name)) {
        assert!(names.contains(&name), "{name}");
    }
}

#[test]
fn the_page_for_migration_names_every_setting() {
    let page = &crate::print::pages()[1];
    assert_eq!(page.path, "docs/from-gunicorn.md");
    for (name, flags) in settings() {
        assert!(page.text.contains(&format!("| `{name}` |")), "{name}");
        if let Some(flag) = flags.iter().find(|flag| flag.starts_with("--")) {
            assert!(page.text.contains(&format!("`{flag}`")), "{flag}");
        }
    }
}
