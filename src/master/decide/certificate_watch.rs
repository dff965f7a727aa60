//! Owns when the files of certificates are looked at, and which failures and expiries are
//! in the log already. Touches no file. Called by `act/renewals.rs` only.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use log::Level;

/// The interval between two looks at the files, whatever inotify(7) reports: it does not
/// notice changes on network file systems.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// The time from a change to the look at it: programs that renew a certificate change
/// several files at once.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// The time from a look at files that do not fit to the next one.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long files may not fit before that is logged: a renewal may be under way.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most certificates and renewals that concern the operator in one line.
const MOST_CONCERNS: usize = 4;
/// The seconds of a day.
const DAY: i64 = 86_400;

/// Looks at the files of certificates, and what they have found.
#[derive(Debug)]
pub(crate) struct CertificateWatch {
    /// The next look in any case.
    next: Instant,
    /// An earlier look, since files have changed or do not fit.
    soon: Option<Instant>,
    /// The files that cannot be used now, by their name.
    failures: BTreeMap<String, RenewalFailure>,
    /// How close to its end each certificate was when that was logged.
    warned: BTreeMap<CertificateExpiry, ExpiryStage>,
    /// The certificates that expire soon, the first of them first.
    expiring: Vec<String>,
}

/// Files that have changed and cannot be used.
#[derive(Debug)]
struct RenewalFailure {
    since: Instant,
    why: String,
    is_logged: bool,
}

/// The end of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CertificateExpiry {
    /// When it expires, in seconds since 1970.
    pub(crate) not_after: i64,
    /// Its file, and the names that it is for.
    pub(crate) certificate: String,
}

/// How close a certificate is to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ExpiryStage {
    Weeks,
    Days,
    Expired,
}

/// A line for the error log.
pub(crate) type CertificateLine = (Level, String);

impl CertificateWatch {
    /// The files were read just now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            next: now + LOOK_INTERVAL,
            soon: None,
            failures: BTreeMap::new(),
            warned: BTreeMap::new(),
            expiring: Vec::new(),
        }
    }

    /// When the files must be looked at.
    pub(crate) fn deadline(&self) -> Instant {
        self.soon.map_or(self.next, |soon| soon.min(self.next))
    }

    /// A file has changed.
    pub(crate) fn note_change(&mut self, now: Instant) {
        self.look_at(now + SETTLE_TIME);
    }

    /// Whether the files must be looked at now; sets the next time if so.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.deadline() <= now;
        if is_due {
            (self.next, self.soon) = (now + LOOK_INTERVAL, None);
        }
        is_due
    }

    fn look_at(&mut self, at: Instant) {
        self.soon = Some(self.soon.map_or(at, |soon| soon.min(at)));
    }

    /// A look has found files that cannot be used. They are looked at again soon; if they
    /// stay so, that is logged once.
    pub(crate) fn note_failure(
        &mut self,
        files: &str,
        why: &str,
        now: Instant,
    ) -> Option<CertificateLine> {
        let new = RenewalFailure { since: now, why: String::new(), is_logged: false };
        let failure = self.failures.entry(files.to_owned()).or_insert(new);
        why.clone_into(&mut failure.why);
        if failure.is_logged {
            return None;
        }
        if now.saturating_duration_since(failure.since) < PATIENCE {
            self.look_at(now + RETRY_INTERVAL);
            return None;
        }
        failure.is_logged = true;
        Some((Level::Error, format!("{why}; the certificates that were read before stay in use")))
    }

    /// A look has found files that can be used. `renewed` describes what is new in them, if
    /// anything is.
    pub(crate) fn note_success(
        &mut self,
        files: &str,
        renewed: Option<&str>,
    ) -> Option<CertificateLine> {
        let was_logged = self.failures.remove(files).is_some_and(|failure| failure.is_logged);
        match renewed {
            Some(what) => Some((Level::Info, format!("renewed {files}: {what}"))),
            None if was_logged => Some((Level::Info, format!("{files} can be used again"))),
            None => None,
        }
    }

    /// A look has found that files were removed on purpose.
    pub(crate) fn note_removal(&mut self, files: &str) -> CertificateLine {
        self.failures.remove(files);
        (Level::Info, format!("{files} was removed and is not used any more"))
    }

    /// Forgets the failures of files that no generation has any more.
    pub(crate) fn keep_failures(&mut self, has: impl Fn(&str) -> bool) {
        self.failures.retain(|files, _| has(files));
    }

    /// Compares the ends of all certificates with the time, in seconds since 1970. Each
    /// certificate has at most one line for each stage.
    pub(crate) fn note_expiries(
        &mut self,
        expiries: &[CertificateExpiry],
        time: i64,
    ) -> Vec<CertificateLine> {
        let before = std::mem::take(&mut self.warned);
        let mut lines = Vec::new();
        for expiry in expiries {
            let Some(stage) = ExpiryStage::of(expiry, time) else { continue };
            let was = self.warned.get(expiry).or_else(|| before.get(expiry));
            if was.is_none_or(|was| *was < stage) {
                let text = format!("certificate {}", expiry.describe(time));
                lines.push((Level::Warn, text));
            }
            self.warned.insert(expiry.clone(), stage);
        }
        // They are in the order of their ends.
        let expiring = self.warned.keys().map(|it| format!("certificate {}", it.describe(time)));
        self.expiring = expiring.collect();
        lines
    }

    /// What concerns the operator: the certificates that expire soon, and the renewals that have
    /// failed.
    pub(crate) fn concern(&self) -> Option<String> {
        let failures = self.failures.values().filter(|failure| failure.is_logged);
        let failures = failures.map(|failure| failure.why.clone());
        let parts: Vec<_> = self.expiring.iter().cloned().chain(failures).collect();
        let more = parts.len().saturating_sub(MOST_CONCERNS);
        let shown = parts.iter().take(MOST_CONCERNS).cloned();
        let more = (more > 0).then(|| format!("{more} more"));
        (!parts.is_empty()).then(|| shown.chain(more).collect::<Vec<_>>().join("; "))
    }
}

