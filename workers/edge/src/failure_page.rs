//! The page about code that cannot be loaded, or that has raised an exception: one file without
//! others, in light and dark.

/// The media type of the page.
pub(crate) const MEDIA_TYPE: &[u8] = b"text/html; charset=utf-8";

/// What has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureSubject {
    /// The newest code cannot be loaded.
    Code,
    /// A request: the application has raised an exception.
    Request,
}

impl FailureSubject {
    /// The title of a page whose traceback names no file.
    fn title(self) -> &'static str {
        match self {
            Self::Code => "The application cannot be loaded",
            Self::Request => "The application has failed",
        }
    }

    /// What follows from it.
    fn note(self) -> &'static str {
        match self {
            Self::Code => {
                "The newest code cannot be loaded. It is loaded again when a file changes."
            }
            Self::Request => {
                "The application has raised this exception. Only a browser on this machine gets \
                 this page, from monoceros dev."
            }
        }
    }
}

/// What the traceback is about.
#[derive(Debug, PartialEq, Eq)]
struct Summary<'a> {
    /// The exception, with its message.
    error: &'a str,
    /// The file and the line in it, if they are known.
    place: Option<(&'a str, &'a str)>,
}

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; padding: 2rem; background: Canvas;
  color: CanvasText; }
main { max-width: 70rem; margin: 0 auto; }
h1 { font-size: 1.25rem; margin: 0; overflow-wrap: anywhere; }
.error { font-size: 1.1rem; margin: .5rem 0 1.5rem; color: light-dark(#a31515, #ff8a80);
  white-space: pre-wrap; overflow-wrap: anywhere; }
pre { font: 14px/1.45 ui-monospace, monospace; padding: 1rem; border-radius: .5rem;
  background: light-dark(#f3f3f5, #1d1d21); overflow-x: auto; }
.note { opacity: .75; }
";

/// The page for this traceback.
pub(crate) fn html(subject: FailureSubject, traceback: &str) -> String {
    let summary = summarize(traceback);
    let (error, text) = (escaped(summary.error), escaped(traceback));
    let title = match summary.place {
        Some((file, line)) => format!("{}, line {}", escaped(file), escaped(line)),
        None => subject.title().to_owned(),
    };
    let note = subject.note();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p class=\"error\">{error}</p>\n<pre>{text}</pre>\n\
         <p class=\"note\">{note}</p>\n</main>\n</body>\n</html>\n"
    )
}

/// Reads a traceback of Python: its last line has the exception, and the last frame the place.
fn summarize(traceback: &str) -> Summary<'_> {
    let error = traceback.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with(' '));
    let place = traceback.lines().rev().find_map(place);
    Summary { error: error.unwrap_or(traceback), place }
}

/// The file and the line of a frame.
fn place(line: &str) -> Option<(&str, &str)> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
    let number = rest.split(',').next().unwrap_or(rest).trim();
    (!file.starts_with('<')).then_some((file, number))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTAX: &str = "Traceback (most recent call last):\n  File \"/a/urls.py\", line 3, in \
                          <module>\n    from . import views\n  File \"/a/views.py\", line 12\n    \
                          return <b>(\n             ^\nSyntaxError: '(' was never closed\n";

    #[test]
    fn the_page_begins_with_the_place_of_the_mistake() {
        let page = html(FailureSubject::Code, SYNTAX);
        assert!(page.contains("<h1>/a/views.py, line 12</h1>"), "{page}");
        assert!(page.contains("<p class=\"error\">SyntaxError: '(' was never closed</p>"));
        assert!(page.contains("return &lt;b&gt;(") && !page.contains("<b>"), "{page}");
    }

    #[test]
    fn the_last_frame_of_a_file_is_the_place() {
        let text = "Traceback (most recent call last):\n  File \"/a/b.py\", line 7, in f\n    x()\n  \
                    File \"<string>\", line 1, in <module>\nmod.Error: first\n  second\n";
        let expected = Summary { error: "mod.Error: first", place: Some(("/a/b.py", "7")) };
        assert_eq!(summarize(text), expected);
    }

    #[test]
    fn a_text_without_a_frame_has_a_page_too() {
        let page = html(FailureSubject::Code, "cannot find 'app' in the module a");
        assert!(page.contains("<h1>The application cannot be loaded</h1>"), "{page}");
        assert!(page.contains("<p class=\"error\">cannot find 'app' in the module a</p>"));
    }
}
