//! What a configuration file in Python sets, for a command that only shows that. A mold runs the
//! file, as for a server.

use monoceros_config::Loaded;
use monoceros_config::raw::text_of;
use monoceros_wire::gunicorn::GunicornValues;

use crate::master::act::config_reader::{self, ReadFailure};
use crate::master::act::invocation::Invocation;
use crate::master::act::python_file::MoldFile;

/// Runs the file of these settings, and returns what it sets.
///
/// # Errors
/// With the text for people.
pub(crate) fn read_values(loaded: &Loaded) -> Result<GunicornValues, String> {
    let invocation = Invocation::own()?;
    let mut file = MoldFile::new(loaded, &invocation)?;
    // The file finds the words of a server in `sys.argv`.
    let words = [text_of(&invocation.name), "--config".to_owned(), file.name.clone()];
    file.request.arguments = words.to_vec();
    file.request.as_written = true;
    let limit = loaded.settings.boot_timeout;
    match config_reader::read(&file, &*invocation.extension()?, limit) {
        Ok((_, values)) => Ok(values),
        Err(ReadFailure::Lost(text) | ReadFailure::Refused(text, _)) => Err(text),
    }
}
