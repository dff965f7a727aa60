//! The part of the event loop that owns the generations: it reads the settings of each,
//! opens its listeners, and closes them when no generation has them any more.

use std::path::Path;
use std::rc::Rc;

use monoceros_sys::reason;
use monoceros_wire::Generation;

use super::MasterLoop;
use crate::master::act::listener::{OwnedListener, open_all};
use crate::master::act::pid_file::PidFile;
use crate::master::act::worker_process::WorkerProcess;
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::event::BindError;
use crate::master::decide::id::WorkerId;
use crate::master::decide::settings::MasterSettings;

impl MasterLoop {
    /// Opens the listeners of a generation.
    pub(super) fn bind(&mut self, generation: Generation) -> Result<(), BindError> {
        let Some(spec) = self.specs.get_mut(&generation) else { return Ok(()) };
        spec.listeners = if self.activated.is_empty() {
            open_all(&spec.settings.bind, &spec.options(), &mut self.listeners)?
        } else {
            self.activated.clone()
        };
        // A listener that refuses connections may be wanted again.
        self.admit_new(generation);
        Ok(())
    }

    pub(super) fn read_settings(
        &mut self,
        generation: Generation,
    ) -> Result<MasterSettings, String> {
        let loaded = self.invocation.load()?;
        for warning in &loaded.warnings {
            log::warn!("{warning}");
        }
        let current = self.specs.values().next();
        current.map_or(Ok(()), WorkerSpec::check_file)?;
        let spec = WorkerSpec::new(&loaded, &self.invocation)?;
        if let Some(current) = current {
            for key in spec.needs_restart(current) {
                log::warn!("{key} has changed: that takes effect with a restart only");
            }
        }
        let settings = spec.master_settings();
        self.specs.insert(generation, spec);
        if let Err(failure) = self.bind(generation) {
            self.specs.remove(&generation);
            self.close_unused();
            return Err(failure.text);
        }
        self.renew_pid_file();
        Ok(settings)
    }

    /// Writes the pid file again if it was removed.
    fn renew_pid_file(&mut self) {
        if self.pid_file.as_ref().is_some_and(PidFile::is_gone) {
            let path = self.pid_path.as_deref().unwrap_or(Path::new(""));
            log::warn!("pid file {} was removed; it is made again", path.display());
            if let Err(text) = self.write_pid_file(PidFile::write) {
                log::error!("{text}");
            }
        }
    }

    /// Drops the settings of other generations, and closes the listeners that only they
    /// have. A generation that was read after `last_read` stays: the event about it is on
    /// its way to the master.
    pub(super) fn keep_generation(&mut self, generation: Generation, last_read: Generation) {
        self.specs.retain(|known, _| *known == generation || *known > last_read);
        self.close_unused();
        // Listeners of a generation that goes on after a reload has failed.
        self.admit_new(generation);
        if let Some(spec) = self.specs.get(&generation) {
            log::set_max_level(spec.level());
        }
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
        let of_recipes = self.specs.values_mut().map(|spec| &mut spec.listeners);
        for listener in of_recipes.chain([&mut self.listeners]).flatten() {
            if Rc::ptr_eq(listener, old) {
                *listener = Rc::clone(anew);
            }
        }
    }

    pub(super) fn close_unused(&mut self) {
        let listeners = std::mem::take(&mut self.listeners);
        let is_kept = |it: &Rc<OwnedListener>| self.is_used(it) || it.is_borrowed();
        let (kept, closed): (Vec<_>, Vec<_>) = listeners.into_iter().partition(is_kept);
        if !self.passed_on {
            closed.iter().for_each(|listener| listener.remove_file());
        }
        self.listeners = kept;
    }

    /// Whether any generation has this listener.
    pub(super) fn is_used(&self, listener: &Rc<OwnedListener>) -> bool {
        self.specs.values().any(|spec| spec.has(listener))
    }

    /// Before a worker drains, the listeners that no worker serves after it refuse new
    /// connections, so that it can empty their queues. When the server ends these are all
    /// of its listeners; otherwise those that the newest settings do not have, and no other
    /// worker serves.
    pub(super) fn refuse_connections(&self, worker: WorkerId, at_all: bool) {
        if self.passed_on {
            return;
        }
        let Some(process) = self.workers.get(&worker) else { return };
        let Some(spec) = self.specs.get(&process.generation) else { return };
        let newest = self.specs.last_key_value().map(|(_, spec)| spec);
        let is_served_by = |other: &WorkerProcess, listener| {
            !other.is_draining()
                && self.specs.get(&other.generation).is_some_and(|spec| spec.has(listener))
        };
        for listener in &spec.listeners {
            let stays = newest.is_some_and(|spec| spec.has(listener))
                || self.workers.iter().any(|(id, it)| *id != worker && is_served_by(it, listener));
            if at_all || !stays {
                listener.refuse_new();
            }
        }
    }

    pub(super) fn close_listeners(&mut self) {
        self.specs.values_mut().for_each(|spec| spec.listeners.clear());
        self.activated.clear();
        self.close_unused();
    }
}
