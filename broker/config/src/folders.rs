//! Type of values that name folders of this machine.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::ValueError;
use super::setting::Setting;
use super::web::texts;

/// Folders by their absolute paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders(Vec<PathBuf>);

impl Folders {
    /// Each of them, in the order in which they were named.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
    }
}

impl Setting for Folders {
    const TYPE: &'static str = "absolute paths of folders, without `..`: one, a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let wrong = ValueError::WrongType { expected: Self::TYPE };
        let is_plain = |path: &str| {
            Path::new(path).is_absolute()
                && !path.contains('\0')
                && Path::new(path).components().all(|part| part != Component::ParentDir)
        };
        match texts(value) {
            Some(paths) if paths.iter().all(|path| is_plain(path)) => {
                Ok(Self(paths.iter().map(|path| PathBuf::from(&**path)).collect()))
            }
            Some(_) | None => Err(wrong),
        }
    }

    fn show(&self) -> Value {
        self.iter().map(|path| Value::from(path.display().to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn folders_accept_absolute_paths_and_render_unchanged() {
        let folders = Folders::parse(&json!(["/srv/a", "/srv/b,c"])).unwrap();
        assert_eq!(folders.show(), json!(["/srv/a", "/srv/b,c"]));
        assert_eq!(Folders::parse(&json!("/srv/a, /b")).unwrap().iter().count(), 2);
        assert_eq!(Folders::parse(&json!([])).unwrap(), Folders::default());
        for wrong in [json!("data"), json!("/srv/../etc"), json!(["/a", "b"]), json!(7), json!([7])] {
            assert!(Folders::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
