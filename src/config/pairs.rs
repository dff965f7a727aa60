//! Settings as they go from the master to a worker: names and text.

use crate::error::{Errors, ValueOrigin};
use crate::raw_setting::RawSetting;
use crate::row::Reader;
use crate::table::{ROWS, Settings};

impl Settings {
    /// The rows that `reader` reads, as (name, text); a list is as many pairs.
    #[must_use]
    pub fn to_pairs(&self, reader: Reader) -> Vec<(String, String)> {
        let rows = ROWS.iter().filter(|row| row.readers.contains(&reader));
        rows.flat_map(|row| row.texts(self).into_iter().map(|text| (row.key(), text))).collect()
    }

    /// Reads what [`Settings::to_pairs`] made; what is not there has its default.
    ///
    /// # Errors
    ///
    /// For an unknown name, and for text that does not read.
    pub fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Errors> {
        let (mut settings, mut errors) = (Self::default(), Errors::default());
        let is_unknown = |name: &str| ROWS.iter().all(|row| row.key() != name);
        for (name, _) in pairs.iter().filter(|(name, _)| is_unknown(name)) {
            errors.add(ValueOrigin::Master, name, "unknown setting");
        }
        for row in ROWS {
            let said = pairs.iter().filter(|(name, _)| row.key() == *name);
            let texts: Vec<_> = said.map(|(_, text)| text.clone()).collect();
            if !texts.is_empty() {
                let said = RawSetting::new(row, ValueOrigin::Master, row.key(), texts);
                said.apply(&mut settings, &mut errors);
            }
        }
        if errors.0.is_empty() { Ok(settings) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bind;
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
        let pairs = sent.to_pairs(Reader::Worker);
        assert_eq!(Settings::from_pairs(&pairs), Ok(sent));
    }

    #[test]
    fn a_reader_gets_its_own_rows() {
        let bind = vec![Bind::Fd(3), Bind::Fd(4)];
        let settings = Settings { bind, threads: 9, ..Settings::default() };
        let pairs = settings.to_pairs(Reader::Listener);
        let said = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        assert!(pairs.contains(&said("bind", "fd://3")) && pairs.contains(&said("bind", "fd://4")));
        assert!(pairs.iter().all(|(key, _)| key != "threads"));
        let received = Settings::from_pairs(&pairs).unwrap();
        assert_eq!(received.bind, settings.bind);
        assert_eq!(received.threads, 1);
    }

    #[test]
    fn a_pair_that_does_not_read_is_an_error() {
        let pairs = [("threads", "x"), ("thread", "1")];
        let pairs = pairs.map(|(key, text)| (key.to_owned(), text.to_owned()));
        assert_eq!(
            Settings::from_pairs(&pairs).unwrap_err().to_string(),
            "settings from the master: thread: unknown setting\n\
             settings from the master: threads: cannot read \"x\" as a whole number"
        );
    }
}
