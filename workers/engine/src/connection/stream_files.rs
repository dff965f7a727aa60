//! Files that the server sends by itself on one of several streams: a block of each of them in
//! turn, as far as the client takes them.

use monoceros_sys::clock;
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::Connection;
use crate::connection::deadlines::DECISION_LIMIT;
use crate::connection::deciding::{READ_AHEAD, UNDECIDED};
use crate::connection::responding::add_to_figures;
use crate::connection::table::Connections;
use crate::connection::turn_work::{TurnWork, Unfinished};
use crate::handoff::task::Task;
use crate::protocol::streams::{StreamFile, StreamState};
use crate::shared::Shared;
use crate::stream::content::FilePart;
use crate::stream::local::{ConcludedResponse, Decision};
use crate::stream::request::Request;
use crate::transport::file_range::{Failure, FileRange};

/// How much of a file is read at once, in bytes.
const BLOCK: u64 = 64 * 1024;

/// How many blocks of a connection are sent before other connections are handled.
const BLOCK_SHARE: usize = 32;

/// No more blocks are made while so many bytes wait for the client.
const MOST_WAITING: u64 = 256 * 1024;

/// What became of an attempt to send a block.
enum SentBlock {
    /// There may be more.
    Some,
    /// No file can be sent now: none is left, disks are waited for, or the client.
    None,
    /// An application thread writes to the connection.
    Contended,
}

impl Connections {
    /// Sends blocks of the files of a connection's streams.
    pub(super) fn send_files(&mut self, token: usize) {
        for _ in 0..BLOCK_SHARE {
            let Some(connection) = self.slab.get_mut(token) else { return };
            match connection.send_block(&mut self.work) {
                SentBlock::Some => {}
                SentBlock::None => return,
                SentBlock::Contended => {
                    return self.work.unfinished.push(Unfinished::Contended { token });
                }
            }
        }
        self.work.unfinished.push(Unfinished::Writing { token });
    }

    /// Follows a decision on the request of a stream, unless it has been given up.
    pub(super) fn take_stream_decision(&mut self, token: usize, task: u64, decision: Decision) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Some(id) = connection.streams.of_decision(task) else { return };
        connection.follow_late_on_stream(&mut self.work, id, decision);
        self.follow_up(token);
        self.resume_reading(token);
    }

    /// A part of the file of a stream was read ahead: its response continues.
    pub(super) fn take_stream_read_ahead(&mut self, token: usize, task: u64, until: u64) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Some((_, file)) = connection.streams.files().find(|(_, it)| it.task == Some(task))
        else {
            return;
        };
        file.task = None;
        file.range.note_read_ahead(until);
        self.follow_up(token);
    }

    /// Gives up decisions and files for which a disk has not responded.
    pub(super) fn judge_stream_files(&mut self, token: usize, now_ms: u64) {
        let is_over =
            |since_ms: u64, limit_ms: u128| u128::from(now_ms.saturating_sub(since_ms)) > limit_ms;
        let limit_ms = self.shared.options.write_timeout.as_millis();
        let Some(connection) = self.slab.get_mut(token) else { return };
        let work = &mut self.work;
        let mut has_changed = false;
        for id in connection.streams.undecided() {
            let Some(stream) = connection.streams.find(id) else { continue };
            if let StreamState::Deciding(it) = &stream.state
                && is_over(it.since_ms, DECISION_LIMIT.as_millis())
            {
                connection.refuse_stream(work, id, GivenUp::Unreadable, UNDECIDED);
                has_changed = true;
            }
        }
        let stuck = connection.streams.files().filter(|(_, it)| it.task.is_some());
        let stuck = stuck.filter(|(_, it)| is_over(it.since_ms, limit_ms)).map(|(id, _)| id);
        for id in stuck.collect::<Vec<_>>() {
            connection.give_up_file(work, id, "its file could not be read within --write-timeout");
            has_changed = true;
        }
        if has_changed {
            self.follow_up(token);
            self.resume_reading(token);
        }
    }
}

impl Connection {
    /// Begins to send a part of a file on a stream, behind the head of its response.
    pub(super) fn send_file_on_stream(
        &mut self,
        shared: &Shared,
        id: u32,
        request: &Request,
        local: &ConcludedResponse,
        part: FilePart,
    ) {
        let response = local.response();
        add_to_figures(shared, request.begun_us, response);
        local.count(&shared.board);
        self.link.send_on_stream(shared.stores(), |multiplexer, out| {
            multiplexer.push_head(id, response.head(), false, out);
        });
        let draft = shared
            .access
            .as_ref()
            .and_then(|access| access.draft(&self.record_of(request, response)));
        let file = StreamFile {
            range: FileRange::of(part),
            task: None,
            since_ms: 0,
            sent: 0,
            label: request.label(),
            draft,
        };
        self.add_stream(id, StreamState::Sending(file));
    }

    /// Sends a block of the file whose turn it is.
    fn send_block(&mut self, work: &mut TurnWork) -> SentBlock {
        match self.link.try_outlet() {
            None => return SentBlock::Contended,
            Some(outlet) if outlet.failed || outlet.outgoing.waiting() > MOST_WAITING => {
                return SentBlock::None;
            }
            Some(_) => {}
        }
        let Some((id, file)) = self.streams.next_file() else { return SentBlock::None };
        let most = file.range.in_memory(BLOCK);
        if most == 0 {
            let part = file.range.next_part(READ_AHEAD);
            file.since_ms = clock::monotonic_ms();
            file.task = Some(work.submit(self.link.token, Task::ReadAhead(part)));
            return SentBlock::Some;
        }
        let count = match file.range.read(most, &mut work.block) {
            Ok(count) => count,
            Err(Failure::File(why)) => {
                self.give_up_file(work, id, &why);
                return SentBlock::Some;
            }
            Err(Failure::Client(_)) => return SentBlock::None,
        };
        file.range.advance(count as u64);
        file.sent += count as u64;
        let ends = file.range.left == 0;
        self.link.send_on_stream(work.shared.stores(), |multiplexer, out| {
            multiplexer.push_data(id, &work.block[..count], ends, out);
        });
        if ends {
            self.drop_stream(work, id);
        }
        SentBlock::Some
    }

    /// Gives up the response of a stream, because its file cannot be sent.
    fn give_up_file(&mut self, work: &mut TurnWork, id: u32, why: &str) {
        if let Some((_, file)) = self.streams.files().find(|(it, _)| *it == id) {
            let (label, peer, sent) = (&file.label, self.link.peer(), file.sent);
            let line = format_args!(
                "gave up the response to {label} for {peer} after {sent} bytes: {why}"
            );
            work.shared.give_up(GivenUp::Unreadable, Some(label.facts()), line);
        }
        self.reset_stream(&work.shared, id);
        self.drop_stream(work, id);
    }
}

impl StreamFile {
    /// Writes the access log's line, with what was sent.
    pub(super) fn log(self, shared: &Shared) {
        if let (Some(draft), Some(access)) = (self.draft, &shared.access) {
            access.add_draft(draft, self.sent);
        }
    }
}
