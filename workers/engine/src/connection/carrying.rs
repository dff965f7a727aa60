//! Connections whose protocol carries several streams: reading them, and the server's
//! own responses.

use std::io;
use std::sync::Arc;

use monoceros_http::Reject;
use monoceros_sys::clock;
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::Phase;
use crate::connection::expire::EXPIRED;
use crate::connection::responding::Answered;
use crate::connection::table::{Connections, SHARE};
use crate::connection::turn_work::Unfinished;
use crate::handoff::events::StreamNews;
use crate::protocol::multiplexer::ProtocolEvent;
use crate::protocol::progress::{BodyProgress, ProgressCheck};
use crate::protocol::streams::{OpenStream, StreamState};
use crate::stream::claim::Expiry;
use crate::stream::inbound::BodyEnd;
use crate::stream::local::LocalResponse;
use crate::stream::request::Request;
use crate::stream::response::Asked;
use crate::stream::shared_stream::{After, SharedStream};

impl Connections {
    /// Reads what the client of a multiplexed connection has sent.
    pub(super) fn read_streams(&mut self, token: usize) {
        if self.register(token).is_err() {
            return self.close(token);
        }
        for _ in 0..SHARE {
            let Some(connection) = self.slab.get_mut(token) else { return };
            if !matches!(connection.phase, Phase::Carrying) {
                return;
            }
            // Nothing is read from a client that does not take its responses.
            let is_crowded = connection.link.outlet().outgoing.is_full(&self.shared.room);
            connection.unread = is_crowded || connection.streams.is_full();
            if connection.unread {
                return;
            }
            match connection.link.read(&mut self.work.scratch) {
                Ok((count @ 1.., more)) => {
                    let more = more || connection.hung_up;
                    connection.streams.input.append(&self.work.scratch[..count]);
                    self.take_events(token);
                    if !more {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok((0, _)) | Err(_) => {
                    if !std::mem::replace(&mut connection.read_closed, true) {
                        connection.end_bodies(&mut self.work);
                    }
                    return self.settle_streams(token);
                }
            }
        }
        self.work.unfinished.push(Unfinished::Reading { token, to_end: false });
    }

    /// Passes the received bytes to the protocol, and handles the events that it
    /// returns.
    fn take_events(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let mut events = Vec::new();
        let read = {
            let mut outlet = connection.link.outlet();
            let Some(multiplexer) = &mut outlet.multiplexer else { return };
            multiplexer.read(connection.streams.input.rest(), &mut events)
        };
        match read {
            Ok(used) => connection.streams.input.consume(used),
            Err(Reject { reason, .. }) => {
                let line = format_args!("refused {}: {reason}", connection.link.peer());
                self.shared.give_up(GivenUp::Refused, None, line);
                return self.break_off(token);
            }
        }
        let has_events = !events.is_empty();
        for event in events {
            let work = &mut self.work;
            match event {
                ProtocolEvent::Head { stream, head, ends } => {
                    connection.begin_stream(work, stream, *head, ends);
                }
                ProtocolEvent::Data { stream, bytes, ends } => {
                    connection.take_data(work, stream, &bytes, ends);
                }
                ProtocolEvent::Reset { stream } => connection.lose_stream(work, stream),
            }
        }
        if has_events {
            self.follow_up(token);
        }
    }

    /// Writes responses that wait, and continues reading or closes the connection if it
    /// waited for that.
    pub(super) fn write_streams(&mut self, token: usize) {
        let Some(connection) = self.slab.get(token) else { return };
        let waited = connection.link.try_outlet().is_none_or(|it| !it.outgoing.is_empty());
        self.write_for_application(token);
        if self.slab.get_mut(token).is_some_and(|it| it.streams.files().next().is_some()) {
            self.send_files(token);
        } else if !waited {
            return;
        }
        self.settle_streams(token);
        if self.slab.get(token).is_some_and(|it| it.unread) {
            self.work.unfinished.push(Unfinished::Reading { token, to_end: false });
        }
    }

    /// The time of a request on a stream is over.
    pub(super) fn expire_stream(&mut self, token: usize, number: u64) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Some(stream) = connection.streams.of_request(number) else { return };
        let id = stream.id;
        // An exchange that has expired does not return its stream.
        let Some(stream) = connection.streams.remove(id) else { return };
        connection.expired = true;
        let expiry = stream.shared.claim.expire();
        stream.shared.end.take();
        if stream.shared.inbound.end(BodyEnd::Broken) {
            self.work.notify(StreamNews::Body(number));
        }
        self.work.notify(StreamNews::Disconnected(number));
        match expiry {
            Expiry::Open => {
                let request_id = self.shared.ids.id_of(&stream.head, number);
                let own = connection.own_fields(&self.shared, &stream.forwarded);
                let own = own.with_id(&request_id);
                let asked = Asked::on_stream(stream.is_head, own);
                let local = LocalResponse::refusal(EXPIRED).conclude(asked);
                let OpenStream { head, forwarded, begun_us, .. } = &stream;
                let answered = Answered { head, forwarded, begun_us: *begun_us };
                connection.log_local(&self.shared, Some(answered), &request_id, &local);
                connection.respond_on_stream(&self.shared, id, &local);
            }
            Expiry::Begun => {
                stream.shared.lose();
                connection.reset_stream(&self.shared, id);
            }
            Expiry::Given => {}
        }
        self.follow_up(token);
        self.resume_reading(token);
    }

    /// The application returns a stream by message.
    pub(super) fn take_stream_back(&mut self, token: usize, shared: &Arc<SharedStream>) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Some(stream) = connection.streams.of_shared(shared) else { return };
        let id = stream.id;
        let after = shared.tail().after.take();
        let Some(after) = after else {
            // Its response or its body continues.
            self.write(token);
            return self.resume_reading(token);
        };
        shared.end.take();
        connection.streams.remove(id);
        if matches!(after, After::Abort | After::Reset) && !shared.is_lost() {
            connection.reset_stream(&self.shared, id);
        }
        self.follow_up(token);
        self.resume_reading(token);
    }

