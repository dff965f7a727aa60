//! The lines of the view, for a screen of any size. Pure.

use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use crate::top::comparison::{Quantiles, WorkerFigures};
use crate::top::text::{age, bytes, cells, digits, length, percent, rate};
use crate::top::view::TopView;

/// A report is old when the next one is late by this.
const OLD: Duration = Duration::from_secs(3);
/// The heads of the columns; the last one has the rest of the line.
const COLUMNS: &str = "SLOT GEN STATE        PID     AGE  REQ/S REQUESTS  CPU%      MEM RUNNING";
/// The least room for a text from outside.
const LEAST: usize = 8;

/// What the keys do, and what the columns have.
const HELP: [&str; 16] = [
    "q, Esc, Ctrl-C   end",
    "?, h             this page, and back",
    "s                sort by the next column",
    "p                stop, and go on",
    "arrows, j, k     scroll; also PageUp, PageDown, Home, End",
    "",
    "given up         what the server has ended by its own decision",
    "duration         how long the application took, since the report before",
    "queue            how long requests waited for it, since the report before",
    "accept queue     connections that the kernel holds, and the most",
    "REQ/S, CPU%      since the report before; none of a new process",
    "AGE              since the process was started",
    "MEM              resident memory; what is shared counts in each process",
    "RUNNING          for how long the oldest request runs, +others, which it is",
    "Of programs (worker-class exec) only the process is known. More is shown by",
    "monoceros requests and monoceros stacks.",
];

/// Draws the view.
pub(crate) fn draw(buffer: &mut Buffer, view: &mut TopView, now: Instant) {
    let area = buffer.area;
    let mut lines = head(view, now, area.width.into());
    let used = lines.len() + 1;
    view.set_page(usize::from(area.height).saturating_sub(used + 1));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    if view.shows_help() {
        lines.extend(HELP.into_iter().map(Line::from));
    } else {
        lines.push(Line::styled(COLUMNS, Style::new().add_modifier(Modifier::REVERSED)));
        lines.extend(view.rows().0.iter().map(|row| line_of(row, area.width.into())));
    }
    let last = area.height.saturating_sub(1);
    for (y, line) in (0..last).zip(&lines) {
        buffer.set_line(area.x, area.y + y, line, area.width);
    }
    if area.height > 0 {
        buffer.set_line(area.x, area.y + last, &foot(view).style(bold), area.width);
    }
    // The heads of the columns cover the whole line.
    let heads = u16::try_from(used - 1).unwrap_or(u16::MAX);
    if !view.shows_help() && heads < last {
        let row = Rect { y: area.y + heads, height: 1, ..area };
        buffer.set_style(row, Style::new().add_modifier(Modifier::REVERSED));
    }
}

/// The lines above the workers.
fn head(view: &TopView, now: Instant, width: usize) -> Vec<Line<'static>> {
    let (report, figures) = (view.report(), view.figures());
    let recent = figures.recent.as_ref();
    let second = |value: Option<f64>| rate(value) + "/s";
    let size = |value: Option<f64>| bytes(value.map(|it| it as u64)) + "/s";
    let queue =
        figures.queue.map_or("-".to_owned(), |(waiting, most)| format!("{waiting} of {most}"));
    let rates = format!(
        "requests  {:<9} errors {:<9} given up {:<8} running {:<4} waiting {}",
        second(recent.map(|it| it.requests)),
        second(recent.map(|it| it.errors)),
        second(recent.map(|it| it.refused)),
        figures.in_progress,
        figures.waiting,
    );
    let workers = format!(
        "workers   {} of {}  cpu {}%  memory {}  in {}  out {}",
        figures.ready,
        report.wanted_workers,
        percent(recent.map(|it| it.processors)),
        bytes(Some(figures.memory)),
        size(recent.map(|it| it.received)),
        size(recent.map(|it| it.sent)),
    );
    vec![
        title(view, width),
        state(view, now, width),
        Line::from(rates),
        Line::from(format!(
            "duration  {}   connections {}",
            quantiles(recent.and_then(|it| it.duration)),
            figures.connections
        )),
        Line::from(format!(
            "queue     {}   accept queue {queue}",
            quantiles(recent.and_then(|it| it.queue))
        )),
        Line::from(workers),
        Line::default(),
    ]
}

/// Which server this is.
fn title(view: &TopView, width: usize) -> Line<'static> {
    let report = view.report();
    let names = [report.name.as_deref(), report.application.as_deref()];
    let names = names.into_iter().flatten().collect::<Vec<_>>().join("  ");
    let start = format!("monoceros {}  ", cells(&report.version, 16));
    let up = age((report.at - report.started).max(0.0));
    let end = format!("  pid {} up {up}", view.master());
    let room = width.saturating_sub(start.len() + end.len()).max(LEAST);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    Line::from(vec![
        Span::raw(start),
        Span::styled(format!("{:<room$}", cells(&names, room)), bold),
        Span::raw(end),
    ])
}

