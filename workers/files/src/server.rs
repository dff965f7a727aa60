//! Requests for files: from a path to a response.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use monoceros_http::{Coding, Head, percent_decoded};
use monoceros_sys::clock;

use crate::caching::CacheRules;
use crate::complaints::Complaints;
use crate::content::{Content, FoundFile};
use crate::effort::Effort;
use crate::hot_cache::{HotCache, KnownFile, KnownName, LARGEST_OPEN};
use crate::manifest::Manifest;
use crate::mapping::{FileMapping, MappingOrigin, ServedMapping};
use crate::media_type::content_type;
use crate::representation::{Description, Representation};
use crate::requested_path::{has_plain_escapes, is_served_name};
use crate::resource::Resource;
use crate::response::{FileAnswer, respond};
use crate::survey::{Survey, SurveyedName};

/// How files are served.
#[derive(Clone, Debug)]
pub struct FileRules {
    /// Cache-Control.
    pub caching: CacheRules,
    /// Links may lead out of the directories.
    pub follows_links: bool,
    /// The application gets the requests for files that are missing.
    pub falls_through: bool,
}

/// Serves files. It is used by several threads: one that must not wait, and others that may.
#[derive(Debug)]
pub struct FileServer {
    rules: FileRules,
    /// The longest prefix first.
    mappings: Vec<Arc<ServedMapping>>,
    /// Those, and the ones of [`FileServer::extend`].
    extended: OnceLock<Vec<Arc<ServedMapping>>>,
    cache: Mutex<HotCache>,
    complaints: Complaints,
}

/// A request that is for a file.
#[derive(Debug)]
struct FileRequest<'a> {
    /// The decoded path.
    path: &'a [u8],
    name: SurveyedName<'a>,
}

impl FileServer {
    /// Serves the files of these mappings.
    #[must_use]
    pub fn new(mappings: &[FileMapping], rules: FileRules) -> Self {
        let mappings = served(mappings, &rules, Vec::new());
        let (extended, cache, complaints) = Default::default();
        Self { rules, mappings, extended, cache, complaints }
    }

    /// Serves the files of further mappings, which are known only when the application is loaded.
    /// A prefix that has a mapping keeps it. Has an effect once.
    pub fn extend(&self, further: &[FileMapping]) {
        let mappings = served(further, &self.rules, self.mappings.clone());
        if self.extended.set(mappings).is_ok() {
            self.cache().clear();
        }
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// `WouldBlock` if the answer would wait for a disk and must not: another thread asks again.
    /// Otherwise the file system does not work; the request cannot be served.
    pub fn answer(&self, head: &Head, effort: Effort) -> io::Result<FileAnswer> {
        let raw = head.path();
        let path = percent_decoded(raw);
        let mapping = self.mappings().iter().find_map(|it| Some((it, it.strip(&path)?)));
        let Some((mapping, relative)) = mapping else { return Ok(FileAnswer::NotServed) };
        let is_read = matches!(head.method(), b"GET" | b"HEAD");
        if !is_read && !self.rules.falls_through {
            return Ok(FileAnswer::WrongMethod);
        }
        if path.len() < raw.len() && !has_plain_escapes(raw, &path) {
            return Ok(self.absence());
        }
        let request = FileRequest { path: &path, name: SurveyedName { mapping, relative } };
        match self.find(&request, clock::monotonic_ms(), effort) {
            Ok(Some(_)) if !is_read => Ok(FileAnswer::WrongMethod),
            Ok(Some(found)) => Ok(respond(head, found.resource.select(head))),
            Ok(None) => Ok(self.absence()),
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock || effort == Effort::Waiting {
                    self.complaints.failed(raw, &error);
                }
                Err(error)
            }
        }
    }

    fn absence(&self) -> FileAnswer {
        if self.rules.falls_through { FileAnswer::NotServed } else { FileAnswer::Missing }
    }

