//! Whether a worker hangs, or a request takes too long, from one sample. Pure.

use std::fmt;
use std::time::Duration;

use crate::master::decide::roster::Observations;
use crate::master::decide::sample::{ResponseProgress, RunningRequest, WorkerSample};
use crate::master::decide::settings::TimeLimits;

/// The shortest time between two samples.
pub(crate) const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// The longest time between two samples: a worker's heartbeat comes once a second.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);
/// A worker may go without a heartbeat for this long even if `timeout` is shorter: a
/// heartbeat comes once a second, and may be late on a loaded machine.
const LEAST_SILENCE: Duration = Duration::from_secs(5);

/// The time between two samples: an eighth of the shortest limit, within its own limits.
pub(crate) fn interval(limits: TimeLimits) -> Duration {
    let part = |limit: Duration| (limit / 8).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
    let limits = [limits.timeout, limits.slow_request];
    let parts = limits.into_iter().filter(|limit| !limit.is_zero()).map(part);
    parts.min().unwrap_or(LONGEST_INTERVAL)
}

/// What is wrong with a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It serves no client any more.
    Hangs(Hang),
    /// Requests have run for all of `timeout`.
    Expired(Vec<RunningRequest>),
    /// Requests have run for half of `timeout`.
    Slow(Vec<RunningRequest>),
    /// Requests have run for longer than `slow-request`.
    Lasting(Vec<RunningRequest>),
    /// Streams have run for all of `timeout` after their clients had disconnected, and
    /// occupy every application side.
    Deserted(Vec<RunningRequest>),
    /// The same, but they occupy only some of the sides.
    Left(Vec<RunningRequest>),
}

/// How a worker hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hang {
    /// Requests have waited for this long, and none was taken, although a thread is free.
    Stuck(Duration),
    /// The event loop of the worker has given no heartbeat for this long.
    Silent(Duration),
    /// The same, because a signal has stopped the process.
    Stopped(Duration),
}

impl fmt::Display for Hang {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Stuck(lasted) => write!(
                formatter,
                "has not taken a request for {} s although a thread is free (is something \
                 holding the interpreter's lock?)",
                lasted.as_secs()
            ),
            Self::Silent(lasted) => {
                write!(formatter, "has given no sign of life for {} s", lasted.as_secs())
            }
            Self::Stopped(lasted) => {
                let lasted = lasted.as_secs();
                write!(formatter, "was stopped by a signal (SIGSTOP) {lasted} s ago at least")
            }
        }
    }
}

/// Judges a worker that has been ready for `ready`. Of
/// each length only the part counts during which the master has run, which `awake` returns:
/// what stopped the master may have stopped the workers too. A request that `observed` has
/// as reported is not reported again.
pub(crate) fn judge(
    sample: &WorkerSample,
    observed: &Observations,
    limits: TimeLimits,
    ready: Duration,
    awake: &dyn Fn(Duration) -> Duration,
) -> Option<Finding> {
    let TimeLimits { timeout, slow_request } = limits;
    if timeout.is_zero() {
        return judge_lasting(sample, observed, slow_request, awake);
    }
    let silent = sample.silent.map(|silent| awake(silent.min(ready)));
    if let Some(silent) = silent.filter(|silent| *silent > timeout.max(LEAST_SILENCE)) {
        let hang = if sample.stopped { Hang::Stopped(silent) } else { Hang::Silent(silent) };
        return Some(Finding::Hangs(hang));
    }
    let longer = |limit| run_longer(sample, limit, awake);
    let expired: Vec<_> =
        longer(timeout).filter(|request| !observed.expired.contains(&request.number)).collect();
    if !expired.is_empty() {
        return Some(Finding::Expired(expired));
    }
    let told = |request: &RunningRequest| {
        observed.slow.contains(&request.number) || observed.expired.contains(&request.number)
    };
    let slow: Vec<_> = longer(timeout / 2).filter(|request| !told(request)).collect();
    if !slow.is_empty() {
        return Some(Finding::Slow(slow));
    }
    if let Some(finding) = judge_lasting(sample, observed, slow_request, awake) {
        return Some(finding);
    }
    if let Some(finding) = judge_streams(sample, observed, timeout, awake) {
        return Some(finding);
    }
    // Judged last: where one request blocks the others, responding to its client and
    // replacing the worker may be enough.
    let stuck = sample.stuck.map(awake).filter(|stuck| *stuck > timeout);
    stuck.map(|stuck| Finding::Hangs(Hang::Stuck(stuck)))
}

/// The requests that have run for longer than a limit. A stream is none of them: it may go on for
/// as long as its client stays.
fn run_longer(
    sample: &WorkerSample,
    limit: Duration,
    awake: &dyn Fn(Duration) -> Duration,
) -> impl Iterator<Item = RunningRequest> {
    let requests =
        sample.running.iter().filter(|request| request.response == ResponseProgress::Whole);
    requests.filter(move |request| awake(request.lasted) > limit).cloned()
}

