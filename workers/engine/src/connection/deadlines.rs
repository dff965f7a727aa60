//! The deadlines of connections, checked a few times a second. Pure.
//!
//! All connections are checked one after the other: so a request costs nothing, and
//! checking thousands takes microseconds.

use std::time::Duration;

use crate::connection::opening_step::OpeningStep;
use crate::connection::{Connection, Phase};
use crate::options::Options;
use crate::protocol::http1::ArrivalStage;
use crate::protocol::progress::ProgressCheck;

/// How often the connections are checked, in milliseconds.
pub(crate) const INTERVAL_MS: u64 = 250;

/// Why a request whose body arrives too slowly is refused.
pub(super) const SLOW_BODY: &str = "the body made too little progress within --body-timeout";

/// How long a client may send nothing while its last bytes are discarded.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// How long bytes are discarded at most.
const LINGER_LIMIT: Duration = Duration::from_secs(10);

/// How long a decision on a background thread may take.
pub(super) const DECISION_LIMIT: Duration = Duration::from_secs(30);

/// What is done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is due.
    Keep,
    /// The request took too long to arrive: the response is 408.
    Refuse(&'static str),
    /// The connection is closed without a response.
    Close,
    /// The opening of the connection takes too long.
    GiveUpOpening,
    /// The server waits no longer for the rest of a body that the application takes as
    /// it arrives.
    GiveUpBody,
    /// The client takes nothing of its response, so the response is given up.
    GiveUp,
    /// The disk does not respond: the response is 503.
    GiveUpDecision,
    /// As above, after the response has begun: it is given up.
    GiveUpFile,
    /// The body made progress: its time begins anew.
    Measure,
}

/// How long connections may be idle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// Before the client has sent something of the opening, beside the time that the opening
    /// may take.
    opening: Duration,
    /// Before the first request.
    pub(crate) fresh: Duration,
    /// Between requests.
    pub(crate) used: Duration,
}

impl Idle {
    /// While the worker serves.
    pub(crate) fn serving(options: &Options) -> Self {
        let keep_alive = options.keep_alive;
        // Without kept connections, a new one still gets time for its request.
        let fresh = if keep_alive.is_zero() { options.header_timeout } else { keep_alive };
        Self { opening: Duration::MAX, fresh, used: keep_alive }
    }

    /// How long a multiplexed connection may have no stream.
    fn of(self, connection: &Connection) -> Duration {
        if connection.streams.is_used { self.used } else { self.fresh }
    }

    /// While the worker drains: clients get a moment to send the requests that they had
    /// begun.
    pub(crate) fn draining(limit: Duration) -> Self {
        Self { opening: limit, fresh: limit, used: limit }
    }
}

