//! Finds what the application has made at import and a fork does not copy, or shares:
//! threads, sockets, epoll descriptors.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use monoceros_sys::descriptor;
use pyo3::prelude::*;

/// The threads and descriptors of this process at a point in time.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// The targets of descriptors in `/proc/self/fd`, by their numbers.
    descriptors: BTreeMap<i32, String>,
    /// Threads by the kernel's numbers.
    threads: BTreeMap<i32, ExtraThread>,
}

/// A thread beside the main one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ExtraThread {
    /// A thread that Python knows, with its name there.
    Python(String),
    /// A thread that a library has started, with its name in the kernel.
    Native(String),
}

impl Inventory {
    /// Lists the threads and descriptors.
    pub(crate) fn take(py: Python) -> Self {
        Self { descriptors: find_descriptors(), threads: find_threads(py) }
    }

    /// Lists what was not there `before`, with advice for each; `None` if there is
    /// nothing.
    pub(crate) fn left_since(&self, before: &Self) -> Option<String> {
        let threads = self.threads.iter().filter(|(id, _)| !before.threads.contains_key(id));
        let threads = threads.map(|(_, thread)| tell_thread(thread));
        let new = |(number, target): &(&i32, &String)| {
            before.descriptors.get(number).is_none_or(|known| known != *target)
        };
        let descriptors = self.descriptors.iter().filter(new);
        let descriptors = descriptors.filter_map(|(number, target)| tell(*number, target));
        let lines: Vec<_> = threads.chain(descriptors).map(|it| format!("\n  {it}")).collect();
        (!lines.is_empty()).then(|| {
            format!(
                "the application has made at import what a fork does not copy:{}",
                lines.concat()
            )
        })
    }
}

fn tell_thread(thread: &ExtraThread) -> String {
    match thread {
        ExtraThread::Python(name) => format!(
            "thread {name:?} runs in no worker: start it on a worker's first request, or in \
             os.register_at_fork(after_in_child=...)"
        ),
        ExtraThread::Native(name) => format!(
            "native thread {name:?} runs in no worker: set its library up on a worker's first \
             request, unless it does so itself after a fork, as OpenBLAS does"
        ),
    }
}

/// The advice for a descriptor, if a fork does not copy it as a program expects.
fn tell(number: i32, target: &str) -> Option<String> {
    if target.starts_with("socket:") {
        let peer = peer(number).map(|peer| format!(" to {peer}")).unwrap_or_default();
        return Some(format!(
            "socket {number}{peer} is one and the same in all workers: close it when the import \
             is done, and let each worker open its own"
        ));
    }
    let kind = match target {
        "anon_inode:[eventpoll]" => "epoll descriptor",
        "anon_inode:[io_uring]" => "io_uring",
        _ => return None,
    };
    Some(format!(
        "{kind} {number} is one and the same in all workers: make the event loop that has it in \
         each worker instead"
    ))
}

/// The peer of a socket, if it has a name.
fn peer(number: i32) -> Option<String> {
    let socket = descriptor::duplicate(number).ok()?;
    // getpeername(2) works for every family; the result names it.
    let socket = TcpStream::from(socket);
    if let Ok(address) = socket.peer_addr() {
        return Some(address.to_string());
    }
    let socket = UnixStream::from(std::os::fd::OwnedFd::from(socket));
    let address = socket.peer_addr().ok()?;
    Some(address.as_pathname()?.display().to_string())
}

fn find_descriptors() -> BTreeMap<i32, String> {
    // Without /proc there is nothing to compare, and nothing to warn of.
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let described = entries.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, fs::read_link(entry.path()).ok()?.display().to_string()))
    });
    described.collect()
}

fn find_threads(py: Python) -> BTreeMap<i32, ExtraThread> {
    let known = python_threads(py).unwrap_or_default();
    let main = std::process::id().cast_signed();
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads = entries.filter_map(|entry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let thread = match known.get(&id) {
            Some(name) => ExtraThread::Python(name.clone()),
            None => {
                let name = fs::read_to_string(entry.path().join("comm")).ok()?;
                ExtraThread::Native(name.trim_end().to_owned())
            }
        };
        (id != main).then_some((id, thread))
    });
    threads.collect()
}

/// The names of Python's threads, by the kernel's numbers. A process that has not
/// loaded `threading` has none but the main one.
fn python_threads(py: Python) -> PyResult<BTreeMap<i32, String>> {
    let modules = py.import("sys")?.getattr("modules")?;
    let mut names = BTreeMap::new();
    if modules.contains("threading")? {
        let threads = modules.get_item("threading")?.call_method0("enumerate")?;
        for thread in threads.try_iter()? {
            let thread = thread?;
            if let Ok(id) = thread.getattr("native_id")?.extract() {
                names.insert(id, thread.getattr("name")?.extract()?);
            }
        }
    }
    Ok(names)
}
