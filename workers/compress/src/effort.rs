//! How much time encoders spend for smaller responses: the level of each coding.

use monoceros_config::CompressLevel;

/// The level of gzip, from 1 to 9.
pub(crate) fn of_gzip(level: CompressLevel) -> u32 {
    match level {
        CompressLevel::Fast => 1,
        CompressLevel::Default => 6,
        CompressLevel::Best => 9,
        CompressLevel::Number(number) => u32::from(number).clamp(1, 9),
    }
}

/// The level of zstd, from 1 to 19. Higher ones are for windows that responses do not have.
pub(crate) fn of_zstd(level: CompressLevel) -> i32 {
    match level {
        CompressLevel::Fast => 1,
        CompressLevel::Default => 3,
        CompressLevel::Best => 9,
        CompressLevel::Number(number) => i32::from(number).clamp(1, 19),
    }
}

/// The quality of brotli, from 1 to 11. From 8 on an encoder has tables of 16 MiB and more.
pub(crate) fn of_brotli(level: CompressLevel) -> i32 {
    match level {
        CompressLevel::Fast => 1,
        CompressLevel::Default => 4,
        CompressLevel::Best => 7,
        CompressLevel::Number(number) => i32::from(number).clamp(1, 11),
    }
}
