//! Checks settings against each other. Each value is valid by itself; an error names the
//! setting to change, with the origin of its value.

use crate::error::{Errors, ValueOrigin};
use crate::loaded::Loaded;
use crate::table::Row;
use crate::worker::WorkerClass;

/// Fails with all contradictions.
pub(crate) fn check(loaded: Loaded) -> Result<Loaded, Errors> {
    let mut errors = Errors::default();
    check_program(&loaded, &mut errors);
    if errors.0.is_empty() { Ok(loaded) } else { Err(errors) }
}

/// The server runs either an application or a program.
fn check_program(loaded: &Loaded, errors: &mut Errors) {
    let settings = &loaded.settings;
    let (has_app, has_program) = (settings.app.is_some(), !settings.program.is_empty());
    match settings.worker_class {
        WorkerClass::Exec => {
            if !has_program {
                let reason = "exec needs a program: --worker-class exec -- PROGRAM ARGUMENT...";
                add(loaded, "worker_class", reason, errors);
            }
            if has_app {
                let reason = "worker class exec serves no application; it runs a program, \
                              said behind --";
                add(loaded, "app", reason, errors);
            }
        }
        WorkerClass::Wsgi => {
            if has_program {
                let reason = "only --worker-class exec runs a program; an application is said \
                              without --";
                add(loaded, "program", reason, errors);
            }
        }
    }
}

fn add(loaded: &Loaded, name: &str, reason: &str, errors: &mut Errors) {
    let Some(row) = Row::find(name) else { return };
    let origin = loaded.source(row);
    let subject = match origin {
        ValueOrigin::CommandLine => row.subject(),
        ValueOrigin::Variable(variable) if *variable == row.variable() => String::new(),
        ValueOrigin::Variable(_) => row.subject(),
        ValueOrigin::Default | ValueOrigin::File { .. } | ValueOrigin::Master => row.key(),
    };
    errors.add(origin.clone(), &subject, reason);
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use crate::load;

    fn refusal(args: &str, env: &[(&str, &str)]) -> (u8, String) {
        let args: Vec<_> = args.split_whitespace().map(OsString::from).collect();
        let env: Vec<_> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let errors = load(&args, &env, Path::new("/nonexistent")).unwrap_err();
        (errors.exit_code(), errors.to_string())
    }

    #[test]
    fn exec_needs_a_program_and_no_application() {
        let (code, text) = refusal("-k exec", &[]);
        assert_eq!(code, 2);
        assert!(text.starts_with("--worker-class: exec needs a program"), "{text}");
        let (code, text) = refusal("", &[("MONOCEROS_WORKER_CLASS", "exec")]);
        assert_eq!(code, 1);
        assert!(text.starts_with("MONOCEROS_WORKER_CLASS: exec needs a program"), "{text}");
        let (_, text) = refusal("-k exec shop:app -- run", &[]);
        assert!(text.starts_with("APP: worker class exec serves no application"), "{text}");
        let (_, text) = refusal("-- run", &[("GUNICORN_CMD_ARGS", "-k exec shop:app")]);
        assert!(text.starts_with("GUNICORN_CMD_ARGS: APP: "), "{text}");
    }

    #[test]
    fn a_program_needs_exec() {
        for args in ["-- shop:app", "-k wsgi -- shop:app"] {
            let (code, text) = refusal(args, &[]);
            assert_eq!(code, 2);
            assert!(text.starts_with("PROGRAM: only --worker-class exec"), "{text}");
        }
        let (_, text) = refusal("", &[("MONOCEROS_PROGRAM", "run --fd 3")]);
        assert!(text.starts_with("MONOCEROS_PROGRAM: only --worker-class exec"), "{text}");
    }
}
