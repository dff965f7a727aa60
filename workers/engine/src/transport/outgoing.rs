//! The bytes that wait to be written to a connection: pieces, in order.
//!
//! An application should not wait for a slow client. Bytes beyond the limit of memory
//! go to a file without a name; only where the file has no room either, the application
//! waits. A worker has a limit for both, beside those of a response.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::spool::Spools;
use crate::stream::content::FilePart;
use crate::transport::Transport;
use crate::transport::file_range::{Failure, FileRange, is_for_now};
use crate::transport::payload::Payload;
use crate::transport::room::{Room, RoomShare};
use crate::transport::socket::Socket;

/// The most bytes of one `sendfile(2)`.
const FILE_STEP: u64 = 1 << 20;

/// The most bytes of a response in memory; bytes that are added beyond it go to a file.
const MEMORY_LIMIT: usize = 1 << 20;

/// An application that waits continues when at most so many bytes are left in memory.
const LOW_WATER: usize = 256 * 1024;

/// How much is written at a time, so that other connections are handled.
const SHARE: u64 = 8 << 20;

/// One piece of a response.
#[derive(Debug)]
enum Piece {
    /// Bytes in memory, and how many of them were sent.
    Bytes { payload: Box<dyn Payload>, sent: usize },
    /// A range of a file of the application.
    File(FileRange),
    /// A range of the response's own file.
    Spilled(FileRange),
}

/// The result of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything was sent.
    All,
    /// The socket has no room; so many bytes were sent.
    Blocked(u64),
    /// The limit for one call was reached: so many bytes were sent.
    Paused(u64),
    /// The next part of a file is not in memory, and reading it may wait for a disk; so many
    /// bytes were sent.
    Cold(u64),
}

/// The stores for bytes that are not sent at once.
#[derive(Clone, Copy)]
pub(crate) struct Stores<'a> {
    /// The source of files.
    pub(crate) spools: &'a Spools,
    /// How much the worker may keep.
    pub(crate) room: &'a Arc<Room>,
}

/// The waiting pieces, and their memory.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The transport of the pieces.
    pub(crate) transport: Transport,
    pieces: VecDeque<Piece>,
    /// Bytes that wait.
    waiting: u64,
    /// The waiting bytes that are in memory.
    held: usize,
    taken: RoomShare,
    overflow: Overflow,
    /// Pieces that are in the file, or are being written to it.
    spilled: usize,
}

/// The file for bytes beyond the limit of memory.
#[derive(Debug, Default)]
enum Overflow {
    /// No file was needed.
    #[default]
    None,
    /// So many bytes of the file are used.
    File(Arc<File>, u64),
    /// It cannot be used: the disk may be full.
    Broken,
}

/// Bytes that must be written to the file before they can wait there. Writing may take
/// a while, and is not done under the lock that the loop needs.
pub(crate) struct Spill {
    payload: Box<dyn Payload>,
    sent: usize,
    file: Arc<File>,
    offset: u64,
}

impl Spill {
    /// Writes them.
    ///
    /// # Errors
    /// Those of `pwrite(2)`.
    pub(crate) fn write(&self) -> io::Result<()> {
        self.file.write_all_at(self.left(), self.offset)
    }

    fn left(&self) -> &[u8] {
        self.payload.bytes().get(self.sent..).unwrap_or_default()
    }
}

