//! Makes a damaged file readable: gives its pages the checksums that they have, so that what is
//! whole in them can be told from what is not.
//!
//! After a crash redb verifies every page, and opens nothing when one of them is damaged. But rows,
//! chunks and large messages have checksums of our own, which tell more. So the trees are walked
//! here without redb, and the checksum of every damaged page is written into the page above it, up
//! to the root: into an [`Overlay`](crate::overlay::Overlay), never into the file. Table `queues`
//! is emptied instead, if any page of it is damaged: the log says again what it says.
//!
//! A crash of the system may have torn what the last commit wrote, and pages that are torn may have
//! held something else that is whole. So after a crash only pages are healed that the commit before
//! has, too: those were on the disk.
//!
//! Format: version 3 of redb's, which it names in its commit slots; a file of another one is
//! refused, for a backup to be restored. The workspace allows one version of redb only, with which
//! the tests here write their files. Not here: what is whole (`inspect`).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use lotmq_changes::Corruption;
use redb::StorageBackend;
use twox_hash::XxHash3_128;

use crate::load_error::LoadError;
use crate::table::QUEUES_NAME;

const VERSION: u8 = 3;
const PAGE_BYTES: u64 = 4096;

/// Place of the byte with these flags.
const FLAGS: usize = 9;
const FLAG_SECOND_SLOT: u8 = 1;
const FLAG_NOT_CLOSED: u8 = 2;
/// The commit was written in two phases: it is not torn.
const FLAG_TWO_PHASE: u8 = 4;