/// Judges which requests run for longer than `slow-request`.
fn judge_lasting(
    sample: &WorkerSample,
    observed: &Observations,
    limit: Duration,
    awake: &dyn Fn(Duration) -> Duration,
) -> Option<Finding> {
    if limit.is_zero() {
        return None;
    }
    let is_new = |request: &RunningRequest| !observed.lasting.contains(&request.number);
    let lasting: Vec<_> = run_longer(sample, limit, awake).filter(is_new).collect();
    (!lasting.is_empty()).then_some(Finding::Lasting(lasting))
}

/// Judges streams. A response that has begun may pause for as long as its client stays
/// connected. Without a client it ends only at its next write, and must not occupy a worker
/// without end.
fn judge_streams(
    sample: &WorkerSample,
    observed: &Observations,
    timeout: Duration,
    awake: &dyn Fn(Duration) -> Duration,
) -> Option<Finding> {
    let deserted = |request: &&RunningRequest| match request.response {
        ResponseProgress::Left(left) => awake(left.min(request.lasted)) > timeout,
        ResponseProgress::Whole | ResponseProgress::Streams => false,
    };
    let deserted: Vec<_> = sample.running.iter().filter(deserted).cloned().collect();
    let is_new = |request: &RunningRequest| !observed.expired.contains(&request.number);
    if !deserted.is_empty() && deserted.len() >= sample.sides {
        return deserted.iter().any(is_new).then_some(Finding::Deserted(deserted));
    }
    let mut left = deserted;
    left.retain(|request| is_new(request) && !observed.slow.contains(&request.number));
    (!left.is_empty()).then_some(Finding::Left(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(1000);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// With a `timeout` of so many seconds.
    fn within(timeout: u64) -> TimeLimits {
        TimeLimits { timeout: seconds(timeout), ..TimeLimits::default() }
    }

    /// Of a master that has always run.
    fn all(length: Duration) -> Duration {
        length
    }

    fn requests(lasted: u64) -> RunningRequest {
        let label = "GET /".to_owned();
        let response = ResponseProgress::Whole;
        let lasted = seconds(lasted);
        RunningRequest { number: 7, label, lasted, response, ..RunningRequest::default() }
    }

    fn sample(silent: Option<u64>, running: &[u64]) -> WorkerSample {
        let running = running.iter().copied().map(requests).collect();
        WorkerSample { silent: silent.map(seconds), running, ..WorkerSample::default() }
    }

    fn concern(sample: &WorkerSample, timeout: u64, ready: u64) -> Option<Finding> {
        judge(sample, &Observations::default(), within(timeout), seconds(ready), &all)
    }

    #[test]
    fn a_request_is_reported_at_half_of_the_timeout_and_at_its_end() {
        assert_eq!(concern(&sample(Some(0), &[5]), 10, 100), None);
        let slow = Some(Finding::Slow(vec![requests(6)]));
        assert_eq!(concern(&sample(Some(0), &[6, 1]), 10, 100), slow);
        let expired = Some(Finding::Expired(vec![requests(11)]));
        assert_eq!(concern(&sample(Some(0), &[11, 6]), 10, 100), expired);
        assert_eq!(concern(&sample(Some(900), &[900]), 0, 1000), None);
    }

    #[test]
    fn it_is_reported_once() {
        let mut observed = Observations::default();
        observed.slow.insert(7);
        let judge = |observed: &Observations, lasted| {
            judge(&sample(Some(0), &[lasted]), observed, within(10), LONG, &all)
        };
        assert_eq!(judge(&observed, 6), None);
        assert_eq!(judge(&observed, 11), Some(Finding::Expired(vec![requests(11)])));
        observed.expired.insert(7);
        assert_eq!(judge(&observed, 900), None);
    }

    #[test]
    fn requests_may_be_stuck_for_the_timeout() {
        let stuck = |lasted, awake: &dyn Fn(Duration) -> Duration| {
            let sample = WorkerSample { stuck: Some(lasted), ..sample(Some(0), &[]) };
            judge(&sample, &Observations::default(), within(2), LONG, awake)
        };
        assert_eq!(stuck(seconds(2), &all), None);
        assert_eq!(stuck(LONG, &|_| seconds(2)), None);
        let hang = Hang::Stuck(seconds(3));
        assert!(hang.to_string().starts_with("has not taken a request for 3 s"));
        assert_eq!(stuck(seconds(3), &all), Some(Finding::Hangs(hang)));
    }

    #[test]
    fn a_request_that_keeps_the_others_waiting_is_judged_before_its_worker() {
        let sample = WorkerSample { stuck: Some(seconds(11)), ..sample(Some(0), &[11]) };
        assert_eq!(concern(&sample, 10, 100), Some(Finding::Expired(vec![requests(11)])));
        let observed = Observations { expired: [7].into(), ..Observations::default() };
        let hang = judge(&sample, &observed, within(10), LONG, &all);
        assert_eq!(hang, Some(Finding::Hangs(Hang::Stuck(seconds(11)))));
    }

    #[test]
    fn a_stream_may_be_silent_as_long_as_its_client_is_there() {
        let stream = |number, response| RunningRequest { number, response, ..requests(900) };
        let of = |running: Vec<RunningRequest>| WorkerSample {
            sides: 2,
            running,
            ..sample(Some(0), &[])
        };
        let there = stream(1, ResponseProgress::Streams);
        assert_eq!(concern(&of(vec![there.clone(), there.clone()]), 10, 1000), None);
        let lately = stream(2, ResponseProgress::Left(seconds(10)));
        assert_eq!(concern(&of(vec![lately.clone(), lately]), 10, 1000), None);
        let left = stream(3, ResponseProgress::Left(seconds(11)));
        let some = of(vec![left.clone(), there]);
        assert_eq!(concern(&some, 10, 1000), Some(Finding::Left(vec![left.clone()])));
        let all = of(vec![left.clone(), left.clone()]);
        assert_eq!(concern(&all, 10, 1000), Some(Finding::Deserted(all.running.clone())));
        let talks = RunningRequest { lasted: seconds(1), ..left };
        assert_eq!(concern(&of(vec![talks.clone(), talks]), 10, 1000), None, "it will notice");
        let observed = Observations { slow: [3].into(), ..Observations::default() };
        assert_eq!(
            judge(&some, &observed, within(10), LONG, &super::tests::all),
            None,
            "told once"
        );
        let observed = Observations { expired: [3].into(), ..Observations::default() };
        assert_eq!(judge(&all, &observed, within(10), LONG, &super::tests::all), None);
    }

    #[test]
    fn a_slow_request_is_reported_once_whatever_the_timeout_is() {
        for timeout in [0, 10, 100] {
            let limits = TimeLimits { timeout: seconds(timeout), slow_request: seconds(2) };
            let judge = |observed: &Observations, lasted| {
                judge(&sample(Some(0), &[lasted]), observed, limits, LONG, &all)
            };
            assert_eq!(judge(&Observations::default(), 2), None);
            let found = Some(Finding::Lasting(vec![requests(3)]));
            assert_eq!(judge(&Observations::default(), 3), found);
            let observed = Observations { lasting: [7].into(), ..Observations::default() };
            assert_eq!(judge(&observed, 4), None);
        }
        let limits = TimeLimits { slow_request: seconds(8), ..within(10) };
        let half = Observations { slow: [7].into(), ..Observations::default() };
        let found = judge(&sample(Some(0), &[9]), &half, limits, LONG, &all);
        assert_eq!(found, Some(Finding::Lasting(vec![requests(9)])), "behind half of timeout");
        let stream = RunningRequest { response: ResponseProgress::Streams, ..requests(9) };
        let sample = WorkerSample { running: vec![stream], sides: 2, ..sample(Some(0), &[]) };
        assert_eq!(judge(&sample, &half, limits, LONG, &all), None);
    }

    #[test]
    fn silence_is_allowed_for_five_seconds_at_least() {
        assert_eq!(concern(&sample(Some(4), &[]), 1, 100), None);
        let silent = Some(Finding::Hangs(Hang::Silent(seconds(6))));
        assert_eq!(concern(&sample(Some(6), &[]), 1, 100), silent);
        assert_eq!(concern(&sample(Some(100), &[]), 1, 4), None);
        let stopped = WorkerSample { stopped: true, ..sample(Some(6), &[]) };
        let hang = Some(Finding::Hangs(Hang::Stopped(seconds(6))));
        assert_eq!(concern(&stopped, 1, 100), hang);
        assert_eq!(concern(&sample(None, &[]), 1, 100), None);
    }

    #[test]
    fn only_the_time_for_which_the_master_has_run_counts() {
        let sample = sample(Some(900), &[900]);
        let second = |_| seconds(1);
        assert_eq!(judge(&sample, &Observations::default(), within(5), LONG, &second), None);
    }

    #[test]
    fn a_short_timeout_is_looked_at_more_often() {
        assert_eq!(interval(within(0)), LONGEST_INTERVAL);
        assert_eq!(interval(within(30)), LONGEST_INTERVAL);
        assert_eq!(interval(within(2)), Duration::from_millis(250));
        let slow = |slow_request| interval(TimeLimits { slow_request, ..within(30) });
        assert_eq!(slow(seconds(2)), Duration::from_millis(250));
        assert_eq!(slow(Duration::from_millis(1)), SHORTEST_INTERVAL);
    }
}
