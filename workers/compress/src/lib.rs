//! Content codings (RFC 9110 section 8.4) for the responses of applications: which responses are
//! encoded, and the encoders for brotli, zstd and gzip. They run on the application's thread.

mod brotli_encoder;
mod compression;
mod effort;
mod gzip_encoder;
mod spare;
mod zstd_encoder;

pub use compression::response_reviser;
