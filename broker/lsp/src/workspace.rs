//! The files that an editor works on: those of its folders on the disk, and in front of them those
//! that it has open.
//!
//! The files of one folder are one project, as `lotmq check FOLDER` has it; a file outside of all
//! folders is one by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lot_to_wasm::limits::SOURCE_BYTES_MAX;
use lot_to_wasm::project::{is_program, warn_of_cycles, warn_of_misspelt_topics, warn_of_undefined};
use lot_to_wasm::{Compilation, CompileOptions, Diagnostic, check_project};
use lotmq_project::collect;
use lotmq_terminal::output::note;
use lsp_types::Uri;

use crate::source::{SourceDeclaration, SourceFile};
use crate::uri;

/// Longest file that is read, in bytes: a multiple of the longest program.
const FILE_BYTES_MAX: u64 = 8 * SOURCE_BYTES_MAX as u64;

/// Key of a file: its path, or its URI if it is not in the file system.
pub(crate) type Key = String;

/// Every file that is known.
#[derive(Default)]
pub(crate) struct Workspace {
    /// Folders, each of which is a project.
    folders: Vec<PathBuf>,
    on_disk: BTreeMap<Key, SourceFile>,
    open: BTreeMap<Key, Open>,
}

/// A file that the editor has open.
struct Open {
    /// As the editor calls it.
    uri: Uri,
    file: SourceFile,
}

/// The key of a URI.
pub(crate) fn key(uri: &Uri) -> Key {
    uri::path_of(uri).map_or_else(|| uri.as_str().to_owned(), |path| path.to_string_lossy().into_owned())
}

impl Workspace {
    pub(crate) fn new(folders: Vec<PathBuf>) -> Self {
        let mut paths = Vec::new();
        for folder in &folders {
            if let Err(error) = collect(folder, &mut paths) {
                note(&format!("warning: {error:#}"));
            }
        }
        let mut workspace = Self { folders, ..Self::default() };
        paths.iter().for_each(|path| workspace.read(path));
        workspace
    }

    /// Reads one file again; a file that cannot be read counts as missing.
    pub(crate) fn read(&mut self, path: &Path) {
        let key = path.to_string_lossy().into_owned();
        let is_ours = self.folders.iter().any(|folder| path.starts_with(folder))
            && is_program(&relative(&self.folders, path));
        let is_bounded =
            || std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= FILE_BYTES_MAX);
        let text = if is_ours && is_bounded() { std::fs::read_to_string(path).ok() } else { None };
        match text {
            Some(text) => drop(self.on_disk.insert(key.clone(), SourceFile::new(&key, text))),
            None => drop(self.on_disk.remove(&key)),
        }
    }

    pub(crate) fn open(&mut self, uri: Uri, text: String) {
        let key = key(&uri);
        let file = SourceFile::new(&key, text);
        self.open.insert(key, Open { uri, file });
    }

    pub(crate) fn close(&mut self, uri: &Uri) {
        self.open.remove(&key(uri));
        if let Some(path) = uri::path_of(uri) {
            self.read(&path);
        }
    }

    pub(crate) fn file(&self, key: &str) -> Option<&SourceFile> {
        self.open.get(key).map(|open| &open.file).or_else(|| self.on_disk.get(key))
    }

    /// How the editor calls a file.
    pub(crate) fn uri(&self, key: &str) -> Option<Uri> {
        self.open.get(key).map(|open| open.uri.clone()).or_else(|| uri::of_path(Path::new(key)))
    }

    /// Every file, by its key.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Key, &SourceFile)> {
        let closed = self.on_disk.iter().filter(|(key, _)| !self.open.contains_key(*key));
        closed.chain(self.open.iter().map(|(key, open)| (key, &open.file)))
    }

    /// The folder of a file; `None` for one that is outside of all.
    fn project_of(&self, key: &str) -> Option<&Path> {
        let around = self.folders.iter().filter(|folder| Path::new(key).starts_with(folder));
        around.max_by_key(|folder| folder.as_os_str().len()).map(PathBuf::as_path)
    }

    /// The files of the project that a file is in, itself included, by name.
    pub(crate) fn project(&self, key: &str) -> Vec<(&Key, &SourceFile)> {
        let project = self.project_of(key);
        let belongs = |other: &str| other == key || project.is_some() && self.project_of(other) == project;
        let mut files: Vec<_> = self.files().filter(|(other, _)| belongs(other)).collect();
        files.sort_by_key(|(key, _)| *key);
        files
    }

    /// The programs of a project but those of one file.
    pub(crate) fn other_programs(&self, key: &str) -> Vec<&str> {
        let others = self.project(key).into_iter().filter(|(other, _)| *other != key);
        others.flat_map(|(_, file)| file.programs.iter().map(String::as_str)).collect()
    }

    /// Iterates over the definitions in the project of a file.
    pub(crate) fn declarations(&self, key: &str) -> impl Iterator<Item = (&Key, &SourceDeclaration)> {
        let files = self.project(key).into_iter();
        files.flat_map(|(key, file)| file.declarations.iter().map(move |declaration| (key, declaration)))
    }

    /// Compiles every file with LoT and returns its diagnostics by file key.
    pub(crate) fn check(&self) -> BTreeMap<Key, Vec<Diagnostic>> {
        let mut projects: BTreeMap<Option<&Path>, Vec<(&Key, &SourceFile)>> = BTreeMap::new();
        let mut alone = Vec::new();
        for (key, file) in self.files() {
            match self.project_of(key) {
                None => alone.push(vec![(key, file)]),
                folder => projects.entry(folder).or_default().push((key, file)),
            }
        }
        let mut found = BTreeMap::new();
        for mut files in projects.into_values().chain(alone) {
            files.sort_by_key(|(key, _)| *key);
            found.extend(check(&files));
        }
        found
    }
}

/// Returns the path of a file below its folder, without the folders above.
fn relative(folders: &[PathBuf], path: &Path) -> String {
    let below = folders.iter().find_map(|folder| path.strip_prefix(folder).ok());
    below.unwrap_or(path).to_string_lossy().into_owned()
}

/// Checks the files of one project.
fn check(files: &[(&Key, &SourceFile)]) -> BTreeMap<Key, Vec<Diagnostic>> {
    let texts: Vec<&str> =
        files.iter().flat_map(|(_, file)| file.programs.iter().map(String::as_str)).collect();
    let keys: Vec<Key> =
        files.iter().flat_map(|(key, file)| file.programs.iter().map(|_| (*key).clone())).collect();
    let options = CompileOptions { files: &keys, ..CompileOptions::default() };
    let mut compilations = check_project(&texts, &options);
    let mut programs: Vec<(&str, &mut Compilation)> = texts.into_iter().zip(&mut compilations).collect();
    let scripts: Vec<&str> =
        files.iter().flat_map(|(_, file)| file.scripts.iter().map(String::as_str)).collect();
    warn_of_undefined(&mut programs, &scripts);
    warn_of_misspelt_topics(&mut programs);
    warn_of_cycles(&mut programs);
    let mut compilations = compilations.into_iter();
    let mut found = BTreeMap::new();
    for (key, file) in files.iter().filter(|(_, file)| !file.programs.is_empty()) {
        let of_file = compilations.by_ref().take(file.programs.len()).enumerate();
        let told =
            of_file.flat_map(|(index, compilation)| file.of_program(index, compilation.all_diagnostics()));
        found.insert((*key).clone(), told.collect());
    }
    found
}
