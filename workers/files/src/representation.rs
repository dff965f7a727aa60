//! The responses that send a file, made once.

use monoceros_engine::LocalResponse;
use monoceros_http::date::imf_fixdate;
use monoceros_http::{ByteRange, Coding, Validators};
use monoceros_sys::clock;

use crate::content::FoundFile;

/// A file with the responses that send it.
#[derive(Debug)]
pub(crate) struct Representation {
    pub(crate) file: FoundFile,
    /// The time of the last change, in seconds since 1970.
    modified: u64,
    /// 200.
    whole: LocalResponse,
    /// 304.
    not_modified: LocalResponse,
    /// The fields of a 200.
    fields: Vec<OwnField>,
}

/// A field of a response.
type OwnField = (&'static str, Vec<u8>);

/// What the fields of a file are made of besides the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description<'a> {
    pub(crate) content_type: &'a str,
    pub(crate) cache_control: &'a str,
    /// The coding of a variant.
    pub(crate) coding: Option<Coding>,
    /// The file has variants.
    pub(crate) varies: bool,
}

impl Representation {
    pub(crate) fn new(file: FoundFile, description: Description) -> Self {
        let modified = modified(&file);
        let validators = validators(&file, modified, description);
        let fields = [description_fields(description), validators.clone()].concat();
        let content = file.content.part(0, file.length());
        let whole = with_fields(LocalResponse::new(200), &fields).body(content);
        let not_modified = with_fields(LocalResponse::new(304), &validators);
        Self { file, modified, whole, not_modified, fields }
    }

    /// What requests are compared with.
    pub(crate) fn validators(&self) -> Validators<'_> {
        Validators { entity_tag: &self.file.entity_tag, modified: self.modified }
    }

    /// The response with all of the content.
    pub(crate) fn whole(&self) -> LocalResponse {
        self.whole.clone()
    }

    /// The response to a client that has the content.
    pub(crate) fn not_modified(&self) -> LocalResponse {
        self.not_modified.clone()
    }

    /// The response with a part of the content: all fields of the whole one (RFC 9110 section
    /// 15.3.7), and the range.
    pub(crate) fn part(&self, range: ByteRange) -> LocalResponse {
        let content = self.file.content.part(range.first, range.length);
        let range = ("Content-Range", range.to_string().into_bytes());
        let response = with_fields(LocalResponse::new(206), &self.fields);
        with_fields(response, &[range]).body(content)
    }
}

/// The time for Last-Modified. One in the future becomes the present (RFC 9110 section 8.8.2.1).
pub(crate) fn modified(file: &FoundFile) -> u64 {
    file.identity.modified_seconds().min(now())
}

/// The time in seconds since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(clock::wall_seconds()).unwrap_or(0)
}

/// The fields that only a response with content has.
fn description_fields(description: Description) -> Vec<OwnField> {
    let mut fields = vec![("Content-Type", description.content_type.as_bytes().to_vec())];
    if let Some(coding) = description.coding {
        fields.push(("Content-Encoding", coding.token().as_bytes().to_vec()));
    }
    fields.push(("Accept-Ranges", b"bytes".to_vec()));
    // A browser does not take a file for a script or a page that has another type.
    fields.push(("X-Content-Type-Options", b"nosniff".to_vec()));
    fields
}

/// The fields that a 304 has too (RFC 9110 section 15.4.5).
fn validators(file: &FoundFile, modified: u64, description: Description) -> Vec<OwnField> {
    let mut fields = vec![
        ("ETag", file.entity_tag.clone()),
        ("Last-Modified", imf_fixdate(modified).to_vec()),
        ("Cache-Control", description.cache_control.as_bytes().to_vec()),
    ];
    if description.varies {
        fields.push(("Vary", b"Accept-Encoding".to_vec()));
    }
    fields
}

/// Adds fields that are well-formed.
fn with_fields(mut response: LocalResponse, fields: &[OwnField]) -> LocalResponse {
    for (name, value) in fields {
        let added = response.field(name.as_bytes(), value);
        debug_assert!(added.is_ok(), "{name}: {added:?}");
    }
    response
}
