//! The end of a worker that cannot serve: the master gets the reason.

use std::io::{self, Write as _};

use monoceros_wire::channel::{MESSAGE_LIMIT, WorkerEnd};
use monoceros_wire::message::{BootFailure, FromWorker};

use crate::end;

/// The maximum length of a text. A longer one is cut at its beginning: a traceback
/// has the error at its end.
const TEXT_LIMIT: usize = MESSAGE_LIMIT / 4;

/// Sends the master the reason why this worker cannot serve, and ends the process.
pub(crate) fn give_up(channel: &WorkerEnd, failure: BootFailure, text: &str) -> ! {
    let failed = FromWorker::Failed { failure, text: cut(text).to_owned() };
    if channel.send(&failed).is_err() {
        // The master has ended: it cannot log the text.
        drop(writeln!(io::stderr(), "monoceros: {text}"));
    }
    end::at_once(failure.exit_code().into())
}

/// The end of a text, if it is too long for a message.
pub(crate) fn cut(text: &str) -> &str {
    end_of(text, TEXT_LIMIT)
}

/// The last so many bytes of a text, or a few less.
pub(crate) fn end_of(text: &str, limit: usize) -> &str {
    let mut start = text.len().saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
