//! Owns the watch of the files that `reload` is about: inotify(7), polling in its place, and
//! which files there are. Without a generation that has `reload` it does nothing. Called by the
//! event loop only.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use monoceros_config::{DEFAULT_FILES, ReloadEngine};
use monoceros_sys::directory_watch::{DirectoryWatch, UnwatchedDirectories, WatchedNames};
use monoceros_sys::disk::is_shared;
use monoceros_sys::reason;
use monoceros_wire::Generation;

use crate::master::act::generations::Generations;
use crate::master::act::poller::{PollSource, Poller};
use crate::master::act::processes::Processes;
use crate::master::act::reported_sources::{ReportedSources, SourceReport};
use crate::master::act::source_scan::{SourceScan, WatchedPaths};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::event::MasterEvent;
use crate::master::decide::source_watch::{SourceWatch, UnixTime, describe, describe_own};

/// How often files are looked at again because the directories have changed meanwhile.
const MAX_SCANS: usize = 3;

/// What the log has about workers of class exec.
const PROGRAM: &str = "reload watches the configuration and reload-extra-file only: a program does \
                       not report its files";

/// Files with variables that many projects read at their start. A program reads them by code that
/// is not an import, so they are in no report.
const VARIABLES: [&str; 2] = [".env", ".flaskenv"];

/// The watch of the files that `reload` is about.
pub(crate) struct SourceFilesWatch {
    /// The directory that the server was started in.
    directory: PathBuf,
    list: WatchedPaths,
    reported: ReportedSources,
    /// When each generation has begun to read its files.
    began: BTreeMap<Generation, UnixTime>,
    watch: SourceWatch,
    engine: ReloadEngine,
    /// `None` while nothing is watched, and if the kernel has none left.
    inotify: Option<DirectoryWatch>,
    /// The names that inotify(7) watches.
    names: WatchedNames,
    /// Files are polled too.
    is_polling: bool,
    /// The log has why.
    is_explained: bool,
    /// The log has what is not watched of workers of class exec.
    has_warned: bool,
}

