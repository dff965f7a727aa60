//! The clocks: the monotonic one for deadlines, and the wall clock for dates.

use std::mem::MaybeUninit;

/// Milliseconds on the monotonic clock, with the resolution of the kernel's tick (1 to
/// 10 ms), without a system call. Values of different boots cannot be compared.
#[must_use]
pub fn monotonic_ms() -> u64 {
    let now = read(libc::CLOCK_MONOTONIC_COARSE);
    now.tv_sec.unsigned_abs() * 1_000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

/// Microseconds on the monotonic clock, exact.
#[must_use]
pub fn monotonic_us() -> u64 {
    let now = read(libc::CLOCK_MONOTONIC);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000
}

/// Seconds since 1970 on the wall clock, with the resolution of the kernel's tick.
#[must_use]
pub fn wall_seconds() -> i64 {
    read(libc::CLOCK_REALTIME_COARSE).tv_sec
}

/// A point in time in the machine's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The year, such as 2026.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 60.
    pub second: u8,
    /// Seconds east of UTC.
    pub offset: i32,
}

/// Converts seconds since 1970 to the machine's time zone.
#[must_use]
pub fn local_time(seconds: i64) -> LocalTime {
    let mut broken_down = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; localtime_r(3) writes only
    // to the second, and is safe in threads.
    let done = unsafe { libc::localtime_r(&raw const seconds, broken_down.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid `tm`, and a failed call changed none.
    let tm = unsafe { broken_down.assume_init() };
    debug_assert!(!done.is_null(), "the year fits an int");
    let part = |value: libc::c_int| u8::try_from(value).unwrap_or(0);
    LocalTime {
        year: tm.tm_year + 1900,
        month: part(tm.tm_mon) + 1,
        day: part(tm.tm_mday),
        hour: part(tm.tm_hour),
        minute: part(tm.tm_min),
        second: part(tm.tm_sec),
        offset: i32::try_from(tm.tm_gmtoff).unwrap_or(0),
    }
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writes; the clocks named here always exist.
    let result = unsafe { libc::clock_gettime(clock, &raw mut now) };
    debug_assert_eq!(result, 0, "clock_gettime(2) knows the clock");
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rising_clock_does_not_go_back() {
        let first = monotonic_us();
        let coarse = monotonic_ms();
        assert!(monotonic_us() >= first);
        assert!(coarse * 1_000 <= monotonic_us());
    }

    #[test]
    fn a_local_time_is_its_offset_away_from_utc() {
        let at = local_time(1_700_000_000);
        assert_eq!(at.year, 2023);
        let seconds = i32::from(at.hour) * 3600 + i32::from(at.minute) * 60 + i32::from(at.second);
        let utc = 22 * 3600 + 13 * 60 + 20;
        assert_eq!((utc + at.offset).rem_euclid(86_400), seconds);
    }
}
