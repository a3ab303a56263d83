//! `lotmq guest verify`: what a component is, as the broker looks at it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use lotmq_runner::{ComponentOutline, ComponentRequest, Embedding, read_component};
use lotmq_terminal::{Exit, output};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::folder::{GuestFolder, GuestLanguage};

/// Look at a component as a broker does when it is uploaded.
///
/// It says which world the component fits, what it imports and what it asks for, or why a broker of
/// this version would refuse it.
///
/// Exit codes: 0 a broker takes it, 1 it does not, 2 wrong usage.
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// The component; without one that of the guest in this folder
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn verify(args: &VerifyArgs) -> anyhow::Result<Exit> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => GuestFolder::open(Path::new("."))?.component(),
    };
    let component = read_component(&file)?;
    let embedding = Embedding::new()?;
    if !args.json {
        let outline = tell(&embedding, &file, &component)?;
        for import in &outline.imports {
            output::tell(&format!("imports {import}"))?;
        }
        return Ok(Exit::Success);
    }
    output::tell(&as_json(&embedding, &file, &component)?.to_string())?;
    Ok(Exit::Success)
}

/// Description of a component as JSON.
///
/// # Errors
/// A broker would refuse it.
pub(super) fn as_json(embedding: &Embedding, file: &Path, component: &[u8]) -> anyhow::Result<Value> {
    let outline = outlined(embedding, file, component)?;
    Ok(json!({
        "file": file.display().to_string(), "world": outline.request.world, "bytes": component.len(),
        "sha256": sha256(component), "imports": outline.imports, "asks": outline.request.asks,
        "furtherExports": outline.further_exports, "cannotHave": outline.request.cannot_have,
    }))
}

fn outlined(embedding: &Embedding, file: &Path, component: &[u8]) -> anyhow::Result<ComponentOutline> {
    /// Length of components, in bytes, from which on it takes seconds to compile one, as of those
    /// with an interpreter in them.
    const LONG: usize = 4 << 20;
    if component.len() >= LONG {
        output::note(&format!("compiling {} to look at it, as a broker does", file.display()));
    }
    embedding.outline(component).with_context(|| file.display().to_string())
}

/// Says what a component is.
///
/// # Errors
/// A broker would refuse it.
pub(super) fn tell(embedding: &Embedding, file: &Path, component: &[u8]) -> anyhow::Result<ComponentOutline> {
    let outline = outlined(embedding, file, component)?;
    output::tell(&format!("{}: {} bytes, sha256 {}", file.display(), component.len(), sha256(component)))?;
    output::tell(&format!("fits world {}", outline.request.world))?;
    output::tell(&asks(&outline.request))?;
    if outline.request.world == "route" {
        output::note("world route may still change: a broker takes it where modules.allow_unstable is set");
    }
    for grant in &outline.request.cannot_have {
        output::note(&format!(
            "warning: it asks for {grant}, which no module of world {} can have",
            outline.request.world
        ));
    }
    for export in &outline.further_exports {
        output::note(&format!(
            "warning: export {export} is not part of world {}; nobody calls it",
            outline.request.world
        ));
    }
    Ok(outline)
}

/// Checks that a component is of the world that the `guest.toml` of its guest says.
///
/// # Errors
/// It is of another one, or a broker would refuse it.
pub(super) fn check_type(embedding: &Embedding, guest: &GuestFolder, component: &[u8]) -> anyhow::Result<()> {
    let wanted = guest.kind.name();
    let outline = outlined(embedding, &guest.component(), component);
    let outline = outline.map_err(|error| match output::chain(&error) {
        told if guest.language == GuestLanguage::Rust && told.contains("' is missing") => {
            anyhow::anyhow!("{told} Does src/lib.rs call lotmq_guest::export_{wanted}!?")
        }
        _ => error,
    })?;
    let world = outline.request.world;
    anyhow::ensure!(
        world == wanted,
        "{}: type is {wanted}, and the guest exports world {world}",
        guest.below("guest.toml").display()
    );
    Ok(())
}

/// Lists the rights that a component asks for, in one line.
pub(super) fn asks(request: &ComponentRequest) -> String {
    match request.asks.as_deref() {
        None if ["rule", "auth"].contains(&request.world) => {
            "has no manifest: it gets what is named".to_owned()
        }
        None => "has no manifest: it gets all topics whose names do not begin with $".to_owned(),
        Some([]) => "asks for nothing".to_owned(),
        Some(asks) => format!("asks for {}", asks.join(", ")),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}
