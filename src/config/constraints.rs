//! Checks settings against each other. Each value is valid by itself; an error names the
//! setting to change, with the origin of its value.

use crate::access;
use crate::error::Errors;
use crate::findings::Findings;
use crate::loaded::Loaded;
use crate::observation;
use crate::table::Settings;
use crate::transport;
use crate::worker::WorkerClass;

/// Fails with all contradictions; adds warnings about values without an effect.
pub(crate) fn check(mut loaded: Loaded) -> Result<Loaded, Errors> {
    let mut findings = Findings::new(&loaded);
    check_program(&loaded.settings, &mut findings);
    transport::check(&loaded.settings, &mut findings);
    access::check(&loaded.settings, &mut findings);
    observation::check(&loaded.settings, &mut findings);
    let Findings { errors, warnings, .. } = findings;
    if errors.0.is_empty() {
        loaded.warnings.extend(warnings);
        Ok(loaded)
    } else {
        Err(errors)
    }
}

/// The server runs either an application or a program.
fn check_program(settings: &Settings, findings: &mut Findings<'_>) {
    let has_app = settings.app.is_some() || settings.paste.is_some();
    let has_program = !settings.program.is_empty();
    match settings.worker_class {
        WorkerClass::Exec => {
            if !has_program {
                let reason = "exec needs a program: --worker-class exec -- PROGRAM ARGUMENT...";
                findings.refuse("worker_class", reason);
            }
            if has_app {
                let reason = "worker class exec serves no application; it runs a program, \
                              said behind --";
                let name = if settings.app.is_some() { "app" } else { "paste" };
                findings.refuse(name, reason);
            }
        }
        WorkerClass::Wsgi => {
            if has_program {
                let reason = "only --worker-class exec runs a program; an application is said \
                              without --";
                findings.refuse("program", reason);
            }
        }
    }
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
