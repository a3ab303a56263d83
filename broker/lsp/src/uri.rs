//! `file:` URIs and the paths that they stand for.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use lsp_types::Uri;

/// Returns the path of a file URI; `None` for any other URI.
pub(crate) fn path_of(uri: &Uri) -> Option<PathBuf> {
    let is_file = uri.scheme().is_some_and(|scheme| scheme.eq_lowercase("file"));
    let host = uri.authority().map_or("", |authority| authority.host().as_str());
    if !is_file || !matches!(host, "" | "localhost") {
        return None;
    }
    let bytes: Vec<u8> = uri.path().as_estr().decode().into_bytes().into_owned();
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// The URI of a file.
pub(crate) fn of_path(path: &Path) -> Option<Uri> {
    let mut text = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(*byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Uri::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_uris_stand_for_one_another() {
        for (uri, path) in [
            ("file:///a/b.lot", "/a/b.lot"),
            ("file:///a%20b/%C3%BC%23%25.lot", "/a b/ü#%.lot"),
            ("file://localhost/a%3Ab", "/a:b"),
        ] {
            let found = path_of(&Uri::from_str(uri).unwrap()).unwrap();
            assert_eq!(found, Path::new(path), "{uri}");
            assert_eq!(path_of(&of_path(&found).unwrap()), Some(found));
        }
        for other in ["untitled:Untitled-1", "file://elsewhere/a", "https://x/a.lot"] {
            assert_eq!(path_of(&Uri::from_str(other).unwrap()), None, "{other}");
        }
    }
}
