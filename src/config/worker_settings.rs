//! Settings in the form in which the master sends them to a worker: names and texts.

use std::ffi::OsString;

use crate::error::{Errors, ValueOrigin};
use crate::raw::bytes_of;
use crate::raw_setting::RawSetting;
use crate::row::Reader;
use crate::table::{ROWS, Row, Settings, WorkerSettings};

/// The rows that workers read.
fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.readers.contains(&Reader::Worker))
}

impl Settings {
    /// The settings that workers read, as (name, text); a list has several pairs.
    #[must_use]
    pub fn worker_pairs(&self) -> Vec<(String, String)> {
        rows().flat_map(|row| row.texts(self).into_iter().map(|text| (row.key(), text))).collect()
    }
}

impl WorkerSettings {
    /// The settings that gunicorn has too, as (gunicorn's name, words). A setting without a value
    /// is left out.
    #[must_use]
    pub fn gunicorn_values(&self) -> Vec<(&'static str, Vec<OsString>)> {
        let named = rows().filter_map(|row| Some((row, row.gunicorn?)));
        let values = named.map(|(row, name)| {
            let texts = row.texts(&self.0);
            (name, texts.iter().map(|text| bytes_of(text)).collect())
        });
        values.filter(|(_, words): &(_, Vec<_>)| !words.is_empty()).collect()
    }

    /// Reads the pairs of [`Settings::worker_pairs`]. A setting without a pair has no value
    /// in the master either, and gets its default.
    ///
    /// # Errors
    ///
    /// For a name that no worker reads, and for a text that is not valid.
    pub fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Errors> {
        let (mut settings, mut errors) = (Settings::default(), Errors::default());
        let is_unknown = |name: &str| rows().all(|row| row.key() != name);
        for (name, _) in pairs.iter().filter(|(name, _)| is_unknown(name)) {
            errors.add(ValueOrigin::Master, name, "unknown setting");
        }
        for row in rows() {
            let texts = pairs.iter().filter(|(name, _)| row.key() == *name);
            let texts: Vec<_> = texts.map(|(_, text)| text.clone()).collect();
            if !texts.is_empty() {
                let raw = RawSetting::new(row, ValueOrigin::Master, row.key(), texts);
                raw.apply(&mut settings, &mut errors);
            }
        }
        if errors.0.is_empty() { Ok(Self(settings)) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_a_worker_is_sent_reads_back() {
        let sent = Settings {
            threads: 7,
            keep_alive: Duration::from_millis(1500),
            access_logfile: Some(crate::LogTarget::Stream),
            name: Some("the shop".to_owned()),
            ..Settings::default()
        };
        assert_eq!(WorkerSettings::from_pairs(&sent.worker_pairs()), Ok(WorkerSettings(sent)));
    }

    #[test]
    fn a_worker_gets_the_rows_that_it_reads() {
        let settings = Settings { threads: 9, max_requests: 7, ..Settings::default() };
        let pairs = settings.worker_pairs();
        assert!(pairs.contains(&("threads".to_owned(), "9".to_owned())));
        assert!(pairs.iter().all(|(key, _)| key != "max-requests" && key != "timeout"));
        let received = WorkerSettings::from_pairs(&pairs).unwrap();
        assert_eq!(*received.threads(), 9);
    }

    #[test]
    fn a_setting_has_the_name_and_the_words_of_gunicorn() {
        let sent = Settings {
            logger_class: Some("shop.logs.Logger".to_owned()),
            capture_output: true,
            ..Settings::default()
        };
        let values = WorkerSettings(sent).gunicorn_values();
        let words = |name: &str| {
            let found = values.iter().find(|(known, _)| *known == name);
            found.map(|(_, words)| words.iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(words("logger_class"), Some(vec!["shop.logs.Logger"]));
        assert_eq!(words("capture_output"), Some(vec!["true"]));
        assert_eq!(words("errorlog"), Some(vec!["-"]));
        assert_eq!(words("syslog_addr"), Some(vec!["udp://localhost:514"]));
        assert_eq!(words("logconfig"), None);
    }

    #[test]
    fn a_pair_that_does_not_read_is_an_error() {
        let pairs = [("threads", "x"), ("max-requests", "1")];
        let pairs = pairs.map(|(key, text)| (key.to_owned(), text.to_owned()));
        assert_eq!(
            WorkerSettings::from_pairs(&pairs).unwrap_err().to_string(),
            "settings from the master: max-requests: unknown setting\n\
             settings from the master: threads: cannot read \"x\" as a whole number"
        );
    }
}
