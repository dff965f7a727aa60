//! Numbers in the documentation: the limits in docs/limits.md, and the defaults of settings
//! in the other pages, are those of the source.

use std::fs;
use std::path::Path;

use monoceros_config::ROWS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The text of each source file in a directory, or of one file.
fn sources(path: &Path) -> Vec<String> {
    if path.is_file() {
        return vec![fs::read_to_string(path).unwrap()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let sources = entries.filter(|it| it.is_dir() || it.extension().is_some_and(|it| it == "rs"));
    sources.flat_map(|it| sources_of_own(&it)).collect()
}

/// The crates below a crate's directory have limits of their own.
fn sources_of_own(path: &Path) -> Vec<String> {
    if path.join("Cargo.toml").exists() { Vec::new() } else { sources(path) }
}

/// The value of the one constant with this name.
fn constant(place: &str, name: &str) -> String {
    let beginning = format!("const {name}: ");
    let texts = sources(&root().join(place));
    let lines = texts.iter().flat_map(|text| text.lines());
    let found: Vec<_> = lines.filter(|line| line.contains(&beginning)).collect();
    let [line] = found[..] else { panic!("{place} {name}: {found:?}") };
    let (kind, value) =
        line.split_once(&beginning).unwrap().1.split_once(" = ").expect("a type and a value");
    shown(name, kind, value.trim_end_matches(';'))
}

/// A value as the pages have it: `1 MiB`, `2 s`, `500`.
fn shown(name: &str, kind: &str, value: &str) -> String {
    let number = |text: &str| -> u64 { text.replace('_', "").parse().expect(text) };
    let inside = |call: &str| Some(number(value.strip_prefix(call)?.strip_suffix(')')?));
    let milliseconds = inside("Duration::from_secs(")
        .map(|seconds| seconds * 1000)
        .or_else(|| inside("Duration::from_millis("))
        .or_else(|| name.ends_with("_MS").then(|| number(value)));
    if let Some(milliseconds) = milliseconds {
        return format!("{} s", milliseconds as f64 / 1000.0);
    }
    let amount = if let Some((left, right)) = value.split_once(" << ") {
        number(left) << number(right)
    } else {
        value.split(" * ").map(number).product()
    };
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.iter().find(|(_, shift)| amount >> shift << shift == amount);
    match unit {
        // A number of things, and not an amount of memory.
        _ if ["u16", "u32"].contains(&kind) => amount.to_string(),
        Some((unit, shift)) => format!("{} {unit}", amount >> shift),
        None => amount.to_string(),
    }
}

#[test]
fn the_limits_in_the_documentation_are_those_of_the_source() {
    let text = page("limits.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .filter(|cells: &Vec<&str>| cells.len() >= 4 && cells[3].starts_with('`'))
        .collect();
    assert!(rows.len() > 20, "{}", rows.len());
    for row in rows {
        let [limit, value, _, source, pages @ ..] = &row[..] else { panic!("{row:?}") };
        let names: Vec<_> = source.split('`').filter(|it| !it.trim().is_empty()).collect();
        assert_eq!(constant(names[0], names[1]), *value, "{limit}");
        for name in pages.iter().flat_map(|it| it.split(", ")).filter(|it| it.ends_with(".md")) {
            assert!(page(name).contains(value), "{name} has no {value}: {limit}");
        }
    }
}

/// A length of time or an amount of memory of the settings, as the pages have it.
fn with_unit(default: &str) -> Option<String> {
    let (number, unit) = default.split_at(default.len().checked_sub(1)?);
    let unit = match unit {
        "s" => "s",
        "K" => "KiB",
        "M" => "MiB",
        "G" => "GiB",
        _ => return None,
    };
    number.parse::<u64>().ok().map(|number| format!("{number} {unit}"))
}

/// `boot-timeout` (60 s), for each setting that has a unit.
#[test]
fn defaults_in_the_documentation_are_those_of_the_settings() {
    let mut found = 0;
    let directory = fs::read_dir(root().join("docs")).unwrap();
    let paths = directory.map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|it| it == "md")) {
        let text = fs::read_to_string(&path).unwrap();
        for row in ROWS {
            let Some(default) = with_unit(&row.default_text()) else { continue };
            let mention = format!("`{}` (", row.key());
            for (_, rest) in text.match_indices(&mention).map(|(at, _)| text.split_at(at)) {
                let stated = rest[mention.len()..].split(')').next().unwrap();
                let stated = stated.trim_end_matches(" in a worker");
                // More words are about something else, as is what is no number.
                if stated.starts_with(|it: char| it.is_ascii_digit())
                    && stated.matches(' ').count() == 1
                {
                    assert_eq!(stated, default, "{}: {}", path.display(), row.key());
                    found += 1;
                }
            }
        }
    }
    assert!(found > 3, "{found}");
}
