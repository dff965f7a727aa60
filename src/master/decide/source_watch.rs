//! Owns when the files that `reload` watches are looked at, and which changes reload. Touches no
//! file. Called by `act/source_watch.rs` only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The time without another change after which files are looked at: editors and tools write
/// several times, and several files.
const QUIET_TIME: Duration = Duration::from_millis(50);
/// The maximum time from the first change to the look, while changes go on.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// The minimum time from one poll to the next.
const MIN_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How many times longer than a poll the pause after it is: polling takes less than 1 % of a
/// processor.
const POLL_PAUSE: u32 = 150;
/// How long the application may write files after it was loaded: from threads that it starts when it
/// is imported.
const SECONDS_AFTER_LOAD: i64 = 1;
/// How often in a row a file may be written while the application is being loaded, or right after
/// that. A person or a tool that saves a file again and again may do so a few times.
const MAX_OWN_WRITES: u32 = 10;
/// The most files that a line of the log names.
const MAX_NAMES: usize = 3;

/// Seconds and nanoseconds since 1970, as the kernel has the times of files.
pub(crate) type UnixTime = (i64, i64);

/// The state of every file that is watched: `None` if there is no such file.
pub(crate) type FileStates = BTreeMap<PathBuf, Option<SourceStamp>>;

/// What changes when a file is written to, or another one takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceStamp {
    /// The device and the inode.
    pub(crate) file: (u64, u64),
    /// The size in bytes.
    pub(crate) size: u64,
    /// When it was modified, in seconds and nanoseconds.
    pub(crate) modified: UnixTime,
    /// When it was modified, moved or linked, which no program can set.
    pub(crate) changed: UnixTime,
}

/// What has changed since the last reload, and when to look.
#[derive(Debug, Default)]
pub(crate) struct SourceWatch {
    known: FileStates,
    /// The first and the last sign of a change that was not looked at.
    stirred: Option<(Instant, Instant)>,
    /// The next poll, if files are polled.
    poll: Option<Instant>,
    /// Files that have changed after a process may have read them, and before they were watched.
    late: BTreeSet<PathBuf>,
    /// All files that were among them. A file that the application writes when it is loaded would
    /// reload without end.
    were_late: BTreeSet<PathBuf>,
    /// When the newest code began to be loaded, and when it was.
    load: Option<(UnixTime, Option<UnixTime>)>,
    /// How often in a row files were written while code was being loaded.
    own_writes: BTreeMap<PathBuf, u32>,
    /// Files that were left out for the first time: a person may have written them after they
    /// were read. They count as changed once more when the code is loaded.
    doubtful: BTreeSet<PathBuf>,
}

/// What a look has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundChanges {
    /// Files that have changed: a reason to reload.
    pub(crate) changed: BTreeSet<PathBuf>,
    /// Files that the application writes whenever it is loaded, as has shown now. Such a write is
    /// no reason any more.
    pub(crate) own: BTreeSet<PathBuf>,
}

