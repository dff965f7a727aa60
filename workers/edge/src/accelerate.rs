//! Files that responses of the application name, in place of a body (`accel`).

use monoceros_config::WorkerSettings;
use monoceros_engine::{LocalContent, ResponseDraft, ResponseReviser, Revision};
use monoceros_files::{AcceleratedAnswer, AcceleratedFile, AcceleratedFiles, FileField};
use monoceros_http::Head;

use crate::plain::{plain, precondition_failed, unsatisfiable};
use crate::static_files::file_mapping;

/// Fields of the application that describe its body, and not the file.
const REPLACED: [&[u8]; 4] = [b"etag", b"last-modified", b"content-range", b"accept-ranges"];

/// The revision of the application's responses that the settings ask for, if they ask for one.
pub(crate) fn reviser(settings: &WorkerSettings) -> Option<ResponseReviser> {
    if settings.accel().is_empty() {
        return None;
    }
    let mappings: Vec<_> = settings.accel().iter().map(file_mapping).collect();
    let files = AcceleratedFiles::new(&mappings);
    Some(ResponseReviser::new(move |asked, draft| revise(&files, asked, draft)))
}

/// Puts a file in the place of the body, if the response names one. It runs on the application's
/// thread, which may wait for the disk.
fn revise(files: &AcceleratedFiles, asked: &Head, draft: &mut ResponseDraft) -> Revision {
    let named = FileField::ALL.into_iter().find_map(|field| {
        let value = draft.field(field.name().as_bytes())?;
        Some((field, value.to_vec()))
    });
    let Some((field, value)) = named else { return Revision::Keep };
    let Some(file) = files.find(field, &value) else {
        return Revision::Replace(plain(404, "Not Found"));
    };
    // The client does not get the field.
    for field in FileField::ALL {
        draft.remove(field.name().as_bytes());
    }
    match file.answer(asked, draft.status()) {
        AcceleratedAnswer::PreconditionFailed => Revision::Replace(precondition_failed()),
        AcceleratedAnswer::Unsatisfiable(length) => Revision::Replace(unsatisfiable(length)),
        AcceleratedAnswer::NotModified => {
            describe(draft, &file);
            draft.change_status(304);
            Revision::ReplaceBody(LocalContent::EMPTY)
        }
        AcceleratedAnswer::Whole(content) => {
            describe(draft, &file);
            Revision::ReplaceBody(content)
        }
        AcceleratedAnswer::Part(range, content) => {
            describe(draft, &file);
            draft.change_status(206);
            add(draft, b"Content-Range", range.to_string().as_bytes());
            Revision::ReplaceBody(content)
        }
    }
}

/// Describes the file in the fields of the response. What the application has set stays, but for
/// validators and ranges, which are about its own body.
fn describe(draft: &mut ResponseDraft, file: &AcceleratedFile) {
    for name in REPLACED {
        draft.remove(name);
    }
    if draft.field(b"content-type").is_none() {
        add(draft, b"Content-Type", file.content_type().as_bytes());
    }
    add(draft, b"ETag", file.entity_tag());
    add(draft, b"Last-Modified", &file.last_modified());
    add(draft, b"Accept-Ranges", b"bytes");
}

/// Adds a field that is well-formed.
fn add(draft: &mut ResponseDraft, name: &[u8], value: &[u8]) {
    let added = draft.add(name, value);
    debug_assert!(added.is_ok(), "{}: {added:?}", name.escape_ascii());
}
