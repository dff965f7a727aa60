//! Background threads: they do what may wait for a disk. Owned by the work of a turn; only
//! the loop gives tasks to them, and gets the results from its mailbox.
//!
//! A connection, or a stream of one, waits for one task at a time. So there are no more
//! tasks than connections and streams, and the queue needs no limit of its own.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use monoceros_sys::{reason, thread};

use crate::handoff::task::{Task, TaskResult, Ticket};
use crate::handoff::wait::lock;
use crate::shared::Shared;
use crate::stream::content::FilePart;

/// How many threads there are at most. A thread begins when a task finds none that waits.
/// Several, because one of them may wait long for a disk that does not respond.
const THREADS: usize = 4;

/// How much of a file is read at once.
const BLOCK: usize = 128 * 1024;

/// The threads and their queue.
#[derive(Clone)]
pub(crate) struct Background {
    shared: Arc<Shared>,
    queue: Arc<TaskQueue>,
}

/// The tasks that no thread has begun.
#[derive(Default)]
struct TaskQueue {
    state: Mutex<QueueState>,
    bell: Condvar,
}

#[derive(Default)]
struct QueueState {
    tasks: VecDeque<(Ticket, Task)>,
    threads: usize,
    /// Threads that wait for a task.
    idle: usize,
}

impl Background {
    /// No thread yet.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, queue: Arc::default() }
    }

    /// Gives a task to a thread. Its result comes with the messages to the loop.
    pub(crate) fn submit(&self, ticket: Ticket, task: Task) {
        let mut state = lock(&self.queue.state);
        state.tasks.push_back((ticket, task));
        let needs_thread = state.tasks.len() > state.idle && state.threads < THREADS;
        if !needs_thread {
            drop(state);
            return self.queue.bell.notify_one();
        }
        state.threads += 1;
        drop(state);
        if let Err(error) = self.start_thread() {
            let mut state = lock(&self.queue.state);
            state.threads -= 1;
            let task = if state.threads == 0 { state.tasks.pop_front() } else { None };
            drop(state);
            if let Some((ticket, task)) = task {
                log::warn!("cannot start a background thread: {}", reason(&error));
                self.run(ticket, task, &mut Vec::new());
            }
        }
    }

    fn start_thread(&self) -> io::Result<()> {
        let background = self.clone();
        let work = move || background.work();
        std::thread::Builder::new().name("monoceros-disk".to_owned()).spawn(work).map(drop)
    }

    /// A thread: does one task after the other, until the process ends.
    fn work(&self) {
        // The application's threads, and the loop, expect to be interrupted by signals.
        if let Err(error) = thread::block_signals() {
            log::warn!("cannot block signals on a background thread: {}", reason(&error));
        }
        let mut block = vec![0; BLOCK];
        loop {
            let (ticket, task) = self.queue.take();
            self.run(ticket, task, &mut block);
        }
    }

    fn run(&self, ticket: Ticket, task: Task, block: &mut Vec<u8>) {
        let result = match task {
            Task::Decide(decide) => {
                // The panic is logged by its hook.
                TaskResult::Decided(catch_unwind(AssertUnwindSafe(decide)).ok())
            }
            Task::ReadAhead(part) => TaskResult::ReadAhead(read_ahead(&part, block)),
        };
        self.shared.handoff.mailbox.push_result((ticket, result));
        self.shared.handoff.wake_loop();
    }
}

impl TaskQueue {
    /// Waits for a task.
    fn take(&self) -> (Ticket, Task) {
        let mut state = lock(&self.state);
        loop {
            if let Some(task) = state.tasks.pop_front() {
                return task;
            }
            state.idle += 1;
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// Reads a part of a file, so that the kernel has it in memory. Returns the offset up to
/// which sending it need not wait any more.
fn read_ahead(part: &FilePart, block: &mut Vec<u8>) -> u64 {
    block.resize(BLOCK, 0);
    let end = part.offset.saturating_add(part.length);
    let mut at = part.offset;
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
        match part.file.read_at(&mut block[..most], at) {
            Ok(count @ 1..) => at += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The end, or an error, which sending returns as well.
            Ok(0) | Err(_) => return end,
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_ahead_ends_with_the_part_or_the_file() {
        let file = monoceros_sys::unnamed_file::create(&std::env::temp_dir()).unwrap();
        file.set_len(3 * BLOCK as u64).unwrap();
        let part =
            |offset, length| FilePart { file: file.try_clone().unwrap().into(), offset, length };
        let mut block = Vec::new();
        for (offset, length) in [(0, 1), (5, 2 * BLOCK as u64), (BLOCK as u64, 10 * BLOCK as u64)] {
            assert_eq!(read_ahead(&part(offset, length), &mut block), offset + length);
        }
    }
}
