//! The connections: which are busy with what, which are idle, and what waits because none is.

use std::collections::VecDeque;
use std::io::Result;

use crate::arrivals::{Request, Weight};
use crate::connection::{Connection, Outcome};
use crate::settings::Settings;

pub struct Pool {
    idle: VecDeque<Connection>,
    busy: Vec<(Connection, Request)>,
    waiting: VecDeque<Request>,
    failed: Vec<(Request, Outcome)>,
    light: Vec<u8>,
    heavy: Vec<u8>,
}

impl Pool {
    pub fn open(settings: &Settings) -> Result<Self> {
        let idle = (0..settings.connections).map(|_| Connection::open(settings.address));
        Ok(Self {
            idle: idle.collect::<Result<_>>()?,
            busy: Vec::new(),
            waiting: VecDeque::new(),
            failed: Vec::new(),
            light: request(&settings.light, settings),
            heavy: request(&settings.heavy, settings),
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
            let bytes = match request.weight {
                Weight::Light => &self.light,
                Weight::Heavy => &self.heavy,
            };
            match connection.send(bytes) {
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

fn request(path: &str, settings: &Settings) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", settings.address).into_bytes()
}
