//! Files that responses of the application name, in place of a body: X-Accel-Redirect, as nginx has
//! it, and X-Sendfile, as Apache and lighttpd have it.

use std::io;
use std::os::unix::ffi::OsStrExt;

use monoceros_engine::LocalContent;
use monoceros_http::date::imf_fixdate;
use monoceros_http::{ByteRange, Head, Validators, percent_decoded};
use monoceros_sys::{clock, reason};

use crate::complaints::Complaints;
use crate::content::FoundFile;
use crate::directory::ServedDirectory;
use crate::effort::Effort;
use crate::mapping::FileMapping;
use crate::media_type::content_type;
use crate::representation::{modified, now};
use crate::requested_path::{has_plain_escapes, is_served_name};
use crate::response::{ConditionalOutcome, outcome};

/// The field by which a response names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileField {
    /// `X-Accel-Redirect`: the path of a URL below a prefix, with percent escapes.
    AccelRedirect,
    /// `X-Sendfile`: a path in the file system below a directory.
    Sendfile,
}

impl FileField {
    /// Both, in the order of their precedence.
    pub const ALL: [Self; 2] = [Self::AccelRedirect, Self::Sendfile];

    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AccelRedirect => "x-accel-redirect",
            Self::Sendfile => "x-sendfile",
        }
    }
}

/// The directories whose files responses may name.
#[derive(Debug)]
pub struct AcceleratedFiles {
    directories: Vec<AcceleratedDirectory>,
    complaints: Complaints,
}

#[derive(Debug)]
struct AcceleratedDirectory {
    /// The decoded prefix of URLs, with a slash at its end.
    prefix: Vec<u8>,
    directory: ServedDirectory,
}

impl AcceleratedFiles {
    /// The directories of these mappings.
    #[must_use]
    pub fn new(mappings: &[FileMapping]) -> Self {
        let directories = mappings.iter().flat_map(|mapping| {
            let prefix = mapping.prefix.strip_suffix(b"/").unwrap_or(&mapping.prefix);
            let prefix = [prefix, b"/"].concat();
            mapping.paths.iter().map(move |path| AcceleratedDirectory {
                prefix: prefix.clone(),
                directory: ServedDirectory::new(path, false),
            })
        });
        Self { directories: directories.collect(), complaints: Complaints::default() }
    }

    /// The file that a field names. `None` if it is not sent; the log has the reason. It waits for
    /// the disk.
    pub fn find(&self, field: FileField, value: &[u8]) -> Option<AcceleratedFile> {
        let found = match field {
            FileField::AccelRedirect => self.below_prefix(value),
            FileField::Sendfile => self.below_directory(value),
        };
        found.inspect_err(|reason| self.complaints.withheld(field.name(), value, reason)).ok()
    }

    fn below_prefix(&self, value: &[u8]) -> Result<AcceleratedFile, String> {
        let path = value.split(|&byte| byte == b'?').next().unwrap_or_default();
        let decoded = percent_decoded(path);
        if decoded.len() < path.len() && !has_plain_escapes(path, &decoded) {
            return Err("its escapes do not stand for a name".to_owned());
        }
        let below = self.directories.iter().filter_map(|it| {
            Some((&it.directory, it.prefix.len(), decoded.strip_prefix(&it.prefix[..])?))
        });
        let longest = below.max_by_key(|(_, length, _)| *length);
        let (directory, _, relative) = longest.ok_or("it is below no prefix of --accel")?;
        open(directory, relative)
    }

    fn below_directory(&self, value: &[u8]) -> Result<AcceleratedFile, String> {
        let mut longest: Option<(&ServedDirectory, &[u8])> = None;
        for it in &self.directories {
            let path = it.directory.path();
            // The application may use the name behind links.
            for path in [Some(path.to_owned()), path.canonicalize().ok()].into_iter().flatten() {
                let path = path.as_os_str().as_bytes();
                let path = path.strip_suffix(b"/").unwrap_or(path);
                let below = value.strip_prefix(path).and_then(|rest| rest.strip_prefix(b"/"));
                let Some(below) = below else { continue };
                if longest.is_none_or(|(_, other)| below.len() < other.len()) {
                    longest = Some((&it.directory, below));
                }
            }
        }
        let (directory, relative) = longest.ok_or("it is below no directory of --accel")?;
        open(directory, relative)
    }
}

/// Opens a file below a directory.
fn open(directory: &ServedDirectory, relative: &[u8]) -> Result<AcceleratedFile, String> {
    if !is_served_name(relative) {
        return Err("a part of its name begins with a dot, is empty, or has a backslash".to_owned());
    }
    let find = || -> io::Result<Option<FoundFile>> {
        let state = directory.current(clock::monotonic_ms(), Effort::Waiting)?;
        let Some(opened) = state.directory() else { return Ok(None) };
        FoundFile::open(directory.anchor(opened), relative, None, Effort::Waiting)
    };
    match find() {
        Ok(Some(file)) => {
            let modified = modified(&file);
            Ok(AcceleratedFile { file, modified, content_type: content_type(relative) })
        }
        Ok(None) => Err("no such file".to_owned()),
        Err(error) => Err(reason(&error)),
    }
}

/// A file that is sent in place of a body.
#[derive(Debug)]
pub struct AcceleratedFile {
    file: FoundFile,
    modified: u64,
    content_type: String,
}

/// What a request gets of such a file.
#[derive(Debug)]
pub enum AcceleratedAnswer {
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416, for a file of this length.
    Unsatisfiable(u64),
    /// All of it, with the status of the application.
    Whole(LocalContent),
    /// 206.
    Part(ByteRange, LocalContent),
}

impl AcceleratedFile {
    /// The media type that its name suggests.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The value of ETag.
    #[must_use]
    pub fn entity_tag(&self) -> &[u8] {
        &self.file.entity_tag
    }

    /// The value of Last-Modified.
    #[must_use]
    pub fn last_modified(&self) -> [u8; 29] {
        imf_fixdate(self.modified)
    }

    /// What a request gets. Its conditions and ranges count only for a response with status 200:
    /// another one is not the representation that they are about (RFC 9110 section 13.2.1).
    #[must_use]
    pub fn answer(&self, asked: &Head, status: u16) -> AcceleratedAnswer {
        let length = self.file.length();
        let validators = Validators { entity_tag: &self.file.entity_tag, modified: self.modified };
        let is_read = matches!(asked.method(), b"GET" | b"HEAD");
        let outcome = if status == 200 && is_read {
            outcome(asked, validators, length, now())
        } else {
            ConditionalOutcome::Whole
        };
        match outcome {
            ConditionalOutcome::PreconditionFailed => AcceleratedAnswer::PreconditionFailed,
            ConditionalOutcome::NotModified => AcceleratedAnswer::NotModified,
            ConditionalOutcome::Unsatisfiable => AcceleratedAnswer::Unsatisfiable(length),
            ConditionalOutcome::Whole => {
                AcceleratedAnswer::Whole(self.file.content.part(0, length))
            }
            ConditionalOutcome::Part(range) => {
                let content = self.file.content.part(range.first, range.length);
                AcceleratedAnswer::Part(range, content)
            }
        }
    }
}