impl Outgoing {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, ..Self::default() }
    }

    /// Whether no piece waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.spilled == 0 && !self.transport.holds()
    }

    /// Lets bytes wait, of which `sent` were sent already. Returned bytes must first be
    /// written to a file, and then be given to [`Outgoing::push_spilled`].
    pub(crate) fn push_bytes(
        &mut self,
        payload: Box<dyn Payload>,
        sent: usize,
        stores: Stores,
    ) -> Option<Spill> {
        let whole = payload.bytes().len();
        if sent >= whole {
            return None;
        }
        if self.held <= MEMORY_LIMIT && self.taken.try_memory(stores.room, whole) {
            self.keep(payload, sent);
            return None;
        }
        if let Some((file, offset)) = self.reserve(whole - sent, stores) {
            return Some(Spill { payload, sent, file, offset });
        }
        self.taken.force_memory(stores.room, whole);
        self.keep(payload, sent);
        None
    }

    fn keep(&mut self, payload: Box<dyn Payload>, sent: usize) {
        let left = payload.bytes().len() - sent;
        self.held += left;
        self.waiting += left as u64;
        self.pieces.push_back(Piece::Bytes { payload, sent });
    }

    /// Makes room in the file. Returns the file, and the offset for the bytes.
    fn reserve(&mut self, length: usize, stores: Stores) -> Option<(Arc<File>, u64)> {
        if let Overflow::None = self.overflow {
            if !stores.room.has_disk() {
                return None;
            }
            match stores.spools.unnamed() {
                Ok(file) => self.overflow = Overflow::File(Arc::new(file), 0),
                Err(error) => self.break_file(&error, stores.room),
            }
        }
        let Overflow::File(file, used) = &mut self.overflow else { return None };
        if *used >= stores.room.share_of_disk() || !self.taken.try_disk(stores.room, length) {
            return None;
        }
        let offset = *used;
        *used += length as u64;
        self.spilled += 1;
        Some((Arc::clone(file), offset))
    }

    fn break_file(&mut self, error: &io::Error, room: &Room) {
        room.complain(error);
        self.overflow = Overflow::Broken;
    }

    /// Lets bytes wait that were written to the file, or could not be.
    pub(crate) fn push_spilled(&mut self, spill: Spill, written: io::Result<()>, stores: Stores) {
        let length = spill.left().len() as u64;
        match (written, self.pieces.back_mut()) {
            (Ok(()), Some(Piece::Spilled(range))) if range.offset + range.left == spill.offset => {
                range.left += length;
                self.waiting += length;
                self.spilled -= 1;
            }
            (Ok(()), _) => {
                let range = FileRange::new(Arc::clone(&spill.file), spill.offset, length);
                self.waiting += length;
                self.pieces.push_back(Piece::Spilled(range));
            }
            (Err(error), _) => {
                self.break_file(&error, stores.room);
                self.spilled -= 1;
                self.taken.force_memory(stores.room, spill.payload.bytes().len());
                self.keep(spill.payload, spill.sent);
            }
        }
    }

    /// Whether the application must wait: the limits of memory and file are reached.
    pub(crate) fn is_full(&self, room: &Room) -> bool {
        self.held > 0 && room.is_short() || self.held > MEMORY_LIMIT && !self.can_spill(room)
    }

    /// Whether an application that waits may continue.
    pub(crate) fn has_room(&self, room: &Room) -> bool {
        self.held == 0 || self.held <= LOW_WATER && !room.is_short()
    }

    fn can_spill(&self, room: &Room) -> bool {
        room.has_disk()
            && match self.overflow {
                Overflow::None => true,
                Overflow::File(_, used) => used < room.share_of_disk(),
                Overflow::Broken => false,
            }
    }

    /// All waiting bytes, in memory and in files.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Lets a range of a file wait.
    pub(crate) fn push_file(&mut self, range: FileRange) {
        if range.left > 0 {
            self.waiting += range.left;
            self.pieces.push_back(Piece::File(range));
        }
    }

    /// The part of a file that has to be read ahead before more can be sent: at most `most`
    /// bytes.
    pub(crate) fn cold_part(&self, most: u64) -> Option<FilePart> {
        let Some(Piece::File(range)) = self.pieces.front() else { return None };
        Some(range.next_part(most))
    }

    /// The file of the first piece was read ahead up to this offset.
    pub(crate) fn note_read_ahead(&mut self, until: u64) {
        if let Some(Piece::File(range)) = self.pieces.front_mut() {
            range.note_read_ahead(until);
        }
    }

    /// Whether some of the waiting bytes take room in memory or on disk.
    pub(crate) fn takes_room(&self) -> bool {
        self.held > 0 || self.spilled > 0
    }

    /// Writes bytes at once, as far as the transport takes them; no piece waits. Returns how
    /// many it has taken, and whether all of them are on their way. It takes a share of them
    /// at most, because the I/O thread may wait for the lock.
    ///
    /// # Errors
    /// Those of the transport, except that the socket has no room.
    pub(crate) fn write_through(
        &mut self,
        parts: &[&[u8]],
        to: &Socket,
    ) -> io::Result<(usize, bool)> {
        let mut taken = 0;
        for part in parts {
            let mut left = *part;
            while !left.is_empty() {
                if taken as u64 >= SHARE {
                    self.transport.flush(to).or_else(allow_for_now)?;
                    return Ok((taken, false));
                }
                match self.transport.write(to, left) {
                    Ok(count) => {
                        taken += count;
                        left = &left[count..];
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if is_for_now(&error) => return Ok((taken, false)),
                    Err(error) => return Err(error),
                }
            }
        }
        match self.transport.flush(to) {
            Ok(()) => Ok((taken, true)),
            Err(error) if is_for_now(&error) => Ok((taken, false)),
            Err(error) => Err(error),
        }
    }

    /// Drops all waiting pieces.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(std::mem::take(&mut self.transport));
    }

    /// Writes until everything was sent or the socket has no room.
    ///
    /// # Errors
    /// Those of `send(2)`, and those of a file.
    pub(crate) fn flush(&mut self, to: &Socket) -> Result<Flushed, Failure> {
        let mut total = 0;
        while let Some(piece) = self.pieces.front_mut() {
            if total >= SHARE {
                return Ok(Flushed::Paused(total));
            }
            let most = piece.ready();
            if most == 0 {
                return Ok(Flushed::Cold(total));
            }
            match piece.write(to, &mut self.transport, most) {
                Ok(written) => {
                    total += written;
                    self.waiting -= written.min(self.waiting);
                    if let Piece::Bytes { .. } = piece {
                        self.held -= usize::try_from(written).unwrap_or(0).min(self.held);
                    }
                    if piece.is_done() {
                        self.pop();
                    }
                }
                Err(Failure::Client(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Piece::File(range) = piece {
                        range.forget_memory();
                    }
                    return Ok(Flushed::Blocked(total));
                }
                Err(Failure::Client(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(failure) => return Err(failure),
            }
        }
        match self.transport.flush(to) {
            Ok(()) => {}
            Err(error) if is_for_now(&error) => return Ok(Flushed::Blocked(total)),
            Err(error) => return Err(error.into()),
        }
        if self.spilled > 0 {
            return Ok(Flushed::Blocked(total));
        }
        self.overflow = Overflow::None;
        self.taken.give_back_disk();
        Ok(Flushed::All)
    }

    fn pop(&mut self) {
        match self.pieces.pop_front() {
            Some(Piece::Bytes { payload, .. }) => {
                self.taken.give_back_memory(payload.bytes().len());
            }
            Some(Piece::Spilled(_)) => {
                self.spilled -= 1;
                if self.spilled == 0 && !matches!(self.overflow, Overflow::Broken) {
                    // The bytes of the file were sent.
                    self.overflow = Overflow::None;
                    self.taken.give_back_disk();
                }
            }
            Some(Piece::File(_)) | None => {}
        }
    }
}

/// A socket without room is no error.
fn allow_for_now(error: io::Error) -> io::Result<()> {
    if is_for_now(&error) { Ok(()) } else { Err(error) }
}

impl Piece {
    /// How many bytes can be sent now without waiting for a disk, at most a step. The
    /// response's own file is in memory: it was written a moment ago.
    fn ready(&mut self) -> u64 {
        match self {
            Self::Bytes { .. } | Self::Spilled(_) => FILE_STEP,
            Self::File(range) => range.in_memory(FILE_STEP),
        }
    }

    /// Writes, and of a file at most `most` bytes.
    fn write(&mut self, to: &Socket, transport: &mut Transport, most: u64) -> Result<u64, Failure> {
        match (self, transport) {
            (Self::Bytes { payload, sent }, transport) => {
                let written = transport.write(to, &payload.bytes()[*sent..])?;
                *sent += written;
                Ok(written as u64)
            }
            (Self::File(range) | Self::Spilled(range), Transport::Plain) => range.send(to, most),
            (Self::File(range) | Self::Spilled(range), transport) => {
                let written = range.write(most, |block| transport.write(to, block))?;
                // A layer that holds a block would take a part of the next one only, which
                // had to be read again.
                transport.flush(to).or_else(allow_for_now)?;
                Ok(written)
            }
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::Bytes { payload, sent } => *sent >= payload.bytes().len(),
            Self::File(range) | Self::Spilled(range) => range.left == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::unix::net::UnixStream;

    use monoceros_sys::unnamed_file;

    use crate::spool::test_spools;

    /// The stores of an outgoing under test.
    struct Place {
        spools: Spools,
        room: Arc<Room>,
    }

    impl Place {
        fn new(memory: usize, disk: u64) -> Self {
            let spools = test_spools(std::env::temp_dir());
            Self { spools, room: Arc::new(Room::new(memory as u64, disk)) }
        }

        fn ample() -> Self {
            Self::new(64 << 20, 1 << 30)
        }

        fn push(&self, outgoing: &mut Outgoing, payload: Vec<u8>, sent: usize) {
            let stores = Stores { spools: &self.spools, room: &self.room };
            if let Some(spill) = outgoing.push_bytes(Box::new(payload), sent, stores) {
                let written = spill.write();
                outgoing.push_spilled(spill, written, stores);
            }
        }
    }

    /// Writes; what is not in memory counts as read ahead.
    fn flush_warm(outgoing: &mut Outgoing, to: &Socket) -> Result<Flushed, Failure> {
        loop {
            match outgoing.flush(to) {
                Ok(Flushed::Cold(_)) => outgoing.note_read_ahead(u64::MAX),
                other => return other,
            }
        }
    }

    fn on_disk(outgoing: &Outgoing) -> u64 {
        match outgoing.overflow {
            Overflow::File(_, used) => used,
            Overflow::None | Overflow::Broken => 0,
        }
    }

    #[test]
    fn bytes_beyond_the_limit_of_memory_go_to_a_file_in_order() {
        let (one, mut two) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let one = Socket::new(one.into());
        let place = Place::ample();
        let mut outgoing = Outgoing::default();
        let piece = 300_000;
        for letter in b'a'..=b'j' {
            place.push(&mut outgoing, vec![letter; piece], 0);
        }
        assert!(outgoing.held < 10 * piece && !outgoing.is_full(&place.room));
        assert!(on_disk(&outgoing) > 0);
        assert_eq!(outgoing.waiting(), 10 * piece as u64);
        let mut received = Vec::new();
        let mut buffer = vec![0; 1 << 20];
        while received.len() < 10 * piece {
            outgoing.flush(&one).unwrap();
            let count = two.read(&mut buffer).unwrap();
            received.extend_from_slice(&buffer[..count]);
        }
        let expected: Vec<_> = (b'a'..=b'j').flat_map(|letter| vec![letter; piece]).collect();
        assert!(received == expected);
        assert!(outgoing.is_empty() && matches!(outgoing.overflow, Overflow::None));
    }

    #[test]
    fn a_file_is_sent_in_order_also_where_each_part_is_read_ahead() {
        let (one, mut two) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let one = Socket::new(one.into());
        let content: Vec<_> = (0..3_000_000).map(|at: u32| (at % 251) as u8).collect();
        let mut file = unnamed_file::create(&std::env::temp_dir()).unwrap();
        file.write_all(&content).unwrap();
        let place = Place::ample();
        let mut outgoing = Outgoing::default();
        place.push(&mut outgoing, b"head".to_vec(), 0);
        outgoing.push_file(FileRange::new(Arc::new(file), 5, 2_900_000));
        assert_eq!(outgoing.waiting(), 2_900_004);
        let mut received = Vec::new();
        let mut buffer = vec![0; 1 << 20];
        while received.len() < 2_900_004 {
            match outgoing.flush(&one).unwrap() {
                Flushed::All | Flushed::Blocked(_) | Flushed::Paused(_) => {
                    let count = two.read(&mut buffer).unwrap();
                    received.extend_from_slice(&buffer[..count]);
                }
                Flushed::Cold(_) => {
                    let part = outgoing.cold_part(100_000).unwrap();
                    assert!(part.length > 0 && part.length <= 100_000);
                    outgoing.note_read_ahead(part.offset + part.length);
                }
            }
        }
        assert!(received[..4] == *b"head" && received[4..] == content[5..2_900_005]);
        assert!(outgoing.is_empty() && outgoing.cold_part(1).is_none());
    }

    #[test]
    fn without_a_disk_bytes_stay_in_memory() {
        let place =
            Place { spools: test_spools(std::path::PathBuf::from("/nowhere")), ..Place::ample() };
        let mut outgoing = Outgoing::default();
        for _ in 0..3 {
            place.push(&mut outgoing, vec![0; MEMORY_LIMIT], 0);
        }
        assert!(outgoing.is_full(&place.room));
        assert_eq!(outgoing.held, 3 * MEMORY_LIMIT);
    }

    #[test]
    fn waiting_bytes_go_to_disk_before_the_memory_of_a_worker_is_used_up() {
        let place = Place::new(1 << 20, 4 << 20);
        let mut outgoing: Vec<_> = (0..3).map(|_| Outgoing::default()).collect();
        place.push(&mut outgoing[0], vec![0; 800_000], 0);
        place.push(&mut outgoing[1], vec![0; 800_000], 100_000);
        assert_eq!((outgoing[0].held, outgoing[1].held), (800_000, 0));
        assert_eq!(on_disk(&outgoing[1]), 700_000);
        assert!(outgoing.iter().all(|it| !it.is_full(&place.room)));
        // The response is too large for both: its application waits.
        place.push(&mut outgoing[2], vec![0; 5 << 20], 0);
        assert!(outgoing[2].is_full(&place.room) && !outgoing[2].has_room(&place.room));
        outgoing[2].clear();
        assert!(outgoing[2].has_room(&place.room));
        outgoing[0].clear();
        place.push(&mut outgoing[2], vec![0; 800_000], 0);
        assert_eq!(outgoing[2].held, 800_000, "there is room again");
    }

    #[test]
    fn a_response_has_a_share_of_the_disk() {
        let place = Place::new(1 << 20, 4 << 20);
        let mut outgoing = Outgoing::default();
        for _ in 0..5 {
            place.push(&mut outgoing, vec![0; 600_000], 0);
        }
        // There is memory for one response, and then until its share is used.
        assert_eq!((on_disk(&outgoing), outgoing.held), (1_200_000, 1_800_000));
        assert!(outgoing.is_full(&place.room));
    }

    fn a_file(text: &[u8]) -> File {
        let mut made = unnamed_file::create(&std::env::temp_dir()).unwrap();
        made.write_all(text).unwrap();
        made.seek(SeekFrom::Start(0)).unwrap();
        made
    }

    #[test]
    fn pieces_go_in_order() {
        let (one, mut two) = UnixStream::pair().unwrap();
        let one = Socket::new(one.into());
        let place = Place::ample();
        let mut outgoing = Outgoing::default();
        place.push(&mut outgoing, b"xxab".to_vec(), 2);
        outgoing.push_file(FileRange::new(a_file(b"012345").into(), 1, 3));
        place.push(&mut outgoing, b"cd".to_vec(), 0);
        assert_eq!(outgoing.held, 4);
        assert_eq!(flush_warm(&mut outgoing, &one).unwrap(), Flushed::All);
        assert!(outgoing.is_empty());
        assert_eq!(outgoing.held, 0);
        drop(one);
        let mut received = String::new();
        two.read_to_string(&mut received).unwrap();
        assert_eq!(received, "ab123cd");
    }

    #[test]
    fn a_full_socket_keeps_the_rest() {
        let (one, mut two) = UnixStream::pair().unwrap();
        let one = Socket::new(one.into());
        let place = Place::ample();
        let mut outgoing = Outgoing::default();
        let length = 4 << 20;
        place.push(&mut outgoing, vec![b'a'; length], 0);
        let Flushed::Blocked(first) = flush_warm(&mut outgoing, &one).unwrap() else {
            panic!("the socket takes 4 MiB at once");
        };
        assert_eq!(outgoing.held as u64 + first, length as u64);
        let mut received = 0;
        let mut buffer = vec![0; 1 << 20];
        while received < length {
            received += two.read(&mut buffer).unwrap();
            flush_warm(&mut outgoing, &one).unwrap();
        }
        assert!(outgoing.is_empty());
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let (one, _two) = UnixStream::pair().unwrap();
        let one = Socket::new(one.into());
        let mut outgoing = Outgoing::default();
        outgoing.push_file(FileRange::new(a_file(b"012").into(), 0, 10));
        assert!(matches!(flush_warm(&mut outgoing, &one), Err(Failure::File(_))));
    }
}
