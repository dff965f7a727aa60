//! The application that gunicorn serves in production, as the files for a platform name it: a
//! `Procfile`, a `Dockerfile`.

use std::fs;
use std::path::Path;

use monoceros_config::application_of_gunicorn;

use crate::module_text::read_module;

/// The files, each with the command in one of its lines.
const FILES: [(&str, CommandOf); 2] = [("Procfile", of_process), ("Dockerfile", of_image)];

/// The command in a line, if there is one.
type CommandOf = fn(&str) -> Option<&str>;

/// The application, if its module is in the directory.
pub(crate) fn deployed_application(directory: &Path) -> Option<String> {
    FILES.iter().find_map(|(file, command_of)| {
        let text = fs::read_to_string(directory.join(file)).ok()?;
        // A backslash continues a line.
        let text = text.replace("\\\n", " ");
        let mut apps = text.lines().filter_map(command_of).filter_map(application_of_gunicorn);
        apps.find(|app| {
            let module = app.split(':').next().unwrap_or_default();
            read_module(directory, module).is_some()
        })
    })
}

/// That of `web: gunicorn shop:app`.
fn of_process(line: &str) -> Option<&str> {
    let (name, command) = line.split_once(':')?;
    (!name.starts_with('#')).then(|| command.trim())
}

/// That of `CMD gunicorn shop:app`.
fn of_image(line: &str) -> Option<&str> {
    let (word, command) = line.trim_start().split_once(char::is_whitespace)?;
    let is_command = ["CMD", "ENTRYPOINT"].iter().any(|it| word.eq_ignore_ascii_case(it));
    is_command.then(|| command.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_of_a_platform_is_found_if_its_module_is_here() {
        let name = format!("monoceros-platform-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
        let found = || deployed_application(&directory);
        write("shop.py", "");
        write("Dockerfile", "FROM python\nRUN pip install gunicorn shop\n");
        assert_eq!(found(), None);
        write("Dockerfile", "CMD [\"gunicorn\", \\\n  \"--bind\", \":80\", \"shop:docker\"]\n");
        assert_eq!(found().as_deref(), Some("shop:docker"));
        write("Procfile", "# a: gunicorn shop:no\nworker: x\nweb: gunicorn shop:server -w 2\n");
        assert_eq!(found().as_deref(), Some("shop:server"));
        write("Procfile", "web: gunicorn elsewhere:app\n");
        assert_eq!(found().as_deref(), Some("shop:docker"));
        fs::remove_dir_all(&directory).unwrap();
    }
}
