//! The files that workers and molds report to have read. Owned by `source_watch.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use monoceros_config::raw::bytes_of;
use monoceros_wire::Generation;
use monoceros_wire::source_files::SourceFiles;

use crate::master::act::source_scan::WatchedPaths;
use crate::master::decide::id::WorkerId;

/// The most paths that are taken from one process.
const MAX_PATHS: usize = 100_000;

/// A report of one process.
pub(crate) struct SourceReport {
    /// The worker or mold.
    pub(crate) worker: WorkerId,
    /// Its generation.
    pub(crate) generation: Generation,
    /// The files.
    pub(crate) files: SourceFiles,
}

/// The files of each process, also of one that has ended: a file that has kept it from serving
/// may be corrected.
#[derive(Debug, Default)]
pub(crate) struct ReportedSources(BTreeMap<WorkerId, ProcessSources>);

#[derive(Debug)]
struct ProcessSources {
    generation: Generation,
    list: WatchedPaths,
}

impl ReportedSources {
    /// Adds a report. Returns whether it is complete.
    pub(crate) fn add(&mut self, report: SourceReport) -> bool {
        let SourceReport { worker, generation, files } = report;
        let known = ProcessSources { generation, list: WatchedPaths::default() };
        let list = &mut self.0.entry(worker).or_insert(known).list;
        if list.len() < MAX_PATHS {
            let paths = files.paths.into_iter().map(|text| PathBuf::from(bytes_of(&text)));
            list.extend(paths.filter(|path| path.is_absolute()));
        }
        !files.continues
    }

    /// Forgets the processes that have ended and whose code is neither the one that serves nor
    /// one of the last two that were to replace it.
    pub(crate) fn keep(
        &mut self,
        current: Generation,
        newest: Generation,
        is_running: impl Fn(WorkerId) -> bool,
    ) {
        let is_recent = |it: Generation| it == current || it.0.saturating_add(1) >= newest.0;
        self.0.retain(|worker, process| {
            is_running(*worker) || process.generation >= current && is_recent(process.generation)
        });
    }

    /// Adds everything to a list.
    pub(crate) fn add_to(&self, list: &mut WatchedPaths) {
        for process in self.0.values() {
            list.extend(process.list.iter().cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(number: u64, generation: u32, file: &str) -> SourceReport {
        SourceReport {
            worker: WorkerId(number),
            generation: Generation(generation),
            files: SourceFiles { paths: vec![file.to_owned()], ..SourceFiles::default() },
        }
    }

    fn files(reported: &ReportedSources) -> Vec<String> {
        let mut list = WatchedPaths::default();
        reported.add_to(&mut list);
        list.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_files_of_code_that_may_serve_again_are_kept() {
        let mut reported = ReportedSources::default();
        for generation in 1..=5 {
            let file = format!("/{generation}");
            assert!(reported.add(report(u64::from(generation), generation, &file)));
        }
        assert!(reported.add(report(9, 1, "/mold")));
        reported.keep(Generation(2), Generation(5), |worker| worker == WorkerId(9));
        assert_eq!(files(&reported), ["/2", "/4", "/5", "/mold"]);
    }

    #[test]
    fn a_report_comes_in_parts_and_has_absolute_paths() {
        let mut reported = ReportedSources::default();
        let mut part = report(1, 1, "/a");
        part.files.continues = true;
        assert!(!reported.add(part));
        assert!(reported.add(report(1, 1, "relative")));
        assert_eq!(files(&reported), ["/a"]);
    }
}
