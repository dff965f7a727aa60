//! The page at the metrics address, in a real browser: its figures are those of
//! `/status.json`, text of clients stays text, and people with and without a mouse, a large
//! screen or eyes can use it.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::client::{Connection, Response, get};
use crate::support::pipe::Pipe;
use crate::support::server::Server;
use crate::support::setup::{Setup, apps};
use crate::support::until;

/// Responds with the status that the path names, or as `stream.route`.
const APPLICATION: &str = "
import stream

STATUSES = {'/404': '404 Not Found', '/500': '500 Internal Server Error'}

def application(environ, start_response):
    if environ['PATH_INFO'] not in STATUSES:
        return stream.route(environ, start_response)
    start_response(STATUSES[environ['PATH_INFO']], [('Content-Length', '0')])
    return [b'']
";

/// Markup, an attribute's end, marks of direction, a letter from right to left, an entity, and
/// 2,000 characters without a place to break.
fn hostile() -> String {
    let markup = "<script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>";
    format!("{markup}\u{202e}\u{2066}\u{5d0}\u{200b}\u{1b}&lt;{}", "A".repeat(2000))
}

/// The browser's size on a desk and in a hand.
const SIZES: [(u32, u32); 2] = [(1280, 900), (390, 844)];

fn setup() -> Setup {
    let setup = Setup::of("figures:application").file("figures.py", APPLICATION);
    let paths = format!("--pythonpath={},.", apps("wsgi").display());
    setup.flag(paths).flags(&["--metrics", "127.0.0.1:0", "--timeout", "120"])
}

/// The metrics address of a server.
fn metrics(server: &Server) -> SocketAddr {
    let line = "master: metrics at ";
    server.wait_for_log(line);
    let log = server.log();
    let (_, after) = log.rsplit_once(line).unwrap();
    after.lines().next().unwrap().parse().unwrap()
}

fn read(server: &Server, path: &str) -> Response {
    Connection::tcp(metrics(server)).unwrap().get(path)
}

fn status(server: &Server) -> Value {
    read(server, "/status.json").json()
}

/// Opens the page, and waits until it has shown a report.
fn open(browser: &mut Browser, server: &Server) {
    browser.open(&format!("http://{}/", metrics(server)));
    wait_for_report(browser, 0.0);
}

/// Waits until the page shows a report that was made after this time.
fn wait_for_report(browser: &mut Browser, after: f64) {
    browser.wait_for(&format!("Number(document.documentElement?.dataset.at) > {after}"));
}

/// The cells of a table's rows.
fn rows(browser: &mut Browser, table: &str) -> Vec<Vec<String>> {
    let script = "[...document.querySelectorAll('TABLE tbody tr')].map((row) => \
                  [...row.cells].map((cell) => cell.textContent))";
    let rows = browser.value(&script.replace("TABLE", table));
    serde_json::from_value(rows).unwrap()
}

/// The exact value of a figure in a list.
fn figure(browser: &mut Browser, list: &str, name: &str) -> Option<f64> {
    let script =
        format!("document.querySelector('#{list} [data-figure={name}]').children[1].dataset.value");
    browser.value(&script).as_str().map(|value| value.parse().unwrap())
}

fn sum(values: &Value, part: impl Fn(&Value) -> u64) -> f64 {
    values.as_array().unwrap().iter().map(part).sum::<u64>() as f64
}

/// A count in the form that the page has.
fn shown(value: &Value) -> String {
    let digits = value.to_string();
    assert!(digits.len() < 4, "{digits} is shown in groups");
    digits
}

