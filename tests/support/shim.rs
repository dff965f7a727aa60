//! Injects faults of system calls: a library that is loaded before the C library
//! (`LD_PRELOAD`, `ld.so(8)`) makes calls fail while a file requests it.

use std::path::Path;
use std::process::Command;

use super::setup::Setup;

impl Setup {
    /// Loads `tests/support/shims/NAME.c` into the server and all programs that it starts.
    /// The library reads the file `fault` in the test's directory.
    pub(crate) fn shim(self, name: &str) -> Self {
        let shims = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/shims");
        let (source, library) = (shims.join(format!("{name}.c")), self.directory.join("shim.so"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
        let status = compiler.status().expect("a C compiler, cc, which Rust needs to link too");
        assert!(status.success(), "{compiler:?}");
        let fault = self.directory.join("fault");
        self.variable("LD_PRELOAD", library).variable("FAULT", fault)
    }
}
