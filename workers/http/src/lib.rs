//! HTTP/1 without I/O: bytes in, decisions out.
//!
//! A request is read in two parts: [`Head`] takes its request line and fields and says how the body
//! is framed, [`Chunks`] decodes a chunked body. Both are resumable at any byte, and give the same
//! result however the bytes arrive in pieces. A response is data, a
//! [`ResponseHead`]; [`h1`] makes HTTP/1's bytes of it.
//!
//! There is one policy and no switch for it: RFC 9112, and where it leaves a choice, the strict
//! one. Each rule names the section that it comes from. What is refused comes back as a [`Reject`]
//! with the status of the response; the connection has to be closed after it, since it is not known
//! where the next request would begin.
//!
//! Nothing here reads a clock, a socket or a setting, and no input makes it panic.

mod chunks;
mod class;
pub mod date;
mod extension;
mod field;
mod fields;
mod framing;
pub mod h1;
mod head;
mod host;
mod limits;
mod list;
mod percent;
mod reject;
mod repeated;
mod request_line;
pub mod response;
mod response_head;
mod span;
mod status;
mod target;

pub use chunks::{Chunks, Decoded};
pub use fields::Fields;
pub use framing::Framing;
pub use head::Head;
pub use limits::Limits;
pub use list::has_token;
pub use percent::percent_decode;
pub use reject::Reject;
pub use repeated::join_repeated;
pub use request_line::Version;
pub use response::InvalidResponse;
pub use response_head::ResponseHead;
