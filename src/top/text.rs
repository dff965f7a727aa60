//! Figures as short texts, and texts from outside as cells. Pure.

/// Binary units of bytes.
const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// A length of time in its two largest units, such as `2h 5min`; below a minute `12s`.
pub(crate) fn age(seconds: f64) -> String {
    let all = seconds.max(0.0) as u64;
    match (all / 86_400, all / 3_600 % 24, all / 60 % 60, all % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}min {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}min"),
        (days, hours, _, _) => format!("{days}d {hours}h"),
    }
}

/// A short length of time with three digits or so, such as `12.3 ms`.
pub(crate) fn length(seconds: f64) -> String {
    let (value, unit) = match seconds {
        it if it < 0.001 => (it * 1e6, "us"),
        it if it < 1.0 => (it * 1e3, "ms"),
        it if it < 120.0 => (it, "s"),
        it => return age(it),
    };
    format!("{} {unit}", digits(value))
}

/// A number with three digits or so, or with all of those before the point.
pub(crate) fn digits(value: f64) -> String {
    match value {
        it if it < 9.995 => format!("{it:.2}"),
        it if it < 99.95 => format!("{it:.1}"),
        it => format!("{it:.0}"),
    }
}

/// A rate for a narrow column.
pub(crate) fn rate(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), digits)
}

/// Processor time, in percent of one processor.
pub(crate) fn percent(processors: Option<f64>) -> String {
    processors.map_or("-".to_owned(), |processors| format!("{:.1}", processors * 100.0))
}

/// Bytes in a binary unit, such as `52.1 MiB`.
pub(crate) fn bytes(count: Option<u64>) -> String {
    let Some(count) = count else { return "-".to_owned() };
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let number = if unit == 0 { format!("{value:.0}") } else { digits(value) };
    format!("{number} {}", UNITS[unit])
}

/// A text from outside, as cells of a terminal. Control characters could control the terminal;
/// characters without a width, or that change the direction of a text, could hide or rearrange
/// what stands beside them. A terminal may count the cells of characters beyond ASCII in another
/// way than this program, so each of them is replaced.
pub(crate) fn cells(text: &str, most: usize) -> String {
    let safe = |letter: char| if matches!(letter, ' '..='~') { letter } else { '?' };
    let mut shown: String = text.chars().take(most).map(safe).collect();
    if text.chars().nth(most).is_some() && most > 0 {
        shown.pop();
        shown.push('~');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_short() {
        for (seconds, text) in [
            (-1.0, "0s"),
            (59.9, "59s"),
            (61.0, "1min 1s"),
            (7_500.0, "2h 5min"),
            (90_000.0, "1d 1h"),
        ] {
            assert_eq!(age(seconds), text);
        }
        for (seconds, text) in [
            (0.0, "0.00 us"),
            (0.000_25, "250 us"),
            (0.0123, "12.3 ms"),
            (0.9999, "1000 ms"),
            (3.5, "3.50 s"),
            (125.0, "2min 5s"),
        ] {
            assert_eq!(length(seconds), text);
        }
    }

    #[test]
    fn numbers_fit_into_narrow_columns() {
        for (value, text) in
            [(0.0, "0.00"), (9.999, "10.0"), (12.34, "12.3"), (99.96, "100"), (123_456.7, "123457")]
        {
            assert_eq!(digits(value), text);
        }
        assert_eq!((rate(None), rate(Some(1.5))), ("-".to_owned(), "1.50".to_owned()));
        assert_eq!((percent(None), percent(Some(1.234))), ("-".to_owned(), "123.4".to_owned()));
        for (count, text) in [
            (None, "-"),
            (Some(0), "0 B"),
            (Some(999), "999 B"),
            (Some(1 << 20), "1.00 MiB"),
            (Some(54_600_000), "52.1 MiB"),
            (Some(u64::MAX), "16777216 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn a_text_from_outside_controls_nothing() {
        let hostile = "GET /\u{1b}[2J\r\n\u{9b}31m\u{202e}abc\u{200b}\u{301}\u{65e5}";
        let shown = cells(hostile, 80);
        assert_eq!(shown, "GET /?[2J???31m?abc???");
        assert_eq!(shown.chars().count(), shown.len(), "each character is one cell");
        assert_eq!(cells("abcdef", 4), "abc~");
        assert_eq!((cells("abcd", 4), cells("abcd", 0)), ("abcd".to_owned(), String::new()));
    }
}