    /// Streams were responded to, or are over: writes what waits, and closes a connection
    /// that gets no stream any more.
    pub(super) fn follow_up(&mut self, token: usize) {
        self.write(token);
        self.settle_streams(token);
    }

    /// Reads on where reading was paused.
    pub(super) fn resume_reading(&mut self, token: usize) {
        if self.slab.get(token).is_some_and(|it| it.unread) {
            self.read_streams(token);
        }
    }

    /// Closes a connection that has no stream, and gets none any more.
    fn settle_streams(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        if !matches!(connection.phase, Phase::Carrying) {
            return;
        }
        if connection.read_closed {
            // Streams whose request has not arrived are over.
            for id in connection.streams.arriving() {
                connection.streams.remove(id);
            }
        }
        if !connection.streams.is_empty() {
            return;
        }
        connection.since_ms = clock::monotonic_ms();
        // A connection of a client that has too many gets the response to its first request.
        let is_over = connection.read_closed
            || self.shared.handoff.is_draining()
            || connection.is_too_many() && connection.streams.is_used;
        if is_over && connection.link.outlet().outgoing.is_empty() {
            self.close_politely(token, false);
        }
    }

    /// Announces to clients of multiplexed connections that the worker takes no further
    /// stream.
    pub(crate) fn drain(&mut self) {
        for token in self.tokens() {
            let Some(connection) = self.slab.get(token) else { continue };
            if matches!(connection.phase, Phase::Carrying) {
                let stores = self.shared.stores();
                connection.link.send_on_stream(stores, |multiplexer, out| {
                    multiplexer.push_drain(out);
                });
                self.follow_up(token);
            }
        }
    }

    /// Gives up bodies on streams that make too little progress.
    pub(super) fn judge_streams(&mut self, token: usize, now_ms: u64) {
        let limit = self.shared.options.body_timeout;
        self.judge_stream_files(token, now_ms);
        let Some(connection) = self.slab.get_mut(token) else { return };
        let mut late = Vec::new();
        for stream in connection.streams.iter_mut() {
            if connection.unread {
                // The client is not slow while nothing is read.
                stream.progress.hold(now_ms);
            }
            let check = stream.progress.check(now_ms, limit);
            let arrives =
                matches!(stream.state, StreamState::Arriving(_) | StreamState::Passing(_));
            if !arrives || check == ProgressCheck::Measuring {
                continue;
            }
            if check == ProgressCheck::TooLittle {
                late.push(stream.id);
            }
            stream.progress = BodyProgress::new(now_ms);
        }
        for id in &late {
            connection.give_up_stream(&mut self.work, *id);
        }
        if !late.is_empty() {
            self.follow_up(token);
        }
    }

    /// Refuses the streams whose requests are still arriving: the worker ends soon.
    pub(super) fn refuse_arriving(&mut self, token: usize, reject: Reject) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let undecided = connection.streams.undecided();
        for id in connection.streams.arriving().into_iter().chain(undecided) {
            connection.refuse_stream(&mut self.work, id, GivenUp::Unbegun, reject);
        }
        self.follow_up(token);
    }

    /// Refuses a request that the application has not begun.
    pub(super) fn refuse_queued_stream(
        &mut self,
        token: usize,
        request: Box<Request>,
        kind: GivenUp,
        reject: Reject,
    ) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Some(stream) = connection.streams.of_request(request.number) else { return };
        let id = stream.id;
        stream.shared.end.take();
        stream.state = StreamState::Arriving(request);
        connection.refuse_stream(&mut self.work, id, kind, reject);
        self.follow_up(token);
    }
}
