//! Open files: gathers records for each file of a batch. [`Store::flush`] writes them to the disk.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};

use lotmq_guest::route::files::{FileError, FileKind, Folder};
use lotmq_guest::route::{Failure, state};
use serde_json::{Map, Value as Json};

use crate::config::{FileConfig, Format};
use crate::csv::{self, Scan};
use crate::limits::{FILES_MAX, HEADER_BYTES_MAX, JSON_BYTES_MAX, NUMBERS_MAX};

/// Brackets around the records of a file of JSON, with the end of its line.
const JSON_FRAME_BYTES: u64 = 3;

/// Columns that are named to people.
const COLUMNS_SHOWN: usize = 8;

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
    /// Bytes on the disk: others that it has there were not written here.
    length: u64,
}

enum Content {
    /// Columns; empty until the first record. Lines that are not written yet.
    Csv { columns: Vec<String>, unwritten: Vec<u8> },
    /// All records, without brackets.
    Json { body: String, is_written: bool },
    /// Lines that are not written yet.
    Lines { unwritten: Vec<u8> },
}

impl Store {
    pub(crate) fn new(config: FileConfig) -> Store {
        let store = Store { folder: Folder::named("file_storage"), config, open: VecDeque::new() };
        if !store.config.appends {
            // Files of an earlier start are begun anew.
            for key in state::keys().iter().filter(|key| key.starts_with(BEGUN)) {
                let of_this = state::get(key).is_some_and(|start| start == store.config.start.as_bytes());
                if !of_this {
                    state::remove(key);
                }
            }
        }
        store
    }

    /// Adds the records of a message to a file: all, or none if one record has no value for any
    /// column of the file.
    pub(crate) fn add(&mut self, path: &str, records: &[Map<String, Json>]) -> Result<(), Failure> {
        let file = self.take(path, false)?;
        let problem = file.unfit(records, self.config.timestamp.is_some());
        self.keep(file)?;
        if let Some(problem) = problem {
            return Err(Failure::Reject(problem));
        }
        records.iter().try_for_each(|record| self.add_one(path, record))
    }

