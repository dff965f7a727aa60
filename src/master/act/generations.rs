//! Owns the generations: what the workers of each are made of, and all listeners. Reads
//! settings, opens listeners, has them refuse connections, and closes those that no
//! generation has any more. Called by the event loop only; `processes.rs` and `handover.rs`
//! read it.

use std::collections::BTreeMap;
use std::rc::Rc;

use monoceros_config::Loaded;
use monoceros_sys::reason;
use monoceros_sys::user::Credentials;
use monoceros_wire::Generation;

use crate::master::act::certificates::Certificates;
use crate::master::act::invocation::Invocation;
use crate::master::act::listener::{OwnedListener, open_all};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::event::BindError;
use crate::master::decide::settings::MasterSettings;

/// The generations that have workers or are about to have some, and their listeners.
pub(crate) struct Generations {
    /// What workers are made of: of the generation that serves, and of those that may
    /// replace it.
    specs: BTreeMap<Generation, WorkerSpec>,
    /// The listeners of all generations.
    listeners: Vec<Rc<OwnedListener>>,
    /// Listeners that were passed in by `LISTEN_FDS`. They replace those of the settings.
    activated: Vec<Rc<OwnedListener>>,
    /// The listeners belong to the successor: their files are not removed.
    passed_on: bool,
}

impl Generations {
    /// The first generation. `listeners` are those of the predecessor, `activated` those
    /// that were passed in by `LISTEN_FDS`.
    pub(crate) fn new(
        first: Generation,
        mut spec: WorkerSpec,
        listeners: Vec<Rc<OwnedListener>>,
        activated: Vec<Rc<OwnedListener>>,
    ) -> Self {
        spec.open_logs();
        Self { specs: BTreeMap::from([(first, spec)]), listeners, activated, passed_on: false }
    }

    /// What the workers of a generation are made of.
    pub(crate) fn find(&self, generation: Generation) -> Result<&WorkerSpec, String> {
        let spec = self.specs.get(&generation);
        spec.ok_or_else(|| format!("the settings of gen={generation} are gone"))
    }

    /// What the workers of the oldest generation are made of: the one that serves.
    pub(crate) fn current(&self) -> Option<&WorkerSpec> {
        self.specs.values().next()
    }

    /// The number of the oldest generation: the one that serves.
    pub(crate) fn oldest(&self) -> Option<Generation> {
        self.specs.keys().next().copied()
    }