/// The state of the server, or what is wrong with it.
fn state(view: &TopView, now: Instant, width: usize) -> Line<'static> {
    let warning = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
    if let Some((text, lasted, has_ended)) = view.trouble(now) {
        let lasted = age(lasted.as_secs_f64());
        let text = match has_ended {
            true => format!("{text}, {lasted} ago; waiting for one that takes its place"),
            false => format!("no report for {}: {text}", age(view.age(now).as_secs_f64())),
        };
        return Line::styled(cells(&text, width), warning);
    }
    if view.age(now) > OLD && !view.is_paused() {
        let lasted = age(view.age(now).as_secs_f64());
        return Line::styled(
            format!("no report for {lasted}: the server does not answer"),
            warning,
        );
    }
    let report = view.report();
    let mut text = format!("gen {}  {}", report.generation, report.state);
    // Behind the figures the summary has what is not as usual.
    for note in report.summary.split("; ").skip(1) {
        text += &format!("; {note}");
    }
    let style = match report.state.as_str() {
        "serving" if report.is_ready => Style::new().fg(Color::Green),
        _ => Style::new().fg(Color::Yellow),
    };
    Line::styled(cells(&text, width), style)
}

fn quantiles(lengths: Quantiles) -> String {
    let names = ["p50", "p90", "p99"];
    let shown = names.iter().enumerate().map(|(index, name)| {
        let text = lengths.map_or("-".to_owned(), |lengths| length(lengths[index]));
        format!("{name} {text:<9}")
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// The line of a worker.
fn line_of(row: &WorkerFigures, width: usize) -> Line<'static> {
    let slot = row.slot.map_or(cells(&row.kind, 4), |slot| slot.to_string());
    let state = cells(&row.state, 8);
    let style = match row.state.as_str() {
        "ready" => Style::new().fg(Color::Green),
        "hung" | "killed" | "stopping" => Style::new().fg(Color::Red),
        _ => Style::new().fg(Color::Yellow),
    };
    let start = format!("{slot:>4} {:>3} ", row.generation);
    let figures = format!(
        " {:>7} {:>7} {:>6} {:>8} {:>5} {:>8} ",
        row.pid,
        short_age(row.age),
        rate(row.rate),
        row.requests,
        percent(row.processors),
        bytes(row.memory),
    );
    let room = width.saturating_sub(start.len() + 8 + figures.len()).max(LEAST);
    let runs = row.runs.as_ref().map_or(String::new(), |runs| {
        let others = if runs.others > 0 { format!(" +{}", runs.others) } else { String::new() };
        let lasted = format!("{}s{others} ", digits(runs.age));
        let left = room.saturating_sub(lasted.len());
        lasted + &cells(&runs.label, left)
    });
    Line::from(vec![
        Span::raw(start),
        Span::styled(format!("{state:<8}"), style),
        Span::raw(figures),
        Span::raw(runs),
    ])
}

/// A length of time without blanks, such as `2h05m`.
fn short_age(seconds: f64) -> String {
    let all = seconds.max(0.0) as u64;
    match (all / 86_400, all / 3_600 % 24, all / 60 % 60, all % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, hours, _, _) => format!("{days}d{hours:02}h"),
    }
}

/// The keys, and which of the rows are shown.
fn foot(view: &TopView) -> Line<'static> {
    let (rows, above, below) = view.rows();
    let mut text = format!("q quit  ? help  s sort: {}  p pause", view.sort().name());
    if above + below > 0 && !view.shows_help() {
        let all = above + rows.len() + below;
        text += &format!("  rows {}-{} of {all}", above + 1, above + rows.len());
    }
    if view.is_paused() {
        text += "  PAUSED";
    }
    Line::from(text)
}

#[cfg(test)]
mod tests {
    use monoceros_wire::report::{ProcessReport, Report, RequestReport, WorkerReport};

    use super::*;
    use crate::top::view::{TopAnswer, TopKey};

    fn report() -> Report {
        let process =
            |pid| ProcessReport { pid, rss: Some(54_600_000), ..ProcessReport::default() };
        let request = |target: &str| RequestReport {
            method: "GET".to_owned(),
            target: target.to_owned(),
            age_seconds: 3.25,
            ..RequestReport::default()
        };
        let worker = |slot, pid, running: Vec<RequestReport>| WorkerReport {
            slot: Some(slot),
            generation: 3,
            state: "ready".to_owned(),
            kind: "worker".to_owned(),
            process: process(pid),
            since: 2_475.0,
            requests: 123_456,
            in_progress: 1,
            running,
            ..WorkerReport::default()
        };
        let hostile = "/\u{1b}[31m\u{202e}?q=\r\n".to_owned() + &"x".repeat(300);
        Report {
            at: 10_000.0,
            started: 0.0,
            version: "0.1.0".to_owned(),
            name: Some("shop".to_owned()),
            application: Some("shop.wsgi:application".to_owned()),
            state: "serving".to_owned(),
            is_ready: true,
            summary: "gen=3: 2 of 2 workers ready; reload failed: KeyError".to_owned(),
            generation: 3,
            wanted_workers: 2,
            workers: vec![
                worker(0, 12_345, vec![request(&hostile), request("/b")]),
                worker(1, 4_194_304, Vec::new()),
            ],
            ..Report::default()
        }
    }

