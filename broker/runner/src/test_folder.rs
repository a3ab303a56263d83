//! Folder that cases may read from and write to.
//!
//! Cases may come from untrusted authors, as in a CI that tests a pull request. An error of the
//! compiler quotes a line of the file that it has read.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Root of all files that cases read and record: the folder that was named for the test.
#[derive(Clone, Debug)]
pub struct TestFolder {
    /// Without symbolic links.
    root: PathBuf,
    /// As it was named.
    shown: String,
}

impl TestFolder {
    /// Folder at this path; the empty path is the current folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let folder = if folder == Path::new("") { Path::new(".") } else { folder };
        let shown = folder.display().to_string();
        let root = folder.canonicalize().with_context(|| format!("cannot read {shown}"))?;
        Ok(Self { root, shown })
    }

    /// Checks that a path stays inside, even with `..` and symbolic links in it. A file that does
    /// not exist yet counts by its folder.
    ///
    /// # Errors
    /// The path leads outside of the folder.
    pub(crate) fn check(&self, path: &Path) -> anyhow::Result<()> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(_) => real_place(path),
        };
        ensure!(
            real.starts_with(&self.root),
            "{} is outside of {}, and cases use nothing outside of the folder that is tested; name a folder that has both",
            path.display(),
            self.shown
        );
        Ok(())
    }

    /// A file that cases name, seen from `folder`.
    ///
    /// # Errors
    /// As [`TestFolder::check`]; for a path from the root of the file system as well.
    pub(crate) fn file(&self, folder: &Path, named: &Path) -> anyhow::Result<PathBuf> {
        ensure!(!named.has_root(), "{} is no path below the folder of the cases", named.display());
        let path = folder.join(named);
        self.check(&path)?;
        Ok(path)
    }
}

/// Place of a path of which nothing, or only the beginning, exists: the part that exists without
/// symbolic links, the rest without `..`.
fn real_place(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (mut real, mut exists) = (PathBuf::new(), true);
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                real.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => real.push(component),
        }
        if exists {
            match real.canonicalize() {
                Ok(found) => real = found,
                Err(_) => exists = false,
            }
        }
    }
    real
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_whatever_is_in_them() {
        let place = tempfile::tempdir().unwrap();
        let below = |path: &str| place.path().join(path);
        std::fs::create_dir_all(below("plant/tests")).unwrap();
        std::fs::write(below("secret"), "x").unwrap();
        std::fs::write(below("plant/a.lot"), "x").unwrap();
        std::os::unix::fs::symlink(below("secret"), below("plant/link.lot")).unwrap();
        std::os::unix::fs::symlink(place.path(), below("plant/up")).unwrap();
        std::os::unix::fs::symlink(below("gone"), below("plant/dangling.lot")).unwrap();
        let folder = TestFolder::new(&below("plant")).unwrap();
        for (named, is_inside) in [
            ("../a.lot", true),
            ("..", true),
            ("new.jsonl", true),
            ("new/../../a.lot", true),
            ("../../secret", false),
            ("../../missing", false),
            ("new/../../../secret", false),
            ("../link.lot", false),
            ("../up/secret", false),
            ("../up/missing", false),
            ("/etc/passwd", false),
        ] {
            let found = folder.file(&below("plant/tests"), Path::new(named));
            assert_eq!(found.is_ok(), is_inside, "{named}: {found:?}");
        }
        assert!(TestFolder::new(&below("none")).is_err());
    }
}
