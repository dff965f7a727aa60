//! The names that were looked up last: what they lead to, and since when that is known. Bounded in
//! memory and in open files.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::content::Content;
use crate::effort::FRESH_MS;
use crate::resource::Resource;
use crate::survey::Survey;

/// The memory for content, names and heads, in bytes: 16 MiB.
const MOST_BYTES: usize = 16 << 20;

/// The most files that are kept open.
const MOST_OPEN: usize = 64;

/// The largest file that is kept open, in bytes: 16 MiB. The disk space of a removed file is free
/// only when the file is closed.
pub(crate) const LARGEST_OPEN: u64 = 16 << 20;

/// The most names that lead to no file.
const MOST_MISSING: usize = 1024;

/// The memory of a name beside its content, in bytes: heads, fields, tables.
const OVERHEAD: usize = 2048;

/// A name that leads to a file.
#[derive(Debug)]
pub(crate) struct KnownFile {
    /// What the look has found that led to this.
    pub(crate) survey: Survey,
    pub(crate) resource: Resource,
    /// When the last look began, in milliseconds of the monotonic clock.
    looked_at_ms: AtomicU64,
    was_used: AtomicBool,
}

impl KnownFile {
    pub(crate) fn new(survey: Survey, resource: Resource, looked_at_ms: u64) -> Self {
        let was_used = AtomicBool::new(true);
        Self { survey, resource, looked_at_ms: AtomicU64::new(looked_at_ms), was_used }
    }

    /// Whether it may be used without another look.
    pub(crate) fn is_fresh(&self, now_ms: u64) -> bool {
        now_ms < self.looked_at_ms.load(Ordering::Relaxed) + FRESH_MS
    }

    /// Another look, which began at this time, has found the same.
    pub(crate) fn refresh(&self, now_ms: u64) {
        self.looked_at_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// The memory that it needs, and how many files it keeps open.
    fn size(&self, name: &[u8]) -> (usize, usize) {
        let (mut bytes, mut open) = (name.len(), 0);
        for representation in self.resource.representations() {
            bytes += OVERHEAD;
            match &representation.file.content {
                Content::Memory(content) => bytes += content.len(),
                Content::Open(_) => open += 1,
            }
        }
        (bytes, open)
    }
}

/// The result of a look into the cache.
#[derive(Debug)]
pub(crate) enum KnownName {
    /// The name leads to this file, or did so some time ago.
    File(Arc<KnownFile>),
    /// The name leads to no file.
    Missing,
    /// Not known.
    Unknown,
}

/// The names that are known.
#[derive(Debug, Default)]
pub(crate) struct HotCache {
    files: HashMap<Box<[u8]>, Arc<KnownFile>>,
    bytes: usize,
    open: usize,
    /// When the last look for them began. They are apart from the files: a client that asks for
    /// many names that do not exist displaces no file.
    missing: HashMap<Box<[u8]>, u64>,
}

impl HotCache {
    pub(crate) fn get(&self, name: &[u8], now_ms: u64) -> KnownName {
        if let Some(file) = self.files.get(name) {
            file.was_used.store(true, Ordering::Relaxed);
            return KnownName::File(Arc::clone(file));
        }
        match self.missing.get(name) {
            Some(&at_ms) if now_ms < at_ms + FRESH_MS => KnownName::Missing,
            Some(_) | None => KnownName::Unknown,
        }
    }

    /// Adds a file, in place of what is known of its name.
    pub(crate) fn add(&mut self, name: &[u8], file: Arc<KnownFile>) {
        self.remove(name);
        let (bytes, open) = file.size(name);
        self.make_room(bytes, open);
        self.bytes += bytes;
        self.open += open;
        self.files.insert(name.into(), file);
    }

    /// Adds a name that led to no file at this time.
    pub(crate) fn add_missing(&mut self, name: &[u8], at_ms: u64) {
        self.remove(name);
        if self.missing.len() >= MOST_MISSING {
            self.missing.clear();
        }
        self.missing.insert(name.into(), at_ms);
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Removes a name.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.missing.remove(name);
        if let Some(file) = self.files.remove(name) {
            let (bytes, open) = file.size(name);
            self.bytes -= bytes;
            self.open -= open;
        }
    }

