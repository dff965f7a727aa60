//! Which workers hang, from what their scoreboards show. Pure.

use std::fmt;
use std::time::Duration;

use super::state::Vital;

/// How often the scoreboards are looked at.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// A worker may be silent for so long even if requests may not: it beats once
/// a second, and a loaded machine may be late.
const LEAST_SILENCE: Duration = Duration::from_secs(5);

/// What is wrong with a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hang {
    /// A request has run for too long.
    Request {
        /// Its method and target.
        label: String,
        /// For how long.
        lasted: Duration,
    },
    /// Requests have waited for so long, and none was taken, although a thread
    /// is free.
    Stuck(Duration),
    /// The worker's loop has not come round for so long.
    Silent(Duration),
}

impl fmt::Display for Hang {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Request { label, lasted } => {
                write!(formatter, "has been running {label} for {} s", lasted.as_secs())
            }
            Self::Stuck(lasted) => write!(
                formatter,
                "has not taken a request for {} s although a thread is free (is something \
                 holding the interpreter's lock?)",
                lasted.as_secs()
            ),
            Self::Silent(lasted) => {
                write!(formatter, "has given no sign of life for {} s", lasted.as_secs())
            }
        }
    }
}

/// Judges a worker that has been ready for `ready`. Nothing is older than
/// `awake`, the time for which this process has run without a pause: what
/// stopped the master may have stopped the workers too.
pub(crate) fn judge(
    vital: &Vital,
    timeout: Duration,
    ready: Duration,
    awake: Duration,
) -> Option<Hang> {
    let silent = vital.silent.unwrap_or(ready).min(awake);
    if let Some((label, lasted)) = &vital.longest {
        let lasted = (*lasted).min(awake);
        if lasted > timeout {
            return Some(Hang::Request { label: label.clone(), lasted });
        }
    }
    if let Some(lasted) = vital.stuck.map(|lasted| lasted.min(awake))
        && lasted > timeout
    {
        return Some(Hang::Stuck(lasted));
    }
    (silent > timeout.max(LEAST_SILENCE)).then_some(Hang::Silent(silent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::state::WorkerId;

    const LONG: Duration = Duration::from_secs(1000);

    fn vital(silent: Option<u64>, longest: Option<u64>) -> Vital {
        Vital {
            worker: WorkerId(0),
            silent: silent.map(Duration::from_secs),
            longest: longest.map(|lasted| ("GET /".to_owned(), Duration::from_secs(lasted))),
            stuck: None,
        }
    }

    fn hangs(vital: &Vital, timeout: u64, ready: u64) -> bool {
        let seconds = Duration::from_secs;
        judge(vital, seconds(timeout), seconds(ready), LONG).is_some()
    }

    #[test]
    fn a_request_may_run_for_the_timeout() {
        assert!(!hangs(&vital(Some(0), Some(2)), 2, 100));
        assert!(hangs(&vital(Some(0), Some(3)), 2, 100));
        let hang = judge(&vital(Some(0), Some(3)), Duration::from_secs(2), LONG, LONG).unwrap();
        assert_eq!(hang.to_string(), "has been running GET / for 3 s");
    }

    #[test]
    fn requests_may_be_stuck_for_the_timeout() {
        let timeout = Duration::from_secs(2);
        let stuck = |lasted, awake| {
            let vital = Vital { stuck: Some(lasted), ..vital(Some(0), None) };
            judge(&vital, timeout, LONG, awake)
        };
        assert_eq!(stuck(timeout, LONG), None);
        assert_eq!(stuck(LONG, timeout), None);
        let text = stuck(Duration::from_secs(3), LONG).unwrap().to_string();
        assert!(text.starts_with("has not taken a request for 3 s"), "{text}");
    }

    #[test]
    fn silence_is_allowed_for_five_seconds_at_least() {
        assert!(!hangs(&vital(Some(4), None), 1, 100));
        assert!(hangs(&vital(Some(6), None), 1, 100));
        assert!(!hangs(&vital(None, None), 1, 4));
        assert!(hangs(&vital(None, None), 1, 6));
    }

    #[test]
    fn nothing_is_older_than_the_masters_own_wake() {
        let stuck = vital(Some(900), Some(900));
        assert_eq!(judge(&stuck, Duration::from_secs(5), LONG, Duration::from_secs(1)), None);
    }
}
