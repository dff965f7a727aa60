//! What happens on one stream of a connection that carries several. What it does to the
//! connection itself, such as closing it, is for the caller (`carrying.rs`).

use std::sync::Arc;

use monoceros_http::{Framing, Head, Reject};
use monoceros_sys::clock;
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::deadlines::SLOW_BODY;
use crate::connection::limit::TOO_MANY_CONNECTIONS;
use crate::connection::responding::Answered;
use crate::connection::turn_work::TurnWork;
use crate::connection::{Connection, Phase, caller};
use crate::forwarding::forwarded::Forwarded;
use crate::handoff::events::StreamNews;
use crate::handoff::task::Task;
use crate::protocol::progress::BodyProgress;
use crate::protocol::streams::{OpenStream, StreamState, UndecidedStream};
use crate::protocol::upload::TOO_LARGE;
use crate::record::request_facts::RequestFacts;
use crate::shared::Shared;
use crate::stream::inbound::BodyEnd;
use crate::stream::local::{ConcludedResponse, Decision, LocalResponse};
use crate::stream::request::{QueuedRequest, Request};
use crate::stream::response::Asked;
use crate::stream::shared_stream::SharedStream;

impl Connection {
    pub(super) fn begin_stream(&mut self, work: &mut TurnWork, id: u32, head: Head, ends: bool) {
        let mut request = work.shared.handoff.spare_request(&mut work.spare);
        if !matches!(self.phase, Phase::Carrying) {
            // A stream before it has ended the connection.
            return work.shared.handoff.recycle(request);
        }
        request.head = head;
        work.identify(&mut request);
        request.begun_us = clock::monotonic_us();
        let decision = self.decide(&work.shared, &mut request);
        self.follow_on_stream(work, id, request, ends, decision);
    }

    /// Follows the decision on the request of a new stream; `ends` is set when the request
    /// has no body.
    fn follow_on_stream(
        &mut self,
        work: &mut TurnWork,
        id: u32,
        request: Box<Request>,
        ends: bool,
        decision: Decision,
    ) {
        self.streams.is_used = true;
        let longest = work.shared.options.longest_body;
        let is_too_large = matches!(request.head.framing(), Framing::Length(it) if it > longest);
        let decision = match decision {
            Decision::Pass if is_too_large => refusal(GivenUp::TooLarge, TOO_LARGE),
            other => other,
        };
        match decision {
            Decision::Pass => {
                self.add_stream(id, StreamState::Arriving(request));
                if ends || !work.shared.options.application.waits_for_bodies() {
                    self.lend_stream(work, id, ends);
                }
            }
            Decision::Respond { response, .. } => self.respond_locally(work, id, request, response),
            Decision::Refuse { kind, response, reason } => {
                self.log_refusal(&work.shared, kind, &request, response.status(), &reason);
                self.respond_locally(work, id, request, response);
            }
            Decision::Later(decide) => {
                let task = work.submit(self.link.token, Task::Decide(decide));
                let since_ms = clock::monotonic_ms();
                let early = Vec::new();
                let undecided = UndecidedStream { request, task, early, ends, since_ms };
                self.add_stream(id, StreamState::Deciding(undecided));
            }
        }
    }

    /// Adds a stream, whose request is part of `state`.
    pub(super) fn add_stream(&mut self, id: u32, state: StreamState) {
        let (is_head, forwarded, begun_us) = match &state {
            StreamState::Arriving(request)
            | StreamState::Deciding(UndecidedStream { request, .. }) => {
                (request.head.is_head(), request.forwarded.clone(), request.begun_us)
            }
            StreamState::Passing(_) | StreamState::Running(_) | StreamState::Sending(_) => {
                (false, Forwarded::default(), 0)
            }
        };
        self.streams.add(OpenStream {
            id,
            shared: Arc::new(SharedStream::on(Arc::clone(&self.link), id)),
            is_head,
            forwarded,
            head: Head::default(),
            begun_us,
            state,
            body_bytes: 0,
            progress: BodyProgress::new(clock::monotonic_ms()),
        });
    }

    /// Follows the decision that a background thread has made on the request of a stream.
    pub(super) fn follow_late_on_stream(
        &mut self,
        work: &mut TurnWork,
        id: u32,
        decision: Decision,
    ) {
        let Some(OpenStream { state: StreamState::Deciding(undecided), .. }) =
            self.streams.remove(id)
        else {
            return;
        };
        let UndecidedStream { request, early, ends, .. } = undecided;
        self.follow_on_stream(work, id, request, ends && early.is_empty(), decision);
        if !early.is_empty() {
            self.take_data(work, id, &early, ends);
        }
    }

