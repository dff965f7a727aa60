//! What a request gets of a file.

use monoceros_engine::LocalResponse;
use monoceros_http::{
    ByteRange, Head, Precondition, Validators, WantedRange, evaluate_preconditions, wanted_range,
};

use crate::representation::{Representation, now};

/// The answer to a request for a file.
#[derive(Debug)]
pub enum FileAnswer {
    /// The application serves the request.
    NotServed,
    /// 404.
    Missing,
    /// 405: the method is neither GET nor HEAD.
    WrongMethod,
    /// 412.
    PreconditionFailed,
    /// 416, for a representation of this length.
    Unsatisfiable(u64),
    /// 200, 206 or 304.
    Send(LocalResponse),
}

/// What a request gets of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConditionalOutcome {
    /// 412.
    PreconditionFailed,
    /// 304.
    NotModified,
    /// 416.
    Unsatisfiable,
    /// All of it.
    Whole,
    /// 206.
    Part(ByteRange),
}

/// What a request gets of a representation with this length, at this time in seconds since 1970.
pub(crate) fn outcome(
    head: &Head,
    current: Validators,
    length: u64,
    now: u64,
) -> ConditionalOutcome {
    match evaluate_preconditions(head, current, now) {
        Precondition::Failed => ConditionalOutcome::PreconditionFailed,
        Precondition::NotModified => ConditionalOutcome::NotModified,
        Precondition::Met => match wanted_range(head, length, current, now) {
            WantedRange::Unsatisfiable => ConditionalOutcome::Unsatisfiable,
            WantedRange::Whole => ConditionalOutcome::Whole,
            WantedRange::Part(range) => ConditionalOutcome::Part(range),
        },
    }
}

/// The answer to a request for a representation.
pub(crate) fn respond(head: &Head, found: &Representation) -> FileAnswer {
    let length = found.file.length();
    match outcome(head, found.validators(), length, now()) {
        ConditionalOutcome::PreconditionFailed => FileAnswer::PreconditionFailed,
        ConditionalOutcome::Unsatisfiable => FileAnswer::Unsatisfiable(length),
        ConditionalOutcome::NotModified => FileAnswer::Send(found.not_modified()),
        ConditionalOutcome::Whole => FileAnswer::Send(found.whole()),
        ConditionalOutcome::Part(range) => FileAnswer::Send(found.part(range)),
    }
}
