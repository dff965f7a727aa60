//! Owns the pid file that the settings ask for, and its path. A server without the setting
//! has none. Called by the event loop only; how the file is written is in `pid_file.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use monoceros_sys::user::Credentials;

use crate::master::act::owner_rights::reach;
use crate::master::act::pid_file::PidFile;

/// The setting `pid`, and the file while this master has it.
#[derive(Debug)]
pub(crate) struct PidFileSetting {
    path: Option<PathBuf>,
    file: Option<PidFile>,
}

impl PidFileSetting {
    /// A file that is not written yet.
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, file: None }
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Writes the file.
    pub(crate) fn write(&mut self, owner: Option<&Credentials>) -> Result<(), String> {
        self.file = self.path().map(|path| PidFile::write(path, owner)).transpose()?;
        Ok(())
    }

    /// Writes the file again if it was removed.
    pub(crate) fn renew(&mut self, owner: Option<&Credentials>) {
        if self.file.as_ref().is_some_and(PidFile::is_gone) {
            let path = self.path().unwrap_or(Path::new(""));
            log::warn!("pid file {} was removed; it is made again", path.display());
            if let Err(text) = self.write(owner) {
                log::error!("{text}");
            }
        }
    }

    /// The predecessor ends, which had its pid file at `left`: writes the file in its place,
    /// or beside it and removes that one.
    pub(crate) fn take_over(
        &mut self,
        left: Option<&Path>,
        owner: Option<&Credentials>,
    ) -> Result<(), String> {
        if left == self.path() {
            self.file = left.map(|path| PidFile::take_over(path, owner)).transpose()?;
            return Ok(());
        }
        if let Some(left) = left {
            // It names the predecessor. A file that stays does no harm: no process locks it.
            drop(reach(left, owner, |it| fs::remove_file(it), |it| fs::remove_file(it)));
        }
        self.write(owner)
    }

    /// Leaves the file to the successor.
    pub(crate) fn leave(&mut self) {
        if let Some(file) = self.file.take() {
            file.leave();
        }
    }

    /// Removes the file.
    pub(crate) fn remove(&mut self) {
        if let Some(file) = self.file.take() {
            file.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("monoceros-pid-{name}-{}", std::process::id()))
    }

    fn own_line() -> String {
        format!("{}\n", std::process::id())
    }

    #[test]
    fn a_file_that_was_removed_is_made_again() {
        let path = path("renewed");
        let mut setting = PidFileSetting::new(Some(path.clone()));
        setting.renew(None);
        assert!(!path.exists(), "it was never written");
        setting.write(None).unwrap();
        fs::remove_file(&path).unwrap();
        setting.renew(None);
        assert_eq!(fs::read_to_string(&path).unwrap(), own_line());
        setting.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_successor_takes_the_file_of_its_predecessor() {
        let path = path("taken");
        let (mut old, mut new) =
            (PidFileSetting::new(Some(path.clone())), PidFileSetting::new(Some(path.clone())));
        old.write(None).unwrap();
        old.leave();
        new.take_over(Some(&path), None).unwrap();
        old.remove();
        assert_eq!(fs::read_to_string(&path).unwrap(), own_line());
        new.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_successor_with_another_path_removes_the_file_of_its_predecessor() {
        let (left, path) = (path("left"), path("other"));
        fs::write(&left, "1\n").unwrap();
        let mut setting = PidFileSetting::new(Some(path.clone()));
        setting.take_over(Some(&left), None).unwrap();
        assert!(!left.exists());
        assert_eq!(fs::read_to_string(&path).unwrap(), own_line());
        setting.remove();
        fs::write(&left, "1\n").unwrap();
        let mut none = PidFileSetting::new(None);
        none.take_over(Some(&left), None).unwrap();
        assert!(!left.exists() && none.path().is_none());
    }
}
