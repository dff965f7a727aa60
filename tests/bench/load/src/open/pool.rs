//! The connections: which are busy with what, which are idle, and what waits because none is.

use std::collections::VecDeque;
use std::io::Result;

use super::connection::Connection;
use crate::answer::Outcome;
use crate::arrivals::Request;
use crate::settings::{Requests, Target};

pub struct Pool {
    idle: VecDeque<Connection>,
    busy: Vec<(Connection, Request)>,
    waiting: VecDeque<Request>,
    failed: Vec<(Request, Outcome)>,
    requests: Requests,
}

impl Pool {
    pub fn open(target: &Target) -> Result<Self> {
        let idle = (0..target.connections).map(|_| Connection::open(target.address));
        Ok(Self {
            idle: idle.collect::<Result<_>>()?,
            busy: Vec::new(),
            waiting: VecDeque::new(),
            failed: Vec::new(),
            requests: target.requests(),
        })
    }

    pub fn push(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// Sends what waits, oldest first, each over the connection that has been idle for longest.
    pub fn send_waiting(&mut self) {
        while !self.waiting.is_empty() {
            let Some(mut connection) = self.idle.pop_front() else {
                return;
            };
            let Some(request) = self.waiting.pop_front() else {
                return;
            };
            match connection.send(self.requests.of(request.weight)) {
                Ok(()) => self.busy.push((connection, request)),
                Err(_) => {
                    self.failed.push((request, Outcome::Broken));
                    self.idle.push_back(connection);
                }
            }
        }
    }

    /// The requests that have ended since the last call.
    pub fn receive(&mut self) -> Vec<(Request, Outcome)> {
        let mut ended = std::mem::take(&mut self.failed);
        let mut index = 0;
        while index < self.busy.len() {
            match self.busy[index].0.receive() {
                None => index += 1,
                Some(outcome) => {
                    let (connection, request) = self.busy.swap_remove(index);
                    self.idle.push_back(connection);
                    ended.push((request, outcome));
                }
            }
        }
        ended
    }

    pub fn is_idle(&self) -> bool {
        self.outstanding() == 0
    }

    pub fn outstanding(&self) -> usize {
        self.busy.len() + self.waiting.len() + self.failed.len()
    }
}
