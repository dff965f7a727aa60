//! How a root master uses a path on which the user of its workers may be able to change
//! links and directories.

use std::io;
use std::path::Path;

use monoceros_sys::acting::act_as;
use monoceros_sys::user::{Credentials, is_root};
use monoceros_sys::{path, reason};

/// Acts on a path with the rights of the owner, the user of the workers: so it can do
/// nothing that the owner could not do. Where the owner may not, `root` acts with the
/// rights of root, if no user but root can change what the path leads to. Without an owner,
/// and where the master is not root, there is one user only.
///
/// # Errors
/// Those of `act` and `root`. `PermissionDenied`, when the owner may not and the path is
/// not root's own, names the owner of the path.
pub(crate) fn reach<T>(
    path: &Path,
    owner: Option<&Credentials>,
    act: impl FnOnce(&Path) -> io::Result<T>,
    root: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let Some(owner) = owner.filter(|owner| is_root() && owner.uid != 0) else { return act(path) };
    match act_as(owner, || act(path))? {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            path::follow(path, &[0]).map_err(|exposed| {
                let text = format!("user {} may not do it, and {}", owner.uid, reason(&exposed));
                io::Error::new(io::ErrorKind::PermissionDenied, text)
            })?;
            root(path)
        }
        done => done,
    }
}
