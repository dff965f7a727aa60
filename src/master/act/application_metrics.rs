//! Owns the directory in which the workers count with `prometheus_client`, so that a reader
//! can add up the metrics of an application over all of them. It is made with the first
//! generation, and stays to the end of the server: over reloads, killed workers and upgrades
//! ([decision 48](../../../docs/decisions/0048-metrics-of-the-application.md)). Called by the
//! event loop only.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use monoceros_metrics::{Exposition, MergedMetrics};
use monoceros_sys::reason;
use monoceros_sys::user::is_root;

use crate::master::act::generations::Generations;
use crate::master::act::invocation::Invocation;
use crate::master::act::metrics_directory::MetricsDirectory;
use crate::master::act::worker_spec::WorkerSpec;

/// The variables that name the directory to `prometheus_client`; the second one to its older
/// versions.
const NAMES: [&str; 2] = ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"];

/// The directories that this server has made.
pub(crate) struct ApplicationMetrics {
    /// One for each user of workers.
    own: Vec<Rc<MetricsDirectory>>,
    /// Those of the predecessor, which no generation of this master uses yet.
    inherited: Vec<PathBuf>,
    /// Until the predecessor has passed everything on, its directories are not removed.
    follows: bool,
    /// No directory could be made, which is in the log.
    has_failed: bool,
    /// What was added up last, and when.
    merged: Option<(Instant, MergedMetrics)>,
    /// Why that did not work, which is in the log.
    trouble: Option<String>,
}

/// As long as this, what was added up is what clients get: their number costs nothing.
const FRESH: Duration = Duration::from_secs(1);

impl ApplicationMetrics {
    /// With the directories of the predecessor, if there is one.
    pub(crate) fn new(inherited: Option<Vec<String>>) -> Self {
        let follows = inherited.is_some();
        let inherited = inherited.into_iter().flatten().map(PathBuf::from).collect();
        let (has_failed, merged, trouble) = Default::default();
        Self { own: Vec::new(), inherited, follows, has_failed, merged, trouble }
    }

    /// A generation was read: gives its workers a directory, unless the operator has set one.
    pub(crate) fn begin(&mut self, generations: &mut Generations, invocation: &Invocation) {
        for spec in generations.specs_mut() {
            if spec.metrics_directory.is_none() && spec.kind.runs_python() && spec.check.is_none() {
                spec.metrics_directory = match set_directory(spec) {
                    Some(set) if set.as_os_str().is_empty() => None,
                    Some(set) => {
                        let path = spec.directory.join(set);
                        let owner = spec.other_user().cloned();
                        Some(Rc::new(MetricsDirectory::set(path, owner)))
                    }
                    None => self.directory_for(spec, invocation),
                };
            }
        }
    }

    fn directory_for(
        &mut self,
        spec: &WorkerSpec,
        invocation: &Invocation,
    ) -> Option<Rc<MetricsDirectory>> {
        let owner = spec.other_user();
        if let Some(known) = self.own.iter().find(|known| known.is_for(owner)) {
            return Some(Rc::clone(known));
        }
        let taken = self.inherited.iter().position(|path| {
            let taken = MetricsDirectory::take_over(path.clone(), owner.cloned());
            taken.is_ok_and(|directory| {
                self.own.push(Rc::new(directory));
                true
            })
        });
        if let Some(taken) = taken {
            self.inherited.remove(taken);
            return self.own.last().cloned();
        }
        let variable = |name: &str| invocation.variable(name).map(PathBuf::from);
        let bases = bases(variable("RUNTIME_DIRECTORY"), variable("XDG_RUNTIME_DIR"), is_root());
        match MetricsDirectory::make(owner.cloned(), &bases) {
            Ok(directory) => {
                self.own.push(Rc::new(directory));
                self.own.last().cloned()
            }
            Err(_) if self.has_failed => None,
            Err(text) => {
                self.has_failed = true;
                log::warn!(
                    "cannot make a directory for the application's metrics: {text}; \
                     prometheus_client counts in each worker by itself, unless env sets {}",
                    NAMES[0]
                );
                None
            }
        }
    }

