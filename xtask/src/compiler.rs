//! The compiler as cargo calls it for guests: this program, which calls the real one.
//!
//! Cargo hashes where a crate is into its metadata, where it is neither in the registry nor below
//! the workspace, as the SDK is none of a guest's. The compiler hashes the metadata into symbol
//! names, and these decide the order of functions, so that a module built in another folder had
//! other bytes. Crates of the repository get their name for metadata instead: none is there twice
//! in one guest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Environment variable with the root of the repository; set in calls by cargo only.
const ROOT: &str = "LOTMQ_XTASK_COMPILES_BELOW";

/// Has cargo call this program as its compiler.
///
/// # Errors
/// When this program does not know where it is.
pub(crate) fn configure(command: &mut Command, root: &Path) -> Result<()> {
    let this = std::env::current_exe().context("where is this program?")?;
    command.env("RUSTC_WRAPPER", this).env(ROOT, root);
    Ok(())
}

/// The root of the repository, when this is a call by cargo.
pub(crate) fn root_if_called() -> Option<PathBuf> {
    std::env::var_os(ROOT).map(PathBuf::from)
}

/// Calls the compiler; the first argument says which.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn compile(root: &Path, mut arguments: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let compiler = arguments.next().context("no compiler is named")?;
    let folder = std::env::current_dir().context("which is the current folder?")?;
    let arguments = with_own_metadata(arguments.collect(), |source| folder.join(source).starts_with(root));
    let status = Command::new(&compiler).args(arguments).status().context("cannot start the compiler")?;
    Ok(u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The arguments with the crate's name as its metadata, when `is_ours` says so of its source.
fn with_own_metadata(mut arguments: Vec<OsString>, is_ours: impl Fn(&Path) -> bool) -> Vec<OsString> {
    let source = arguments.iter().map(Path::new).find(|path| path.extension().is_some_and(|end| end == "rs"));
    let name = arguments.iter().position(|argument| argument == "--crate-name");
    let name = name.and_then(|at| arguments.get(at + 1)?.to_str().map(str::to_owned));
    if let (Some(name), true) = (name, source.is_some_and(is_ours)) {
        for argument in &mut arguments {
            if argument.to_str().is_some_and(|text| text.starts_with("metadata=")) {
                *argument = format!("metadata={name}").into();
            }
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crates_of_the_repository_have_their_name_for_metadata() {
        let arguments = |source: &str| {
            ["--crate-name", "a_b", source, "-C", "metadata=12", "-C", "extra-filename=-12"]
                .map(OsString::from)
                .to_vec()
        };
        for (source, expected) in
            [("sdk/src/lib.rs", "metadata=a_b"), ("/registry/src/lib.rs", "metadata=12")]
        {
            let changed = with_own_metadata(arguments(source), |source| source.starts_with("sdk"));
            let mut all = arguments(source);
            all[4] = expected.into();
            assert_eq!(changed, all, "{source}");
        }
        assert_eq!(with_own_metadata(vec!["-vV".into()], |_| true), ["-vV"]);
    }
}