    fn view(now: Instant) -> TopView {
        let mut view = TopView::new(now);
        view.take(TopAnswer::Reported(777, Box::new(report())), now);
        view
    }

    fn shown(view: &mut TopView, width: u16, height: u16, now: Instant) -> Vec<String> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw(&mut buffer, view, now);
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        (0..height).map(|y| row(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn a_screen_of_80_columns_has_everything() {
        let now = Instant::now();
        let lines = shown(&mut view(now), 80, 24, now);
        let expected = [
            "monoceros 0.1.0  shop  shop.wsgi:application             pid 777 up 2h 46min",
            "gen 3  serving; reload failed: KeyError",
            "requests  -/s          errors -/s         given up -/s         running 2     waiting 0",
            "duration  p50 -         p90 -         p99 -           connections 0",
            "queue     p50 -         p90 -         p99 -           accept queue -",
            "workers   2 of 2  cpu -%  memory 104 MiB  in -/s  out -/s",
            "",
            "SLOT GEN STATE        PID     AGE  REQ/S REQUESTS  CPU%      MEM RUNNING",
            "   0   3 ready      12345   2h05m      -   123456     - 52.1 MiB 3.25s +1 GET /~",
            "   1   3 ready    4194304   2h05m      -   123456     - 52.1 MiB",
        ];
        for (line, expected) in lines.iter().zip(expected) {
            assert_eq!(
                line.split_whitespace().collect::<Vec<_>>().join(" "),
                expected.split_whitespace().collect::<Vec<_>>().join(" ")
            );
        }
        assert_eq!(lines[23], "q quit  ? help  s sort: slot  p pause");
        let wide = shown(&mut view(now), 200, 24, now);
        assert!(wide[8].contains("GET /?[31m??q=??xxxx"), "{wide:?}");
    }

    #[test]
    fn large_figures_fit_on_80_columns() {
        let now = Instant::now();
        let mut view = view(now);
        let mut later = report();
        later.at += 1.0;
        later.wanted_workers = 1000;
        (later.totals.received, later.totals.sent) = (123 << 20, 123 << 20);
        view.take(TopAnswer::Reported(777, Box::new(later)), now);
        let narrow = shown(&mut view, 80, 24, now);
        assert_eq!(narrow[2..6], shown(&mut view, 200, 24, now)[2..6]);
        assert!(narrow[5].ends_with("out 123 MiB/s"), "{narrow:?}");
    }

    #[test]
    fn any_size_is_drawn() {
        let now = Instant::now();
        for (width, height) in [(0, 0), (1, 1), (10, 3), (80, 8), (80, 9), (300, 100)] {
            let lines = shown(&mut view(now), width, height, now);
            assert_eq!(lines.len(), usize::from(height));
        }
        let lines = shown(&mut view(now), 80, 10, now);
        assert!(lines[9].ends_with("rows 1-1 of 2"), "{lines:?}");
    }

    #[test]
    fn the_help_and_the_pause_are_shown() {
        let now = Instant::now();
        let mut view = view(now);
        view.press(TopKey::Help);
        let lines = shown(&mut view, 80, 24, now);
        assert!(lines[7].starts_with("q, Esc, Ctrl-C"), "{lines:?}");
        assert!(HELP.iter().all(|line| line.len() <= 80), "they fit");
        assert_eq!(lines[22], HELP[15], "all of them");
        view.press(TopKey::Help);
        view.press(TopKey::Pause);
        assert!(shown(&mut view, 80, 24, now)[23].ends_with("PAUSED"));
    }

    #[test]
    fn a_server_that_ends_is_missed() {
        let now = Instant::now();
        let mut view = view(now);
        view.take(TopAnswer::Ended("the server with pid 777 has ended".to_owned()), now);
        let later = now + Duration::from_secs(5);
        let lines = shown(&mut view, 100, 24, later);
        let text =
            "the server with pid 777 has ended, 5s ago; waiting for one that takes its place";
        assert_eq!(lines[1], text);
        view.take(TopAnswer::Silent("no answer within --timeout".to_owned()), later);
        let lines = shown(&mut view, 100, 24, later);
        assert_eq!(lines[1], "no report for 5s: no answer within --timeout");
    }
}
