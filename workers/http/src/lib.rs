//! HTTP/1 without I/O: parsers for requests, data for responses, and a serialiser.
//!
//! A request is read in two parts. [`Head`] reads the request line and the fields, and decides how
//! the body is delimited. [`Chunks`] decodes a chunked body. Both can continue at any byte, and
//! give the same result for every division of the input into pieces. A response is data, a
//! [`ResponseHead`]; [`h1`] makes the bytes of HTTP/1 from it.
//!
//! There is one policy without options: RFC 9112, and the strict choice where it leaves one. Each
//! rule names the section that it comes from. A refused request becomes a [`Reject`] with the
//! status of the response. The connection has to be closed after it, since the beginning of the
//! next request is not known.
//!
//! This crate reads no clock, no socket and no setting, and no input makes it panic.

mod accept_encoding;
mod chunks;
mod class;
mod conditional;
pub mod date;
mod entity_tag;
mod extension;
mod field;
mod fields;
mod forwarded;
mod framing;
pub mod h1;
mod head;
mod host;
mod limits;
mod list;
mod media_range;
mod path_prefix;
mod path_spellings;
mod percent;
mod range;
mod reject;
mod repeated;
mod request_line;
pub mod response;
mod response_head;
mod span;
mod spelling;
mod status;
mod subtree;
mod target;
#[cfg(test)]
mod test_heads;
mod trace_context;

pub use accept_encoding::{AcceptedCodings, Coding};
pub use chunks::{Chunks, Decoded};
pub use conditional::{Precondition, Validators, evaluate_preconditions};
pub use fields::Fields;
pub use forwarded::{AddressField, ReportedAddress};
pub use framing::Framing;
pub use head::Head;
pub use limits::Limits;
pub use list::has_token;
pub use media_range::MediaRange;
pub use path_prefix::PathPrefix;
pub use path_spellings::PathSpellings;
pub use percent::{percent_decode, percent_decoded};
pub use range::{ByteRange, WantedRange, wanted_range};
pub use reject::Reject;
pub use repeated::join_repeated;
pub use request_line::Version;
pub use response::InvalidResponse;
pub use response_head::ResponseHead;
pub use subtree::Subtree;
pub use trace_context::TraceParent;