#[test]
fn the_figures_are_those_of_the_status() {
    let server = setup().workers(2).start();
    let Some(mut browser) = Browser::start() else { return };
    for (path, count) in [("/", 7), ("/404", 3), ("/500", 2)] {
        (0..count).for_each(|_| drop(server.get(path)));
    }
    let (_client, writer) = server.occupy("pipe");
    browser.resize(1280, 900);
    open(&mut browser, &server);
    let report = until::some("a status with all requests", || {
        let report = status(&server);
        let ended = report["totals"]["requests"].as_object()?.values().filter_map(Value::as_u64);
        let is_open =
            sum(&report["workers"], |worker| worker["in_progress"].as_u64().unwrap()) == 1.0;
        (ended.sum::<u64>() == 12 && is_open).then_some(report)
    });
    wait_for_report(&mut browser, report["at"].as_f64().unwrap());
    let workers = &report["workers"];
    assert_eq!(browser.text("#state"), "serving");
    assert!(browser.text("#identity").contains(&format!("pid {}", server.pid())));
    assert_eq!(browser.text("#tiles [data-figure=ready] dd"), "2 of 2");
    assert_eq!(figure(&mut browser, "tiles", "running"), Some(1.0));
    assert_eq!(figure(&mut browser, "totals", "requests"), Some(12.0));
    // Workers count bytes every 250 ms.
    for name in ["received", "sent", "connections", "spawns", "timeouts"] {
        until::holds(&format!("the figure of the status: {name}"), || {
            let of_status = status(&server)["totals"][name].as_f64();
            of_status.is_some() && figure(&mut browser, "totals", name) == of_status
        });
    }
    let by_status = rows(&mut browser, "[data-counts=requests]");
    let expected = [("200", "7"), ("404", "3"), ("500", "2")];
    assert_eq!(by_status, expected.map(|(status, count)| [status, count]));
    let listed = rows(&mut browser, "#workers");
    for (row, worker) in listed.iter().zip(workers.as_array().unwrap()) {
        let fields = ["slot", "generation", "requests", "errors", "waiting"];
        let expected = fields.map(|field| shown(&worker[field]));
        assert_eq!([0, 2, 5, 6, 8].map(|column| row[column].clone()), expected, "{row:?}");
        assert_eq!((row[1].as_str(), &row[3]), ("ready", &worker["process"]["pid"].to_string()));
    }
    assert_eq!(listed.len(), 2);
    let running = rows(&mut browser, "#running");
    assert_eq!(running.len(), 1, "{running:?}");
    assert!(running[0][1].starts_with("GET /wait?pipe="), "{running:?}");
    let listeners = rows(&mut browser, "#listeners");
    assert_eq!(listeners[0][6], shown(&report["listeners"][0]["accepted"]), "{listeners:?}");
    writer.finish();
    assert_eq!(browser.complaints(), <[String; 0]>::default());
}

#[test]
fn the_charts_are_those_of_the_history() {
    let server = setup().start();
    let Some(mut browser) = Browser::start() else { return };
    browser.resize(1280, 900);
    open(&mut browser, &server);
    let last = until::some("three points with requests", || {
        server.get("/");
        let history = read(&server, "/history.json").json();
        let points = history["points"].as_array().unwrap();
        let busy = points.iter().filter(|point| point["p50_seconds"].is_number()).count();
        (busy >= 3).then(|| points.last().unwrap()["at"].clone())
    });
    browser.wait_for(&format!("document.getElementById('charts').dataset.at >= {last}"));
    for chart in ["rates", "times", "queue", "memory"] {
        let path = format!("document.querySelector('[data-chart={chart}] path').getAttribute('d')");
        let path = browser.value(&path);
        assert!(path.as_str().unwrap().matches('L').count() > 1, "{chart}: {path}");
    }
    // The keys move to a point, whose values are in the legends.
    browser.value("document.getElementById('pause').click()");
    browser.value("document.getElementById('moment').focus()");
    browser.press("ArrowLeft", 37);
    let chosen = browser.value("Number(document.getElementById('moment').value)");
    let chosen = chosen.as_u64().unwrap() as usize;
    let at = browser.value("Number(document.getElementById('charts').dataset.at)");
    let history = read(&server, "/history.json").json();
    let points = history["points"].as_array().unwrap();
    let last = points.iter().position(|point| point["at"] == at).expect("the last point shown");
    let point = &points[last - 1];
    assert_eq!(chosen, last - 1, "the point before the last one");
    let rate = point["responses"]["2xx"].as_f64().unwrap() / point["seconds"].as_f64().unwrap();
    let legend = browser.text("[data-chart=rates] .status-2xx .value").replace(',', "");
    let legend: f64 = legend.parse().unwrap();
    assert!((legend - rate).abs() <= rate / 100.0, "{legend} for {rate}");
    let spoken = browser.value("document.getElementById('moment').getAttribute('aria-valuetext')");
    assert!(spoken.as_str().unwrap().contains("2xx "), "{spoken}");
    browser.value("document.querySelector('#history-details summary').click()");
    browser.wait_for("document.querySelectorAll('#history-table tbody tr').length > 2");
    assert_eq!(rows(&mut browser, "#history-table").len(), last + 1);
    assert_eq!(browser.complaints(), <[String; 0]>::default());
}

