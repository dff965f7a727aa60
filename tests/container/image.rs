//! Makes an image: runs the steps of a Dockerfile in a small Debian, as an engine does.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::dockerfile::{self, Stage, Step};

/// Runs a command in a tree, which sees nothing of the processes outside.
const IN_TREE: &str = "set -e; tree=$1; shift
    mount --make-rprivate /
    mount --bind \"$tree\" \"$tree\"
    mount -t proc proc \"$tree/proc\"
    for device in full null random urandom zero; do
        : >>\"$tree/dev/$device\"; mount --bind /dev/$device \"$tree/dev/$device\"
    done
    : >>\"$tree/etc/resolv.conf\"; mount --bind /etc/resolv.conf \"$tree/etc/resolv.conf\"
    exec chroot \"$tree\" \"$@\"";

/// Names of files with the certificates of a machine that has its own.
const CERTIFICATES: [&str; 2] = ["PIP_CERT", "CARGO_HTTP_CAINFO"];

/// A file system tree, and the command of its containers.
pub(crate) struct Image {
    tree: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) directory: String,
    pub(crate) user: String,
    pub(crate) stop_signal: String,
    pub(crate) command: Vec<String>,
    pub(crate) health_check: Vec<String>,
}

impl Image {
    /// The image of a Dockerfile's last stage. What an earlier stage would have built
    /// is in `built`. Its tree is beside the others, and stays until it is built again.
    pub(crate) fn build(
        name: &str,
        file: &Path,
        context: &Path,
        built: Option<&Path>,
        base: Option<&Self>,
    ) -> Self {
        let stage = dockerfile::read(file).pop().unwrap();
        Self::of_stage(name, &stage, context, built, base)
    }

    pub(crate) fn of_stage(
        name: &str,
        stage: &Stage,
        context: &Path,
        built: Option<&Path>,
        base: Option<&Self>,
    ) -> Self {
        let mut image = match (stage.base.as_str(), base) {
            ("debian:trixie-slim", None) => Self::bare(name),
            ("monoceros", Some(base)) => base.copy(name),
            (base, _) => panic!("there is no {base}"),
        };
        for step in &stage.steps {
            image.take(step, context, built);
        }
        image
    }

    fn bare(name: &str) -> Self {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Self {
            tree: copy_tree(&container().join("base"), name),
            variables: vec![("PATH".to_owned(), path.to_owned())],
            directory: "/".to_owned(),
            user: "0:0".to_owned(),
            stop_signal: "SIGTERM".to_owned(),
            command: Vec::new(),
            health_check: Vec::new(),
        }
    }

    fn copy(&self, name: &str) -> Self {
        Self {
            tree: copy_tree(self.tree(), name),
            variables: self.variables.clone(),
            directory: self.directory.clone(),
            user: self.user.clone(),
            stop_signal: self.stop_signal.clone(),
            command: self.command.clone(),
            health_check: self.health_check.clone(),
        }
    }

    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }

    fn take(&mut self, step: &Step, context: &Path, built: Option<&Path>) {
        match step {
            Step::Run(line) => self.run(line),
            Step::Copy { from, sources, to } => {
                let from = match from {
                    None => context.to_owned(),
                    Some(_) => built.expect("an earlier stage").to_owned(),
                };
                let to = self.at(to);
                for source in sources {
                    // What an earlier stage has made is named from its root.
                    let source = source.strip_prefix("/installed").unwrap_or(source);
                    let source = from.join(source.trim_start_matches('/'));
                    copy_into(&source, &to);
                }
            }
            Step::Variables(new) => {
                self.variables.retain(|(name, _)| new.iter().all(|(other, _)| other != name));
                self.variables.extend(new.iter().cloned());
            }
            Step::Directory(path) => {
                self.directory.clone_from(path);
                std::fs::create_dir_all(self.at(path)).unwrap();
            }
            Step::User(user) => self.user.clone_from(user),
            Step::StopSignal(signal) => self.stop_signal.clone_from(signal),
            Step::Command(words) => self.command.clone_from(words),
            Step::HealthCheck(words) => self.health_check.clone_from(words),
            Step::Note => {}
        }
    }

    /// A path in the image, as the host sees it.
    fn at(&self, path: &str) -> PathBuf {
        let path = Path::new(&self.directory).join(path);
        self.tree().join(path.strip_prefix("/").unwrap())
    }

    fn run(&self, line: &str) {
        let Output { status, stdout, stderr } = self.shell(line).output().unwrap();
        let text = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert!(status.success(), "{line}: {status}\n{text}");
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", IN_TREE]);
        command.arg("in-tree").arg(self.tree());
        command.args([
            "/bin/sh",
            "-c",
            &format!(
                "cd {} && exec setpriv {} /bin/sh -c \"$0\"",
                self.directory,
                identity(&self.user)
            ),
            line,
        ]);
        command.env_clear().envs(self.variables.iter().cloned());
        for name in CERTIFICATES {
            if let Some(path) = env::var_os(name) {
                let inside = "/run/certificates.crt";
                std::fs::copy(path, self.tree().join(&inside[1..])).unwrap();
                command.env(name, inside);
            }
        }
        command
    }
}

/// The options by which `setpriv(1)` becomes a user, such as `10001:10001`.
pub(crate) fn identity(user: &str) -> String {
    let (user, group) = user.split_once(':').unwrap_or((user, user));
    let id = |name: &str| if name == "root" { "0".to_owned() } else { name.to_owned() };
    format!("--reuid={} --regid={} --clear-groups", id(user), id(group))
}

fn copy_tree(from: &Path, name: &str) -> PathBuf {
    let to = container().join(name);
    if to.exists() {
        std::fs::remove_dir_all(&to).unwrap();
    }
    copy_into(from, &to);
    to
}

/// Copies a file into a directory, or what a directory has.
fn copy_into(from: &Path, to: &Path) {
    let source = if from.is_dir() { from.join(".") } else { from.to_owned() };
    std::fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(&source).arg(to).status();
    assert!(copied.unwrap().success(), "{} to {}", from.display(), to.display());
}

/// Where `make test-container` has put a small Debian, and what is installed in it.
pub(crate) fn container() -> PathBuf {
    let program = crate::support::setup::program();
    program.ancestors().nth(2).unwrap().join("container")
}