impl SourceWatch {
    /// When files must be looked at.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let look = self.stirred.map(|(first, last)| (last + QUIET_TIME).min(first + MAX_DELAY));
        look.into_iter().chain(self.poll).min()
    }

    /// A file may have changed.
    pub(crate) fn note_stir(&mut self, now: Instant) {
        let first = self.stirred.map_or(now, |(first, _)| first);
        self.stirred = Some((first, now));
    }

    /// The files that are watched are others now; this is their state. A file that was not watched
    /// before, and has changed since `began`, counts as changed: an older state of it may have been
    /// read.
    pub(crate) fn follow(&mut self, mut states: FileStates, began: UnixTime, now: Instant) {
        for (path, state) in &mut states {
            if let Some(known) = self.known.get(path) {
                *state = *known;
            } else if state.is_some_and(|it| it.changed >= began)
                && self.were_late.insert(path.clone())
            {
                self.late.insert(path.clone());
            }
        }
        self.known = states;
        self.late.retain(|path| self.known.contains_key(path));
        // A known file may have changed while it was not watched.
        self.note_stir(now);
    }

    /// Whether files must be looked at now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }

    /// New code begins to be loaded.
    pub(crate) fn begin_load(&mut self, at: UnixTime) {
        self.load = Some((at, None));
    }

    /// The newest code is loaded, or cannot be.
    pub(crate) fn end_load(&mut self, at: UnixTime, now: Instant) {
        if let Some((_, end @ None)) = &mut self.load {
            *end = Some(at);
            if !self.doubtful.is_empty() {
                self.note_stir(now);
            }
        }
    }

    /// Files were looked at. Returns those that have changed, unless they may still be changing.
    pub(crate) fn note_look(&mut self, states: FileStates, now: Instant) -> FoundChanges {
        let is_settled = self.stirred.take().is_some();
        let changed = changed_paths(&self.known, &states);
        if !is_settled {
            if !changed.is_empty() {
                self.note_stir(now);
            }
            return FoundChanges::default();
        }
        self.known = states;
        let late = std::mem::take(&mut self.late);
        let mut found = self.without_own(changed.into_iter().chain(late).collect());
        if !found.own.is_empty() {
            self.doubtful.extend(found.own.iter().cloned());
            self.note_stir(now);
        } else if self.load.is_some_and(|(_, end)| end.is_some()) {
            found.changed.append(&mut self.doubtful);
        }
        found
    }

    /// Leaves out what the application writes whenever it is loaded: it would reload without end.
    fn without_own(&mut self, changed: BTreeSet<PathBuf>) -> FoundChanges {
        let mut found = FoundChanges::default();
        for path in changed {
            let is_own = self.is_own(&path);
            let count = self.own_writes.entry(path.clone()).or_default();
            *count = match (is_own, *count) {
                (true, count) => count.saturating_add(1),
                // The reload that follows may write it once more.
                (false, count) if count > MAX_OWN_WRITES => MAX_OWN_WRITES,
                (false, _) => 0,
            };
            if *count <= MAX_OWN_WRITES {
                found.changed.insert(path);
            } else if *count == MAX_OWN_WRITES + 1 {
                found.own.insert(path);
            }
        }
        self.own_writes.retain(|_, count| *count > 0);
        found
    }

    /// The last change of a file was made while code was being loaded, or right after that.
    fn is_own(&self, path: &Path) -> bool {
        let stamp = self.known.get(path).copied().flatten();
        stamp.zip(self.load).is_some_and(|(stamp, (begin, end))| {
            let last = end.map(|(seconds, rest)| (seconds + SECONDS_AFTER_LOAD, rest));
            stamp.changed >= begin && last.is_none_or(|last| stamp.changed <= last)
        })
    }

    /// Files are polled, and a look at them takes this long; `None` if they are not polled.
    pub(crate) fn set_poll(&mut self, cost: Option<Duration>, now: Instant) {
        self.poll = cost.map(|cost| now + (cost * POLL_PAUSE).max(MIN_POLL_INTERVAL));
    }
}

/// The files whose states differ.
fn changed_paths(before: &FileStates, after: &FileStates) -> BTreeSet<PathBuf> {
    let state = |states: &FileStates, path| states.get(path).copied().flatten();
    let paths = before.keys().chain(after.keys());
    paths.filter(|path| state(before, *path) != state(after, *path)).cloned().collect()
}

/// What has changed, for people.
pub(crate) fn describe(changed: &BTreeSet<PathBuf>, directory: &Path) -> String {
    let verb = if changed.len() == 1 { "has" } else { "have" };
    format!("{} {verb} changed", names(changed, directory))
}

/// What the application writes by itself, for people.
pub(crate) fn describe_own(own: &BTreeSet<PathBuf>, directory: &Path) -> String {
    let verb = if own.len() == 1 { "is" } else { "are" };
    format!(
        "{} {verb} written whenever the application is loaded: such a change reloads nothing any \
         more; any other change still does",
        names(own, directory)
    )
}

