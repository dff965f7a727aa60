//! Files that the server sends by itself (`static`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use monoceros_config::{StaticMapping, StaticSetting, WorkerSettings};
use monoceros_engine::Decision;
use monoceros_files::{CacheRules, Effort, FileAnswer, FileMapping, FileRules, FileServer};
use monoceros_http::{Head, percent_decoded};
use monoceros_sys::reason;

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::plain::{plain, precondition_failed, respond, unsatisfiable, with_field};

/// Where the static files of the application's project are, for one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFiles {
    /// The decoded path of requests, with a slash at its end.
    pub prefix: String,
    /// The directories, in the order in which they are searched.
    pub directories: Vec<PathBuf>,
}

/// The files of the settings.
pub(crate) struct StaticFiles(Arc<FileServer>);

impl StaticFiles {
    /// The files that the settings ask for, if they ask for some: of `project` with
    /// `static: auto`.
    pub(crate) fn of(settings: &WorkerSettings, project: &[ProjectFiles]) -> Option<Self> {
        if settings.static_files().is_empty() {
            return None;
        }
        let mappings = settings.static_files().iter().filter_map(StaticSetting::mapping);
        let mappings: Vec<_> = mappings.map(file_mapping).collect();
        let immutable = settings.static_immutable().as_ref().map(|pattern| &pattern.0[..]);
        let rules = FileRules {
            caching: CacheRules::new(immutable, *settings.static_max_age()),
            follows_links: *settings.static_follow_links(),
            falls_through: *settings.static_fallthrough(),
        };
        let server = FileServer::new(&mappings, rules);
        if settings.static_files().contains(&StaticSetting::Auto) {
            let project: Vec<_> = project.iter().map(ProjectFiles::mapping).collect();
            server.extend(&project);
        }
        Some(Self(Arc::new(server)))
    }
}

impl ProjectFiles {
    fn mapping(&self) -> FileMapping {
        FileMapping { prefix: self.prefix.clone().into_bytes(), paths: self.directories.clone() }
    }
}

impl DecisionPart for StaticFiles {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        let head = request.arrival.head;
        match self.0.answer(head, Effort::Cached) {
            Ok(answer) => decision(answer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let (server, mut kept) = (Arc::clone(&self.0), Head::new());
                kept.copy_from(head);
                Decision::Later(Box::new(move || {
                    server.answer(&kept, Effort::Waiting).map_or_else(|_| unavailable(), decision)
                }))
            }
            Err(_) => unavailable(),
        }
    }
}

fn decision(answer: FileAnswer) -> Decision {
    let response = match answer {
        FileAnswer::NotServed => return Decision::Pass,
        FileAnswer::Send(response) => response,
        FileAnswer::Missing => plain(404, "Not Found"),
        FileAnswer::WrongMethod => {
            with_field(plain(405, "Method Not Allowed"), b"Allow", b"GET, HEAD")
        }
        FileAnswer::PreconditionFailed => precondition_failed(),
        FileAnswer::Unsatisfiable(length) => unsatisfiable(length),
    };
    respond(Some(response.about_static_file()))
}

/// The response while the file system does not work. The log has the reason.
fn unavailable() -> Decision {
    let response = with_field(plain(503, "Service Unavailable"), b"Retry-After", b"1");
    respond(Some(response.about_static_file()))
}

/// A mapping of the settings, whose prefix is written as in a URL.
pub(crate) fn file_mapping(mapping: &StaticMapping) -> FileMapping {
    let prefix = percent_decoded(mapping.prefix.as_bytes()).into_owned();
    FileMapping { prefix, paths: vec![mapping.path.clone()] }
}

/// What the operator has to know of directories and files of `static` that cannot be found.
pub(crate) fn findings(settings: &WorkerSettings) -> Vec<String> {
    let mappings = settings.static_files().iter().filter_map(StaticSetting::mapping);
    let missing = mappings.filter_map(|mapping| {
        let path = std::path::absolute(&mapping.path).unwrap_or_else(|_| mapping.path.clone());
        let reason = reason(&path.metadata().err()?);
        let path = path.display();
        Some(format!("static: cannot find {path}: {reason}; its files are answered 404"))
    });
    missing.collect()
}
