//! Requests that run, and the last ones that have ended.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::scoreboard::{Recent, ResponseStage, Running};

/// A request that a worker runs, or has run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestReport {
    /// Its identifier in logs.
    pub id: String,
    /// The method.
    pub method: String,
    /// The target with its query, cut to what the scoreboard keeps.
    pub target: String,
    /// The IP address of its client; empty behind a unix socket.
    pub client: String,
    /// The status of its response, when it has ended with one.
    pub status: Option<u16>,
    /// When the application got it.
    pub began: f64,
    /// How long the application has had it, or had it.
    pub age_seconds: f64,
    /// The slot of its worker.
    pub worker: Option<u16>,
    /// The generation of its worker.
    pub generation: u32,
    /// The pid of its worker.
    pub pid: i32,
    /// The thread that runs it, by its number in the kernel; 0 if it is not known.
    pub thread: u32,
    /// It has not ended.
    pub is_running: bool,
    /// The stage of its response: `running`, `streaming`, or `left` if the client has gone;
    /// `ended` when it has ended.
    pub stage: String,
}

/// The worker of a request, and the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestPlace {
    /// The slot of the worker.
    pub slot: Option<u16>,
    /// The generation of the worker.
    pub generation: u32,
    /// The pid of the worker.
    pub pid: i32,
    /// Now, in microseconds of the monotonic clock.
    pub now_us: u64,
    /// Now, in seconds since 1970.
    pub now: f64,
}

impl RequestReport {
    /// A request that runs.
    #[must_use]
    pub fn running(running: &Running, place: RequestPlace) -> Self {
        let stage = match running.stage {
            ResponseStage::Whole => "running",
            ResponseStage::Streams => "streaming",
            ResponseStage::Left { .. } => "left",
        };
        Self {
            id: running.id.clone(),
            client: text_of(running.client),
            thread: running.tid,
            is_running: true,
            stage: stage.to_owned(),
            ..Self::begun(&running.label, running.begun_us, place)
        }
    }

    /// One of the last requests.
    #[must_use]
    pub fn recent(recent: &Recent, place: RequestPlace) -> Self {
        let report = Self {
            id: recent.id.clone(),
            client: text_of(recent.client),
            thread: recent.tid,
            is_running: true,
            stage: "running".to_owned(),
            ..Self::begun(&recent.label, recent.begun_us, place)
        };
        let Some(end) = recent.end else { return report };
        Self {
            status: Some(end.status).filter(|status| *status > 0),
            age_seconds: seconds(end.took_us),
            is_running: false,
            stage: "ended".to_owned(),
            ..report
        }
    }

    /// Several of them as JSON.
    ///
    /// # Errors
    /// None that these can have.
    pub fn list_to_json(list: &[Self]) -> std::io::Result<String> {
        Ok(serde_json::to_string(list)?)
    }

    fn begun(label: &str, begun_us: u64, place: RequestPlace) -> Self {
        let RequestPlace { slot, generation, pid, now_us, now } = place;
        let (method, target) = label.split_once(' ').unwrap_or((label, ""));
        let age_seconds = seconds(now_us.saturating_sub(begun_us));
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            began: now - age_seconds,
            age_seconds,
            worker: slot,
            generation,
            pid,
            ..Self::default()
        }
    }
}

fn text_of(client: Option<IpAddr>) -> String {
    client.map_or_else(String::new, |ip| ip.to_string())
}

fn seconds(length_us: u64) -> f64 {
    length_us as f64 / 1e6
}
