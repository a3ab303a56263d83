//! Files while they are written: records are gathered for each file of a batch, and are on the disk behind [`Store::flush`].

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};

use lotmq_guest::route::files::{FileError, FileKind, Folder};
use lotmq_guest::route::{Failure, state};
use serde_json::{Map, Value as Json};

use crate::config::{FileConfig, Format};
use crate::csv::{self, Scan};
use crate::limits::{FILES_MAX, HEADER_BYTES_MAX, JSON_BYTES_MAX, NUMBERS_MAX};

/// Prefix of keys that say at which start of the route a file was begun.
const BEGUN: &str = "begun/";

pub(crate) struct Store {
    folder: Folder,
    config: FileConfig,
    /// Files with a known end, those used last at the end.
    open: VecDeque<OpenFile>,
}

/// A file with its end.
struct OpenFile {
    path: String,
    content: Content,
    /// Records that it has, with those that are not written yet.
    records: u64,
}

enum Content {
    /// Columns; empty until the first record. Lines that are not written yet.
    Csv { columns: Vec<String>, length: u64, unwritten: Vec<u8> },
    /// All records, without brackets.
    Json { body: String, is_written: bool },
    /// Lines that are not written yet.
    Lines { length: u64, unwritten: Vec<u8> },
}

impl Store {
    pub(crate) fn new(config: FileConfig) -> Store {
        let store = Store { folder: Folder::named("file_storage"), config, open: VecDeque::new() };
        if !store.config.appends {
            // What was begun at another start is begun anew.
            for key in state::keys().iter().filter(|key| key.starts_with(BEGUN)) {
                let of_this = state::get(key).is_some_and(|start| start == store.config.start.as_bytes());
                if !of_this {
                    state::remove(key);
                }
            }
        }
        store
    }

    /// Adds a record to a file.
    pub(crate) fn add(&mut self, path: &str, record: &Map<String, Json>) -> Result<(), Failure> {
        let mut file = self.take(path, false)?;
        if file.records >= self.config.records_max || file.is_large() {
            self.write(&mut file)?;
            file = self.rotated(file)?;
        }
        file.records += 1;
        match &mut file.content {
            Content::Csv { columns, unwritten, .. } => {
                let Format::Csv { delimiter } = self.config.format else { return Ok(()) };
                if columns.is_empty() {
                    *columns = record.keys().cloned().collect();
                    unwritten.extend(csv::header(columns, delimiter).into_bytes());
                }
                unwritten.extend(csv::line(record, columns, delimiter).into_bytes());
            }
            Content::Json { body, is_written } => {
                if !body.is_empty() {
                    body.push_str(",\n");
                }
                body.push_str(&Json::from(record.clone()).to_string());
                *is_written = false;
            }
            Content::Lines { .. } => {}
        }
        self.keep(file)
    }

    /// Adds a line to a file of text.
    pub(crate) fn append(&mut self, path: &str, line: &str) -> Result<(), Failure> {
        let mut file = self.take(path, true)?;
        if let Content::Lines { unwritten, .. } = &mut file.content {
            unwritten.extend_from_slice(line.as_bytes());
            unwritten.push(b'\n');
        }
        self.keep(file)
    }