    fn add_one(&mut self, path: &str, record: &Map<String, Json>) -> Result<(), Failure> {
        let mut file = self.take(path, false)?;
        if file.records >= self.config.records_max || file.is_large() {
            self.write(&mut file)?;
            file = self.rotated(file)?;
        }
        file.records += 1;
        match &mut file.content {
            Content::Csv { columns, unwritten } => {
                let Format::Csv { delimiter } = self.config.format else { return Ok(()) };
                if columns.is_empty() {
                    *columns = record.keys().cloned().collect();
                }
                if file.length == 0 && unwritten.is_empty() {
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
        if let Content::Lines { unwritten } = &mut file.content {
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
            return self.as_it_is(file);
        }
        if self.begins(path) {
            match self.folder.remove(path) {
                Ok(()) | Err(FileError::NotFound) => {}
                Err(error) => return Err(failure(path, error)),
            }
        }
        self.look(path, is_text).map_err(|error| failure(path, error))
    }

    /// Returns a known file, and reads it again if somebody moved, emptied or changed it since the
    /// last write. A file that begins anew keeps its columns.
    fn as_it_is(&self, file: OpenFile) -> Result<OpenFile, Failure> {
        if file.is_unwritten() {
            return Ok(file);
        }
        let length = self.length(&file.path).map_err(|error| failure(&file.path, error))?;
        if length == file.length {
            return Ok(file);
        }
        let is_text = matches!(file.content, Content::Lines { .. });
        let found = self.look(&file.path, is_text).map_err(|error| failure(&file.path, error))?;
        Ok(found.with_columns_of(file))
    }

    /// Bytes of a file; none where it is not there.
    fn length(&self, path: &str) -> Result<u64, FileError> {
        match self.folder.stat(path) {
            Ok(known) if known.kind == FileKind::Folder => Err(FileError::Exists),
            Ok(known) => Ok(known.length),
            Err(FileError::NotFound) => Ok(0),
            Err(error) => Err(error),
        }
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
        // A file that cannot be remembered is continued, so that a reconnect of the route does not
        // overwrite it.
        state::set(&key, self.config.start.as_bytes()).is_ok()
    }

    /// Looks at the end of a file.
    fn look(&self, path: &str, is_text: bool) -> Result<OpenFile, FileError> {
        let length = self.length(path)?;
        let (content, records, length) = match self.config.format {
            _ if is_text => (Content::Lines { unwritten: Vec::new() }, 0, length),
            Format::Csv { delimiter } => self.look_at_csv(path, length, delimiter)?,
            Format::Json => self.look_at_json(path, length)?,
        };
        Ok(OpenFile { path: path.to_owned(), content, records, length })
    }

    fn look_at_csv(
        &self,
        path: &str,
        length: u64,
        delimiter: char,
    ) -> Result<(Content, u64, u64), FileError> {
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
                // The broker delivers records again whose write a crash interrupted.
                self.folder.write(path)?.set_length(scan.whole)?;
            }
        }
        let columns = scan.columns(delimiter);
        Ok((Content::Csv { columns, unwritten: Vec::new() }, scan.records, scan.whole))
    }

    fn look_at_json(&self, path: &str, length: u64) -> Result<(Content, u64, u64), FileError> {
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
        Ok((Content::Json { body, is_written: true }, count, length))
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
        let OpenFile { path, content, length, .. } = file;
        let written = match content {
            Content::Csv { unwritten, .. } | Content::Lines { unwritten } => {
                self.write_behind(path, length, unwritten)
            }
            Content::Json { is_written: true, .. } => Ok(()),
            Content::Json { body, is_written } => {
                let replaced = self.replace(path, body);
                *is_written = replaced.is_ok();
                *length = body.len() as u64 + JSON_FRAME_BYTES;
                replaced
            }
        };
        written.map_err(|error| failure(path, error))
    }

    /// Writes behind the end of a file: all of it or nothing.
    fn write_behind(&self, path: &str, length: &mut u64, unwritten: &mut Vec<u8>) -> Result<(), FileError> {
        if unwritten.is_empty() {
            return Ok(());
        }
        self.make_folders(path)?;
        let mut file = self.folder.append(path)?;
        if file.stat()?.length != *length {
            return Err(FileError::Other("somebody else has changed it meanwhile".to_owned()));
        }
        let written = file.write_all(unwritten).map_err(of_io).and_then(|()| file.sync());
        if let Err(error) = written {
            // The next look at the file cuts the rest, if this fails.
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
        let path = file.path.clone();
        let told = |error| failure(&path, error);
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
                    let begun = self.look(&file.path, false).map_err(told)?;
                    return Ok(begun.with_columns_of(file));
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
    /// Whether it has what is not on the disk yet.
    fn is_unwritten(&self) -> bool {
        match &self.content {
            Content::Csv { unwritten, .. } | Content::Lines { unwritten } => !unwritten.is_empty(),
            Content::Json { is_written, .. } => !is_written,
        }
    }

    /// The same with the columns that it had, where it is to be begun.
    fn with_columns_of(mut self, before: OpenFile) -> OpenFile {
        if let (Content::Csv { columns, .. }, Content::Csv { columns: known, .. }) =
            (&mut self.content, before.content)
            && columns.is_empty()
        {
            *columns = known;
        }
        self
    }

    /// Returns the error for the first record without any column of the file. The time column does
    /// not count, because the route fills it itself.
    fn unfit(&self, records: &[Map<String, Json>], is_timed: bool) -> Option<String> {
        let Content::Csv { columns, .. } = &self.content else { return None };
        let is_own = |name: &String| !(is_timed && name == "timestamp");
        let first: Vec<String>;
        let columns = match records.first() {
            Some(record) if columns.is_empty() => {
                first = record.keys().cloned().collect();
                &first
            }
            _ => columns,
        };
        let has_nothing = |record: &&Map<String, Json>| {
            let mut own = record.keys().filter(|name| is_own(name)).peekable();
            own.peek().is_some() && !own.any(|name| columns.contains(name))
        };
        records.iter().find(has_nothing)?;
        let shown: Vec<&str> =
            columns.iter().filter(|name| is_own(name)).take(COLUMNS_SHOWN).map(String::as_str).collect();
        let more = if columns.len() > COLUMNS_SHOWN { ", …" } else { "" };
        Some(format!("a record has none of the columns of '{}': {}{more}", self.path, shown.join(", ")))
    }

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

/// Returns the class of failure for a file error. A missing permission needs an operator. A folder
/// or file in the way rejects the record. A missing folder is created when the route opens again. A
/// full or failing disk may work later.
fn failure(path: &str, error: FileError) -> Failure {
    match error {
        FileError::Denied(reason) => Failure::Fatal(format!("'{path}': {reason}")),
        FileError::NotFound => Failure::Reconnect(format!("'{path}': its folder is not there")),
        FileError::NoSpace => Failure::Retry(format!("'{path}': {}", crate::NO_SPACE)),
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