const SLOTS: [usize; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
const COMMIT: usize = 104;
const SLOT_CHECKSUM: usize = 112;
/// Places in a slot: whether there is a tree, and its header. The first has the tables, the second
/// redb's own.
const ROOTS: [(usize, usize); 2] = [(1, 8), (2, 40)];

const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// As redb bounds it.
const DEPTH_MAX: usize = 128;

/// A table in the tree of tables: places of its length, of whether it has a tree, of that, and of
/// the sizes of keys and values.
const TABLE_LENGTH: Range<usize> = 1..9;
const TABLE_ROOT: Range<usize> = 9..42;
const TABLE_SIZES: [usize; 2] = [42, 47];
const TABLE_KIND: u8 = 3;

/// Heals what a file looks like; the damage in table `queues`, which is empty then.
///
/// # Errors
/// [`LoadError::Corrupted`] when the file cannot be healed; what the overlay shows is of no use
/// then. [`LoadError::Io`] when it cannot be read.
pub(crate) fn heal(file: &impl StorageBackend) -> Result<Vec<Corruption>, LoadError> {
    let mut header = vec![0; PAGE_BYTES as usize];
    file.read(0, &mut header).map_err(io_error)?;
    let geometry = Geometry::read(&header, file.len().map_err(LoadError::Io)?)?;
    let newest = newest(&header).ok_or(unreadable("the last commit is damaged"))?;
    let other = newest ^ 1;
    let may_be_torn = header[FLAGS] & (FLAG_NOT_CLOSED | FLAG_TWO_PHASE) == FLAG_NOT_CLOSED;
    if may_be_torn {
        let damaged = |slot: usize| -> Result<_, LoadError> {
            let mut walk = Walk::new(file, &geometry, false);
            walk.slot(&mut header[SLOTS[slot]..][..SLOT_BYTES].to_vec())?;
            Ok(walk.damaged)
        };
        let of_last = damaged(newest)?;
        let is_older = is_valid(&header, other) && of_last.is_subset(&damaged(other)?);
        if !of_last.is_empty() && !is_older {
            return Err(unreadable("pages that the last commit before a crash has written are damaged"));
        }
    }
    let mut walk = Walk::new(file, &geometry, true);
    walk.slot(&mut header[SLOTS[newest]..][..SLOT_BYTES])?;
    let derived = std::mem::take(&mut walk.derived);
    file.write(SLOTS[newest] as u64, &header[SLOTS[newest]..][..SLOT_BYTES]).map_err(LoadError::Io)?;
    Ok(derived)
}

/// The header of a file.
pub(crate) fn header(path: &Path) -> io::Result<Vec<u8>> {
    let mut header = vec![0; PAGE_BYTES as usize];
    File::open(path)?.read_exact(&mut header)?;
    Ok(header)
}

/// The same of what looks like a file.
pub(crate) fn header_of(file: &impl StorageBackend) -> io::Result<Vec<u8>> {
    let mut header = vec![0; PAGE_BYTES as usize];
    file.read(0, &mut header)?;
    Ok(header)
}

/// Whether redb has undone the last commit of a file that was not closed, by the headers before and
/// after it was opened.
///
/// It does that when any page is damaged that the commit has written, because a power cut may have
/// torn it.
pub(crate) fn is_undone(before: &[u8], after: &[u8]) -> bool {
    let was_not_closed = before[FLAGS] & (FLAG_NOT_CLOSED | FLAG_TWO_PHASE) == FLAG_NOT_CLOSED;
    let commit = |header: &[u8]| newest(header).map(|slot| u64_at(&header[SLOTS[slot]..], COMMIT));
    let is_torn = !is_valid(before, usize::from(before[FLAGS] & FLAG_SECOND_SLOT));
    // A repair ends with a commit of its own, whose number is the next.
    was_not_closed && (is_torn || commit(after) <= commit(before))
}

/// The slot with the last commit, as redb chooses it; `None` when it is damaged.
fn newest(header: &[u8]) -> Option<usize> {
    let primary = usize::from(header[FLAGS] & FLAG_SECOND_SLOT);
    let commit = |slot: usize| u64_at(&header[SLOTS[slot]..], COMMIT);
    let other = primary ^ 1;
    if header[FLAGS] & FLAG_TWO_PHASE == 0
        && is_valid(header, other)
        && (!is_valid(header, primary) || commit(other) > commit(primary))
    {
        return Some(other);
    }
    is_valid(header, primary).then_some(primary)
}

fn is_valid(header: &[u8], slot: usize) -> bool {
    let slot = &header[SLOTS[slot]..][..SLOT_BYTES];
    slot[0] == VERSION && u128_at(slot, SLOT_CHECKSUM) == Some(checksum(&slot[..SLOT_CHECKSUM]))
}

/// Layout of the pages in the file.
#[derive(Debug)]
struct Geometry {
    region_header_bytes: u64,
    region_bytes: u64,
    file_bytes: u64,
}

impl Geometry {
    fn read(header: &[u8], file_bytes: u64) -> Result<Self, LoadError> {
        let number = |place: usize| u32_at(header, place).map_or(0, u64::from);
        let (page_bytes, header_pages, pages) = (number(12), number(16), number(20));
        if page_bytes != PAGE_BYTES || pages == 0 {
            return Err(unreadable("the header is damaged"));
        }
        let region_header_bytes = header_pages * PAGE_BYTES;
        let region_bytes = region_header_bytes + pages * PAGE_BYTES;
        Ok(Self { region_header_bytes, region_bytes, file_bytes })
    }

    /// Place and length of a page, if there is such a one.
    fn place(&self, number: u64) -> Option<(u64, usize)> {
        let order = number >> 59;
        let index = number & (0xf_ffff_u64.checked_shr(u32::try_from(order).ok()?)?);
        let region = (number >> 20) & 0xf_ffff;
        let bytes =
            PAGE_BYTES.checked_shl(u32::try_from(order).ok()?).filter(|bytes| *bytes <= self.file_bytes)?;
        let place = region.checked_mul(self.region_bytes)?.checked_add(index.checked_mul(bytes)?)?;
        let place = place.checked_add(PAGE_BYTES + self.region_header_bytes)?;
        (place.checked_add(bytes)? <= self.file_bytes).then_some((place, usize::try_from(bytes).ok()?))
    }
}

/// Sizes of keys and values, where all have the same.
#[derive(Debug, Clone, Copy, Default)]
struct Sizes([Option<usize>; 2]);

/// Contents of the leaves of a tree.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    /// Tables, ours or redb's.
    Tables {
        is_ours: bool,
    },
    Rows(Sizes),
}

impl Leaves {
    fn sizes(self) -> [Option<usize>; 2] {
        match self {
            Self::Tables { .. } => [None, None],
            Self::Rows(Sizes(sizes)) => sizes,
        }
    }
}

