//! Dates of fields (RFC 9110 section 5.6.7), as seconds since 1970: IMF-fixdate is written, and all
//! three formats are read.

/// The names of the months.
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// The names of the days of the week, from the first day of the epoch on.
const WEEKDAYS: [&[u8]; 7] =
    [b"Thursday", b"Friday", b"Saturday", b"Sunday", b"Monday", b"Tuesday", b"Wednesday"];

/// The last second of the year 9999: the format has four digits for the year.
const LAST: u64 = 253_402_300_799;

/// Formats a time, in seconds since the epoch, as `Sun, 06 Nov 1994 08:49:37 GMT`. A time after the
/// year 9999 becomes its last second.
///
/// ```
/// assert_eq!(&monoceros_http::date::imf_fixdate(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
pub fn imf_fixdate(seconds: u64) -> [u8; 29] {
    let seconds = seconds.min(LAST);
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // The epoch was a Thursday.
    text[..3].copy_from_slice(&WEEKDAYS[(days % 7) as usize][..3]);
    two_digits(&mut text, 5, day);
    text[8..11].copy_from_slice(&MONTHS[(month - 1) as usize * 3..][..3]);
    two_digits(&mut text, 12, year / 100);
    two_digits(&mut text, 14, year % 100);
    two_digits(&mut text, 17, time / 3600);
    two_digits(&mut text, 20, time / 60 % 60);
    two_digits(&mut text, 23, time % 60);
    text
}

/// Reads a date in one of the three formats that a recipient must accept. `now` decides on the
/// century of the format with a year of two digits: a date that would be more than 50 years ahead
/// belongs to the century before. Times before 1970 become 0. `None` for what is not a date.
///
/// ```
/// use monoceros_http::date::parse;
///
/// let now = 1_700_000_000;
/// assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 GMT", now), Some(784_111_777));
/// assert_eq!(parse(b"Sunday, 06-Nov-94 08:49:37 GMT", now), Some(784_111_777));
/// assert_eq!(parse(b"Sun Nov  6 08:49:37 1994", now), Some(784_111_777));
/// ```
pub fn parse(text: &[u8], now: u64) -> Option<u64> {
    let comma = text.iter().position(|&byte| byte == b',');
    let Some(comma) = comma else { return parse_asctime(text) };
    let (weekday, rest) = (&text[..comma], text[comma + 1..].strip_prefix(b" ")?);
    let rest = rest.strip_suffix(b" GMT")?;
    let space = rest.iter().rposition(|&byte| byte == b' ')?;
    let (date, time) = (&rest[..space], &rest[space + 1..]);
    if is_short_weekday(weekday) {
        return seconds(parse_date(date, b' ', 4)?, time);
    }
    if !WEEKDAYS.contains(&weekday) {
        return None;
    }
    let (year, month, day) = parse_date(date, b'-', 2)?;
    let (this_year, _, _) = civil(now.min(LAST) / 86_400);
    let mut year = this_year / 100 * 100 + year;
    if year > this_year + 50 {
        year -= 100;
    }
    seconds((year, month, day), time)
}

/// Year, month and day of `06 Nov 1994`, with this separator and this number of digits in the year.
fn parse_date(text: &[u8], separator: u8, digits: usize) -> Option<(u64, u64, u64)> {
    let mut parts = text.split(|&byte| byte == separator);
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let date = (number(year, digits)?, parse_month(month)?, number(day, 2)?);
    parts.next().is_none().then_some(date)
}

/// The format of `asctime(3)`: `Sun Nov  6 08:49:37 1994`.
fn parse_asctime(text: &[u8]) -> Option<u64> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let has_spaces = [3, 7, 10, 19].iter().all(|&at| text[at] == b' ');
    if !has_spaces || !is_short_weekday(&text[..3]) {
        return None;
    }
    let day = match &text[8..10] {
        [b' ', digit] => number(&[*digit], 1)?,
        digits => number(digits, 2)?,
    };
    seconds((number(&text[20..], 4)?, parse_month(&text[4..7])?, day), &text[11..19])
}