impl CertificateExpiry {
    /// Its end, as seen at this time in seconds since 1970.
    pub(crate) fn describe(&self, time: i64) -> String {
        let (name, left) = (&self.certificate, self.not_after.saturating_sub(time));
        match left / DAY {
            _ if left < 0 => format!("{name} has expired"),
            0 => format!("{name} expires within a day"),
            1 => format!("{name} expires in 1 day"),
            days => format!("{name} expires in {days} days"),
        }
    }
}

impl ExpiryStage {
    fn of(expiry: &CertificateExpiry, time: i64) -> Option<Self> {
        let left = expiry.not_after.saturating_sub(time);
        if left < 0 {
            Some(Self::Expired)
        } else if left <= 3 * DAY {
            Some(Self::Days)
        } else {
            (left <= 14 * DAY).then_some(Self::Weeks)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn files_are_looked_at_once_a_minute_and_soon_after_a_change() {
        let begin = Instant::now();
        let mut watch = CertificateWatch::new(begin);
        assert!(!watch.take_due(begin + 59 * SECOND));
        assert!(watch.take_due(begin + 60 * SECOND));
        assert_eq!(watch.deadline(), begin + 120 * SECOND);
        let changed = begin + 70 * SECOND;
        watch.note_change(changed);
        watch.note_change(changed + SETTLE_TIME / 2);
        assert_eq!(watch.deadline(), changed + SETTLE_TIME, "changes do not put the look off");
        assert!(!watch.take_due(changed));
        assert!(watch.take_due(changed + SETTLE_TIME));
        assert_eq!(watch.deadline(), changed + SETTLE_TIME + LOOK_INTERVAL);
        watch.note_change(begin + 130 * SECOND);
        assert_eq!(watch.deadline(), begin + 130 * SECOND + SETTLE_TIME);
    }

    #[test]
    fn a_pair_that_does_not_fit_is_tried_again_before_it_is_logged_once() {
        let mut now = Instant::now();
        let mut watch = CertificateWatch::new(now);
        let mut looks = 0;
        let logged = loop {
            looks += 1;
            if let Some(line) = watch.note_failure("certfile a", "cannot use certfile a: x", now) {
                break line;
            }
            assert_eq!((watch.deadline(), watch.concern()), (now + RETRY_INTERVAL, None));
            now = watch.deadline();
            assert!(watch.take_due(now));
        };
        assert_eq!((looks, logged.0), (11, Level::Error));
        assert!(logged.1.starts_with("cannot use certfile a: x; the certificates"), "{}", logged.1);
        assert_eq!(watch.deadline(), now + LOOK_INTERVAL);
        assert_eq!(watch.concern().as_deref(), Some("cannot use certfile a: x"));
        assert_eq!(watch.note_failure("certfile a", "another", now + LOOK_INTERVAL), None);
        assert_eq!(watch.concern().as_deref(), Some("another"));
        let again = watch.note_success("certfile a", None).unwrap();
        assert_eq!(again, (Level::Info, "certfile a can be used again".to_owned()));
        assert_eq!((watch.note_success("certfile a", None), watch.concern()), (None, None));
    }

    #[test]
    fn a_renewal_in_several_steps_has_one_line() {
        let now = Instant::now();
        let mut watch = CertificateWatch::new(now);
        assert_eq!(watch.note_failure("certfile a", "the key does not fit", now), None);
        let line = watch.note_success("certfile a", Some("a.example")).unwrap();
        assert_eq!(line, (Level::Info, "renewed certfile a: a.example".to_owned()));
        // The next failure has its own time.
        assert_eq!(watch.note_failure("certfile a", "x", now + 20 * SECOND), None);
        let line = watch.note_removal("certfile a");
        assert_eq!(line.1, "certfile a was removed and is not used any more");
        assert_eq!(watch.note_failure("certfile a", "x", now + 35 * SECOND), None);
        watch.keep_failures(|files| files != "certfile a");
        assert_eq!(watch.note_failure("certfile a", "x", now + 40 * SECOND), None);
    }

    #[test]
    fn a_certificate_has_one_warning_for_each_stage() {
        let mut watch = CertificateWatch::new(Instant::now());
        let expiry = |certificate: &str, not_after| CertificateExpiry {
            not_after,
            certificate: certificate.to_owned(),
        };
        let own = [expiry("a", 100 * DAY), expiry("b", 90 * DAY)];
        let mut lines_at = |expiries: &[CertificateExpiry], time| {
            let lines = watch.note_expiries(expiries, time);
            assert!(lines.iter().all(|(level, _)| *level == Level::Warn));
            let texts: Vec<_> = lines.into_iter().map(|(_, text)| text).collect();
            (texts, watch.concern())
        };
        assert_eq!(lines_at(&own, 75 * DAY), (vec![], None));
        let (lines, status) = lines_at(&own, 76 * DAY);
        assert_eq!(lines, ["certificate b expires in 14 days"]);
        assert_eq!(status.as_deref(), Some("certificate b expires in 14 days"));
        // Twice in the list, as when two generations have it.
        let twice = [own[0].clone(), own[1].clone(), own[1].clone()];
        assert_eq!(lines_at(&twice, 77 * DAY).0, [""; 0]);
        assert_eq!(
            lines_at(&twice, 87 * DAY + 1).0,
            ["certificate a expires in 12 days", "certificate b expires in 2 days"]
        );
        assert_eq!(lines_at(&own, 89 * DAY + 9).0, [""; 0]);
        let (lines, status) = lines_at(&own, 91 * DAY);
        assert_eq!(lines, ["certificate b has expired"]);
        assert_eq!(
            status.as_deref(),
            Some("certificate b has expired; certificate a expires in 9 days")
        );
        let renewed = [own[0].clone(), expiry("b", 180 * DAY)];
        let (lines, status) = lines_at(&renewed, 91 * DAY);
        assert_eq!(lines, [""; 0]);
        assert_eq!(status.as_deref(), Some("certificate a expires in 9 days"));
        let many = ["a", "b", "c", "d", "e", "f"].map(|name| expiry(name, 90 * DAY));
        let status = lines_at(&many, 91 * DAY).1.unwrap();
        assert!(status.ends_with("certificate d has expired; 2 more"), "{status}");
    }
}
