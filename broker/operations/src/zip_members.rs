//! Members of the zips that clients send: no name occurs twice, and each member has one name.
//!
//! A reader that goes by names takes the last of two members, one that streams takes the first.
//! Names stand in the directory of a zip and in front of each member. So a reader could use another
//! member than the one that was checked.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::result::ZipError;

/// Length of a header in the directory of a zip, without the texts behind it.
const HEADER_LEN: usize = 46;

/// Places in it of the lengths of name, extra field and comment.
const LENGTHS_AT: [usize; 3] = [28, 30, 32];

/// Length of the header in front of a member, without the texts behind it.
const OWN_HEADER_LEN: usize = 30;

/// Place in it of the length of the name.
const OWN_NAME_LEN_AT: usize = 26;

/// Characters of a name that an error shows.
const SHOWN_CHARS_MAX: usize = 200;

/// Reason why a zip was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenZipError {
    /// It is none, or it is damaged.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// Two members have this name.
    #[error("'{0}' is in it twice")]
    Twice(String),
    /// The member of this name has another one where it lies.
    #[error("'{0}' has another name in its own header than in the directory")]
    Renamed(String),
}

/// Opens a zip.
///
/// # Errors
/// [`OpenZipError`].
pub(crate) fn open<R: Read + Seek>(reader: R) -> Result<ZipArchive<R>, OpenZipError> {
    let zip = ZipArchive::new(reader)?;
    if zip.has_duplicate_names() {
        let directory_at = zip.central_directory_start();
        let name = first_twice(zip.into_inner(), directory_at).map_err(ZipError::from)?;
        return Err(OpenZipError::Twice(escaped_name(&name)));
    }
    let (mut reader, members) = members(zip)?;
    for (at, name) in members {
        let own = own_name(&mut reader, at).map_err(ZipError::from)?;
        if own != *name {
            return Err(OpenZipError::Renamed(escaped_name(&String::from_utf8_lossy(&name))));
        }
    }
    Ok(ZipArchive::new(reader)?)
}

/// Members by the directory: where each lies, and its name.
type Members = Vec<(u64, Box<[u8]>)>;

fn members<R: Read + Seek>(mut zip: ZipArchive<R>) -> Result<(R, Members), ZipError> {
    let mut members = Vec::with_capacity(zip.len());
    for number in 0..zip.len() {
        let member = zip.by_index_raw(number)?;
        members.push((member.header_start(), member.name_raw().into()));
    }
    Ok((zip.into_inner(), members))
}

/// Name in the header of a member, which was found there before.
fn own_name<R: Read + Seek>(reader: &mut R, at: u64) -> io::Result<Vec<u8>> {
    reader.seek(SeekFrom::Start(at))?;
    let mut header = [0; OWN_HEADER_LEN];
    reader.read_exact(&mut header)?;
    let [low, high] = [header[OWN_NAME_LEN_AT], header[OWN_NAME_LEN_AT + 1]];
    let mut name = vec![0; u16::from_le_bytes([low, high]).into()];
    reader.read_exact(&mut name)?;
    Ok(name)
}

/// Form in which an error shows a name.
pub(crate) fn escaped_name(name: &str) -> String {
    name.escape_debug().take(SHOWN_CHARS_MAX).collect()
}

/// First name that the directory has twice, which was read before.
fn first_twice<R: Read + Seek>(mut reader: R, directory_at: u64) -> io::Result<String> {
    reader.seek(SeekFrom::Start(directory_at))?;
    let mut seen = BTreeSet::new();
    loop {
        let mut header = [0; HEADER_LEN];
        reader.read_exact(&mut header)?;
        let [name_len, rest @ ..] = LENGTHS_AT.map(|at| u16::from_le_bytes([header[at], header[at + 1]]));
        let mut name = vec![0; usize::from(name_len)];
        reader.read_exact(&mut name)?;
        reader.seek_relative(rest.into_iter().map(i64::from).sum())?;
        if let Some(name) = seen.replace(name) {
            return Ok(String::from_utf8_lossy(&name).into_owned());
        }
    }
}
