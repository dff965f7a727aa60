//! The text in the printed pages about all settings together, and the words for the columns
//! of a row.

use crate::row::{Arity, Effect};
use crate::table::Row;

/// The description of the sources of settings.
pub(super) const SOURCES: [&str; 5] = [
    "Every setting can be set on the command line (`--keep-alive 75`), in the environment \
     (`MONOCEROS_KEEP_ALIVE=75`) and in the configuration file (`keep-alive: 75`). The file is \
     a YAML mapping: the one named with `--config`, else `monoceros.yaml` in the working \
     directory if there is one. A key may also have gunicorn's name (`keepalive`), and `_` for \
     `-`. A file that does not end in `.yaml` or `.yml` is gunicorn's, in Python; \
     `gunicorn.conf.py` is read where there is no `monoceros.yaml`.",
    "From the weakest to the strongest: the default; the variables `WEB_CONCURRENCY`, `PORT` \
     and `FORWARDED_ALLOW_IPS`, which replace the defaults of `--workers`, `--bind` and \
     `--forwarded-allow-ips`; the file; \
     `GUNICORN_CMD_ARGS`, read like a command line; `MONOCEROS_*`; the command line. A setting \
     that can be repeated is replaced as a whole by the stronger source. An empty variable \
     counts as unset. In a variable, the items of a repeatable setting are separated by spaces \
     and quoted as in a shell.",
    "Lengths of time are in seconds, or have a unit: `500ms`, `30s`, `2m`, `1h`. On the command \
     line a switch can be turned off: `--daemon=false`.",
    "With an unknown setting or an invalid value in any source the server does not start. All \
     errors are reported together, each with the origin of its value. `--print-config` prints \
     every setting with its origin.",
    "SIGHUP reads all sources again. After an error the running settings stay.",
];

/// Spellings on the command line: `-t SECONDS, --timeout SECONDS`, one each.
pub(super) fn flags(row: &Row) -> Vec<String> {
    if row.positional {
        return vec![row.placeholder.to_owned()];
    }
    let value = match row.arity {
        Arity::Switch => String::new(),
        Arity::Optional => format!(" [{}]", row.placeholder),
        Arity::One | Arity::List => format!(" {}", row.placeholder),
    };
    let short = row.short.map(|short| format!("-{short}{value}"));
    let others = row.aliases.iter().map(|alias| format!("--{alias}{value}"));
    short.into_iter().chain([format!("{}{value}", row.flag())]).chain(others).collect()
}

/// When a changed value takes effect.
pub(super) fn effect(row: &Row) -> &'static str {
    match row.effect {
        Effect::Live => "with a reload, at once",
        Effect::Rollout => "with a reload, in the workers that it starts",
        Effect::Restart => "with a restart",
    }
}

/// The allowed numbers, with their unit.
pub(super) fn range(row: &Row) -> Option<String> {
    let (least, most) = row.range?;
    let unit = match row.placeholder {
        "SECONDS" => " seconds",
        "BYTES" => " bytes",
        _ => "",
    };
    Some(format!("{least} to {most}{unit}"))
}

/// The default, and the variable that replaces it.
pub(super) fn default(row: &Row) -> String {
    let text = row.default_text();
    let mut default = if text.is_empty() { "none".to_owned() } else { format!("`{text}`") };
    if let Some(env_default) = row.env_default {
        let value = env_default.template.replace("{}", &format!("${}", env_default.variable));
        default += &format!("; `{value}` if `{}` is set", env_default.variable);
    }
    default
}