/// One walk through the trees of a commit.
struct Walk<'f, B> {
    file: &'f B,
    geometry: &'f Geometry,
    /// Pages get the checksums that they have, and one that is none is an error.
    heals: bool,
    /// Places of the pages whose checksum is wrong.
    damaged: BTreeSet<u64>,
    derived: Vec<Corruption>,
    /// Pages that may still come, so that a damaged tree cannot be walked for ever.
    left: u64,
}

impl<'f, B: StorageBackend> Walk<'f, B> {
    fn new(file: &'f B, geometry: &'f Geometry, heals: bool) -> Self {
        let left = geometry.file_bytes / PAGE_BYTES;
        Self { file, geometry, heals, damaged: BTreeSet::new(), derived: Vec::new(), left }
    }

    fn slot(&mut self, slot: &mut [u8]) -> Result<(), LoadError> {
        for ((exists, root), is_ours) in ROOTS.into_iter().zip([true, false]) {
            if slot[exists] != 0 {
                self.tree(&mut slot[root..], Leaves::Tables { is_ours }, 0)?;
            }
        }
        let sum = checksum(&slot[..SLOT_CHECKSUM]);
        slot[SLOT_CHECKSUM..].copy_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    /// Walks a tree whose header is `number u64, checksum u128`.
    fn tree(&mut self, header: &mut [u8], leaves: Leaves, depth: usize) -> Result<(), LoadError> {
        let (Some(number), Some(expected)) = (header.get(..8), u128_at(header, 8)) else {
            return Err(unreadable("a tree has no header"));
        };
        let number = u64_at(number, 0);
        let found = self.page(number, expected, leaves, depth)?;
        header[8..24].copy_from_slice(&found.to_le_bytes());
        Ok(())
    }

    /// Walks a page and all below; the checksum that it has.
    fn page(&mut self, number: u64, expected: u128, leaves: Leaves, depth: usize) -> Result<u128, LoadError> {
        let place = self.geometry.place(number).filter(|_| depth < DEPTH_MAX && self.left > 0);
        let Some((place, len)) = place else { return self.none(number, expected) };
        self.left -= 1;
        let mut page = vec![0; len];
        self.file.read(place, &mut page).map_err(io_error)?;
        let Some(end) = end(&page, leaves.sizes()) else { return self.none(place, expected) };
        let before = checksum(&page[..end]);
        if before != expected {
            self.damaged.insert(place);
        }
        match (page[0], leaves) {
            (BRANCH, _) => self.branch(&mut page, leaves, depth)?,
            (_, Leaves::Tables { is_ours }) => self.tables(&mut page, is_ours, depth)?,
            (_, Leaves::Rows(_)) => return Ok(before),
        }
        let after = checksum(&page[..end]);
        if self.heals && after != before {
            self.file.write(place, &page).map_err(LoadError::Io)?;
        }
        Ok(after)
    }

    /// Notes that a page is not one.
    fn none(&mut self, place: u64, expected: u128) -> Result<u128, LoadError> {
        self.damaged.insert(place);
        if self.heals { Err(unreadable("a page is none")) } else { Ok(expected) }
    }

    fn branch(&mut self, page: &mut [u8], leaves: Leaves, depth: usize) -> Result<(), LoadError> {
        let children = entries(page) + 1;
        for nth in 0..children {
            let (sum, number) = (8 + 16 * nth, 8 + 16 * children + 8 * nth);
            let expected = u128_at(page, sum).unwrap_or(0);
            let found = self.page(u64_at(page, number), expected, leaves, depth + 1)?;
            page[sum..sum + 16].copy_from_slice(&found.to_le_bytes());
        }
        Ok(())
    }

    fn tables(&mut self, page: &mut [u8], is_ours: bool, depth: usize) -> Result<(), LoadError> {
        for nth in 0..entries(page) {
            let (Some(name), Some(table)) = (key(page, nth), value(page, nth)) else {
                return Err(unreadable("a table has no place"));
            };
            let is_derived = is_ours && page.get(name) == Some(QUEUES_NAME.as_bytes());
            let Some(table) = page.get_mut(table).filter(|table| table.len() > TABLE_SIZES[1] + 4) else {
                return Err(unreadable("a table has no place"));
            };
            self.table(table, is_derived, depth)?;
        }
        Ok(())
    }

    fn table(&mut self, table: &mut [u8], is_derived: bool, depth: usize) -> Result<(), LoadError> {
        if table[TABLE_ROOT.start] == 0 {
            return Ok(());
        }
        if table[0] != TABLE_KIND {
            return Err(unreadable("a table is of an unknown kind"));
        }
        let size = |place: usize| {
            let size = u32_at(table, place + 1).and_then(|size| usize::try_from(size).ok());
            size.filter(|_| table[place] != 0)
        };
        let leaves = Leaves::Rows(Sizes(TABLE_SIZES.map(size)));
        let damaged = self.damaged.len();
        let walked = self.tree(&mut table[TABLE_ROOT.start + 1..TABLE_ROOT.end], leaves, depth + 1);
        if !is_derived || (walked.is_ok() && self.damaged.len() == damaged) {
            return walked;
        }
        self.derived.push(Corruption::Structure(format!("pages of table '{QUEUES_NAME}' are damaged")));
        if self.heals {
            table[TABLE_LENGTH].fill(0);
            table[TABLE_ROOT].fill(0);
        }
        Ok(())
    }
}

fn entries(page: &[u8]) -> usize {
    page.get(2..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes).into()
}

/// Returns the end of the bytes under the checksum; `None` if that cannot be.
fn end(page: &[u8], sizes: [Option<usize>; 2]) -> Option<usize> {
    let count = entries(page);
    let last = count.checked_sub(1)?;
    let end = match *page.first()? {
        LEAF => value_end(page, sizes, last)?,
        BRANCH => {
            let keys = 8 + 24 * (count + 1);
            match sizes[0] {
                Some(size) => keys.checked_add(size.checked_mul(count)?)?,
                None => usize::try_from(u32_at(page, keys + 4 * last)?).ok().filter(|end| *end >= keys)?,
            }
        }
        _ => return None,
    };
    (end <= page.len()).then_some(end)
}

fn key_end(page: &[u8], sizes: [Option<usize>; 2], nth: usize) -> Option<usize> {
    let ends = sizes.iter().filter(|size| size.is_none()).count();
    match sizes[0] {
        Some(size) => (4 + 4 * ends * entries(page)).checked_add(size.checked_mul(nth + 1)?),
        None => usize::try_from(u32_at(page, 4 + 4 * nth)?).ok(),
    }
}

fn value_end(page: &[u8], sizes: [Option<usize>; 2], nth: usize) -> Option<usize> {
    match sizes[1] {
        Some(size) => {
            key_end(page, sizes, entries(page).checked_sub(1)?)?.checked_add(size.checked_mul(nth + 1)?)
        }
        None => {
            let before = if sizes[0].is_none() { 4 * entries(page) } else { 0 };
            usize::try_from(u32_at(page, 4 + before + 4 * nth)?).ok()
        }
    }
}

/// A key in a leaf of tables.
fn key(page: &[u8], nth: usize) -> Option<Range<usize>> {
    let start = match nth.checked_sub(1) {
        Some(before) => key_end(page, [None; 2], before)?,
        None => 4 + 8 * entries(page),
    };
    Some(start..key_end(page, [None; 2], nth)?)
}

/// A value in a leaf of tables.
fn value(page: &[u8], nth: usize) -> Option<Range<usize>> {
    let start = match nth.checked_sub(1) {
        Some(before) => value_end(page, [None; 2], before)?,
        None => key_end(page, [None; 2], entries(page).checked_sub(1)?)?,
    };
    Some(start..value_end(page, [None; 2], nth)?)
}

fn checksum(bytes: &[u8]) -> u128 {
    XxHash3_128::oneshot(bytes)
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..place.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

/// All bits beyond the end: no page has that number.
fn u64_at(bytes: &[u8], place: usize) -> u64 {
    bytes.get(place..place + 8).and_then(|bytes| bytes.try_into().ok()).map_or(u64::MAX, u64::from_le_bytes)
}

fn u128_at(bytes: &[u8], place: usize) -> Option<u128> {
    bytes.get(place..place + 16)?.try_into().ok().map(u128::from_le_bytes)
}

fn unreadable(reason: &'static str) -> LoadError {
    Corruption::Structure(reason.to_owned()).into()
}

/// A file that ends early is damaged.
fn io_error(error: io::Error) -> LoadError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        unreadable("the file ends early")
    } else {
        LoadError::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, TableDefinition};

