//! Completions of shells after `monoceros`, by the files that the packages install.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::directory::Directory;
use crate::support::need;
use crate::support::setup::Setup;

/// Offers for the last of the words, as bash asks for them when a user types.
const BASH: &str = r#"
    . "$1"; shift
    compopt() { :; }
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    read -r _ name < <(complete -p monoceros | sed 's/.* -F \([^ ]*\) .*/x \1/')
    "$name" monoceros "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
"#;

const FISH: &str = r#"source $argv[1]; complete --do-complete "$argv[2..]""#;

#[test]
fn bash_offers_flags_commands_and_words() {
    let offers = |words: &[&str]| offers("bash", "monoceros.bash", BASH, words);
    for (words, expected) in CASES {
        if let Some(offers) = offers(words) {
            assert!(offers.iter().any(|it| it == expected), "{words:?}: {offers:?}");
        }
    }
}

#[test]
fn fish_offers_flags_and_commands() {
    let offers = |words: &[&str]| offers("fish", "monoceros.fish", FISH, words);
    // Its completions have no words behind flags and commands.
    let without = ["--log-level", "completions"];
    for (words, expected) in
        CASES.into_iter().filter(|(words, _)| !words.iter().any(|word| without.contains(word)))
    {
        if let Some(offers) = offers(words) {
            let starts = |it: &String| it.split('\t').next() == Some(expected);
            assert!(offers.iter().any(starts), "{words:?}: {offers:?}");
        }
    }
}

#[test]
fn zsh_can_read_its_completions() {
    let home = Directory::new();
    if let Some(mut zsh) = shell("zsh", &home) {
        let output = zsh.arg("-n").arg(file("_monoceros")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_program_prints_the_completions_that_packages_install() {
    for (shell, name) in
        [("bash", "monoceros.bash"), ("zsh", "_monoceros"), ("fish", "monoceros.fish")]
    {
        let end = Setup::bare().flags(&["completions", shell]).run();
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{shell}");
        assert_eq!(end.stdout, fs::read_to_string(file(name)).unwrap(), "{shell}");
    }
    let end = Setup::bare().flags(&["completions", "tcsh"]).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(2), ""));
    assert!(end.stderr.contains("completions: \"tcsh\" is not one of bash, zsh, fish"));
}

/// Words that are typed, the last one in part, and something that has to be offered.
const CASES: [(&[&str], &str); 9] = [
    (&["monoceros", "req"], "requests"),
    (&["monoceros", "stacks", "--"], "--json"),
    (&["monoceros", "completions", "f"], "fish"),
    (&["monoceros", "rel"], "reload"),
    (&["monoceros", "--max-r"], "--max-rss"),
    (&["monoceros", "--log-level", "crit"], "critical"),
    (&["monoceros", "status", "--"], "--json"),
    (&["monoceros", "upgrade", "--t"], "--timeout"),
    (&["monoceros", "check", "--dep"], "--deploy"),
];

fn offers(name: &str, completions: &str, code: &str, words: &[&str]) -> Option<Vec<String>> {
    let home = Directory::new();
    let mut shell = shell(name, &home)?;
    shell.arg("-c").arg(code);
    if name == "bash" {
        shell.arg("bash");
    }
    let output = shell.arg(file(completions)).args(words).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{name}: {complaint}");
    Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// A shell without the settings of a user, if it is installed. fish writes into its home.
fn shell(name: &str, home: &Directory) -> Option<Command> {
    let path = ["/bin", "/usr/bin", "/usr/local/bin"].map(|it| PathBuf::from(it).join(name));
    let found = path.into_iter().find(|it| it.exists());
    need::met(found.is_some(), name);
    let mut command = Command::new(found?);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path());
    Some(command)
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/completions").join(name)
}
