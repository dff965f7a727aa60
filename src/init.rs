//! Writes a configuration file for the project of the working directory, with an explanation of
//! each line.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use monoceros_sys::reason;

use crate::cli::complain;
use crate::directory::working_directory;
use crate::project_files::{ProjectKind, find_project};

/// The file.
const FILE: &str = "monoceros.yaml";

/// A file that would not be read any more beside it.
const OTHER: &str = "gunicorn.conf.py";

/// Writes the file, for this application if one is named.
pub(crate) fn init(app: Option<&str>) -> ExitCode {
    match try_to_init(app) {
        Ok(app) => {
            let written =
                format!("{FILE} is written for {app}; try it: monoceros --check-config\n");
            match io::stdout().write_all(written.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(text) => {
            complain(&text);
            ExitCode::FAILURE
        }
    }
}

/// Returns the application.
fn try_to_init(app: Option<&str>) -> Result<String, String> {
    let env: Vec<_> = std::env::vars_os().collect();
    let directory = working_directory(&env)
        .map_err(|error| format!("cannot find the working directory: {}", reason(&error)))?;
    if directory.join(OTHER).symlink_metadata().is_ok() {
        return Err(format!(
            "cannot write {FILE}: there is {OTHER}, which is not read beside it; print it as YAML: \
             monoceros convert {OTHER}"
        ));
    }
    let project = match app {
        Some(app) => ProjectKind::Other { app: app.to_owned() },
        None => find_project(&directory, &env)?,
    };
    write(&directory.join(FILE), &text(&project))
        .map_err(|error| format!("cannot write {FILE}: {}", reason(&error)))?;
    Ok(match project {
        ProjectKind::Django { app: None } => "the project of manage.py".to_owned(),
        ProjectKind::Django { app: Some(app) } | ProjectKind::Other { app } => app,
    })
}

/// Makes the file; an existing one stays, also one that a link leads to.
fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// The content of the file.
fn text(project: &ProjectKind) -> String {
    let app = match project {
        ProjectKind::Django { app: Some(app) } | ProjectKind::Other { app } => {
            format!("# The application, as MODULE or MODULE:CALLABLE.\napp: \"{app}\"\n")
        }
        ProjectKind::Django { app: None } => "# The application is found by manage.py. Another \
            one is named as MODULE:CALLABLE.\n# app: project.wsgi:application\n"
            .to_owned(),
    };
    let django = match project {
        ProjectKind::Django { .. } => DJANGO,
        ProjectKind::Other { .. } => OTHERS,
    };
    format!("{HEAD}\n{app}\n{SETTINGS}\n{django}")
}

const HEAD: &str = "\
# The settings of the server. A line that begins with # has no effect.
# All settings with their values:    monoceros --print-config
# Whether they fit the application:  monoceros --check-config
# For a deployment:                  monoceros check --deploy
# `monoceros dev` uses its own address, workers, threads, timeout and logs.
";

const SETTINGS: &str = "\
# The address to listen on. 127.0.0.1 is for clients and proxies of this machine, 0.0.0.0 for all.
bind: 127.0.0.1:8000

# The number of worker processes. auto means one for each CPU that the server may use.
workers: auto

# The number of requests that each worker serves at the same time.
threads: 4

# A worker whose request takes longer is replaced, with the place in the code in the log.
timeout: 30s

# The time that requests have to finish when the server stops or reloads.
graceful-timeout: 30s

# The access log: one line for each request. \"-\" means standard output.
access-logfile: \"-\"
";

const DJANGO: &str = "\
# The files of STATIC_ROOT, sent by the server after `manage.py collectstatic`.
# static: auto

# Requests for other names than those in ALLOWED_HOSTS are refused without the application.
# allowed-hosts: auto
";

const OTHERS: &str = "\
# Files that the server sends by itself: the prefix of their paths, and their directory.
# static:
#   /static/: static
";

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use monoceros_config::{Command, load};

    use super::*;

    /// The file is read, also with each setting that is a comment.
    #[test]
    fn the_text_is_a_configuration_file() {
        let path = std::env::temp_dir().join(format!("monoceros-init-{}.yaml", std::process::id()));
        for project in [
            ProjectKind::Django { app: None },
            ProjectKind::Django { app: Some("shop.wsgi".to_owned()) },
            ProjectKind::Other { app: "shop:create_app(\"x\")".replace('"', "'") },
        ] {
            let text = text(&project);
            let all = text.replace("\n# static:", "\nstatic:").replace("\n#   /", "\n  /");
            let all = all.replace("\n# allowed-hosts", "\nallowed-hosts");
            for text in [text, all] {
                std::fs::write(&path, &text).unwrap();
                let args = [OsString::from("-c"), path.clone().into()];
                let read = load(&args, &[], Path::new("/nonexistent"));
                let Ok(Command::Run(loaded)) = read else { panic!("{text}: {read:?}") };
                assert_eq!(loaded.settings.threads, 4, "{text}");
            }
        }
        std::fs::remove_file(path).unwrap();
    }
}
