//! Checks the descriptions of our types of routes, and joins them to one file of JSON.

#![allow(clippy::disallowed_methods, reason = "a build script reads files")]
#![allow(dead_code, unreachable_pub, reason = "the crate uses what only checks here")]

#[path = "src/form.rs"]
mod form;
#[path = "src/limits.rs"]
mod limits;
#[path = "src/route_type.rs"]
mod route_type;
#[path = "src/words.rs"]
mod words;

use std::error::Error;
use std::path::{Path, PathBuf};

use form::{DescribedGuest, Descriptions, RouteFile, SharedForms};
use serde_json::{Value as Json, json};

/// Name of the description in the folder of a guest.
const FILE: &str = "route.toml";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let guests = folder.join("../../guests");
    let results = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    watch(&folder.join("src"));
    // Every new guest changes its manifest.
    watch(&guests.join("manifest.json"));
    watch(&folder.join("types"));

    let shared = read(&folder.join("shared.toml"))?;
    let mut files = Vec::new();
    for path in descriptions(&guests)? {
        let guest = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        files.push(description(&path, guest, &shared)?);
    }
    for path in sorted(&folder.join("types"))? {
        files.push(description(&path, None, &shared)?);
    }
    let text = json!({ "shared": shared, "files": files }).to_string();
    std::fs::write(results.join("types.json"), text)?;
    Ok(())
}

fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

/// Reads a file of TOML.
fn read(path: &Path) -> Outcome<Json> {
    watch(path);
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    Ok(toml::from_str(&text).map_err(|error| named(&error))?)
}

/// Returns the entries of a folder, by name.
fn sorted(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// Returns the descriptions of guests.
fn descriptions(guests: &Path) -> Outcome<Vec<PathBuf>> {
    let files = sorted(guests)?.into_iter().map(|folder| folder.join(FILE));
    Ok(files.filter(|file| file.is_file()).collect())
}

/// Reads the description of a guest, and checks it.
fn description(path: &Path, guest: Option<&str>, shared: &Json) -> Outcome<Json> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let json = read(path)?;
    let file: RouteFile = serde_json::from_value(json.clone()).map_err(|error| named(&error))?;
    let shared: SharedForms = serde_json::from_value(shared.clone())?;
    let files = vec![DescribedGuest { guest: guest.map(str::to_owned), file }];
    Descriptions { shared, files }.route_types().map_err(|error| named(&error))?;
    Ok(json!({ "guest": guest, "file": json }))
}
