//! Native code that the brokers of all tests have in common, so that each program and each guest is
//! compiled once and not in every test.
//!
//! It lies beside the binary. A file of it is named after all that it was made of, so that no build
//! runs the code of another one.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;

/// Makes the cache of a data directory, which need not exist yet, a link to the code of all.
pub(crate) fn link(data: &Path, binary: &Path) {
    let code = binary.with_file_name("lotmq-test-code");
    for folder in [&*code, data] {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).unwrap();
    }
    symlink(code, data.join("cache")).unwrap();
}
