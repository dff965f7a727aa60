//! The pages of this process's own program: how many of them it keeps mapped.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr;

use crate::memory::page_size;

/// Unmaps the pages of the program's code and constants. They stay in the kernel's page cache,
/// and each is mapped again when it is next used. What the process writes to is not touched:
/// that could not be read from the file again.
///
/// Where memory is locked (`mlockall(2)`), nothing changes. Breakpoints that a debugger has set
/// are lost.
pub fn release() {
    for Range { start, end } in read_only_segments() {
        let start = ptr::with_exposed_provenance_mut::<c_void>(start);
        // SAFETY: whole pages within a segment of the program that is mapped, privately, from its
        // file, and that is never written to: its program header has no PF_W, and the linker
        // makes no relocations in such a segment (no DT_TEXTREL). A page that is dropped is read
        // from the file again, with the same bytes.
        unsafe { libc::madvise(start, end.wrapping_sub(start.addr()), libc::MADV_DONTNEED) };
    }
}

/// The addresses of the whole pages in the segments of the program that cannot be written to.
fn read_only_segments() -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // SAFETY: the callback is called before this call returns, and gets the pointer to `found`,
    // which lives longer and is not used meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(add_segments), (&raw mut found).cast()) };
    found
}

/// Adds the segments of the first object, which is the program itself (`dl_iterate_phdr(3)`), and
/// ends the iteration.
///
/// # Safety
/// `info` is as the dynamic linker makes it; `found` is the list of [`read_only_segments`].
unsafe extern "C" fn add_segments(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    found: *mut c_void,
) -> c_int {
    // SAFETY: by the contract, the pointer is valid, and nothing writes to it.
    let info = unsafe { &*info };
    // SAFETY: by the contract, the pointer is valid, and there is no other reference.
    let found = unsafe { &mut *found.cast::<Vec<Range<usize>>>() };
    // SAFETY: the dynamic linker reports as many headers, and they stay until the program ends.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let page = page_size() as usize;
    for header in headers {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            let end = start.wrapping_add(header.p_filesz as usize);
            let pages = start.next_multiple_of(page)..end / page * page;
            found.extend((pages.start < pages.end).then_some(pages));
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of these addresses is mapped in, in KB (`smaps` in `proc(5)`).
    fn resident(pages: &Range<usize>) -> u64 {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_inside = false;
        let mut sum = 0;
        for line in text.lines() {
            let first = line.split_whitespace().next().unwrap();
            let addresses = first.split_once('-').and_then(|(start, end)| {
                let number = |text| usize::from_str_radix(text, 16).ok();
                Some(number(start)?..number(end)?)
            });
            if let Some(found) = addresses {
                is_inside = found.start < pages.end && pages.start < found.end;
            } else if let (true, Some(size)) = (is_inside, line.strip_prefix("Rss:")) {
                sum += size.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            }
        }
        sum
    }

    #[test]
    fn pages_that_are_released_are_read_again_when_they_are_used() {
        let segments = read_only_segments();
        let code = pages_that_are_released_are_read_again_when_they_are_used as fn() as usize;
        assert!(segments.iter().any(|it| it.contains(&code)), "{segments:x?}");
        let read = || {
            let pages = segments.iter().flat_map(|it| it.clone().step_by(page_size() as usize));
            let byte = |page| {
                // SAFETY: a byte of a segment that is mapped and can be read.
                unsafe { ptr::with_exposed_provenance::<u8>(page).read_volatile() }
            };
            pages.map(byte).collect::<Vec<_>>()
        };
        let resident = || segments.iter().map(resident).sum::<u64>();
        let (before, all) = (read(), resident());
        release();
        let rest = resident();
        assert!(rest < all, "{rest} of {all} KB");
        assert!(read() == before);
    }
}
