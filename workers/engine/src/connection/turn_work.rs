//! What a turn of the loop has under way beside the connections. The table of connections
//! owns it, and lends it to the connection that is at work.

use std::sync::Arc;

use monoceros_wire::request_id::RequestId;

use crate::handoff::background::Background;
use crate::handoff::events::StreamNews;
use crate::handoff::task::{Task, Ticket};
use crate::shared::Shared;
use crate::stream::request::{QueuedRequest, Request, SpareRequests};

/// Bytes that are received at once.
const SCRATCH: usize = 64 * 1024;

/// Requests whose memory is kept for the next ones of this thread.
const SPARE_LIMIT: usize = 64;

/// A connection that has used its share of a turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unfinished {
    /// More can be read.
    Reading {
        /// The connection.
        token: usize,
        /// The client has ended its side.
        to_end: bool,
    },
    /// Requests have arrived that were not read.
    Input {
        /// The connection.
        token: usize,
    },
    /// More of a body has arrived that the application takes as it arrives.
    Passing {
        /// The connection.
        token: usize,
    },
    /// More can be written.
    Writing {
        /// The connection.
        token: usize,
    },
    /// As above, when the application thread that writes to the connection has finished.
    Contended {
        /// The connection.
        token: usize,
    },
}

/// The work of a turn.
pub(super) struct TurnWork {
    pub(super) shared: Arc<Shared>,
    /// Requests that have become complete in this turn.
    pub(super) jobs: Vec<QueuedRequest>,
    /// Where bytes are received.
    pub(super) scratch: Vec<u8>,
    pub(super) spare: SpareRequests,
    /// The head of a response of the server itself, before it is sent.
    pub(super) head: Vec<u8>,
    /// A block of a file that is sent on a stream.
    pub(super) block: Vec<u8>,
    /// The threads that wait for disks in place of the loop.
    background: Background,
    /// Tasks that they have been given so far.
    tasks: u64,
    /// Requests that have got a number so far.
    numbered: u64,
    /// Connections with more to read or write than their share of a turn.
    pub(super) unfinished: Vec<Unfinished>,
}

impl TurnWork {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            head: Vec::new(),
            block: Vec::new(),
            background: Background::new(Arc::clone(&shared)),
            shared,
            tasks: 0,
            jobs: Vec::new(),
            scratch: vec![0; SCRATCH],
            spare: Vec::new(),
            numbered: 0,
            unfinished: Vec::new(),
        }
    }

    /// The number of the next request, from 1.
    pub(super) fn next_number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Gives a request its number and its identifier, unless it has them.
    pub(super) fn identify(&mut self, request: &mut Request) {
        if request.id().is_none() {
            let number = self.next_number();
            request.identify(&self.shared.ids, number);
        }
    }

    /// The identifier of a request that the server responds to by itself. One is made also where
    /// no request could be read.
    pub(super) fn id_of(&mut self, request: Option<&mut Request>) -> RequestId {
        match request {
            Some(request) => {
                self.identify(request);
                request.id().clone()
            }
            None => {
                let number = self.next_number();
                self.shared.ids.made(number)
            }
        }
    }

    /// Gives a task of this connection to a background thread. Returns its number.
    pub(super) fn submit(&mut self, token: usize, task: Task) -> u64 {
        self.tasks += 1;
        let number = self.tasks;
        self.background.submit(Ticket { token, number }, task);
        number
    }

    /// Keeps a request's memory for the next one, which is likely to begin on this thread.
    pub(super) fn recycle(&mut self, mut request: Box<Request>) {
        if self.spare.len() < SPARE_LIMIT {
            request.clear();
            self.spare.push(request);
        }
    }

    /// Notifies an application with an event loop. It gets the requests of this turn
    /// first, because the event may be about one of them.
    pub(super) fn notify(&mut self, news: StreamNews) {
        if self.shared.handoff.events().is_some() {
            if !self.jobs.is_empty() {
                self.shared.handoff.push(&mut self.jobs);
            }
            self.shared.handoff.notify(news);
        }
    }
}
