//! A directory in which the application counts with `prometheus_client`: made, read, and
//! removed. The user of the workers can put anything there, so nothing in it is trusted: links
//! are not followed, and only plain files of limited size are read. Used by
//! `application_metrics.rs` only.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use monoceros_metrics::{MergedMetrics, used_length};
use monoceros_sys::acting::act_as;
use monoceros_sys::user::{Credentials, is_root, own_uid};
use monoceros_sys::{beneath, disk, lock, reason};

/// How the directories of the server are named.
const PREFIX: &str = "monoceros-metrics-";
/// The file whose bytes the workers lock, one for each place. It is written by
/// `workers/python/src/application_metrics.py`.
const PLACES: &str = "monoceros.places";
/// How often a directory is made again that another master has removed at once.
const ATTEMPTS: usize = 16;
/// The most places, as there.
const MOST_PLACES: u64 = 4096;
/// The kinds of gauges that count only while their process lives.
const LIVE: [&str; 5] = ["liveall", "livesum", "livemin", "livemax", "livemostrecent"];
/// The end of the names of its files.
const ENDING: &str = ".db";
/// The most names that are looked at.
const MOST_NAMES: usize = 16 << 10;
/// The most bytes of one file that are read, and of all files.
const LARGEST_FILE: u64 = 4 << 20;
const LARGEST_SUM: u64 = 16 << 20;
/// What of a file is read first. That names the length of the rest.
const FIRST_READ: u64 = 4 << 10;

/// A directory for the files of `prometheus_client`.
#[derive(Debug)]
pub(crate) struct MetricsDirectory {
    path: PathBuf,
    /// The user of the workers, if it is not that of the master.
    owner: Option<Credentials>,
    /// The directory itself, whatever is at its path by now. It is locked (`flock(2)`) as long as
    /// this master uses it, so that no other one removes it. `None` for one that the operator
    /// has set: the application may make it later.
    opened: Option<File>,
}

impl MetricsDirectory {
    /// Makes a directory on a file system in memory, for workers of this user.
    pub(crate) fn make(owner: Option<Credentials>, places: &[PathBuf]) -> Result<Self, String> {
        places.iter().for_each(|base| Self::remove_left(base, owner.as_ref()));
        let mut failures = Vec::new();
        for base in places {
            let made = (0..ATTEMPTS).find_map(|_| Self::make_in(base, owner.as_ref()).transpose());
            match made {
                Some(Ok((path, opened))) => return Ok(Self { path, owner, opened: Some(opened) }),
                Some(Err(error)) => {
                    failures.push(format!("{}: {}", base.display(), reason(&error)));
                }
                None => failures.push(format!("{}: it is removed again", base.display())),
            }
        }
        Err(failures.join("; "))
    }

