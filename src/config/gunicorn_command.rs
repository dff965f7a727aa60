//! A command that runs gunicorn, as files for platforms have it: which application it serves.

use std::ffi::OsString;
use std::path::Path;

use crate::error::{Errors, ValueOrigin};
use crate::flags;
use crate::row::Arity;
use crate::shell_words;

/// The name of the program, or of its module.
const PROGRAM: &str = "gunicorn";

/// The words of a shell behind a command.
const ENDS: [&str; 6] = ["&&", "||", "&", "|", ";", ">"];

/// The application that a command of gunicorn names: a line of shell, or a list of words as in a
/// Dockerfile, `["gunicorn", "shop:app"]`. `None` if it runs another program, or names none.
#[must_use]
pub fn application_of_gunicorn(command: &str) -> Option<String> {
    let words = words_of(command)?;
    // A list that runs a shell: `["sh", "-c", "gunicorn shop:app --bind :$PORT"]`.
    if let [_, flag, line] = &words[..]
        && flag == "-c"
    {
        return application_of_gunicorn(line);
    }
    let is_program = |word: &String| Path::new(word).file_name().is_some_and(|it| it == PROGRAM);
    let rest = &words[words.iter().position(is_program)? + 1..];
    let rest = rest.iter().take_while(|word| !ENDS.contains(&&***word));
    let rest: Vec<_> = rest.map(OsString::from).collect();
    let line = flags::read(&rest, &ValueOrigin::CommandLine, &mut Errors::default());
    let app = line.said.iter().find(|it| it.row.positional && it.row.arity == Arity::One)?;
    app.texts().into_iter().next()
}

fn words_of(command: &str) -> Option<Vec<String>> {
    if command.starts_with('[') {
        // JSON is YAML.
        return serde_yaml::from_str(command).ok();
    }
    shell_words::split(command).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_is_the_word_without_a_flag() {
        for (command, expected) in [
            ("gunicorn shop.wsgi --log-file -", Some("shop.wsgi")),
            (
                "exec /venv/bin/gunicorn -w 4 -b 0.0.0.0:$PORT 'shop:create_app()' && x y",
                Some("shop:create_app()"),
            ),
            ("python -m gunicorn -k gevent --timeout 9 shop:app", Some("shop:app")),
            (r#"["gunicorn", "--bind", ":8000", "shop:app"]"#, Some("shop:app")),
            (r#"["sh", "-c", "gunicorn shop:app --bind :$PORT"]"#, Some("shop:app")),
            ("gunicorn -c gunicorn.conf.py", None),
            ("uvicorn shop:app", None),
            ("gunicorn 'shop", None),
            ("[gunicorn", None),
        ] {
            assert_eq!(application_of_gunicorn(command).as_deref(), expected, "{command}");
        }
    }
}
