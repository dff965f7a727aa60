//! Connections whose protocol carries several streams: reading them, and the server's
//! own responses.

use std::io;
use std::sync::Arc;

use monoceros_http::{Head, Reject};
use monoceros_sys::{clock, reason};
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::Phase;
use crate::connection::deadlines::BODY_PROGRESS;
use crate::connection::expire::EXPIRED;
use crate::connection::table::{Connections, SHARE, Unfinished};
use crate::handoff::events::StreamNews;
use crate::protocol::multiplexer::ProtocolEvent;
use crate::protocol::streams::{OpenStream, StreamState};
use crate::protocol::upload::TOO_LARGE;
use crate::stream::claim::Expiry;
use crate::stream::inbound::BodyEnd;
use crate::stream::local::{Arrival, ConcludedResponse, Decision, LocalResponse};
use crate::stream::request::{QueuedRequest, Request};
use crate::stream::response::Asked;
use crate::stream::shared_stream::{After, SharedStream};

/// The result of receiving on a connection.
enum StreamInput {
    /// So many bytes, in the scratch memory; `true` when more may be available at once.
    Bytes(usize, bool),
    Nothing,
    End,
}

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
            let received = match connection.link.read(&mut self.scratch) {
                Ok(0) => StreamInput::End,
                Ok(count) => StreamInput::Bytes(
                    count,
                    count == self.scratch.len() || !connection.link.is_plain || connection.hung_up,
                ),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => StreamInput::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => StreamInput::End,
            };
            match received {
                StreamInput::Nothing => return,
                StreamInput::End => {
                    if !std::mem::replace(&mut connection.read_closed, true) {
                        self.end_bodies(token);
                    }
                    return self.settle_streams(token);
                }
                StreamInput::Bytes(count, more) => {
                    connection.streams.input.append(&self.scratch[..count]);
                    self.take_events(token);
                    if !more {
                        return;
                    }
                }
            }
        }
        self.unfinished.push(Unfinished::Reading { token, to_end: false });
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
                let line = format_args!("refused {}: {reason}", connection.link.peer);
                self.shared.give_up(GivenUp::Refused, line);
                return self.break_off(token);
            }
        }
        let has_events = !events.is_empty();
        for event in events {
            match event {
                ProtocolEvent::Head { stream, head, ends } => {
                    self.begin_stream(token, stream, *head, ends);
                }
                ProtocolEvent::Data { stream, bytes, ends } => {
                    self.take_data(token, stream, &bytes, ends);
                }
                ProtocolEvent::Reset { stream } => self.lose_stream(token, stream),
            }
        }
        if has_events {
            self.settle_streams(token);
        }
    }

    /// The client sends nothing more, so bodies that are not complete are broken.
    fn end_bodies(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let mut news = Vec::new();
        for stream in connection.streams.iter_mut() {
            let Some(number) = stream.number() else { continue };
            if matches!(stream.state, StreamState::Passing(_)) {
                stream.state = StreamState::Running(number);
                if stream.shared.inbound.end(BodyEnd::Broken) {
                    news.push(StreamNews::Body(number));
                }
            }
            news.push(StreamNews::Disconnected(number));
        }
        news.into_iter().for_each(|it| self.notify(it));
    }

    /// Writes responses that wait, and continues reading or closes the connection if it
    /// waited for that.
    pub(super) fn write_streams(&mut self, token: usize) {
        let Some(connection) = self.slab.get(token) else { return };
        let waited = connection.link.try_outlet().is_none_or(|it| !it.outgoing.is_empty());
        self.write_for_application(token);
        if !waited {
            return;
        }
        self.settle_streams(token);
        if self.slab.get(token).is_some_and(|it| it.unread) {
            self.unfinished.push(Unfinished::Reading { token, to_end: false });
        }
    }

    fn begin_stream(&mut self, token: usize, id: u32, head: Head, ends: bool) {
        let mut request = self.shared.handoff.spare_request(&mut self.spare);
        let Some(connection) = self.slab.get_mut(token) else { return };
        if !matches!(connection.phase, Phase::Carrying) {
            // A stream before it has ended the connection.
            return self.shared.handoff.recycle(request);
        }
        request.head = head;
        request.begun_us = clock::monotonic_us();
        if let Some(decide) = &self.shared.options.local {
            let (head, link) = (&request.head, &connection.link);
            let arrival = Arrival { head, peer: &link.peer, scheme: link.scheme };
            if let Decision::Respond { response, .. } = decide.decide(&arrival) {
                let local = response.conclude(Asked::on_stream(request.head.is_head()));
                self.log_local(token, Some(&request.head), request.begun_us, &local);
                self.shared.handoff.recycle(request);
                return self.respond_on_stream(token, id, &local);
            }
        }
        let link = Arc::clone(&connection.link);
        let stream = OpenStream {
            id,
            shared: Arc::new(SharedStream::on(link, id)),
            is_head: request.head.is_head(),
            head: Head::default(),
            begun_us: request.begun_us,
            state: StreamState::Arriving(request),
            body_bytes: 0,
            window_ms: clock::monotonic_ms(),
            window_bytes: 0,
        };
        connection.streams.add(stream);
        if ends || !self.shared.options.application.waits_for_bodies() {
            self.lend_stream(token, id, ends);
        }
    }

    /// Gives the request of a stream to the application; `ends` is set when its body is
    /// complete.
    fn lend_stream(&mut self, token: usize, id: u32, ends: bool) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Some(stream) = connection.streams.get(id) else { return };
        self.lent += 1;
        let state =
            if ends { StreamState::Running(self.lent) } else { StreamState::Passing(self.lent) };
        let StreamState::Arriving(mut request) = std::mem::replace(&mut stream.state, state) else {
            return;
        };
        if self.shared.access.is_some() {
            stream.head.copy_from(&request.head);
        }
        request.number = self.lent;
        request.ready_us = clock::monotonic_us();
        if ends {
            stream.shared.inbound.close();
        } else {
            stream.shared.inbound.open(self.shared.options.application.body_buffer(), false);
        }
        stream.shared.run(true);
        self.jobs.push(QueuedRequest { request, stream: Arc::clone(&stream.shared) });
    }

    fn take_data(&mut self, token: usize, id: u32, bytes: &[u8], ends: bool) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        // The limit of what one client may keep on disk is one of the connection, not
        // of the stream.
        let total = connection.streams.body_bytes() + bytes.len() as u64;
        let Some(stream) = connection.streams.get(id) else { return };
        stream.window_bytes += bytes.len() as u64;
        match &mut stream.state {
            StreamState::Arriving(_) if total > self.shared.options.longest_body => {
                self.refuse_stream(token, id, GivenUp::Refused, TOO_LARGE);
            }
            StreamState::Arriving(request) => {
                stream.body_bytes += bytes.len() as u64;
                match request.body.push(bytes, None, &self.shared.spools) {
                    Ok(()) if ends => self.lend_stream(token, id, true),
                    Ok(()) => {}
                    Err(error) => {
                        let error = reason(&error);
                        log::error!("cannot keep a request's body: {error}; answered 503");
                        let reject = Reject { status: 503, reason: "its body cannot be kept" };
                        self.refuse_stream(token, id, GivenUp::Unkept, reject);
                    }
                }
            }
            StreamState::Passing(number) => {
                let number = *number;
                let mut is_news = stream.shared.inbound.push(bytes);
                if ends {
                    is_news |= stream.shared.inbound.end(BodyEnd::Whole);
                    stream.state = StreamState::Running(number);
                }
                if is_news {
                    self.notify(StreamNews::Body(number));
                }
            }
            // The stream has had its response already.
            StreamState::Running(_) => {}
        }
    }

    /// The client has given up a stream. If the application has the stream, it keeps
    /// its slot until the application has finished.
    fn lose_stream(&mut self, token: usize, id: u32) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Some(stream) = connection.streams.get(id) else { return };
        match stream.number() {
            Some(number) => {
                // A full body holds up the other streams no longer.
                stream.state = StreamState::Running(number);
                stream.shared.lose();
                stream.shared.inbound.end(BodyEnd::Broken);
                self.notify(StreamNews::Disconnected(number));
            }
            None => self.drop_stream(token, id),
        }
    }

    /// Forgets a stream that the application does not have.
    fn drop_stream(&mut self, token: usize, id: u32) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        if let Some(OpenStream { state: StreamState::Arriving(request), .. }) =
            connection.streams.remove(id)
        {
            self.shared.handoff.recycle(request);
        }
    }

    /// Responds to the request of a stream that is not served, and forgets the stream.
    pub(super) fn refuse_stream(&mut self, token: usize, id: u32, kind: GivenUp, reject: Reject) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Reject { status, reason } = reject;
        let line = format_args!("refused {}: {status} {reason}", connection.link.peer);
        self.shared.give_up(kind, line);
        let Some(stream) = connection.streams.get(id) else { return };
        let begun_us = stream.begun_us;
        if let StreamState::Arriving(request) = &stream.state {
            let local = refusal(status, &request.head);
            self.log_local(token, self.arriving_head(token, id), begun_us, &local);
            self.respond_on_stream(token, id, &local);
        }
        self.drop_stream(token, id);
    }

    fn arriving_head(&self, token: usize, id: u32) -> Option<&Head> {
        let stream = self.slab.get(token)?.streams.iter().find(|it| it.id == id)?;
        match &stream.state {
            StreamState::Arriving(request) => Some(&request.head),
            StreamState::Passing(_) | StreamState::Running(_) => None,
        }
    }

    /// Sends a response of the server itself on a stream.
    fn respond_on_stream(&mut self, token: usize, id: u32, local: &ConcludedResponse) {
        self.shared.board.count_answer(local.response().status());
        if let Some(connection) = self.slab.get(token) {
            connection.link.send_on_stream(self.shared.stores(), |multiplexer, out| {
                let is_bodiless = local.body().is_empty();
                multiplexer.push_head(id, local.response().head(), is_bodiless, out);
                if !is_bodiless {
                    multiplexer.push_data(id, local.body(), true, out);
                }
            });
        }
        self.write(token);
    }

    /// Ends the response of a stream with an error of the protocol.
    fn reset_stream(&mut self, token: usize, id: u32) {
        if let Some(connection) = self.slab.get(token) {
            let stores = self.shared.stores();
            connection.link.send_on_stream(stores, |multiplexer, out| {
                multiplexer.push_reset(id, out);
            });
        }
        self.write(token);
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
            self.notify(StreamNews::Body(number));
        }
        self.notify(StreamNews::Disconnected(number));
        match expiry {
            Expiry::Open => {
                let asked = Asked::on_stream(stream.is_head);
                let local = LocalResponse::refusal(EXPIRED).conclude(asked);
                self.log_local(token, Some(&stream.head), stream.begun_us, &local);
                self.respond_on_stream(token, id, &local);
            }
            Expiry::Begun => {
                stream.shared.lose();
                self.reset_stream(token, id);
            }
            Expiry::Given => {}
        }
        self.settle_streams(token);
        if self.slab.get(token).is_some_and(|it| it.unread) {
            self.read_streams(token);
        }
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
            if self.slab.get(token).is_some_and(|it| it.unread) {
                self.read_streams(token);
            }
            return;
        };
        shared.end.take();
        connection.streams.remove(id);
        if matches!(after, After::Abort | After::Reset) && !shared.is_lost() {
            self.reset_stream(token, id);
        }
        self.write(token);
        self.settle_streams(token);
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
            let is_arriving = |it: &&OpenStream| matches!(it.state, StreamState::Arriving(_));
            let arriving: Vec<_> =
                connection.streams.iter().filter(is_arriving).map(|it| it.id).collect();
            for id in arriving {
                connection.streams.remove(id);
            }
        }
        if !connection.streams.is_empty() {
            return;
        }
        connection.since_ms = clock::monotonic_ms();
        let is_over = connection.read_closed || self.shared.handoff.is_draining();
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
                self.write(token);
                self.settle_streams(token);
            }
        }
    }

    /// Gives up bodies on streams that make too little progress.
    pub(super) fn judge_streams(&mut self, token: usize, now_ms: u64) {
        let limit_ms = self.shared.options.body_timeout.as_millis();
        let Some(connection) = self.slab.get_mut(token) else { return };
        let mut late = Vec::new();
        for stream in connection.streams.iter_mut() {
            if connection.unread {
                // The client is not slow while nothing is read.
                stream.window_ms = now_ms;
            }
            let is_over = u128::from(now_ms.saturating_sub(stream.window_ms)) > limit_ms;
            if matches!(stream.state, StreamState::Running(_)) || !is_over {
                continue;
            }
            if stream.window_bytes < BODY_PROGRESS {
                late.push(stream.id);
            }
            (stream.window_ms, stream.window_bytes) = (now_ms, 0);
        }
        for id in &late {
            self.give_up_stream(token, *id);
        }
        if !late.is_empty() {
            self.settle_streams(token);
        }
    }

    /// Gives up a request body that made too little progress.
    fn give_up_stream(&mut self, token: usize, id: u32) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Some(stream) = connection.streams.get(id) else { return };
        let StreamState::Passing(number) = stream.state else {
            let reason = "the body made too little progress within --body-timeout";
            let reject = Reject { status: 408, reason };
            return self.refuse_stream(token, id, GivenUp::Late, reject);
        };
        stream.state = StreamState::Running(number);
        let is_news = stream.shared.inbound.end(BodyEnd::Broken);
        let line = format_args!(
            "broke off the body of a request of {}: too little progress within --body-timeout",
            connection.link.peer
        );
        self.shared.give_up(GivenUp::Late, line);
        if is_news {
            self.notify(StreamNews::Body(number));
        }
    }

    /// Refuses the streams whose requests are still arriving: the worker ends soon.
    pub(super) fn refuse_arriving(&mut self, token: usize, reject: Reject) {
        let Some(connection) = self.slab.get(token) else { return };
        let is_arriving = |it: &&OpenStream| matches!(it.state, StreamState::Arriving(_));
        let ids: Vec<_> = connection.streams.iter().filter(is_arriving).map(|it| it.id).collect();
        for id in ids {
            self.refuse_stream(token, id, GivenUp::Unbegun, reject);
        }
        self.settle_streams(token);
    }

    /// Refuses a request that no application thread has begun.
    pub(super) fn refuse_queued_stream(
        &mut self,
        token: usize,
        request: Box<Request>,
        reject: Reject,
    ) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let Some(stream) = connection.streams.of_request(request.number) else { return };
        let id = stream.id;
        stream.shared.end.take();
        stream.state = StreamState::Arriving(request);
        self.refuse_stream(token, id, GivenUp::Unbegun, reject);
        self.settle_streams(token);
    }

    /// The connection of these streams ends.
    pub(super) fn lose_streams(&mut self, streams: Vec<OpenStream>) {
        for OpenStream { shared, state, .. } in streams {
            match state {
                StreamState::Arriving(request) => self.shared.handoff.recycle(request),
                StreamState::Passing(number) | StreamState::Running(number) => {
                    shared.lose();
                    shared.inbound.end(BodyEnd::Broken);
                    self.notify(StreamNews::Disconnected(number));
                }
            }
        }
    }
}

fn refusal(status: u16, head: &Head) -> ConcludedResponse {
    LocalResponse::refusal(status).conclude(Asked::on_stream(head.is_head()))
}