    /// Responds to the request of a stream without the application.
    fn respond_locally(
        &mut self,
        work: &mut TurnWork,
        id: u32,
        request: Box<Request>,
        response: LocalResponse,
    ) {
        let shared = Arc::clone(&work.shared);
        let own = self.own_fields(&shared, &request.forwarded).with_id(request.id());
        let mut local = response.conclude(Asked::on_stream(request.head.is_head(), own));
        match local.take_file() {
            Some(part) => self.send_file_on_stream(&shared, id, &request, &local, part),
            None => {
                let answered = Some(Answered::of(&request));
                self.log_local(&shared, answered, request.id(), &local);
                self.respond_on_stream(&shared, id, &local);
            }
        }
        work.recycle(request);
    }

    /// Reads what proxies report about the client of a request, and decides whether the
    /// server responds by itself: it refuses the request, or has a response for it.
    fn decide(&self, shared: &Shared, request: &mut Request) -> Decision {
        let caller = caller(&self.link, self.is_trusted, self.is_too_many());
        match shared.options.forwarding.read(&request.head, caller.sender) {
            Ok(forwarded) => request.forwarded = forwarded,
            Err(reject) => return refusal(GivenUp::Refused, reject),
        }
        if caller.is_too_many {
            return refusal(GivenUp::TooManyConnections, TOO_MANY_CONNECTIONS);
        }
        match &shared.options.local {
            Some(local) => local.decide(&caller.arrival(request)),
            None => Decision::Pass,
        }
    }

    /// Gives the request of a stream to the application; `ends` is set when its body is
    /// complete.
    fn lend_stream(&mut self, work: &mut TurnWork, id: u32, ends: bool) {
        let Some(stream) = self.streams.get(id) else { return };
        let StreamState::Arriving(request) = &stream.state else { return };
        let number = request.number;
        let state = if ends { StreamState::Running(number) } else { StreamState::Passing(number) };
        let StreamState::Arriving(mut request) = std::mem::replace(&mut stream.state, state) else {
            return;
        };
        if work.shared.access.is_some() || request.id().given().is_some() {
            stream.head.copy_from(&request.head);
        }
        request.ready_us = clock::monotonic_us();
        if ends {
            stream.shared.inbound.close();
        } else {
            stream.shared.inbound.open(work.shared.options.application.body_buffer(), false);
        }
        stream.shared.run(true);
        work.jobs.push(QueuedRequest { request, stream: Arc::clone(&stream.shared) });
    }

