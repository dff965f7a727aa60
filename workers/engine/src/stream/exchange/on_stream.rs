//! What an application sends on one of several streams of a connection. Bytes are made
//! and sent under the connection's lock.

use super::{ClientDisconnected, Exchange};
use crate::transport::file_range::{Failure, FileRange};

/// How much of a file is read at once, in bytes.
const FILE_BLOCK: u64 = 64 * 1024;

impl Exchange {
    /// Sends the head, if it is due, and a part of the body; `ends` is set when nothing
    /// follows.
    pub(super) fn send_on_stream(
        &mut self,
        with_head: bool,
        bytes: &[u8],
        ends: bool,
    ) -> Result<(), ClientDisconnected> {
        if self.gone || self.stream.is_lost() {
            return self.lose();
        }
        let (id, head) = (self.stream.id, self.response().head());
        let waits = self.link().send_on_stream(self.shared.stores(), |multiplexer, out| {
            if with_head {
                multiplexer.push_head(id, head, false, out);
            }
            if ends || !bytes.is_empty() {
                multiplexer.push_data(id, bytes, ends, out);
            }
        });
        match waits {
            None => self.lose(),
            Some(false) => Ok(()),
            Some(true) => {
                self.hand_over();
                Ok(())
            }
        }
    }

    /// Sends the head, and a range of a file as the whole body.
    pub(super) fn send_file_on_stream(
        &mut self,
        range: Option<FileRange>,
    ) -> Result<(), ClientDisconnected> {
        self.send_on_stream(true, b"", false)?;
        let Some(mut range) = range else { return Ok(()) };
        let mut block = Vec::new();
        while range.left > 0 {
            while self.shared.handoff.threads().is_some() && self.is_crowded() {
                // Unlike with HTTP/1, blocks of the file are kept in memory or on disk.
                self.wait_for_room()?;
            }
            match range.read(FILE_BLOCK, &mut block) {
                Ok(count) => {
                    self.send_on_stream(false, &block[..count], false)?;
                    range.advance(count as u64);
                }
                Err(Failure::File(why)) => return self.give_up_file(&why),
                Err(Failure::Client(_)) => return self.lose(),
            }
        }
        Ok(())
    }
}
