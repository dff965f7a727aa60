//! Why code of the application cannot be loaded: with `reload` it is shown to browsers. Written
//! by the engine and by what loads the application, read by the decision on a request.

use std::sync::{Arc, Mutex};

use crate::handoff::wait::lock;

/// Why code of the application cannot be loaded, if it cannot be. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct CodeFailure(Arc<Mutex<KnownFailures>>);

#[derive(Debug, Default)]
struct KnownFailures {
    /// This worker has no application, for this reason.
    own: Option<Arc<str>>,
    /// Newer code than that of this worker cannot be loaded, for this reason.
    newer: Option<Arc<str>>,
    is_debugged: bool,
}

/// A failure that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentFailure {
    /// The traceback.
    pub text: Arc<str>,
    /// The worker has no application.
    pub is_total: bool,
    /// The application, as far as it could be loaded, is in debug mode.
    pub is_debugged: bool,
}

impl CodeFailure {
    /// The newest failure, if there is one.
    #[must_use]
    pub fn current(&self) -> Option<CurrentFailure> {
        let KnownFailures { own, newer, is_debugged } = &*lock(&self.0);
        let text = newer.as_ref().or(own.as_ref())?;
        let (text, is_debugged) = (Arc::clone(text), *is_debugged);
        Some(CurrentFailure { text, is_total: own.is_some(), is_debugged })
    }

    /// The application of this worker is loaded, or cannot be loaded for this reason.
    pub fn note_loaded(&self, failure: Option<String>, is_debugged: bool) {
        let mut known = lock(&self.0);
        known.own = failure.map(Arc::from);
        known.is_debugged = is_debugged;
    }

    /// Newer code cannot be loaded for this reason; `None` if it can be.
    pub(crate) fn note_newer(&self, failure: Option<String>) {
        lock(&self.0).newer = failure.map(Arc::from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_failure_is_shown() {
        let failure = CodeFailure::default();
        let shown = || failure.current().map(|it| (it.text.to_string(), it.is_total));
        assert_eq!(shown(), None);
        failure.note_newer(Some("a".to_owned()));
        assert_eq!(shown(), Some(("a".to_owned(), false)));
        failure.note_loaded(Some("b".to_owned()), true);
        assert_eq!(shown(), Some(("a".to_owned(), true)));
        failure.note_newer(None);
        assert_eq!(shown(), Some(("b".to_owned(), true)));
        assert!(failure.current().is_some_and(|it| it.is_debugged));
    }
}
