//! Building a guest in Python: componentize-py, in a virtual environment below `target`, at the
//! version that the guest pins.
//!
//! The tool joins the interpreter, its library and the guest's own file to a component and runs the
//! file's top level, so that each instance begins with what that left in memory. The result differs
//! from run to run, because the interpreter draws the seed of its hashing then.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::guest::Guest;

/// Level of the compression: 20 MB become 5, in some ten seconds; unpacking takes the same at any
/// level.
const LEVEL: i32 = 19;

/// Returns the tools that build it, as the manifest records them.
pub(crate) fn toolchain(guest: &Guest) -> Result<String> {
    let path = guest.folder.join("requirements.txt");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().replace("==", " "))
}

/// Builds the component, packed.
pub(crate) fn build(root: &Path, guest: &Guest) -> Result<Vec<u8>> {
    let tool = tool(root, guest)?;
    let out = root.join("target/guests").join(format!("{}.wasm", guest.name));
    let mut command = Command::new(tool);
    command.current_dir(&guest.folder).env("PYTHONDONTWRITEBYTECODE", "1").env_remove("VIRTUAL_ENV");
    command.arg("--quiet").arg("--wit-path").arg(guest.world(root)).args(["--world", &guest.name]);
    command.args(["componentize", "guest", "--output"]).arg(&out);
    run(&mut command).with_context(|| format!("guest `{}` does not build", guest.name))?;
    let component = std::fs::read(&out).with_context(|| format!("no {} was built", out.display()))?;
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(component.len()));
    zstd_safe::compress(&mut packed, &component, LEVEL)
        .map_err(|code| anyhow::anyhow!("cannot pack: {}", zstd_safe::get_error_name(code)))?;
    Ok(packed)
}

/// The tool, installed when it is not there.
fn tool(root: &Path, guest: &Guest) -> Result<PathBuf> {
    let environment = root.join("target/guests/python-environment");
    let tool = environment.join("bin/componentize-py");
    if !tool.is_file() {
        std::fs::create_dir_all(root.join("target/guests"))?;
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    // Quick when the pinned version is there already.
    let pip = environment.join("bin/pip");
    let requirements = guest.folder.join("requirements.txt");
    run(Command::new(pip)
        .args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements))?;
    Ok(tool)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if status.success() {
        return Ok(());
    }
    bail!("{command:?} ended with {status}")
}