    use super::*;

    /// A database with a table of some pages, as a crash leaves it.
    fn crashed() -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("open");
        let database = Database::create(&path).unwrap();
        for value in 0..3 {
            let transaction = database.begin_write().unwrap();
            let table: TableDefinition<'_, u64, u64> = TableDefinition::new(QUEUES_NAME);
            let mut table = transaction.open_table(table).unwrap();
            (0..2_000).for_each(|key| drop(table.insert(key, value).unwrap()));
            drop(table);
            transaction.commit().unwrap();
        }
        std::fs::read(&path).unwrap()
    }

    fn in_memory(bytes: &[u8]) -> InMemoryBackend {
        let memory = InMemoryBackend::new();
        memory.set_len(bytes.len() as u64).unwrap();
        memory.write(0, bytes).unwrap();
        memory
    }

    #[test]
    fn healing_leaves_an_intact_file_unchanged() {
        let bytes = crashed();
        let memory = in_memory(&bytes);
        assert!(heal(&memory).unwrap().is_empty());
        let mut after = vec![0; bytes.len()];
        memory.read(0, &mut after).unwrap();
        assert!(after == bytes);
    }

    #[test]
    fn another_format_is_refused() {
        let bytes = crashed();
        for version in [0, 1, 2, 4, u8::MAX] {
            let mut other = bytes.clone();
            for slot in SLOTS {
                other[slot] = version;
                let sum = checksum(&other[slot..][..SLOT_CHECKSUM]);
                other[slot + SLOT_CHECKSUM..][..size_of_val(&sum)].copy_from_slice(&sum.to_le_bytes());
            }
            let memory = in_memory(&other);
            assert!(heal(&memory).is_err(), "version {version}");
            let mut after = vec![0; other.len()];
            memory.read(0, &mut after).unwrap();
            assert!(after == other, "a file of version {version} is left as it is");
        }
    }

    #[test]
    fn any_damage_is_healed_or_refused() {
        let bytes = crashed();
        let used: Vec<_> = (0..bytes.len()).filter(|place| bytes[*place] != 0).collect();
        let mut seed = 0x5eed_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        };
        let mut healed = 0;
        for case in 0..400 {
            let mut damaged = bytes.clone();
            for _ in 0..=case % 5 {
                // Also in the header, which is a small part of the file.
                let place = if random() % 4 == 0 { random() % 320 } else { used[random() % used.len()] };
                damaged[place] = random() as u8;
            }
            healed += usize::from(heal(&in_memory(&damaged)).is_ok());
        }
        assert!((20..380).contains(&healed), "{healed} healed");
    }

    #[test]
    fn a_commit_that_redb_undoes_is_noticed() {
        for is_damaged in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let [open, crashed] = ["open", "crashed"].map(|name| directory.path().join(name));
            let database = Database::create(&open).unwrap();
            for value in 0..3 {
                let transaction = database.begin_write().unwrap();
                let table: TableDefinition<'_, u64, u64> = TableDefinition::new("numbers");
                transaction.open_table(table).unwrap().insert(1, value).unwrap();
                transaction.commit().unwrap();
            }
            let mut bytes = std::fs::read(&open).unwrap();
            let geometry = Geometry::read(&bytes, bytes.len() as u64).unwrap();
            let slot = SLOTS[newest(&bytes).unwrap()];
            let (root, _) = geometry.place(u64_at(&bytes, slot + 8)).unwrap();
            bytes[usize::try_from(root).unwrap() + 30] ^= u8::from(is_damaged);
            std::fs::write(&crashed, &bytes).unwrap();
            // One that was closed has nothing to undo.
            for expected in [is_damaged, false] {
                let before = header(&crashed).unwrap();
                let _open = Database::create(&crashed).unwrap();
                assert_eq!(is_undone(&before, &header(&crashed).unwrap()), expected);
            }
        }
    }
}
