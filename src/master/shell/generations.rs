//! The shell's generations: the settings of each are read, its listeners opened,
//! and closed when no generation needs them any more.

use std::path::Path;
use std::rc::Rc;

use monoceros_sys::reason;
use monoceros_wire::Generation;

use super::Shell;
use crate::master::listener::{Listener, open_all};
use crate::master::pidfile::PidFile;
use crate::master::recipe::Recipe;
use crate::master::spawn::WorkerProcess;
use crate::master::state::{BindFailure, Terms, WorkerId};

impl Shell {
    /// Opens what the recipe of a generation asks for.
    pub(super) fn bind(&mut self, generation: Generation) -> Result<(), BindFailure> {
        let Some(recipe) = self.recipes.get_mut(&generation) else { return Ok(()) };
        recipe.listeners = if self.announced.is_empty() {
            open_all(&recipe.settings.bind, &recipe.manner(), &mut self.listeners)?
        } else {
            self.announced.clone()
        };
        // One that was given up may be wanted again.
        self.admit_new(generation);
        Ok(())
    }

    pub(super) fn read_settings(&mut self, generation: Generation) -> Result<Terms, String> {
        let loaded = self.source.load()?;
        for warning in &loaded.warnings {
            log::warn!("{warning}");
        }
        let current = self.recipes.values().next();
        current.map_or(Ok(()), Recipe::check_file)?;
        let recipe = Recipe::new(&loaded, &self.source)?;
        if let Some(current) = current {
            for key in recipe.needs_restart(current) {
                log::warn!("{key} has changed: that takes effect with a restart only");
            }
        }
        let terms = recipe.terms();
        self.recipes.insert(generation, recipe);
        if let Err(failure) = self.bind(generation) {
            self.recipes.remove(&generation);
            self.close_unused();
            return Err(failure.text);
        }
        self.renew_pid_file();
        Ok(terms)
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

    /// Forgets every other generation, and closes what only they listened on.
    /// One that was read while this was decided is still to come.
    pub(super) fn settle(&mut self, generation: Generation) {
        let heard = self.heard;
        self.recipes.retain(|known, _| *known == generation || *known > heard);
        self.close_unused();
        // Those of a generation that goes on after all.
        self.admit_new(generation);
        if let Some(recipe) = self.recipes.get(&generation) {
            log::set_max_level(recipe.level());
        }
    }

    /// Lets clients connect again to what a generation listens on. What has to be
    /// opened anew for that takes the place of the old one everywhere.
    fn admit_new(&mut self, generation: Generation) {
        let Some(recipe) = self.recipes.get(&generation) else { return };
        let manner = recipe.manner();
        for old in recipe.listeners.clone() {
            match old.admit_new(&manner) {
                Ok(Some(anew)) => self.replace_listener(&old, &Rc::new(anew)),
                Ok(None) => {}
                Err(error) => log::error!("cannot admit new connections: {}", reason(&error)),
            }
        }
    }

    fn replace_listener(&mut self, old: &Rc<Listener>, anew: &Rc<Listener>) {
        let of_recipes = self.recipes.values_mut().map(|recipe| &mut recipe.listeners);
        for listener in of_recipes.chain([&mut self.listeners]).flatten() {
            if Rc::ptr_eq(listener, old) {
                *listener = Rc::clone(anew);
            }
        }
    }

    pub(super) fn close_unused(&mut self) {
        let listeners = std::mem::take(&mut self.listeners);
        let is_kept = |it: &Rc<Listener>| self.is_used(it) || it.is_borrowed();
        let (kept, closed): (Vec<_>, Vec<_>) = listeners.into_iter().partition(is_kept);
        if !self.passed_on {
            closed.iter().for_each(|listener| listener.remove_file());
        }
        self.listeners = kept;
    }

    /// Whether the settings of any generation name it.
    pub(super) fn is_used(&self, listener: &Rc<Listener>) -> bool {
        self.recipes.values().any(|recipe| recipe.has(listener))
    }

    /// Before a worker drains: a listener that nobody will serve after it takes
    /// no new connection, and so its queue can be served to the end. At the last
    /// stop these are all of its listeners; else those that the newest settings
    /// do not name any more, when it is the last worker to have them.
    pub(super) fn refuse_new(&self, worker: WorkerId, at_last: bool) {
        if self.passed_on {
            return;
        }
        let Some(process) = self.workers.get(&worker) else { return };
        let Some(recipe) = self.recipes.get(&process.generation) else { return };
        let newest = self.recipes.last_key_value().map(|(_, recipe)| recipe);
        let is_served_by = |other: &WorkerProcess, listener| {
            !other.was_told_to_drain()
                && self.recipes.get(&other.generation).is_some_and(|recipe| recipe.has(listener))
        };
        for listener in &recipe.listeners {
            let stays = newest.is_some_and(|recipe| recipe.has(listener))
                || self.workers.iter().any(|(id, it)| *id != worker && is_served_by(it, listener));
            if at_last || !stays {
                listener.refuse_new();
            }
        }
    }

    pub(super) fn close_listeners(&mut self) {
        self.recipes.values_mut().for_each(|recipe| recipe.listeners.clear());
        self.announced.clear();
        self.close_unused();
    }
}