fn is_short_weekday(text: &[u8]) -> bool {
    WEEKDAYS.iter().any(|weekday| weekday[..3] == *text)
}

/// The month of a name, from 1 on.
fn parse_month(name: &[u8]) -> Option<u64> {
    let at = MONTHS.chunks_exact(3).position(|month| month == name)?;
    Some(at as u64 + 1)
}

/// A decimal number of so many digits.
fn number(digits: &[u8], length: usize) -> Option<u64> {
    if digits.len() != length || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// The seconds since 1970 of a date and a time (`08:49:37`), 0 for earlier ones. A leap second is
/// accepted.
fn seconds((year, month, day): (u64, u64, u64), time: &[u8]) -> Option<u64> {
    let mut parts = time.split(|&byte| byte == b':').map(|digits| number(digits, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 || day == 0 {
        return None;
    }
    let days = days_before(year, month, day);
    // A day that the month does not have belongs to the next month.
    if year == 0 || civil_from_start(days) != (year, month, day) {
        return None;
    }
    let since_epoch = days.checked_sub(BEFORE_EPOCH);
    Some(since_epoch.map_or(0, |days| days * 86_400 + hour * 3600 + minute * 60 + second))
}

/// The number of days from 0000-03-01 to a date, which is not before that. The reverse of
/// [`civil_from_start`].
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.max(1) - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1
}

fn two_digits(text: &mut [u8; 29], at: usize, value: u64) {
    text[at] = b'0' + (value / 10) as u8;
    text[at + 1] = b'0' + (value % 10) as u8;
}

/// The number of days from 0000-03-01 to 1970-01-01.
const BEFORE_EPOCH: u64 = 719_468;

/// Year, month and day of the day `days` after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    civil_from_start(days + BEFORE_EPOCH)
}

/// Year, month and day of the day `days` after 0000-03-01.
///
/// In this computation the year begins on 1 March, so that the leap day is the last day of its year
/// and each month begins a fixed number of days after 1 March. The calendar repeats every 400
/// years, or 146,097 days.
fn civil_from_start(days: u64) -> (u64, u64, u64) {
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, each five months have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (400 * cycle + year + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&imf_fixdate(seconds)), Ok(date));
        }
    }

    #[test]
    fn a_date_that_is_written_is_read() {
        for seconds in (0..=LAST).step_by(86_400 * 17 + 12_345) {
            assert_eq!(parse(&imf_fixdate(seconds), 0), Some(seconds), "{seconds}");
        }
        assert_eq!(parse(&imf_fixdate(LAST), 0), Some(LAST));
    }

    #[test]
    fn each_format_is_read() {
        let now = 1_700_000_000; // in 2023
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Wed Nov 16 08:49:37 1994", 784_975_777),
            // The day of the week is not compared with the date.
            ("Mon, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Mon, 01 Jan 0001 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", 0),
            ("Thursday, 01-Jan-76 00:00:01 GMT", 189_302_401),
            // 50 years ahead, and more than that.
            ("Sunday, 01-Jan-73 00:00:00 GMT", 3_250_454_400),
            ("Monday, 01-Jan-74 00:00:00 GMT", 126_230_400),
        ] {
            assert_eq!(parse(text.as_bytes(), now), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for text in [
            "",
            ",",
            "0",
            "784111777",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun,06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 19940 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Thu, 29 Feb 2001 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sunda, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 ",
            "Sun Nov  6 08:49:37 94",
            "\u{e4}",
        ] {
            assert_eq!(parse(text.as_bytes(), 1_700_000_000), None, "{text:?}");
        }
    }

    #[test]
    fn every_day_to_9999_follows_the_day_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LAST / 86_400 {
            assert_eq!(civil(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!((year, month, day), (10_000, 1, 1));
    }
}