    pub(super) fn take_data(&mut self, work: &mut TurnWork, id: u32, bytes: &[u8], ends: bool) {
        let Some(stream) = self.streams.get(id) else { return };
        stream.progress.add(bytes.len());
        stream.body_bytes += bytes.len() as u64;
        let is_too_large = stream.body_bytes > work.shared.options.longest_body;
        match &mut stream.state {
            StreamState::Arriving(_) if is_too_large => {
                self.refuse_stream(work, id, GivenUp::TooLarge, TOO_LARGE);
            }
            StreamState::Passing(number) if is_too_large => {
                let number = *number;
                stream.state = StreamState::Running(number);
                let is_news = stream.shared.inbound.end(BodyEnd::Broken);
                let request_id = work.shared.ids.id_of(&stream.head, number);
                let facts = RequestFacts::new(&request_id, Some(&stream.head));
                let (kind, why) = (GivenUp::TooLarge, TOO_LARGE.reason);
                work.shared.give_up_body(kind, self.link.peer(), why, facts);
                if is_news {
                    work.notify(StreamNews::Body(number));
                }
            }
            StreamState::Arriving(request) => {
                match request.body.push(bytes, None, &work.shared.spools) {
                    Ok(()) if ends => self.lend_stream(work, id, true),
                    Ok(()) => {}
                    Err(error) => {
                        work.shared.give_up_unkept(&error, request.facts());
                        self.end_stream_with(work, id, 503);
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
                    work.notify(StreamNews::Body(number));
                }
            }
            StreamState::Deciding(undecided) => {
                undecided.early.extend_from_slice(bytes);
                undecided.ends |= ends;
            }
            // The stream has had its response already.
            StreamState::Running(_) | StreamState::Sending(_) => {}
        }
    }

    /// The client has given up a stream. If the application has the stream, it keeps
    /// its slot until the application has finished.
    pub(super) fn lose_stream(&mut self, work: &mut TurnWork, id: u32) {
        let Some(stream) = self.streams.get(id) else { return };
        match stream.number() {
            Some(number) => {
                // A full body holds up the other streams no longer.
                stream.state = StreamState::Running(number);
                stream.shared.lose();
                stream.shared.inbound.end(BodyEnd::Broken);
                work.notify(StreamNews::Disconnected(number));
            }
            None => self.drop_stream(work, id),
        }
    }

    /// Forgets a stream that the application does not have.
    pub(super) fn drop_stream(&mut self, work: &mut TurnWork, id: u32) {
        if let Some(stream) = self.streams.remove(id) {
            work.drop_state(stream.state);
        }
    }

    /// Responds to the request of a stream that is not served, and forgets the stream.
    pub(super) fn refuse_stream(
        &mut self,
        work: &mut TurnWork,
        id: u32,
        kind: GivenUp,
        reject: Reject,
    ) {
        let Reject { status, reason } = reject;
        let peer = self.link.peer();
        let request = self.streams.find(id).and_then(OpenStream::request);
        let facts = request.map(Request::facts);
        let request_id = facts.map_or("", RequestFacts::id);
        let line = format_args!("refused {peer}: {status} {reason} (request {request_id})");
        work.shared.give_up(kind, facts, line);
        self.end_stream_with(work, id, status);
    }

    /// Responds with this status to the request of a stream that is not served, and which the
    /// log already names, and forgets the stream.
    fn end_stream_with(&mut self, work: &mut TurnWork, id: u32, status: u16) {
        let Some(stream) = self.streams.find(id) else { return };
        if let Some(request) = stream.request() {
            let own = self.own_fields(&work.shared, &request.forwarded).with_id(request.id());
            let asked = Asked::on_stream(request.head.is_head(), own);
            let local = LocalResponse::refusal(status).conclude(asked);
            self.log_local(&work.shared, Some(Answered::of(request)), request.id(), &local);
            self.respond_on_stream(&work.shared, id, &local);
        }
        self.drop_stream(work, id);
    }

    /// The client sends nothing more, so bodies that are not complete are broken.
    pub(super) fn end_bodies(&mut self, work: &mut TurnWork) {
        let mut news = Vec::new();
        for stream in self.streams.iter_mut() {
            let Some(number) = stream.number() else { continue };
            if matches!(stream.state, StreamState::Passing(_)) {
                stream.state = StreamState::Running(number);
                if stream.shared.inbound.end(BodyEnd::Broken) {
                    news.push(StreamNews::Body(number));
                }
            }
            news.push(StreamNews::Disconnected(number));
        }
        news.into_iter().for_each(|it| work.notify(it));
    }

    /// Gives up a request body that made too little progress.
    pub(super) fn give_up_stream(&mut self, work: &mut TurnWork, id: u32) {
        let Some(stream) = self.streams.get(id) else { return };
        let StreamState::Passing(number) = stream.state else {
            let reject = Reject { status: 408, reason: SLOW_BODY };
            return self.refuse_stream(work, id, GivenUp::Late, reject);
        };
        stream.state = StreamState::Running(number);
        let is_news = stream.shared.inbound.end(BodyEnd::Broken);
        let request_id = work.shared.ids.id_of(&stream.head, number);
        let facts = RequestFacts::new(&request_id, Some(&stream.head));
        work.shared.give_up_slow_body(self.link.peer(), facts);
        if is_news {
            work.notify(StreamNews::Body(number));
        }
    }

    /// Sends a response of the server itself on a stream.
    pub(super) fn respond_on_stream(&self, shared: &Shared, id: u32, local: &ConcludedResponse) {
        local.count(&shared.board);
        self.link.send_on_stream(shared.stores(), |multiplexer, out| {
            let is_bodiless = local.body().is_empty();
            multiplexer.push_head(id, local.response().head(), is_bodiless, out);
            if !is_bodiless {
                multiplexer.push_data(id, local.body(), true, out);
            }
        });
    }

    /// Ends the response of a stream with an error of the protocol.
    pub(super) fn reset_stream(&self, shared: &Shared, id: u32) {
        self.link.send_on_stream(shared.stores(), |multiplexer, out| {
            multiplexer.push_reset(id, out);
        });
    }
}

/// The decision to refuse a request with this status.
fn refusal(kind: GivenUp, reject: Reject) -> Decision {
    let Reject { status, reason } = reject;
    Decision::Refuse { kind, response: LocalResponse::refusal(status), reason: reason.to_owned() }
}

impl TurnWork {
    /// The connection of these streams ends.
    pub(super) fn lose_streams(&mut self, streams: Vec<OpenStream>) {
        for OpenStream { shared, state, .. } in streams {
            match state {
                StreamState::Passing(number) | StreamState::Running(number) => {
                    shared.lose();
                    shared.inbound.end(BodyEnd::Broken);
                    self.notify(StreamNews::Disconnected(number));
                }
                state => self.drop_state(state),
            }
        }
    }

    /// Forgets the state of a stream that the application does not have.
    pub(super) fn drop_state(&mut self, state: StreamState) {
        match state {
            StreamState::Arriving(request)
            | StreamState::Deciding(UndecidedStream { request, .. }) => self.recycle(request),
            StreamState::Sending(file) => file.log(&self.shared),
            StreamState::Passing(_) | StreamState::Running(_) => {}
        }
    }
}
