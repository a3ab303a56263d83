//! Packs the guests of routes, which the broker has in itself: 9 MB of components become 3, and
//! each is unpacked when a route first needs it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

/// File in the folder of a guest that describes the types of routes that it runs.
const DESCRIPTION: &str = "route.toml";

/// Level for what is shipped; others are built more often than they are copied.
const LEVEL: i32 = 19;
const LEVEL_DEBUG: i32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let guests = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../guests");
    let results = std::env::var("OUT_DIR")?;
    let level = if std::env::var("PROFILE")? == "debug" { LEVEL_DEBUG } else { LEVEL };
    println!("cargo::rerun-if-changed=build.rs");
    // Every new guest changes its manifest.
    println!("cargo::rerun-if-changed={}", guests.join("manifest.json").display());
    let mut components = String::from("&[\n");
    for name in described(&guests)? {
        let path = guests.join(&name).join("prebuilt").join(format!("{name}.wasm"));
        println!("cargo::rerun-if-changed={}", path.display());
        let component = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut packed = Vec::with_capacity(zstd_safe::compress_bound(component.len()));
        zstd_safe::compress(&mut packed, &component, level).map_err(zstd_safe::get_error_name)?;
        let file = format!("{name}.wasm.zst");
        std::fs::write(Path::new(&results).join(&file), packed)?;
        writeln!(components, "(\"{name}\", include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\"))),")?;
    }
    components.push(']');
    std::fs::write(Path::new(&results).join("components.rs"), components)?;
    Ok(())
}

/// Returns the names of the guests that describe types of routes, sorted.
fn described(guests: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(guests)? {
        let entry = entry?;
        if entry.path().join(DESCRIPTION).is_file() {
            names.push(entry.file_name().into_string().map_err(|name| format!("{}", name.display()))?);
        }
    }
    names.sort();
    Ok(names)
}