/// A few names, relative to the directory of the server.
fn names(paths: &BTreeSet<PathBuf>, directory: &Path) -> String {
    let name = |path: &PathBuf| path.strip_prefix(directory).unwrap_or(path).display().to_string();
    let names: Vec<_> = paths.iter().take(MAX_NAMES).map(name).collect();
    match paths.len().saturating_sub(names.len()) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: (i64, i64) = (1000, 0);

    fn stamp(inode: u64, changed: i64) -> Option<SourceStamp> {
        Some(SourceStamp { file: (1, inode), size: 1, modified: (1, 0), changed: (changed, 0) })
    }

    fn states(files: &[(&str, Option<SourceStamp>)]) -> FileStates {
        files.iter().map(|(path, stamp)| (PathBuf::from(path), *stamp)).collect()
    }

    fn paths(names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    /// A watch of these files, which were looked at.
    fn watching(files: &[(&str, Option<SourceStamp>)], now: Instant) -> SourceWatch {
        let mut watch = SourceWatch::default();
        watch.follow(states(files), BEGAN, now);
        assert_eq!(look(&mut watch, states(files), now), paths(&[]));
        watch
    }

    fn look(watch: &mut SourceWatch, states: FileStates, now: Instant) -> BTreeSet<PathBuf> {
        watch.note_look(states, now).changed
    }

    #[test]
    fn changes_are_looked_at_when_they_pause_or_after_a_second() {
        let begin = Instant::now();
        let mut watch = watching(&[("/a", stamp(1, 1))], begin);
        assert_eq!(watch.deadline(), None);
        watch.note_stir(begin);
        let mut now = begin + QUIET_TIME / 2;
        watch.note_stir(now);
        assert_eq!(watch.deadline(), Some(now + QUIET_TIME), "the last change counts");
        while !watch.is_due(now) {
            watch.note_stir(now);
            now += QUIET_TIME / 2;
        }
        assert_eq!(now, begin + MAX_DELAY);
    }

    #[test]
    fn a_file_that_is_written_replaced_made_or_removed_has_changed() {
        let now = Instant::now();
        let before = [("/a", stamp(1, 1)), ("/b", stamp(2, 1)), ("/c", None), ("/d", stamp(4, 1))];
        let after = [("/a", stamp(9, 1)), ("/b", stamp(2, 2)), ("/c", stamp(3, 1)), ("/d", None)];
        let mut watch = watching(&before, now);
        watch.note_stir(now);
        let changed = look(&mut watch, states(&after), now);
        assert_eq!(changed, paths(&["/a", "/b", "/c", "/d"]));
        watch.note_stir(now);
        assert_eq!(look(&mut watch, states(&after), now), paths(&[]), "once");
        // In a directory that is watched as a whole.
        watch.note_stir(now);
        assert_eq!(look(&mut watch, states(&after[..3]), now), paths(&[]), "it was none before");
        watch.note_stir(now);
        assert_eq!(look(&mut watch, states(&after[1..3]), now), paths(&["/a"]));
    }

    #[test]
    fn a_change_that_a_poll_finds_may_go_on() {
        let now = Instant::now();
        let mut watch = watching(&[("/a", stamp(1, 1))], now);
        watch.set_poll(Some(Duration::from_millis(25)), now);
        let next = now + Duration::from_millis(3750);
        assert_eq!(watch.deadline(), Some(next));
        let after = states(&[("/a", stamp(1, 2))]);
        assert_eq!(look(&mut watch, after.clone(), next), paths(&[]));
        watch.set_poll(Some(Duration::ZERO), next);
        assert_eq!(watch.deadline(), Some(next + QUIET_TIME));
        assert_eq!(look(&mut watch, after, next + QUIET_TIME), paths(&["/a"]));
        assert_eq!(watch.deadline(), Some(next + MIN_POLL_INTERVAL));
    }

    #[test]
    fn a_file_that_changes_before_it_is_watched_has_changed_once() {
        let now = Instant::now();
        let mut watch = watching(&[("/a", stamp(1, 1))], now);
        let both = states(&[("/a", stamp(1, 1)), ("/b", stamp(2, 1000))]);
        watch.follow(both.clone(), BEGAN, now);
        assert_eq!(look(&mut watch, both.clone(), now), paths(&["/b"]));
        watch.follow(states(&[]), BEGAN, now);
        watch.follow(both.clone(), BEGAN, now);
        assert_eq!(look(&mut watch, both, now), paths(&[]));
    }

    #[test]
    fn a_change_of_a_known_file_is_not_lost_when_others_are_watched() {
        let now = Instant::now();
        let mut watch = watching(&[("/a", stamp(1, 1))], now);
        let both = states(&[("/a", stamp(1, 2)), ("/b", stamp(2, 1))]);
        watch.follow(both.clone(), BEGAN, now);
        assert!(watch.is_due(now + QUIET_TIME));
        assert_eq!(look(&mut watch, both, now), paths(&["/a"]));
    }

    #[test]
    fn what_the_application_writes_whenever_it_is_loaded_reloads_a_few_times() {
        let now = Instant::now();
        let mut watch = watching(&[("/a", stamp(1, 1))], now);
        let mut time = 1000;
        let mut write = |watch: &mut SourceWatch, is_loading: bool| {
            time += 10;
            watch.begin_load((time, 0));
            if !is_loading {
                watch.end_load((time, 0), now);
                time += 5;
            }
            watch.note_stir(now);
            let found = watch.note_look(states(&[("/a", stamp(1, time))]), now);
            (found.changed.len(), found.own.len())
        };
        for _ in 0..MAX_OWN_WRITES {
            assert_eq!(write(&mut watch, true), (1, 0));
        }
        assert_eq!(write(&mut watch, true), (0, 1), "it is named once");
        assert_eq!(write(&mut watch, true), (0, 0));
        assert_eq!(write(&mut watch, false), (1, 0), "any other change counts");
        assert_eq!(write(&mut watch, true), (0, 1));
        assert_eq!(write(&mut watch, false), (1, 0));
        assert_eq!(write(&mut watch, false), (1, 0), "it is written by no load now");
        assert_eq!(write(&mut watch, true), (1, 0));
    }

    #[test]
    fn what_the_application_writes_right_after_it_is_loaded_reloads_a_few_times() {
        let now = Instant::now();
        let mut watch = watching(&[("/a", stamp(1, 1))], now);
        let mut time = 1000;
        let mut write = |watch: &mut SourceWatch, delay: i64| {
            time += 10;
            watch.begin_load((time - 1, 0));
            watch.end_load((time, 0), now);
            watch.note_stir(now);
            let found = watch.note_look(states(&[("/a", stamp(1, time + delay))]), now);
            (found.changed.len(), found.own.len())
        };
        for _ in 0..MAX_OWN_WRITES {
            assert_eq!(write(&mut watch, 1), (1, 0));
        }
        assert_eq!(write(&mut watch, 1), (0, 1));
        assert_eq!(write(&mut watch, 2), (1, 0), "a later change counts");
    }

    #[test]
    fn what_was_left_out_reloads_once_more_when_the_code_is_loaded() {
        let now = Instant::now();
        let mut watch = watching(&[("/a", stamp(1, 1))], now);
        watch.begin_load((1000, 0));
        for time in 1001..=1001 + i64::from(MAX_OWN_WRITES) {
            watch.note_stir(now);
            look(&mut watch, states(&[("/a", stamp(1, time))]), now);
        }
        let last = states(&[("/a", stamp(1, 1001 + i64::from(MAX_OWN_WRITES)))]);
        assert_eq!(look(&mut watch, last.clone(), now), paths(&[]), "it is being loaded");
        watch.end_load((2000, 0), now);
        assert!(watch.is_due(now + QUIET_TIME));
        assert_eq!(look(&mut watch, last.clone(), now), paths(&["/a"]));
        watch.note_stir(now);
        assert_eq!(look(&mut watch, last, now), paths(&[]));
    }

    #[test]
    fn a_few_files_are_named() {
        let text = |names: &[&str]| describe(&paths(names), Path::new("/srv/shop"));
        assert_eq!(text(&["/srv/shop/shop/views.py"]), "shop/views.py has changed");
        assert_eq!(text(&["/srv/shop/a.py", "/srv/b.py"]), "/srv/b.py, a.py have changed");
        let many: Vec<_> = (0..10).map(|number| format!("/srv/shop/{number}.py")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(text(&many), "0.py, 1.py, 2.py and 7 more have changed");
    }
}
