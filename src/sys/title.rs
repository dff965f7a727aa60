//! Sets the title of this process, which `ps` shows: it overwrites the memory with the
//! process's arguments.

use std::fs;
use std::sync::Mutex;

use crate::thread::require_single;

/// The maximum length of a thread's name, without the final NUL (`PR_SET_NAME`).
const THREAD_NAME: usize = 15;

/// The room that is made for titles, in bytes.
const USUAL: usize = 256;

/// The addresses of the memory that the kernel reads for `/proc/PID/cmdline`
/// (`proc_pid_stat(5)`, the fields from `arg_start` to `env_end`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    start: usize,
    arguments_end: usize,
    environment_end: usize,
    /// The end of the arguments, or of the last title.
    used: usize,
}

/// Found at the first call, while the arguments are still there.
static AREA: Mutex<Option<Area>> = Mutex::new(None);

/// Makes `title` this process's command line, cut to the memory that there is. If the
/// kernel does not report the addresses, nothing changes. If the memory of the arguments
/// is too small, the variables are moved to make room, unless the process has other
/// threads, which may be reading them.
pub fn set(title: &str) {
    let Ok(mut area) = AREA.lock() else { return };
    let Some(mut found) = area.or_else(find) else { return };
    // A later title may be longer, and the process may have other threads then.
    let wanted = title.len().max(if area.is_none() { USUAL } else { 0 });
    if wanted >= found.arguments_end - found.start {
        extend(&mut found);
    }
    write(&mut found, title.as_bytes());
    *area = Some(found);
    name_thread(title);
}

fn find() -> Option<Area> {
    let area = parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let ordered = area.start < area.arguments_end && area.arguments_end <= area.environment_end;
    (area.start != 0 && ordered).then_some(area)
}

/// Reads the addresses. The process's name is in parentheses and may have any characters.
fn parse(stat: &str) -> Option<Area> {
    let (_, fields) = stat.rsplit_once(')')?;
    // The first field after the name is the third.
    let fields: Vec<_> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok();
    let (start, arguments_end) = (field(48)?, field(49)?);
    let (environment_start, environment_end) = (field(50)?, field(51)?);
    let adjacent = environment_start == arguments_end;
    let environment_end = if adjacent { environment_end } else { arguments_end };
    Some(Area { start, arguments_end, environment_end, used: arguments_end })
}

/// Copies the variables to other memory, so that theirs can be used too.
fn extend(area: &mut Area) {
    if area.environment_end == area.arguments_end || require_single().is_err() {
        return;
    }
    for (name, value) in std::env::vars_os() {
        // SAFETY: there is no other thread that could read the environment.
        // setenv(3) copies the text and lets `environ` point to the copy.
        unsafe { std::env::set_var(name, value) };
    }
    area.arguments_end = area.environment_end;
}

/// Writes the title over as little of the environment as possible, since tools read the
/// environment there.
fn write(area: &mut Area, title: &[u8]) {
    let length = title.len().min(area.arguments_end - area.start - 1);
    let end = (area.start + length + 1).max(area.used);
    let start = std::ptr::with_exposed_provenance_mut::<u8>(area.start);
    // SAFETY: the kernel has named this memory, which is the process's stack;
    // nothing refers to its text any more, since the variables were moved and
    // arguments are copied when a program starts.
    let memory = unsafe { std::slice::from_raw_parts_mut(start, end - area.start) };
    let (text, rest) = memory.split_at_mut(length);
    text.copy_from_slice(&title[..length]);
    rest.fill(0);
    area.used = end;
}

/// Names the thread by the first word of the title, which `top` shows.
fn name_thread(title: &str) {
    let word = title.split([' ', ':']).next().unwrap_or_default();
    let mut name = [0u8; THREAD_NAME + 1];
    let length = word.len().min(THREAD_NAME);
    name[..length].copy_from_slice(&word.as_bytes()[..length]);
    // SAFETY: the name is a C string; prctl(2) cannot fail for it.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_read_behind_any_name() {
        let mut stat = "7 (a) b) R".to_owned();
        for field in 4..=52 {
            stat.push_str(&format!(" {}", if field == 50 { 490 } else { field * 10 }));
        }
        let area = Area { start: 480, arguments_end: 490, environment_end: 510, used: 490 };
        assert_eq!(parse(&stat), Some(area));
        assert_eq!(parse("7 (x) R 1 2"), None);
    }

    #[test]
    fn this_process_has_an_area() {
        let area = find().unwrap();
        assert!(area.start < area.arguments_end);
    }
}
