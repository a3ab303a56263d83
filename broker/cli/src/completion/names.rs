//! Names that a shell completes: contexts of their file, projects and definitions of the folder. No
//! broker is asked, which a key on the keyboard must not wait for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use lotmq_connect::Contexts;

/// Entries of folders that are looked at: a key was pressed in a folder of any size.
const ENTRIES_MAX: usize = 2_000;

/// Folders below the one of the shell in which programs are looked for.
const DEPTH_MAX: usize = 3;

/// Longest program that is read.
const PROGRAM_BYTES_MAX: u64 = 1 << 20;

/// Kind of names to complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum NameKind {
    /// Contexts
    Contexts,
    /// Folders here that have programs
    Projects,
    /// Definitions of programs here
    Definitions,
}

/// Returns the names of a kind. An unreadable source has none.
pub(super) fn names(kind: NameKind) -> BTreeSet<String> {
    let here = Path::new(".");
    let names = match kind {
        NameKind::Contexts => {
            let contexts = Contexts::path().and_then(|path| Contexts::read(&path));
            contexts.map(|contexts| contexts.named.into_keys().collect()).unwrap_or_default()
        }
        NameKind::Projects => projects(here),
        NameKind::Definitions => definitions(here),
    };
    names.into_iter().filter(|name| is_word(name)).collect()
}

/// Whether a shell takes a name for one word and for nothing else, whatever its script does with
/// it: the folder may be anybody's.
fn is_word(name: &str) -> bool {
    let may_be = |character: char| character.is_alphanumeric() || "_-.@+".contains(character);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(may_be)
}

fn projects(folder: &Path) -> BTreeSet<String> {
    let mut left = ENTRIES_MAX;
    let folders: Vec<PathBuf> = entries(folder, &mut left).into_iter().filter(|path| path.is_dir()).collect();
    let has_programs = |path: &PathBuf| entries(path, &mut left).iter().any(|entry| is_program(entry));
    let of_projects = folders.into_iter().filter(has_programs);
    of_projects.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}

fn definitions(folder: &Path) -> BTreeSet<String> {
    let (mut left, mut names) = (ENTRIES_MAX, BTreeSet::new());
    let mut folders = vec![folder.to_owned()];
    for _ in 0..=DEPTH_MAX {
        let found: Vec<PathBuf> = folders.iter().flat_map(|folder| entries(folder, &mut left)).collect();
        let programs = found.iter().filter(|path| path.extension().is_some_and(|end| end == "lot"));
        for program in programs {
            let is_short =
                program.metadata().is_ok_and(|file| file.is_file() && file.len() <= PROGRAM_BYTES_MAX);
            if is_short && let Ok(text) = std::fs::read_to_string(program) {
                names.extend(defined(&text));
            }
        }
        folders = found.into_iter().filter(|path| path.is_dir()).collect();
    }
    names
}

/// Names behind `DEFINE` and its kind.
fn defined(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("DEFINE ")?.split_whitespace();
        words.nth(1).map(str::to_owned)
    })
}

/// Entries of a folder that are neither hidden nor links elsewhere, as many as are left to look at.
fn entries(folder: &Path, left: &mut usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths: Vec<PathBuf> = entries.take(*left).filter_map(|entry| Some(entry.ok()?.path())).collect();
    *left -= paths.len();
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    paths.into_iter().filter(|path| !is_hidden(path) && !path.is_symlink()).collect()
}

fn is_program(path: &Path) -> bool {
    path.extension().is_some_and(|end| ["lot", "lotnb", "py"].iter().any(|known| end == *known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_and_definitions_are_those_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "plant/hot.lot",
            "-- DEFINE ACTION No\nDEFINE ACTION Hot\nON TOPIC \"t\" DO\n\nDEFINE RULE Lock WITH PRIORITY 1\n",
        );
        write("scripts/a.py", "");
        write("docs/readme.md", "DEFINE ACTION None");
        write(".git/x.lot", "DEFINE ACTION Hidden");
        write("own.lot", "DEFINE MODEL Line COLLAPSED\n");
        write("a/b/c/deep.lot", "DEFINE ACTION Deep\n");
        write("a/b/c/d/deeper.lot", "DEFINE ACTION Deeper\n");
        let of = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(of(projects(folder.path())), "plant scripts");
        assert_eq!(of(definitions(folder.path())), "Deep Hot Line Lock");
        assert!(projects(Path::new("/nowhere")).is_empty());
    }
}