    /// Removes the directories of masters that were killed, as far as no process uses them: those
    /// for workers of this user. Root removes those of all users from directories that only root
    /// can write to.
    fn remove_left(base: &Path, owner: Option<&Credentials>) {
        let uid = owner.map_or_else(own_uid, |owner| owner.uid);
        let is_roots = is_root() && fs::metadata(base).is_ok_and(|found| is_safe(&found));
        for entry in fs::read_dir(base).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
                continue;
            }
            let Ok(opened) = open_directory(&entry.path()) else { continue };
            let Ok(found) = opened.metadata() else { continue };
            if found.uid() == uid || is_roots {
                let (path, opened) = (entry.path(), Some(opened));
                let left = Self { path, owner: user_of(&found), opened };
                if left.act(is_unused).unwrap_or(false) {
                    left.remove();
                }
            }
        }
    }

    /// `None` if another master has removed the directory before it was locked.
    fn make_in(base: &Path, owner: Option<&Credentials>) -> io::Result<Option<(PathBuf, File)>> {
        if !disk::is_in_memory(&File::open(base)?)? {
            return Err(io::Error::other("not a tmpfs"));
        }
        let number = RandomState::new().build_hasher().finish();
        let path = base.join(format!("{PREFIX}{number:016x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        let opened = match lock_at(&path) {
            Err(error) if is_removed(&error) => return Ok(None),
            opened => opened?,
        };
        let prepare = || {
            if let Some(owner) = owner {
                fchown(&opened, Some(owner.uid), Some(owner.gid))?;
                // The workers have to get there.
                act_as(owner, || open_directory(&path))??;
            }
            // As far as the umask has removed these.
            opened.set_permissions(Permissions::from_mode(0o700))
        };
        if let Err(error) = prepare() {
            drop(fs::remove_dir(&path));
            return Err(error);
        }
        Ok(Some((path, opened)))
    }

    /// Takes over the directory of the predecessor.
    pub(crate) fn take_over(path: PathBuf, owner: Option<Credentials>) -> io::Result<Self> {
        let opened = lock_at(&path)?;
        let uid = owner.as_ref().map_or_else(own_uid, |owner| owner.uid);
        if opened.metadata()?.uid() != uid {
            return Err(io::Error::other(format!("not a directory of user {uid}")));
        }
        Ok(Self { path, owner, opened: Some(opened) })
    }

    /// The directory that the operator has set.
    pub(crate) fn set(path: PathBuf, owner: Option<Credentials>) -> Self {
        Self { path, owner, opened: None }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The server has made it.
    pub(crate) fn is_own(&self) -> bool {
        self.opened.is_some()
    }

    /// It is for workers of this user.
    pub(crate) fn is_for(&self, owner: Option<&Credentials>) -> bool {
        self.owner.as_ref().map(|it| it.uid) == owner.map(|it| it.uid)
    }

    /// Removes the live gauges of the processes that have ended, as `mark_process_dead` of
    /// `prometheus_client` does: those of each place that no process locks.
    pub(crate) fn mark_dead(&self) {
        let marked = self.act(|directory| {
            let places = beneath::open_file(directory.as_fd(), PLACES.as_bytes())?;
            let count = places.metadata()?.len().min(MOST_PLACES);
            for place in 0..count {
                // Held to the end, so that no process takes the place meanwhile.
                if lock::share_byte(&places, place)? {
                    for kind in LIVE {
                        let name = format!("gauge_{kind}_p{place}{ENDING}");
                        remove_if_there(&below(directory, &name))?;
                    }
                }
            }
            Ok(())
        });
        match marked {
            // No process has counted yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let (path, why) = (self.path.display(), reason(&error));
                log::debug!("cannot remove the live gauges of ended workers in {path}: {why}");
            }
            Ok(()) => {}
        }
    }

    /// Adds up what is in its files.
    ///
    /// # Errors
    /// Those of `open(2)` and `getdents(2)`; `Other` for a directory on a disk, which the
    /// master would have to wait for.
    pub(crate) fn read(&self) -> io::Result<MergedMetrics> {
        self.act(|directory| {
            if !disk::is_in_memory(directory)? {
                return Err(io::Error::other("not on a tmpfs"));
            }
            let names = list(directory)?.take(MOST_NAMES).flatten();
            let names: BTreeSet<_> =
                names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            let mut metrics = MergedMetrics::default();
            let mut room = LARGEST_SUM;
            for name in names.iter().filter(|name| name.ends_with(ENDING)) {
                match read_used(directory, name, room.min(LARGEST_FILE)) {
                    Ok(content) => {
                        room = room.saturating_sub(content.len() as u64);
                        if let Err(broken) = metrics.add(name, &content) {
                            log::debug!("{name:?} has no metrics: {}", broken.reason());
                        }
                    }
                    // Files of live gauges come and go.
                    Err(error) => log::debug!("{name:?} is left out: {}", reason(&error)),
                }
            }
            Ok(metrics.finish())
        })
    }

    /// Removes it with its content.
    pub(crate) fn remove(&self) {
        let emptied = self.act(|directory| {
            for entry in list(directory)? {
                let entry = entry?;
                // Neither of the two follows a link.
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        });
        if let Err(error) = emptied.and_then(|()| fs::remove_dir(&self.path)) {
            let (path, why) = (self.path.display(), reason(&error));
            log::debug!("cannot remove {path} of the application's metrics: {why}");
        }
    }

    /// Acts on the opened directory, with the rights of the workers' user.
    fn act<T>(&self, action: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let act = || match &self.opened {
            Some(directory) => action(directory),
            None => action(&File::open(&self.path)?),
        };
        match &self.owner {
            Some(owner) => act_as(owner, act)?,
            None => act(),
        }
    }
}

/// Opens a directory and locks it for this master, beside others that use it.
///
/// # Errors
/// Those of `open(2)` and `flock(2)`; `NotFound` or `WouldBlock` if another master removes it.
fn lock_at(path: &Path) -> io::Result<File> {
    let opened = open_directory(path)?;
    opened.try_lock_shared()?;
    // Another master may have removed it before it was locked.
    let (own, found) = (opened.metadata()?, fs::symlink_metadata(path)?);
    if (own.dev(), own.ino()) == (found.dev(), found.ino()) {
        Ok(opened)
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn is_removed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock)
}

/// Only root can make or rename files in this directory.
fn is_safe(directory: &fs::Metadata) -> bool {
    directory.uid() == 0 && directory.mode() & 0o022 == 0
}

/// The user of this file, if it is another one than that of this process.
fn user_of(found: &fs::Metadata) -> Option<Credentials> {
    let (uid, gid) = (found.uid(), found.gid());
    (uid != own_uid()).then(|| Credentials { uid, gid, groups: vec![gid] })
}

/// Neither a master nor a process that counts uses the directory. It is locked then until it is
/// closed, so that no master takes it meanwhile.
fn is_unused(directory: &File) -> io::Result<bool> {
    if directory.try_lock().is_err() {
        return Ok(false);
    }
    let places = match beneath::open_file(directory.as_fd(), PLACES.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        places => places?,
    };
    for place in 0..places.metadata()?.len().min(MOST_PLACES) {
        if !lock::share_byte(&places, place)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn open_directory(path: &Path) -> io::Result<File> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// A name below an open directory, wherever its path leads by now.
fn below(directory: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

fn list(directory: &File) -> io::Result<fs::ReadDir> {
    fs::read_dir(below(directory, ""))
}

/// Reads what of a file is in use.
fn read_used(directory: &File, name: &str, most: u64) -> io::Result<Vec<u8>> {
    let mut file = beneath::open_file(directory.as_fd(), name.as_bytes())?;
    let mut content = Vec::new();
    file.by_ref().take(FIRST_READ).read_to_end(&mut content)?;
    let used = used_length(&content).unwrap_or_default() as u64;
    if used > most {
        return Err(io::Error::other(format!("it has {used} bytes, and {most} are read")));
    }
    file.take(used.saturating_sub(content.len() as u64)).read_to_end(&mut content)?;
    Ok(content)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use monoceros_metrics::{Exposition, MetricsFormat};

    use super::*;

    /// A place of one test. The masters of others would remove what is made and left there.
    struct MemoryPlace {
        base: PathBuf,
    }

    impl MemoryPlace {
        fn new(name: &str) -> Self {
            let name = format!("monoceros-place-{name}-{}", std::process::id());
            let base = Path::new("/dev/shm").join(name);
            DirBuilder::new().mode(0o755).create(&base).unwrap();
            Self { base }
        }

        fn start(&self) -> MetricsDirectory {
            self.start_for(None)
        }

        fn start_for(&self, owner: Option<Credentials>) -> MetricsDirectory {
            MetricsDirectory::make(owner, std::slice::from_ref(&self.base)).unwrap()
        }
    }

    impl Drop for MemoryPlace {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.base));
        }
    }

    #[test]
    fn a_directory_is_removed_with_its_content_and_no_link_is_followed() {
        let place = MemoryPlace::new("content");
        let outside = std::env::temp_dir().join(format!("monoceros-kept-{}", std::process::id()));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "content").unwrap();
        let directory = place.start();
        let path = directory.path().to_owned();
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/counter_p0.db"), "").unwrap();
        symlink(&outside, path.join("link")).unwrap();
        symlink(&outside, path.join("a/link")).unwrap();
        directory.remove();
        assert!(!path.exists());
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "content");
        fs::remove_dir_all(outside).unwrap();
    }

    #[test]
    fn a_directory_that_no_process_uses_is_removed_by_the_next_master() {
        let place = MemoryPlace::new("left");
        let left = place.start();
        let path = left.path().to_owned();
        let next = place.start();
        assert!(path.exists(), "a master has it");
        let places = File::create(path.join(PLACES)).unwrap();
        places.set_len(2).unwrap();
        drop(left);
        let last = place.start();
        assert!(!path.exists(), "no process counts there any more");
        next.remove();
        last.remove();
        assert!(!next.path().exists() && !last.path().exists());
    }

    #[test]
    fn what_an_interrupted_master_has_made_is_removed_by_the_next_one() {
        let place = MemoryPlace::new("interrupted");
        let path = place.base.join(format!("{PREFIX}made"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("counter_p0.db"), "").unwrap();
        let next = place.start();
        assert!(!path.exists() && next.path().exists(), "no master has it");
    }

    #[test]
    fn root_removes_the_directories_of_all_users_where_only_root_makes_some() {
        if !is_root() {
            return;
        }
        let place = MemoryPlace::new("root");
        let other = Credentials { uid: 12_345, gid: 12_345, groups: Vec::new() };
        let left = || place.start_for(Some(other.clone())).path().to_owned();
        let path = left();
        fs::write(path.join("counter_p0.db"), "").unwrap();
        let next = place.start();
        assert!(!path.exists() && next.path().exists());
        fs::set_permissions(&place.base, Permissions::from_mode(0o1777)).unwrap();
        let path = left();
        drop(place.start());
        assert!(path.exists(), "any user may have made it");
    }

    #[test]
    fn masters_that_start_at_the_same_time_leave_each_other_their_directories() {
        let place = MemoryPlace::new("starts");
        let start = || {
            let mut held = place.start();
            for _ in 0..1000 {
                let next = place.start();
                assert!(held.path().exists(), "another master removed it");
                held.remove();
                held = next;
            }
            held.remove();
        };
        std::thread::scope(|scope| {
            scope.spawn(start);
            scope.spawn(start);
        });
    }

    #[test]
    fn a_successor_takes_over_the_directory_of_this_user_only() {
        let place = MemoryPlace::new("successor");
        let directory = place.start();
        let path = directory.path().to_owned();
        assert!(MetricsDirectory::take_over(path.clone(), None).is_ok());
        let other = Credentials { uid: own_uid() + 1, gid: 1, groups: Vec::new() };
        assert!(MetricsDirectory::take_over(path.clone(), Some(other)).is_err());
        directory.remove();
        symlink("/dev/shm", &path).unwrap();
        assert!(MetricsDirectory::take_over(path.clone(), None).is_err(), "a link");
    }

    #[test]
    fn only_plain_files_of_limited_size_are_read() {
        let place = MemoryPlace::new("files");
        let directory = place.start();
        let path = directory.path().to_owned();
        let file = |key: &str| {
            let length = u8::try_from(key.len()).unwrap();
            let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 0, length, 0, 0, 0];
            bytes.extend(key.as_bytes());
            bytes.resize(bytes.len() + 8 - (key.len() + 4) % 8, b' ');
            bytes.extend(2.5_f64.to_ne_bytes().iter().chain(&[0; 8]));
            bytes[0] = u8::try_from(bytes.len()).unwrap();
            bytes
        };
        let write = |name: &str, key| fs::write(path.join(name), file(key)).unwrap();
        write("counter_p0.db", r#"["a","a_total",{},"Help."]"#);
        write("counter_p1.db", r#"["a","a_total",{},"Help."]"#);
        write("counter_p2.db.broken", r#"["b","b_total",{},"Help."]"#);
        fs::write(path.join("counter_p3.db"), "text").unwrap();
        fs::write(path.join("counter_p4.db"), i32::MAX.to_ne_bytes()).unwrap();
        fs::write(path.join("outside"), file(r#"["c","c_total",{},"Help."]"#)).unwrap();
        symlink("outside", path.join("counter_p5.db")).unwrap();
        symlink("/dev/zero", path.join("counter_p6.db")).unwrap();
        symlink("nowhere", path.join("counter_p7.db")).unwrap();
        fs::create_dir(path.join("counter_p8.db")).unwrap();
        // Not by a program: a new process has copies of the locks of other tests until it executes.
        nix::unistd::mkfifo(&path.join("counter_p9.db"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut exposition = Exposition::new(MetricsFormat::Text);
        directory.read().unwrap().write(&mut exposition);
        directory.remove();
        let text = exposition.finish();
        assert_eq!(text, "# HELP a_total Help.\n# TYPE a_total counter\na_total 5.0\n");
    }

    #[test]
    fn a_directory_on_a_disk_is_not_read() {
        let directory = MetricsDirectory::set(PathBuf::from("/proc"), None);
        assert_eq!(directory.read().unwrap_err().to_string(), "not on a tmpfs");
    }

    #[test]
    fn what_is_not_in_memory_is_no_place() {
        let text = MetricsDirectory::make(None, &[PathBuf::from("/proc")]).unwrap_err();
        assert_eq!(text, "/proc: not a tmpfs");
        assert!(MetricsDirectory::make(None, &[PathBuf::from("/nowhere")]).is_err());
    }
}
