//! The format of a file of `prometheus_client`: four bytes with the length in use, four bytes
//! without a meaning, and entries. An entry is the length of its key, the key, spaces up to a
//! multiple of eight bytes, a value, and a time. Numbers are in the order of bytes of the
//! machine.

/// The bytes before the first entry.
const START: usize = 8;
/// The bytes of a length.
const LENGTH: usize = 4;
/// The bytes of a value and its time.
const NUMBERS: usize = 16;

/// A value in a file.
#[derive(Debug, PartialEq)]
pub(super) struct FileEntry<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: f64,
    /// When it was set, in seconds since the epoch; 0 if that does not matter.
    pub(super) timestamp: f64,
}

/// How many bytes of a file are in use, from its first bytes. `None` if they are not those of
/// such a file.
#[must_use]
pub fn used_length(content: &[u8]) -> Option<usize> {
    let used = usize::try_from(i32::from_ne_bytes(*content.first_chunk()?)).ok()?;
    // A process has made the file, and has written nothing yet.
    (used == 0 || used >= START).then_some(used)
}

/// Reads all entries.
pub(super) fn read_entries(content: &[u8]) -> Result<Vec<FileEntry<'_>>, &'static str> {
    let used = used_length(content).ok_or("its beginning is not that of such a file")?;
    let content = content.get(..used).ok_or("it is shorter than its beginning says")?;
    let mut rest = content.get(START..).unwrap_or_default();
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, behind) = split_entry(rest).ok_or("an entry leads beyond its end")?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}

fn split_entry(bytes: &[u8]) -> Option<(FileEntry<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(i32::from_ne_bytes(*length)).ok()?;
    let padding = 8 - (length + LENGTH) % 8;
    let (key, rest) = rest.split_at_checked(length)?;
    let (numbers, rest) = rest.get(padding..)?.split_first_chunk::<NUMBERS>()?;
    let (value, timestamp) = numbers.split_first_chunk()?;
    let timestamp = f64::from_ne_bytes(*timestamp.first_chunk()?);
    Some((FileEntry { key, value: f64::from_ne_bytes(*value), timestamp }, rest))
}

#[cfg(test)]
pub(super) fn write_file(entries: &[(&str, f64, f64)]) -> Vec<u8> {
    let mut bytes = vec![0; START];
    for (key, value, timestamp) in entries {
        bytes.extend(i32::try_from(key.len()).unwrap().to_ne_bytes());
        bytes.extend(key.as_bytes());
        bytes.resize(bytes.len() + 8 - (key.len() + 4) % 8, b' ');
        bytes.extend(value.to_ne_bytes());
        bytes.extend(timestamp.to_ne_bytes());
    }
    let used = i32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&used.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = write_file(&[("a", 1.5, 0.0), ("twelve bytes", -2.0, 7.0), ("", 0.0, 0.0)]);
        let used = bytes.len();
        assert_eq!(used_length(&bytes), Some(used));
        // The file is longer than what is in use.
        bytes.resize(1 << 16, 0);
        let entries = read_entries(&bytes).unwrap();
        let entry = |key, value, timestamp| FileEntry { key, value, timestamp };
        assert_eq!(
            entries,
            [entry(&b"a"[..], 1.5, 0.0), entry(b"twelve bytes", -2.0, 7.0), entry(b"", 0.0, 0.0)]
        );
    }

    #[test]
    fn a_new_file_has_no_entries() {
        assert_eq!(read_entries(&[0; 64]), Ok(Vec::new()));
        assert_eq!(read_entries(&write_file(&[])), Ok(Vec::new()));
    }

    #[test]
    fn a_file_that_is_broken_anywhere_is_an_error_and_no_panic() {
        let whole = write_file(&[("[\"a\"]", 1.0, 0.0), ("[\"b\"]", 2.0, 0.0)]);
        for at in 0..whole.len() {
            assert!(read_entries(&whole[..at]).is_err(), "cut at {at}");
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                // Some of these are other values, and valid.
                drop(read_entries(&changed));
            }
        }
        for used in [-1, 1, 7, i32::MIN] {
            let mut changed = whole.clone();
            changed[..4].copy_from_slice(&used.to_ne_bytes());
            assert!(read_entries(&changed).is_err(), "{used}");
        }
    }
}