    /// Each generation, and what its workers are made of.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Generation, &WorkerSpec)> {
        self.specs.iter().map(|(generation, spec)| (*generation, spec))
    }

    /// What the workers of each generation are made of.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &WorkerSpec> {
        self.specs.values()
    }

    /// The same, to add what the workers share with those of other generations.
    pub(crate) fn specs_mut(&mut self) -> impl Iterator<Item = &mut WorkerSpec> {
        self.specs.values_mut()
    }

    /// The user of the workers, if it is not that of the master.
    pub(crate) fn owner(&self) -> Option<&Credentials> {
        self.current()?.other_user()
    }

    /// The limit of the memory of a worker in bytes; 0 is no limit.
    pub(crate) fn memory_limit(&self, generation: Generation) -> u64 {
        self.specs.get(&generation).map_or(0, |spec| spec.settings.max_rss.0)
    }

    /// A generation has certificates.
    pub(crate) fn have_certificates(&self) -> bool {
        self.specs.values().any(|spec| spec.certificates.is_some())
    }

    /// The certificates of each generation that has some.
    pub(crate) fn certificates_mut(
        &mut self,
    ) -> impl Iterator<Item = (Generation, &mut Certificates)> {
        let specs = self.specs.iter_mut();
        specs.filter_map(|(generation, spec)| Some((*generation, spec.certificates.as_mut()?)))
    }

    /// Forgets a generation that was read and cannot be used.
    pub(crate) fn forget(&mut self, generation: Generation) {
        self.specs.remove(&generation);
        self.close_unused();
    }

    /// Opens the listeners of the first generation.
    pub(crate) fn bind_first(&mut self) -> Result<(), BindError> {
        let first = self.specs.keys().next().copied();
        first.map_or(Ok(()), |generation| self.bind(generation))
    }

    fn bind(&mut self, generation: Generation) -> Result<(), BindError> {
        let Some(spec) = self.specs.get_mut(&generation) else { return Ok(()) };
        spec.listeners = if self.activated.is_empty() {
            let binds = spec.settings.bind.iter().map(|setting| setting.address.clone());
            open_all(&binds.collect::<Vec<_>>(), &spec.options(), &mut self.listeners)?
        } else {
            self.activated.clone()
        };
        // A listener that refuses connections may be wanted again.
        self.admit_new(generation);
        Ok(())
    }

    /// Makes a generation of settings that were read, and opens its listeners. After a failure
    /// nothing has changed.
    pub(crate) fn read(
        &mut self,
        generation: Generation,
        loaded: &Loaded,
        invocation: &Invocation,
    ) -> Result<MasterSettings, String> {
        for warning in &loaded.warnings {
            log::warn!("{warning}");
        }
        let current = self.current();
        current.map_or(Ok(()), WorkerSpec::check_file)?;
        let mut spec = WorkerSpec::new(loaded, invocation)?;
        if let Some(current) = current {
            for key in spec.needs_restart(current) {
                log::warn!("{key} has changed: that takes effect with a restart only");
            }
        }
        let settings = spec.master_settings();
        spec.open_logs();
        self.specs.insert(generation, spec);
        if let Err(failure) = self.bind(generation) {
            self.forget(generation);
            return Err(failure.text);
        }
        Ok(settings)
    }

    /// Drops the settings of other generations, and closes the listeners that only they
    /// have. A generation that was read after `last_read` stays: the event about it is on
    /// its way to the master.
    pub(crate) fn keep(&mut self, generation: Generation, last_read: Generation) {
        self.specs.retain(|known, _| *known == generation || *known > last_read);
        self.close_unused();
        // Listeners of a generation that goes on after a reload has failed.
        self.admit_new(generation);
        if let Some(spec) = self.specs.get(&generation) {
            monoceros_log::set_level(spec.level());
        }
    }

    /// Changes the log level of all generations that are known, and of the master.
    pub(crate) fn set_level(&mut self, level: log::LevelFilter) {
        self.specs.values_mut().for_each(|spec| spec.set_level(level));
        monoceros_log::set_level(level);
    }

    /// Lets clients connect again to the listeners of a generation. A listener that has to
    /// be opened anew for that replaces the old one in every generation.
    fn admit_new(&mut self, generation: Generation) {
        let Some(spec) = self.specs.get(&generation) else { return };
        let options = spec.options();
        for old in spec.listeners.clone() {
            match old.admit_new(&options) {
                Ok(Some(anew)) => self.replace_listener(&old, &Rc::new(anew)),
                Ok(None) => {}
                Err(error) => log::error!("cannot admit new connections: {}", reason(&error)),
            }
        }
    }

    fn replace_listener(&mut self, old: &Rc<OwnedListener>, anew: &Rc<OwnedListener>) {
        let of_specs = self.specs.values_mut().map(|spec| &mut spec.listeners);
        for listener in of_specs.chain([&mut self.listeners]).flatten() {
            if Rc::ptr_eq(listener, old) {
                *listener = Rc::clone(anew);
            }
        }
    }

    fn close_unused(&mut self) {
        let listeners = std::mem::take(&mut self.listeners);
        let is_kept = |it: &Rc<OwnedListener>| self.is_used(it) || it.is_borrowed();
        let (kept, closed): (Vec<_>, Vec<_>) = listeners.into_iter().partition(is_kept);
        if !self.passed_on {
            closed.iter().for_each(|listener| listener.remove_file());
        }
        self.listeners = kept;
    }

    fn is_used(&self, listener: &Rc<OwnedListener>) -> bool {
        self.specs.values().any(|spec| spec.has(listener))
    }

    /// Before a worker of `generation` drains, the listeners that no worker serves after it
    /// refuse new connections, so that it can empty their queues. `others` are the
    /// generations of the workers that go on. When the server ends (`at_all`) these are all
    /// of its listeners; otherwise those that the newest settings do not have, and no other
    /// worker serves.
    pub(crate) fn refuse_connections(
        &self,
        generation: Generation,
        others: &[Generation],
        at_all: bool,
    ) {
        if self.passed_on {
            return;
        }
        let Some(spec) = self.specs.get(&generation) else { return };
        let newest = self.specs.last_key_value().map(|(generation, _)| generation);
        let go_on = others.iter().chain(newest).filter_map(|it| self.specs.get(it));
        let go_on: Vec<_> = go_on.collect();
        for listener in &spec.listeners {
            if at_all || !go_on.iter().any(|other| other.has(listener)) {
                listener.refuse_new();
            }
        }
    }

    /// Closes all listeners. The workers serve what waits in their queues.
    pub(crate) fn close_listeners(&mut self) {
        self.specs.values_mut().for_each(|spec| spec.listeners.clear());
        self.activated.clear();
        self.close_unused();
    }

    /// The listeners that a successor is given.
    pub(crate) fn for_successor(&self) -> &[Rc<OwnedListener>] {
        if self.activated.is_empty() { &self.listeners } else { &self.activated }
    }

    /// The listeners of the predecessor that this server does not have.
    pub(crate) fn given_up(&self) -> impl Iterator<Item = &Rc<OwnedListener>> {
        self.listeners.iter().filter(|it| it.is_borrowed() && !self.is_used(it))
    }

    /// The listeners belong to the successor from now on. The workers of this master are
    /// the last to serve those that the successor has given up.
    pub(crate) fn pass_on(&mut self, has_given_up: impl Fn(&OwnedListener) -> bool) {
        self.passed_on = true;
        let given_up = self.listeners.iter().filter(|it| has_given_up(it));
        given_up.for_each(|listener| listener.refuse_new());
    }

    /// The listeners of the predecessor belong to this master from now on.
    pub(crate) fn take_over(&mut self) {
        self.listeners.iter().for_each(|listener| listener.own());
        self.close_unused();
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::PathBuf;

    use monoceros_sys::refuse::refuses_new;

    use super::*;

    const FIRST: Generation = Generation(1);
    const SECOND: Generation = Generation(2);

    /// How a server was called that runs a program at these addresses.
    fn invocation(binds: &[&str]) -> Invocation {
        let binds = binds.iter().flat_map(|bind| ["--bind", *bind]);
        let args: Vec<_> = binds.chain(["--worker-class", "exec", "--", "/bin/true"]).collect();
        Invocation::with_args(&args)
    }

    /// The first generation, bound.
    fn bound(binds: &[&str]) -> Generations {
        let invocation = invocation(binds);
        let spec = WorkerSpec::new(&invocation.load().unwrap(), &invocation).unwrap();
        let mut generations = Generations::new(FIRST, spec, Vec::new(), Vec::new());
        generations.bind_first().unwrap();
        generations
    }

    /// Reads settings for the second generation.
    fn read(generations: &mut Generations, binds: &[&str]) -> Result<MasterSettings, String> {
        let invocation = invocation(binds);
        generations.read(SECOND, &invocation.load().unwrap(), &invocation)
    }

    fn refuses(generations: &Generations, generation: Generation) -> bool {
        let listeners = &generations.find(generation).unwrap().listeners;
        assert_eq!(listeners.len(), 1);
        listeners[0].sockets().any(refuses_new)
    }

    /// A directory of the test's own, removed at its end: a server locks the directory of its
    /// sockets while it binds, and another one cannot bind there meanwhile.
    struct SocketDirectory(PathBuf);

    impl SocketDirectory {
        fn new(name: &str) -> Self {
            let name = format!("monoceros-generations-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("socket")
        }
    }

    impl Drop for SocketDirectory {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_listener_refuses_when_no_worker_serves_it_after_this_one() {
        let mut generations = bound(&["127.0.0.1:0"]);
        generations.refuse_connections(FIRST, &[], false);
        assert!(!refuses(&generations, FIRST), "the newest settings have it");
        let directory = SocketDirectory::new("newer");
        let other = format!("unix:{}", directory.socket().display());
        read(&mut generations, &[&other]).unwrap();
        generations.refuse_connections(FIRST, &[SECOND, FIRST], false);
        assert!(!refuses(&generations, FIRST), "another worker of the generation goes on");
        generations.refuse_connections(FIRST, &[SECOND], false);
        assert!(refuses(&generations, FIRST));
        // The reload has failed, so the first generation goes on.
        generations.keep(FIRST, SECOND);
        assert!(!refuses(&generations, FIRST), "it is wanted again");
        generations.refuse_connections(FIRST, &[FIRST], true);
        assert!(refuses(&generations, FIRST), "the server ends");
    }

    #[test]
    fn a_listener_that_was_passed_on_refuses_for_the_successor_only() {
        let mut generations = bound(&["127.0.0.1:0"]);
        generations.pass_on(|_| false);
        generations.refuse_connections(FIRST, &[], true);
        assert!(!refuses(&generations, FIRST), "the successor serves it");
        generations.pass_on(|_| true);
        assert!(refuses(&generations, FIRST), "the successor has given it up");
    }

    #[test]
    fn what_only_a_dropped_generation_has_is_closed() {
        let directory = SocketDirectory::new("closed");
        let path = directory.socket();
        let address = format!("unix:{}", path.display());
        let mut generations = bound(&[&address]);
        assert!(path.exists());
        read(&mut generations, &["127.0.0.1:0"]).unwrap();
        generations.keep(FIRST, FIRST);
        assert!(generations.find(SECOND).is_ok(), "the event about it is on its way");
        generations.keep(SECOND, SECOND);
        assert!(generations.find(FIRST).unwrap_err().ends_with("gen=1 are gone"));
        assert!(!path.exists());
    }

    #[test]
    fn the_files_of_listeners_that_were_passed_on_stay() {
        let directory = SocketDirectory::new("stays");
        let path = directory.socket();
        let mut generations = bound(&[&format!("unix:{}", path.display())]);
        generations.pass_on(|_| false);
        generations.close_listeners();
        assert!(path.exists());
    }

    #[test]
    fn settings_whose_address_is_in_use_change_nothing() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let mut generations = bound(&["127.0.0.1:0"]);
        let failure = read(&mut generations, &[&address]).unwrap_err();
        assert!(failure.contains("address already in use"), "{failure}");
        assert!(generations.find(SECOND).is_err());
        assert_eq!(generations.for_successor().len(), 1);
    }
}