impl SourceFilesWatch {
    /// Without any file.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            list: WatchedPaths::default(),
            reported: ReportedSources::default(),
            began: BTreeMap::new(),
            watch: SourceWatch::default(),
            engine: ReloadEngine::Auto,
            inotify: None,
            names: WatchedNames::new(),
            is_polling: false,
            is_explained: false,
            has_warned: false,
        }
    }

    /// When files must be looked at.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.watch.deadline()
    }

    /// The generations are others now: watches the files of those that have `reload`.
    pub(crate) fn follow(
        &mut self,
        generations: &Generations,
        processes: &Processes,
        poller: &Poller,
    ) {
        let now = now_in_unix_time();
        let known: BTreeSet<_> = generations.all().map(|(generation, _)| generation).collect();
        self.began.retain(|generation, _| known.contains(generation));
        for generation in &known {
            self.began.entry(*generation).or_insert_with(|| {
                self.watch.begin_load(now);
                now
            });
        }
        if let (Some(current), Some(newest)) = (known.first(), known.last()) {
            self.reported.keep(*current, *newest, |worker| processes.is_running(worker));
        }
        self.watch_files(generations, now, poller);
    }

    /// Workers and molds have read files.
    pub(crate) fn note_reports(
        &mut self,
        reports: Vec<SourceReport>,
        generations: &Generations,
        poller: &Poller,
    ) {
        for report in reports {
            let began = self.began.get(&report.generation).copied();
            let is_newest = self.began.keys().next_back() == Some(&report.generation);
            if self.reported.add(report) {
                if is_newest {
                    self.watch.end_load(now_in_unix_time(), Instant::now());
                }
                self.watch_files(generations, began.unwrap_or_else(now_in_unix_time), poller);
            }
        }
    }

    /// Watches everything that the generations with `reload` have. `began` is when an older state
    /// of a file that was not watched before may have been read.
    fn watch_files(&mut self, generations: &Generations, began: UnixTime, poller: &Poller) {
        let mut list = WatchedPaths::default();
        for spec in generations.specs().filter(|spec| spec.reloads()) {
            if !spec.kind.can_preload() && !std::mem::replace(&mut self.has_warned, true) {
                log::info!("{PROGRAM}");
            }
            self.engine = spec.settings.reload_engine;
            list.extend(self.files_of(spec));
        }
        if !list.is_empty() {
            self.reported.add_to(&mut list);
        }
        if list != self.list {
            self.list = list;
            self.watch_list(began, poller);
        }
    }

    /// The files of the configuration, those that it names, and those with variables.
    fn files_of(&self, spec: &WorkerSpec) -> Vec<PathBuf> {
        let python = spec.mold_file.as_ref().and_then(|file| file.path.clone());
        let mut files: Vec<_> = spec.config_file.iter().cloned().chain(python).collect();
        if spec.settings.config.is_none() {
            files.extend(DEFAULT_FILES.map(|name| self.directory.join(name)));
        }
        let more = spec.settings.reload_extra_file.iter().map(|it| spec.directory.join(it));
        files.extend(more.chain(VARIABLES.map(|it| spec.directory.join(it))));
        files
    }

    fn watch_list(&mut self, began: UnixTime, poller: &Poller) {
        if self.list.is_empty() {
            if let Some(inotify) = self.inotify.take() {
                poller.deregister(inotify.as_fd());
            }
            (self.watch, self.names) = Default::default();
            return;
        }
        let now = Instant::now();
        self.is_polling = self.engine == ReloadEngine::Poll;
        // What changes before the directories are watched is found by the look that follows soon.
        let scan = SourceScan::of(&self.list);
        self.watch_names(&scan.names, poller);
        if self.engine == ReloadEngine::Auto
            && let Some(directory) = scan.devices.values().find(|it| is_shared(it).unwrap_or(false))
        {
            let why = format!("{} is on a file system that others can change", directory.display());
            self.poll_because(&why);
        }
        self.watch.follow(scan.states, began, now);
        self.watch.set_poll(self.is_polling.then(|| now.elapsed()), Instant::now());
    }

    /// Looks at all files, and watches the directories that they are in. A directory that is new
    /// is watched before it is looked at.
    fn scan(&mut self, poller: &Poller) -> SourceScan {
        let mut scan = SourceScan::of(&self.list);
        for _ in 1..MAX_SCANS {
            if !self.watch_names(&scan.names, poller) {
                break;
            }
            scan = SourceScan::of(&self.list);
        }
        scan
    }

    /// Has inotify(7) watch these names. Returns whether they are others than before.
    fn watch_names(&mut self, names: &WatchedNames, poller: &Poller) -> bool {
        if self.engine == ReloadEngine::Poll {
            return false;
        }
        if self.inotify.is_none() {
            match open(poller) {
                Ok(inotify) => self.inotify = Some(inotify),
                Err(error) => self.poll_because(&format!("inotify: {}", reason(&error))),
            }
        }
        let Some(inotify) = &mut self.inotify else { return false };
        // A directory that was replaced has the same names, and is watched anew.
        let unwatched = inotify.watch(names.clone());
        if let Some(why) = explain(&unwatched) {
            self.poll_because(&why);
        }
        let is_new = *names != self.names;
        self.names.clone_from(names);
        is_new
    }

    fn poll_because(&mut self, why: &str) {
        self.is_polling = true;
        if !std::mem::replace(&mut self.is_explained, true) {
            log::warn!("{why}; files are polled for changes, which are noticed after a second");
        }
    }

    /// Reads what inotify(7) has noticed.
    pub(crate) fn note_changes(&mut self, now: Instant) {
        if self.inotify.as_mut().is_some_and(DirectoryWatch::take) {
            self.watch.note_stir(now);
        }
    }

    /// Looks at the files if it is time for that. Returns the event of a change.
    pub(crate) fn look(&mut self, poller: &Poller) -> Option<MasterEvent> {
        let begin = Instant::now();
        if !self.watch.is_due(begin) {
            return None;
        }
        let scan = self.scan(poller);
        let now = Instant::now();
        let found = self.watch.note_look(scan.states, now);
        self.watch.set_poll(self.is_polling.then(|| begin.elapsed()), Instant::now());
        if !found.own.is_empty() {
            log::warn!("{}", describe_own(&found.own, &self.directory));
        }
        let text = describe(&found.changed, &self.directory);
        (!found.changed.is_empty()).then_some(MasterEvent::SourcesChanged { text })
    }
}

fn open(poller: &Poller) -> io::Result<DirectoryWatch> {
    let inotify = DirectoryWatch::new()?;
    poller.register(inotify.as_fd(), PollSource::SourceFiles)?;
    Ok(inotify)
}

/// Why directories are not watched, unless it is that they have gone.
fn explain(unwatched: &UnwatchedDirectories) -> Option<String> {
    let is_gone = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    };
    let mut failed = unwatched.iter().filter(|(_, error)| !is_gone(error));
    let (path, error) = failed.next()?;
    let path = path.display();
    if error.kind() != io::ErrorKind::StorageFull {
        return Some(format!("cannot watch {path}: {}", reason(error)));
    }
    Some(format!(
        "cannot watch {} directories, such as {path}: fs.inotify.max_user_watches is used up; \
         raise it with sysctl",
        1 + failed.count(),
    ))
}

fn now_in_unix_time() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs().cast_signed(), i64::from(since.subsec_nanos()))
}