    /// Removes others, so that a file fits: those that keep files open if too many are open, and any
    /// if there is too little memory.
    fn make_room(&mut self, bytes: usize, open: usize) {
        if self.open + open > MOST_OPEN {
            self.remove_some(|_, open| open > 0, |it| it.open + open <= MOST_OPEN / 4 * 3);
        }
        if self.bytes + bytes > MOST_BYTES {
            self.remove_some(|_, _| true, |it| it.bytes + bytes <= MOST_BYTES / 4 * 3);
        }
    }

    /// Removes files of these sizes that were not used since the last time; if there is no room
    /// then, others too. A quarter becomes free, so that this is done seldom.
    fn remove_some(
        &mut self,
        is_concerned: impl Fn(usize, usize) -> bool,
        has_room: impl Fn(&Self) -> bool,
    ) {
        let concerned = self.files.iter().filter(|(name, file)| {
            let (bytes, open) = file.size(name);
            is_concerned(bytes, open)
        });
        let names = concerned
            .map(|(name, file)| (file.was_used.swap(false, Ordering::Relaxed), name.clone()));
        let mut names: Vec<_> = names.collect();
        // The unused ones first.
        names.sort_by_key(|(was_used, _)| *was_used);
        for (was_used, name) in names {
            if was_used && has_room(self) {
                break;
            }
            self.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::Anchor;
    use crate::complaints::Complaints;
    use crate::content::FoundFile;
    use crate::effort::Effort;
    use crate::mapping::{FileMapping, ServedMapping};
    use crate::representation::{Description, Representation};
    use crate::survey::SurveyedName;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    fn known(path: &Path) -> Arc<KnownFile> {
        let mapping = FileMapping { prefix: b"/a".to_vec(), paths: vec![path.to_owned()] };
        let mapping = ServedMapping::new(&mapping, false);
        let name = SurveyedName { mapping: &mapping, relative: b"" };
        let survey = Survey::make(name, 0, Effort::Waiting, &Complaints::default());
        let bytes = path.as_os_str().as_bytes();
        let file = FoundFile::open(Anchor::everywhere(), bytes, None, Effort::Waiting);
        let file = file.unwrap().unwrap();
        let description =
            Description { content_type: "a", cache_control: "b", coding: None, varies: false };
        let resource = Resource::new(Representation::new(file, description), Vec::new());
        Arc::new(KnownFile::new(survey.unwrap().unwrap(), resource, 1000))
    }

    #[test]
    fn memory_and_open_files_are_bounded() {
        let directory = std::env::temp_dir();
        let path = |name: &str| directory.join(format!("hot-cache-{name}-{}", std::process::id()));
        let (small, large) = (path("small"), path("large"));
        std::fs::write(&small, vec![b'a'; 64 << 10]).unwrap();
        std::fs::write(&large, vec![b'a'; 65 << 10]).unwrap();
        let (small_file, large_file) = (known(&small), known(&large));
        std::fs::remove_file(small).unwrap();
        std::fs::remove_file(large).unwrap();
        let mut cache = HotCache::default();
        for number in 0..400 {
            cache.add(format!("small {number}").as_bytes(), Arc::clone(&small_file));
            cache.add(format!("large {number}").as_bytes(), Arc::clone(&large_file));
            assert!(cache.bytes <= MOST_BYTES && cache.open <= MOST_OPEN, "{number}");
            let last = format!("large {number}");
            assert!(matches!(cache.get(last.as_bytes(), 1000), KnownName::File(_)), "{number}");
        }
        assert!(cache.bytes > MOST_BYTES / 4 && cache.open > MOST_OPEN / 4);
        for number in 0..400 {
            cache.remove(format!("small {number}").as_bytes());
            cache.remove(format!("large {number}").as_bytes());
        }
        assert_eq!((cache.bytes, cache.open, cache.files.len()), (0, 0, 0));
    }

    #[test]
    fn names_without_a_file_are_bounded_and_become_old() {
        let mut cache = HotCache::default();
        for number in 0..3000 {
            cache.add_missing(format!("{number}").as_bytes(), 1000);
            assert!(cache.missing.len() <= MOST_MISSING);
        }
        let known = |at_ms| matches!(cache.get(b"2999", at_ms), KnownName::Missing);
        assert!(known(1000) && known(1000 + FRESH_MS - 1) && !known(1000 + FRESH_MS));
    }
}