    /// Writes all that was added; behind it is on the disk.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        for _ in 0..self.open.len() {
            let Some(mut file) = self.open.pop_front() else { break };
            self.write(&mut file)?;
            self.open.push_back(file);
        }
        Ok(())
    }

    /// Forgets what was added and not written, and the ends of all files.
    pub(crate) fn forget(&mut self) {
        self.open.clear();
    }

    /// The file of a path, as it is now.
    fn take(&mut self, path: &str, is_text: bool) -> Result<OpenFile, Failure> {
        let is_it =
            |file: &OpenFile| file.path == path && matches!(file.content, Content::Lines { .. }) == is_text;
        if let Some(file) = self.open.iter().position(is_it).and_then(|index| self.open.remove(index)) {
            return Ok(file);
        }
        if self.begins(path) {
            match self.folder.remove(path) {
                Ok(()) | Err(FileError::NotFound) => {}
                Err(error) => return Err(failure(path, error)),
            }
        }
        self.look(path, is_text).map_err(|error| failure(path, error))
    }

    /// Whether a file is to be begun, because the route has not written to it since it started.
    fn begins(&self, path: &str) -> bool {
        if self.config.appends || self.config.start.is_empty() {
            return false;
        }
        let key: String = format!("{BEGUN}{path}").chars().take(120).collect();
        if state::get(&key).is_some() {
            return false;
        }
        // A file that cannot be remembered is continued: nothing of it must be lost when the route is connected again.
        state::set(&key, self.config.start.as_bytes()).is_ok()
    }

    /// Looks at the end of a file.
    fn look(&self, path: &str, is_text: bool) -> Result<OpenFile, FileError> {
        let length = match self.folder.stat(path) {
            Ok(known) if known.kind == FileKind::Folder => return Err(FileError::Exists),
            Ok(known) => known.length,
            Err(FileError::NotFound) => 0,
            Err(error) => return Err(error),
        };
        let (content, records) = match self.config.format {
            _ if is_text => (Content::Lines { length, unwritten: Vec::new() }, 0),
            Format::Csv { delimiter } => self.look_at_csv(path, length, delimiter)?,
            Format::Json => self.look_at_json(path, length)?,
        };
        Ok(OpenFile { path: path.to_owned(), content, records })
    }

    fn look_at_csv(&self, path: &str, length: u64, delimiter: char) -> Result<(Content, u64), FileError> {
        let mut scan = Scan::new(HEADER_BYTES_MAX);
        if length > 0 {
            let mut file = self.folder.open(path)?;
            let mut piece = vec![0; 64 * 1024];
            loop {
                match file.read(&mut piece).map_err(|error| FileError::Other(error.to_string()))? {
                    0 => break,
                    read => scan.take(&piece[..read]),
                }
            }
            if scan.whole < length {
                // What was being written when the machine went down comes again.
                self.folder.write(path)?.set_length(scan.whole)?;
            }
        }
        let columns = scan.columns(delimiter);
        Ok((Content::Csv { columns, length: scan.whole, unwritten: Vec::new() }, scan.records))
    }

    fn look_at_json(&self, path: &str, length: u64) -> Result<(Content, u64), FileError> {
        let mut text = String::new();
        if length > 4 * JSON_BYTES_MAX as u64 {
            return Err(FileError::Denied(format!(
                "it has {length} bytes and is larger than files of this route"
            )));
        }
        if length > 0 {
            let read = self.folder.open(path)?.read_to_string(&mut text);
            read.map_err(|error| FileError::Other(error.to_string()))?;
        }
        let records: Vec<Json> = if text.trim().is_empty() {
            Vec::new()
        } else {
            let parsed = serde_json::from_str(&text);
            parsed.map_err(|error| FileError::Denied(format!("it is no JSON array: {error}")))?
        };
        let count = records.len() as u64;
        let body = records.iter().map(Json::to_string).collect::<Vec<_>>().join(",\n");
        Ok((Content::Json { body, is_written: true }, count))
    }

    /// Remembers a file, and writes the one that was used longest ago where there are too many.
    fn keep(&mut self, file: OpenFile) -> Result<(), Failure> {
        self.open.push_back(file);
        if self.open.len() > FILES_MAX
            && let Some(mut oldest) = self.open.pop_front()
        {
            self.write(&mut oldest)?;
        }
        Ok(())
    }

    fn write(&self, file: &mut OpenFile) -> Result<(), Failure> {
        let path = file.path.clone();
        let written = match &mut file.content {
            Content::Csv { length, unwritten, .. } | Content::Lines { length, unwritten } => {
                self.write_behind(&path, length, unwritten)
            }
            Content::Json { is_written: true, .. } => Ok(()),
            Content::Json { body, is_written } => {
                let replaced = self.replace(&path, body);
                *is_written = replaced.is_ok();
                replaced
            }
        };
        written.map_err(|error| failure(&path, error))
    }

    /// Writes behind the end of a file: all of it or nothing.
    fn write_behind(&self, path: &str, length: &mut u64, unwritten: &mut Vec<u8>) -> Result<(), FileError> {
        if unwritten.is_empty() {
            return Ok(());
        }
        self.make_folders(path)?;
        let mut file = self.folder.append(path)?;
        let written = file.write_all(unwritten).map_err(of_io).and_then(|()| file.sync());
        if let Err(error) = written {
            // What is left of it is cut when it is looked at again, at the latest.
            let _ = file.set_length(*length);
            return Err(error);
        }
        if *length == 0 {
            self.folder.sync(folder_of(path))?;
        }
        *length += unwritten.len() as u64;
        unwritten.clear();
        Ok(())
    }

    /// Writes a file anew beside the old one, and puts it into its place.
    fn replace(&self, path: &str, body: &str) -> Result<(), FileError> {
        self.make_folders(path)?;
        let beside = format!("{path}.new");
        let mut file = self.folder.write(&beside)?;
        file.set_length(0)?;
        for part in ["[", body, "]\n"] {
            file.write_all(part.as_bytes()).map_err(of_io)?;
        }
        file.sync()?;
        self.folder.rename(&beside, path)?;
        self.folder.sync(folder_of(path))
    }

    /// Puts a full file aside, as `name_1.csv`, and begins another one.
    fn rotated(&self, file: OpenFile) -> Result<OpenFile, Failure> {
        let told = |error| failure(&file.path, error);
        let (stem, ending) = match file.path.rsplit_once('.') {
            Some((stem, ending)) if !ending.contains('/') => (stem, format!(".{ending}")),
            _ => (&*file.path, String::new()),
        };
        for number in 1..=NUMBERS_MAX {
            let aside = format!("{stem}_{number}{ending}");
            match self.folder.stat(&aside) {
                Err(FileError::NotFound) => {
                    self.folder.rename(&file.path, &aside).map_err(told)?;
                    self.folder.sync(folder_of(&file.path)).map_err(told)?;
                    return self.look(&file.path, false).map_err(told);
                }
                Err(error) => return Err(told(error)),
                Ok(_) => {}
            }
        }
        Err(Failure::Fatal(format!("'{}': {NUMBERS_MAX} full files are there already", file.path)))
    }

    /// Makes the folders of a path that are not there.
    fn make_folders(&self, path: &str) -> Result<(), FileError> {
        let ends = path.match_indices('/').map(|(end, _)| end);
        for folder in ends.map(|end| &path[..end]) {
            match self.folder.make_folder(folder) {
                Ok(()) => self.folder.sync(folder_of(folder))?,
                Err(FileError::Exists) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl OpenFile {
    fn is_large(&self) -> bool {
        matches!(&self.content, Content::Json { body, .. } if body.len() > JSON_BYTES_MAX)
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn of_io(error: std::io::Error) -> FileError {
    match error.kind() {
        std::io::ErrorKind::StorageFull => FileError::NoSpace,
        std::io::ErrorKind::NotFound => FileError::NotFound,
        _ => FileError::Other(error.to_string()),
    }
}

/// The class of failure that an error of a file is: what is not allowed only people can correct; what has a folder or a file in its place can never be written; a folder that is gone is made when the route is opened
/// again; a disk that is full or fails may take it later.
fn failure(path: &str, error: FileError) -> Failure {
    match error {
        FileError::Denied(reason) => Failure::Fatal(format!("'{path}': {reason}")),
        FileError::NotFound => Failure::Reconnect(format!("'{path}': its folder is not there")),
        FileError::NoSpace => Failure::Retry(format!("'{path}': the disk is full")),
        FileError::LimitReached => Failure::Retry(format!("'{path}': too many files are open")),
        FileError::Exists | FileError::NotEmpty => {
            Failure::Reject(format!("'{path}': a folder is in its place"))
        }
        // ENOTDIR, which the interface has no word for.
        FileError::Other(reason) if reason.starts_with("Not a directory") => {
            Failure::Reject(format!("'{path}': a file is in the place of its folder"))
        }
        FileError::Other(reason) => Failure::Retry(format!("'{path}': {reason}")),
    }
}
