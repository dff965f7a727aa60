//! The file in which the master sends certificates and keys.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use monoceros_tls::Material;
use zeroize::Zeroizing;

/// The longest file, in bytes: 64 MiB, thousands of certificates.
const LONGEST: u64 = 64 << 20;

/// Reads the file that comes with [`ToWorker::Tls`](monoceros_wire::message::ToWorker::Tls).
/// Other workers share its position, so that is not used.
///
/// # Errors
/// Those of `pread(2)`; `InvalidData` if it is too long, or of another version of the
/// program.
pub fn read_material(file: OwnedFd) -> io::Result<Material> {
    let file = File::from(file);
    let length = file.metadata()?.len();
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 64 MiB"));
    }
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or(0)]);
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Material::decode(&bytes)?)
}
