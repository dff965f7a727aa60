//! What an application sends on one of several streams of a connection. Bytes are made
//! and sent under the connection's lock.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{ClientDisconnected, Exchange};

/// How much of a file is read at once, in bytes.
const FILE_BLOCK: usize = 64 * 1024;

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
        source: &File,
        mut offset: u64,
        mut left: u64,
    ) -> Result<(), ClientDisconnected> {
        self.send_on_stream(true, b"", false)?;
        let mut block = vec![0; FILE_BLOCK];
        while left > 0 {
            while self.shared.handoff.threads().is_some() && self.is_crowded() {
                // Unlike with HTTP/1, blocks of the file are kept in memory or on disk.
                self.wait_for_room()?;
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(FILE_BLOCK);
            match source.read_at(&mut block[..most], offset) {
                Ok(0) => return self.give_up_file("its file has become shorter"),
                Ok(count) => {
                    self.send_on_stream(false, &block[..count], false)?;
                    offset += count as u64;
                    left -= count as u64;
                }
                Err(error) => return self.give_up_file(&monoceros_sys::reason(&error)),
            }
        }
        Ok(())
    }
}