    /// Writes the figures of the application, if the settings ask for them.
    pub(crate) fn write(
        &mut self,
        spec: Option<&WorkerSpec>,
        now: Instant,
        exposition: &mut Exposition,
    ) {
        let Some(spec) = spec.filter(|spec| spec.settings.metrics_application) else { return };
        let Some(directory) = &spec.metrics_directory else { return };
        if self.merged.as_ref().is_none_or(|(at, _)| now.duration_since(*at) >= FRESH) {
            self.merged = match directory.read() {
                Ok(metrics) => {
                    self.trouble = None;
                    Some((now, metrics))
                }
                Err(error) => {
                    self.complain(directory, &reason(&error));
                    None
                }
            };
        }
        if let Some((_, metrics)) = &self.merged {
            metrics.write(exposition);
        }
    }

    fn complain(&mut self, directory: &MetricsDirectory, why: &str) {
        if self.trouble.as_deref() != Some(why) {
            let path = directory.path().display();
            log::warn!("cannot read the application's metrics in {path}: {why}");
            self.trouble = Some(why.to_owned());
        }
    }

    /// A process has ended: its live gauges do not count any more.
    pub(crate) fn mark_dead(&self, generations: &Generations) {
        let set = generations.specs().filter_map(|spec| spec.metrics_directory.as_ref());
        let set = set.filter(|directory| !directory.is_own());
        self.own.iter().chain(set).for_each(|directory| directory.mark_dead());
    }

    /// The paths of the directories, for a successor.
    pub(crate) fn for_successor(&self) -> Vec<String> {
        let own = self.own.iter().map(|directory| directory.path());
        let all = own.chain(self.inherited.iter().map(PathBuf::as_path));
        all.filter_map(Path::to_str).map(str::to_owned).collect()
    }

    /// The predecessor has passed everything on.
    pub(crate) fn take_over(&mut self) {
        self.follows = false;
    }

    /// Leaves the directories to the successor.
    pub(crate) fn leave(&mut self) {
        self.own.clear();
        self.inherited.clear();
    }

    /// Removes the directories at the end of the server.
    pub(crate) fn remove(&mut self) {
        if self.follows {
            return;
        }
        self.own.drain(..).for_each(|directory| directory.remove());
        for path in self.inherited.drain(..) {
            // Of a user that no worker had any more. Nothing is known of its content.
            if let Err(error) = std::fs::remove_dir(&path) {
                log::debug!("cannot remove {}: {}", path.display(), reason(&error));
            }
        }
    }
}

/// The directory that the operator has set in the environment of the workers.
fn set_directory(spec: &WorkerSpec) -> Option<PathBuf> {
    let value = |name: &str| {
        spec.program.environment.iter().find_map(|variable| {
            let value = variable.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(PathBuf::from(OsStr::from_bytes(value)))
        })
    };
    NAMES.into_iter().find_map(value)
}

/// Where a directory may be made, the best place first. systemd removes the first one after a
/// master that was killed. `/dev/shm` comes last: systemd-logind removes the files of an
/// ordinary user there when that user logs out (`RemoveIPC` in `logind.conf(5)`).
fn bases(service: Option<PathBuf>, session: Option<PathBuf>, is_root: bool) -> Vec<PathBuf> {
    // A service with several directories gets them separated by colons (`systemd.exec(5)`).
    let first = |paths: PathBuf| {
        let paths = paths.into_os_string().into_string().ok()?;
        paths.split(':').next().map(PathBuf::from)
    };
    let run = is_root.then(|| PathBuf::from("/run"));
    let all = service.and_then(first).into_iter().chain(run).chain(session);
    let all = all.chain([PathBuf::from("/dev/shm")]);
    all.filter(|path| path.is_absolute() && path.to_str().is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_a_service_comes_before_those_that_others_may_empty() {
        let path = |text: &str| Some(PathBuf::from(text));
        let names = |bases: Vec<PathBuf>| {
            bases
                .into_iter()
                .map(|it| it.into_os_string().into_string().unwrap())
                .collect::<Vec<_>>()
        };
        let found = bases(path("/run/a:/run/b"), path("/run/user/7"), true);
        assert_eq!(names(found), ["/run/a", "/run", "/run/user/7", "/dev/shm"]);
        assert_eq!(names(bases(None, path("relative"), false)), ["/dev/shm"]);
    }
}