#[test]
fn requests_are_shown_while_they_run_and_when_they_have_ended() {
    let server = setup().threads(2).start();
    let Some(mut browser) = Browser::start() else { return };
    let pipe = Pipe::new(&server.directory, "pipe");
    let path = "/<script>window.hacked=1</script>'\"><img/src=x>";
    assert_eq!(server.get(path).status, 200);
    let target = format!("/wait?{}&<i>'\"{}", pipe.query(), "x".repeat(2000));
    let mut client = server.connect();
    client.send(get(&target));
    let writer = pipe.open();
    browser.resize(390, 844);
    open(&mut browser, &server);
    browser.wait_for("document.querySelectorAll('#running tbody tr').length === 1");
    let request = rows(&mut browser, "#running")[0][1].clone();
    let (_, rest) = request.split_once("GET ").unwrap();
    let begin = rest.split('…').next().unwrap();
    assert!(target.starts_with(begin) && begin.len() > 40, "{request}");
    assert_fits(&mut browser);
    writer.finish();
    assert_eq!(client.response().status, 200);
    browser.value("document.querySelector('#ended-details summary').click()");
    browser.wait_for("document.querySelectorAll('#ended tbody tr').length > 1");
    let ended = rows(&mut browser, "#ended");
    for request in [request, format!("GET {path}")] {
        assert!(ended.iter().any(|row| row[2] == request && row[4] == "200"), "{ended:?}");
    }
    browser.wait_for("document.getElementById('running').hidden");
    assert_fits(&mut browser);
    assert_eq!(browser.complaints(), <[String; 0]>::default());
}

/// Nothing is wider than the window, and no text has become markup.
fn assert_fits(browser: &mut Browser) {
    let excess = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.value(excess), 0, "the content is wider than the window");
    let added = "document.querySelectorAll('script, img, i, iframe').length";
    assert_eq!(browser.value(added), 1, "the page has one script");
    assert_eq!(browser.value("window.hacked === undefined"), true);
}

