//! `lotmq test`: runs LoT programs against what a file says that they do, without a broker and in virtual time.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use lotmq_runner::{Embedding, SUFFIX, test_file};
use lotmq_terminal::{Exit, output};

use crate::run::NO_NETWORK;

/// Test LoT programs.
///
/// As in: lotmq test heater.test.toml, or of all below a folder: lotmq test plant.
///
/// Cases stand in a file beside the program: heater.test.toml tests heater.lot or heater.lotnb. Each starts anew, in virtual time. docs/lot/testing.md says what
/// stands in such a file.
///
/// Exit codes: 0 every case passed, 1 one failed or a file could not be used, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Files with cases (.test.toml), programs that have one beside them, and folders, which are searched for them
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Run only cases whose name has this text in it
    #[arg(short = 'n', long, value_name = "TEXT", default_value = "")]
    name: String,
    /// Connect routes to what their text names, whatever is there; without it they connect to servers of a case (far) alone
    #[arg(long)]
    network: bool,
}

pub(crate) fn test(args: &TestArgs) -> anyhow::Result<Exit> {
    let mut files = Vec::new();
    for path in &args.paths {
        collect(path, &mut files)?;
    }
    if files.is_empty() {
        bail!("no file that ends with {SUFFIX} is there");
    }
    let embedding = Embedding::new()?;
    let embedding = if args.network { embedding } else { embedding.without_network(NO_NETWORK) };
    let (mut passed, mut failed) = (0_u32, 0_u32);
    for file in &files {
        let tested = test_file(&embedding, file, &args.name, &mut passed);
        match tested.with_context(|| file.display().to_string()) {
            Ok(failures) => failed += failures,
            Err(error) if output::is_broken_pipe(&error) => return Err(error),
            Err(error) => {
                output::error(&output::chain(&error));
                failed += 1;
            }
        }
    }
    output::tell(&format!("{passed} passed, {failed} failed"))?;
    if passed + failed == 0 && !args.name.is_empty() {
        output::error(&format!("no case has '{}' in its name", args.name));
        return Ok(Exit::Failure);
    }
    Ok(if failed == 0 { Exit::Success } else { Exit::Failure })
}

/// The files with cases that a path stands for, folders in the order of their names.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let name = path.to_string_lossy();
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {name}"))?;
        let mut inside = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        inside.sort();
        for path in inside {
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            let is_cases = path.to_string_lossy().ends_with(SUFFIX) && path.is_file();
            let is_wanted = is_cases || (path.is_dir() && !path.is_symlink());
            if is_wanted && !is_hidden {
                collect(&path, files)?;
            }
        }
    } else if name.ends_with(SUFFIX) {
        files.push(path.to_owned());
    } else {
        let beside = PathBuf::from(format!("{}{SUFFIX}", path.with_extension("").display()));
        ensure!(beside.exists(), "{} is not there", beside.display());
        files.push(beside);
    }
    Ok(())
}
