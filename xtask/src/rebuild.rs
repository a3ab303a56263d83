//! Building guests: cargo with the found toolchain and flags that make the result the same
//! everywhere.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use lotmq_toolchain::{Toolchain, flags, remap, wrapped};

use crate::compiler;
use crate::guest::{self, Guest, Language};
use crate::manifest::{self, Entry, Manifest};
use crate::python;
use crate::wasm_toolchain;

/// Selection of guests to rebuild.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    /// Those whose sources are not those of their module.
    Changed,
    /// Every one.
    All,
    /// Those named.
    Named(&'a [&'a str]),
}

/// Rebuilds guests and writes modules and manifest.
///
/// # Errors
/// No toolchain, an unknown name, or a guest that does not build.
pub(crate) fn rebuild(root: &Path, which: Which<'_>) -> Result<()> {
    let mut manifest = Manifest::read(root)?;
    let guests = guest::all(root)?;
    if let Which::Named(names) = which
        && let Some(unknown) = names.iter().find(|name| guests.iter().all(|guest| guest.name != **name))
    {
        bail!("there is no guest `{unknown}`");
    }
    manifest.guests.retain(|name, _| guests.iter().any(|guest| guest.name == *name));
    for guest in &guests {
        let wanted = match which {
            Which::All => true,
            Which::Named(names) => names.contains(&guest.name.as_str()),
            Which::Changed => manifest::staleness(root, guest, &manifest)?.is_some(),
        };
        if !wanted {
            continue;
        }
        let entry = match guest.language {
            Language::Python => rebuild_python(root, guest)?,
            Language::Rust => rebuild_one(root, guest, &wasm_toolchain(root, guest.target()?)?)?,
        };
        manifest.guests.insert(guest.name.clone(), entry);
        manifest.write(root)?;
    }
    manifest.write(root)
}

fn rebuild_one(root: &Path, guest: &Guest, toolchain: &Toolchain) -> Result<Entry> {
    println!("{}: building with {}", guest.name, toolchain.description);
    let module = build(root, guest, toolchain)?;
    let path = guest.module();
    std::fs::create_dir_all(path.parent().unwrap_or(root))?;
    std::fs::write(&path, &module).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}: {} bytes", guest.name, module.len());
    Ok(Entry {
        // After the build: it may have completed the lock file.
        sources: guest.source_hash(root)?,
        module: guest::sha256(&module),
        toolchain: toolchain.description.clone(),
    })
}

fn rebuild_python(root: &Path, guest: &Guest) -> Result<Entry> {
    println!("{}: building with {}", guest.name, python::toolchain(guest)?);
    let packed = python::build(root, guest)?;
    let path = guest.module();
    std::fs::create_dir_all(path.parent().unwrap_or(root))?;
    std::fs::write(&path, &packed).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}: {} bytes", guest.name, packed.len());
    Ok(Entry {
        sources: guest.source_hash(root)?,
        module: guest::sha256(&packed),
        toolchain: python::toolchain(guest)?,
    })
}

/// Builds every guest aside and compares it with what is checked in.
///
/// # Errors
/// Names the guests that differ although the toolchain is the one of the manifest.
pub(crate) fn reproduce(root: &Path) -> Result<()> {
    let manifest = Manifest::read(root)?;
    let mut different = Vec::new();
    for guest in guest::all(root)? {
        let entry =
            manifest.guests.get(&guest.name).with_context(|| format!("`{}` was never built", guest.name))?;
        if guest.language == Language::Python {
            println!("{}: skipped, the memory that it is built with holds random numbers", guest.name);
            continue;
        }
        let toolchain = wasm_toolchain(root, guest.target()?)?;
        if toolchain.std_source().is_some() {
            // Cargo hashes the folder of that source into symbol names, and with them into the
            // order of functions.
            println!(
                "{}: skipped, a std built from source gives the same bytes in the same folder only",
                guest.name
            );
        } else if entry.toolchain != toolchain.description {
            println!("{}: skipped, it was built with {}", guest.name, entry.toolchain);
        } else if guest::sha256(&build(root, &guest, &toolchain)?) == entry.module {
            println!("{}: the same", guest.name);
        } else {
            different.push(guest.name);
        }
    }
    if different.is_empty() {
        return Ok(());
    }
    bail!("built differently from guests/manifest.json: {}", different.join(", "))
}

/// Builds one guest and returns its module. Its lock file decides the dependencies.
fn build(root: &Path, guest: &Guest, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let target_folder = root.join("target/guests/build");
    let profile = guest.profile()?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // One package for each call: members of the workspace must not share features.
    command.current_dir(&guest.folder).args(["build", "--quiet", "--lib", "--package", &guest.name]);
    command.args(["--profile", &profile]);
    command.env("CARGO_TARGET_DIR", &target_folder);
    let mut flags = [vec![remap(root, "/lotmq")], flags(toolchain)?].concat();
    flags.extend(guest.cfgs()?.iter().map(|cfg| format!("--cfg={cfg}")));
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    command.env_remove("RUSTFLAGS");
    toolchain.configure(&mut command);
    compiler::configure(&mut command, root)?;
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("guest `{}` does not build", guest.name);
    }
    let crate_name = guest.name.replace('-', "_");
    let path = target_folder.join(toolchain.target.name()).join(profile).join(crate_name);
    let of_ending = |ending| {
        let path = path.with_extension(ending);
        std::fs::read(&path).with_context(|| format!("cargo built no {}", path.display()))
    };
    let unnoticed = guest.unnoticed(root, &String::from_utf8_lossy(&of_ending("d")?))?;
    if !unnoticed.is_empty() {
        bail!(
            "guest `{}` is made of {}, which the hash of its sources leaves out: name its folder in `inputs` below [package.metadata.guest]",
            guest.name,
            unnoticed.join(", ")
        );
    }
    let module = of_ending("wasm")?;
    if guest.is_component()? { wrapped(&module).with_context(|| guest.name.clone()) } else { Ok(module) }
}