    fn mappings(&self) -> &[Arc<ServedMapping>] {
        self.extended.get().unwrap_or(&self.mappings)
    }

    fn cache(&self) -> MutexGuard<'_, HotCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of a request, as it is at this time; `None` if there is none.
    fn find(
        &self,
        request: &FileRequest,
        now_ms: u64,
        effort: Effort,
    ) -> io::Result<Option<Arc<KnownFile>>> {
        let known = self.cache().get(request.path, now_ms);
        let before = match known {
            KnownName::File(file) if file.is_fresh(now_ms) => return Ok(Some(file)),
            KnownName::Missing => return Ok(None),
            KnownName::File(file) => Some(file),
            KnownName::Unknown => None,
        };
        if !self.is_served(request.name) {
            return Ok(None);
        }
        let survey = Survey::make(request.name, now_ms, effort, &self.complaints)?;
        let found = match (survey, before) {
            (None, _) => None,
            (Some(survey), Some(before)) if before.survey.is_unchanged(&survey) => {
                before.refresh(now_ms);
                return Ok(Some(before));
            }
            (Some(survey), _) => self.read(request, survey, now_ms, effort)?,
        };
        let mut cache = self.cache();
        match &found {
            None => cache.add_missing(request.path, now_ms),
            Some(file) if is_kept(file) => cache.add(request.path, Arc::clone(file)),
            Some(_) => cache.remove(request.path),
        }
        Ok(found)
    }

    /// Whether the name of a request is one that is served. A file of the settings is.
    fn is_served(&self, name: SurveyedName) -> bool {
        match name.mapping.origin {
            MappingOrigin::File(_) => true,
            MappingOrigin::Directories(_) => is_served_name(name.relative),
        }
    }

    /// Reads the files that a look has found.
    fn read(
        &self,
        request: &FileRequest,
        mut survey: Survey,
        now_ms: u64,
        effort: Effort,
    ) -> io::Result<Option<Arc<KnownFile>>> {
        let Some((plain, variants)) = survey.open(request.name, effort, &self.complaints)? else {
            return Ok(None);
        };
        let none = Manifest::default();
        let manifest = survey.state().map_or(&none, |state| &state.manifest);
        let content_type = match &request.name.mapping.origin {
            MappingOrigin::File(path) => content_type(path.as_os_str().as_bytes()),
            MappingOrigin::Directories(_) => content_type(request.path),
        };
        let caching = &self.rules.caching;
        let cache_control = caching.value(request.name.relative, manifest);
        let varies = !variants.is_empty();
        let describe = |file: FoundFile, coding: Option<Coding>| {
            let (content_type, cache_control) = (&content_type[..], &cache_control[..]);
            let description = Description { content_type, cache_control, coding, varies };
            Representation::new(file, description)
        };
        let plain = describe(plain, None);
        let variants = variants.into_iter();
        let variants = variants.map(|(coding, file)| (coding, describe(file, Some(coding))));
        let resource = Resource::new(plain, variants.collect());
        Ok(Some(Arc::new(KnownFile::new(survey, resource, now_ms))))
    }
}

/// Adds mappings to others, the longest prefix first. The first one of a prefix stays.
fn served(
    mappings: &[FileMapping],
    rules: &FileRules,
    mut served: Vec<Arc<ServedMapping>>,
) -> Vec<Arc<ServedMapping>> {
    for mapping in mappings {
        let mapping = ServedMapping::new(mapping, rules.follows_links);
        if !served.iter().any(|it| it.prefix() == mapping.prefix()) {
            served.push(Arc::new(mapping));
        }
    }
    served.sort_by_key(|mapping| std::cmp::Reverse(mapping.prefix().len()));
    served
}

/// Whether a file is kept for the next requests: not if it would keep a large file open.
fn is_kept(file: &KnownFile) -> bool {
    file.resource.representations().all(|it| match it.file.content {
        Content::Memory(_) => true,
        Content::Open(_) => it.file.length() <= LARGEST_OPEN,
    })
}
