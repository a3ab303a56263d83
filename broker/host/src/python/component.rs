//! The interpreter's component, compressed as `cargo xtask guests` makes it. It is inside the
//! binary, or in a file beside it as in packages (without feature `embedded-python`). So a broker
//! without scripts loads neither its bytes nor its memory.

use std::borrow::Cow;
#[cfg(any(test, not(feature = "embedded-python")))]
use std::path::{Path, PathBuf};

/// The component, compressed.
///
/// # Errors
/// A sentence that names the files which were looked for.
#[cfg(feature = "embedded-python")]
pub(super) fn packed() -> Result<Cow<'static, [u8]>, String> {
    Ok(Cow::Borrowed(include_bytes!("../../../../guests/python/prebuilt/python.wasm.zst")))
}

/// The component, compressed, from the first file that is there.
///
/// # Errors
/// A sentence that names the files which were looked for.
#[cfg(not(feature = "embedded-python"))]
pub(super) fn packed() -> Result<Cow<'static, [u8]>, String> {
    let binary = std::env::current_exe().map_err(|error| {
        format!("it is a file beside the binary, and where that lies is not known: {error}")
    })?;
    read(&places(&binary)).map(Cow::Owned)
}

/// Name of the file.
#[cfg(any(test, not(feature = "embedded-python")))]
const FILE: &str = "python.wasm.zst";

/// Places where the file may lie: in the folder of the binary, as in an archive, or in the library
/// folder that belongs to it.
#[cfg(any(test, not(feature = "embedded-python")))]
fn places(binary: &Path) -> Vec<PathBuf> {
    let folder = binary.parent().unwrap_or(Path::new("/"));
    let prefix = folder.parent().unwrap_or(Path::new("/"));
    vec![folder.join(FILE), prefix.join("lib/lotmq").join(FILE)]
}

#[cfg(any(test, not(feature = "embedded-python")))]
fn read(places: &[PathBuf]) -> Result<Vec<u8>, String> {
    for place in places {
        match std::fs::read(place) {
            Ok(packed) => return Ok(packed),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("cannot read '{}': {error}", place.display())),
        }
    }
    let names: Vec<String> = places.iter().map(|place| format!("'{}'", place.display())).collect();
    Err(format!(
        "its interpreter is a file of its own, and there is no {}; copy {FILE} there from the package of version {}, and start lotmq again",
        names.join(" and no "),
        env!("CARGO_PKG_VERSION")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_component_is_found_next_to_the_binary_or_in_lib() {
        let root = tempfile::tempdir().unwrap();
        let places = places(&root.path().join("bin/lotmq"));
        let missing = read(&places).unwrap_err();
        assert!(missing.contains("bin/python.wasm.zst' and no '"), "{missing}");
        assert!(missing.contains("; copy python.wasm.zst there from the package of version "), "{missing}");
        for place in places.iter().rev() {
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, place.to_str().unwrap()).unwrap();
            assert_eq!(read(&places).unwrap(), place.to_str().unwrap().as_bytes());
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = read(&[root.path().to_owned()]).unwrap_err();
        assert!(error.starts_with(&format!("cannot read '{}': ", root.path().display())), "{error}");
    }
}