/// Adds text to each text of a report that others can have made.
fn spoil(value: &mut Value) {
    match value {
        Value::String(text) => *text += &hostile(),
        Value::Array(values) => values.iter_mut().for_each(spoil),
        Value::Object(fields) => {
            // The page acts on these words, which are the server's own.
            let own = ["state", "kind", "outcome", "scheme", "version"];
            let foreign = fields.iter_mut().filter(|(name, _)| !own.contains(&name.as_str()));
            foreign.for_each(|(_, value)| spoil(value));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn hostile_text_stays_text_and_breaks_no_layout() {
    let server = setup().start();
    let Some(mut browser) = Browser::start() else { return };
    server.get("/");
    let mut report = status(&server);
    let at = report["at"].as_f64().unwrap();
    let request = json!({
        "id": "a", "method": "GET", "target": "/", "client": "b", "status": null, "began": at,
        "age_seconds": 1.5, "worker": 0, "generation": 1, "pid": 1, "thread": 1,
        "is_running": true, "stage": "whole",
    });
    report["name"] = "a".into();
    report["concerns"] = json!(["a"]);
    report["workers"][0]["running"] = json!([request.clone()]);
    report["certificates"] = json!([{ "names": ["a", "b"], "not_after": at + 1e6 }]);
    let change = json!({
        "kind": "reload", "outcome": "failed", "began": at, "took_seconds": 1.0,
        "generation": 2, "text": "reason\n",
    });
    report["changes"] = json!([change]);
    spoil(&mut report);
    report["totals"]["exits"][hostile()] = 1.into();
    let mut ended = json!([request]);
    ended[0]["is_running"] = false.into();
    spoil(&mut ended);
    browser.forge("status.json", &report);
    browser.forge("requests.json", &ended);
    for (width, height) in SIZES {
        browser.resize(width, height);
        open(&mut browser, &server);
        browser.value("document.querySelectorAll('details').forEach((it) => { it.open = true; })");
        browser.wait_for("document.querySelectorAll('#ended tbody tr').length === 1");
        assert_fits(&mut browser);
        let shown = rows(&mut browser, "#running")[0][1].clone();
        assert!(shown.starts_with("GET"), "{shown}");
        for part in
            ["<script>window", "\\u{202e}\\u{2066}\u{5d0}\\u{200b}\\u{1b}&lt;A", "more characters"]
        {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let body = browser.text("main");
        let hidden = ['\u{202e}', '\u{2066}', '\u{200b}', '\u{1b}'];
        assert!(!body.contains(hidden), "a mark of direction is on the page");
        let traceback = browser.text("#changes pre");
        assert!(traceback.ends_with(&"A".repeat(2000)), "a traceback is shown to its end");
    }
    assert_eq!(browser.complaints(), <[String; 0]>::default());
}

#[test]
fn a_reload_that_failed_is_shown_with_its_traceback() {
    let server = setup().start();
    let Some(mut browser) = Browser::start() else { return };
    open(&mut browser, &server);
    assert_eq!(browser.value("document.getElementById('no-changes').hidden"), false);
    let broken = "raise RuntimeError('<b>broken</b>')\n";
    server.directory.write("figures.py", broken);
    server.allow("<b>broken</b>");
    server.allow("Traceback");
    server.allow("reload failed");
    server.allow("failed to boot");
    server.allow("cannot load");
    server.signal(Signal::SIGHUP);
    browser.wait_for("document.querySelectorAll('#changes tbody tr').length === 1");
    let change = rows(&mut browser, "#changes")[0].clone();
    assert_eq!(change[2], "failed", "{change:?}");
    assert!(change[4].contains("RuntimeError: <b>broken</b>"), "{change:?}");
    server.directory.write("figures.py", APPLICATION);
    server.signal(Signal::SIGHUP);
    browser.wait_for("document.querySelectorAll('#changes tbody tr').length === 2");
    assert_eq!(rows(&mut browser, "#changes")[0][2], "done");
    assert_eq!(browser.complaints(), <[String; 0]>::default());
}

#[test]
fn a_server_that_cannot_be_reached_is_reported_and_found_again() {
    let server = setup().start();
    let Some(mut browser) = Browser::start() else { return };
    open(&mut browser, &server);
    let upgraded = server.pid();
    server.upgrade();
    browser.wait_for(&format!(
        "document.getElementById('identity').textContent.includes('pid {}')",
        server.pid()
    ));
    assert_ne!(server.pid(), upgraded);
    assert_eq!(browser.value("document.getElementById('trouble').hidden"), true);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    browser.wait_for("!document.getElementById('trouble').hidden");
    let trouble = browser.text("#trouble");
    assert!(trouble.starts_with("The server cannot be reached, since "), "{trouble}");
    assert_eq!(browser.value("document.getElementById('trouble').getAttribute('role')"), "alert");
    // The browser itself reports each request that has failed.
    let others = browser.complaints();
    let others: Vec<_> = others.iter().filter(|it| !it.contains("net::ERR_")).collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// Texts whose contrast with their background is below 4.5, and lines of charts below 3: the
/// limits of WCAG 2.2 for level AA.
const FAINT: &str = r#"(() => {
  const parse = (text) => text.match(/[\d.]+/g).map(Number);
  const linear = (part) => (part <= 10.3 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const ground = (node) => {
    const color = parse(getComputedStyle(node).backgroundColor);
    return (color[3] ?? 1) > 0 ? color : ground(node.parentElement);
  };
  const faint = (node, color, limit) => {
    const [low, high] = [light(parse(color)), light(ground(node))].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    return ratio < limit ? [`${node.tagName} ${node.textContent.slice(0, 30)} ${color} ${ratio}`] : [];
  };
  const nodes = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility());
  const texts = nodes.filter((node) => [...node.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim()));
  const color = (node) => (node instanceof SVGElement ? getComputedStyle(node).fill : getComputedStyle(node).color);
  const lines = [...document.querySelectorAll("svg path")].map((node) => {
    const { fill, stroke } = getComputedStyle(node);
    return faint(node, fill === "none" ? stroke : fill, 3);
  });
  if (texts.length < 100) return [`only ${texts.length} texts`];
  return [...texts.map((node) => faint(node, color(node), 4.5)), ...lines].flat();
})()"#;

#[test]
fn the_page_is_legible_and_usable_without_a_mouse_and_without_a_screen() {
    let server = setup().workers(2).start();
    let Some(mut browser) = Browser::start() else { return };
    let (_client, writer) = server.occupy("pipe");
    for (width, height) in SIZES {
        browser.resize(width, height);
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            open(&mut browser, &server);
            browser.wait_for("!document.getElementById('charts').hidden");
            assert_eq!(browser.value(FAINT), json!([]), "{scheme}, {width} pixels");
            assert_fits(&mut browser);
        }
        let nodes = browser.accessible();
        let named = |role: &str| {
            let names = nodes.iter().filter(|node| node.0 == role).map(|node| node.1.as_str());
            names.collect::<Vec<_>>()
        };
        for role in ["main", "banner", "contentinfo"] {
            assert_eq!(named(role).len(), 1, "{role} at {width} pixels");
        }
        for role in ["button", "link", "slider", "table", "image", "columnheader"] {
            let names = named(role);
            assert!(!names.is_empty(), "{role} at {width} pixels");
            assert!(names.iter().all(|name| !name.is_empty()), "{role}: {names:?}");
        }
        assert!(named("rowheader").len() > 2, "rows have a heading at {width} pixels");
        assert_eq!(named("heading").first(), Some(&"figures:application"));
    }
    // The first key leads to the figures, the next ones to what can be used.
    browser.value("document.activeElement.blur()");
    let mut reached = Vec::new();
    for _ in 0..4 {
        browser.press("Tab", 9);
        let name = "document.activeElement.id || document.activeElement.textContent.trim()";
        reached.push(browser.value(name).as_str().unwrap().to_owned());
        let outline = "getComputedStyle(document.activeElement).outlineStyle";
        assert_eq!(browser.value(outline), "solid", "the focus is seen: {reached:?}");
    }
    assert_eq!(reached[..2], ["Skip to the figures", "pause"], "{reached:?}");
    browser.value("document.getElementById('pause').focus()");
    let before = browser.value("document.documentElement.dataset.at");
    browser.press(" ", 32);
    browser.wait_for("document.getElementById('pause').getAttribute('aria-pressed') === 'true'");
    browser.wait_for("document.getElementById('freshness').textContent.startsWith('paused')");
    browser.press(" ", 32);
    browser.wait_for(&format!("document.documentElement.dataset.at !== {before}"));
    writer.finish();
    assert_eq!(browser.complaints(), <[String; 0]>::default());
}

#[test]
fn the_page_and_its_files_are_for_this_site_only() {
    let server = setup().start();
    for path in [
        "/",
        "/page.css",
        "/page.js",
        "/charts.js",
        "/table.js",
        "/text.js",
        "/icon.svg",
        "/history.json",
    ] {
        let response = read(&server, path);
        assert_eq!(response.status, 200, "{path}");
        let policy = response.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(response.header("access-control-allow-origin"), None, "{path}");
    }
    let mut stranger = Connection::tcp(metrics(&server)).unwrap();
    stranger.send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(stranger.response().status, 421);
}