/// Checks one connection.
pub(crate) fn judge(
    connection: &Connection,
    options: &Options,
    idle: Idle,
    now_ms: u64,
) -> Verdict {
    let over = |since_ms: u64, limit: Duration| now_ms.saturating_sub(since_ms) > millis(limit);
    let since = connection.since_ms;
    match &connection.phase {
        // When its client takes too little is for the application to decide.
        Phase::Lent if connection.is_taken_over() => Verdict::Keep,
        Phase::Opening(_) if over(since, options.handshake_timeout) => Verdict::GiveUpOpening,
        // A client that has begun its handshake is about to send a request.
        Phase::Opening(OpeningStep::ProxyHeader(_) | OpeningStep::FirstByte)
            if over(since, idle.opening) =>
        {
            Verdict::Close
        }
        Phase::Idle { used: false } if over(since, idle.fresh) => Verdict::Close,
        Phase::Idle { used: true } if over(since, idle.used) => Verdict::Close,
        Phase::Arriving => match connection.arrival() {
            Some(ArrivalStage::Blank) if over(since, idle.used) => Verdict::Close,
            Some(ArrivalStage::Blank | ArrivalStage::Head)
                if over(since, options.header_timeout) =>
            {
                Verdict::Refuse("the head took longer than --header-timeout")
            }
            Some(ArrivalStage::Discarding) if over(since, options.body_timeout) => Verdict::Close,
            Some(ArrivalStage::Body(progress)) => {
                match progress.check(now_ms, options.body_timeout) {
                    ProgressCheck::Measuring => Verdict::Keep,
                    ProgressCheck::Enough => Verdict::Measure,
                    ProgressCheck::TooLittle => Verdict::Refuse(SLOW_BODY),
                }
            }
            Some(_) | None => Verdict::Keep,
        },
        Phase::Carrying if connection.is_at_rest() && over(since, idle.of(connection)) => {
            Verdict::Close
        }
        Phase::Carrying | Phase::Lent | Phase::Writing(_) => {
            let passing = connection.http1.passing_progress();
            match passing.map(|progress| progress.check(now_ms, options.body_timeout)) {
                Some(ProgressCheck::TooLittle) => return Verdict::GiveUpBody,
                Some(ProgressCheck::Enough) => return Verdict::Measure,
                Some(ProgressCheck::Measuring) | None => {}
            }
            let Some(outlet) = connection.link.try_outlet() else { return Verdict::Keep };
            let waits = !outlet.outgoing.is_empty();
            let since = outlet.progress_ms.max(since);
            if waits && over(since, options.write_timeout) {
                let is_cold = connection.read_ahead.is_some();
                if is_cold { Verdict::GiveUpFile } else { Verdict::GiveUp }
            } else {
                Verdict::Keep
            }
        }
        Phase::Lingering { received_ms } => {
            if over(*received_ms, LINGER_SILENCE) || over(since, LINGER_LIMIT) {
                Verdict::Close
            } else {
                Verdict::Keep
            }
        }
        Phase::Deciding { .. } if over(since, DECISION_LIMIT) => Verdict::GiveUpDecision,
        Phase::Opening(_) | Phase::Idle { .. } | Phase::Deciding { .. } => Verdict::Keep,
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::shared::test_pair;
    use crate::connection::test_feed;
    use crate::protocol::http1::Step;
    use crate::spool::test_spools;
    use crate::stream::shared_stream::After;
    use crate::test_options::options;
    use crate::transport::outgoing::Stores;
    use crate::transport::room::Room;
    use std::sync::Arc;

    fn connection() -> Connection {
        let (link, _) = test_pair();
        let mut connection = Connection::new(Arc::new(link), false, 0);
        connection.since_ms = 0;
        connection
    }

    fn feed(connection: &mut Connection, bytes: &[u8]) {
        let step = test_feed(connection, bytes, options().longest_body);
        assert!(matches!(step, Step::More), "{step:?}");
    }

    fn at(connection: &Connection, seconds: u64) -> Verdict {
        let options = options();
        judge(connection, &options, Idle::serving(&options), connection.since_ms + seconds * 1000)
    }

    #[test]
    fn idle_connections_are_closed_without_a_response() {
        let mut connection = connection();
        for used in [false, true] {
            connection.enter(Phase::Idle { used });
            assert_eq!(at(&connection, 75), Verdict::Keep);
            assert_eq!(at(&connection, 76), Verdict::Close);
        }
    }

    #[test]
    fn without_kept_connections_a_new_one_has_time_for_its_first_request() {
        let options = Options { keep_alive: Duration::ZERO, ..options() };
        let idle = Idle::serving(&options);
        assert_eq!((idle.fresh, idle.used), (options.header_timeout, Duration::ZERO));
    }

    #[test]
    fn an_opening_has_one_deadline_and_a_draining_worker_waits_for_no_silent_client() {
        let mut connection = connection();
        let options = options();
        let header = OpeningStep::ProxyHeader(monoceros_wire::listener::ProxyProtocol::V1);
        for step in [header, OpeningStep::FirstByte, OpeningStep::Layer] {
            connection.phase = Phase::Opening(step);
            assert_eq!(at(&connection, 10), Verdict::Keep);
            assert_eq!(at(&connection, 11), Verdict::GiveUpOpening);
            let draining = Idle::draining(Duration::from_secs(1));
            let verdict = judge(&connection, &options, draining, connection.since_ms + 2000);
            let has_begun = step == OpeningStep::Layer;
            assert_eq!(verdict, if has_begun { Verdict::Keep } else { Verdict::Close });
        }
    }

    #[test]
    fn a_head_that_arrives_byte_by_byte_has_one_deadline() {
        let mut connection = connection();
        feed(&mut connection, b"GET / HT");
        assert_eq!(at(&connection, 10), Verdict::Keep);
        assert!(matches!(at(&connection, 11), Verdict::Refuse(_)));
    }

    #[test]
    fn a_body_has_to_make_progress() {
        let mut connection = connection();
        feed(&mut connection, b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\na");
        // Its clock is read again where the body begins.
        let Some(ArrivalStage::Body(progress)) = connection.arrival() else { panic!("no body") };
        connection.since_ms = progress.since_ms;
        assert_eq!(at(&connection, 30), Verdict::Keep);
        assert!(matches!(at(&connection, 31), Verdict::Refuse(_)));
        feed(&mut connection, &[b'a'; 2000]);
        assert_eq!(at(&connection, 31), Verdict::Measure);
    }

    #[test]
    fn a_client_that_takes_nothing_is_dropped() {
        let mut connection = connection();
        connection.enter(Phase::Writing(After::Close));
        assert_eq!(at(&connection, 99), Verdict::Keep);
        let spools = test_spools(std::env::temp_dir());
        let room = Arc::new(Room::new(1, 0));
        let stores = Stores { spools: &spools, room: &room };
        connection.link.leave(Box::new(vec![1]), 0, stores);
        connection.since_ms = connection.link.outlet().progress_ms;
        assert_eq!(at(&connection, 60), Verdict::Keep);
        assert_eq!(at(&connection, 61), Verdict::GiveUp);
    }

    #[test]
    fn a_decision_that_waits_for_a_disk_has_a_deadline() {
        let mut connection = connection();
        connection.enter(Phase::Deciding { number: 1 });
        assert_eq!(at(&connection, 30), Verdict::Keep);
        assert_eq!(at(&connection, 31), Verdict::GiveUpDecision);
    }

    #[test]
    fn lingering_ends_when_the_client_sends_nothing() {
        let mut connection = connection();
        connection.enter(Phase::Lingering { received_ms: 0 });
        connection.phase = Phase::Lingering { received_ms: connection.since_ms };
        assert_eq!(at(&connection, 2), Verdict::Keep);
        assert_eq!(at(&connection, 3), Verdict::Close);
    }
}
