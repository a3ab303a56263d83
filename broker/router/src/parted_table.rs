//! A hash table in parts, of which each grows by itself.
//!
//! A common hash table that is full moves all its entries at once: 100 ms for half a million whose
//! keys lie elsewhere, while nobody is served. Here a full part is split in two, and that is the
//! longest step there is, however many entries there are. A list of places by the first bits of a
//! hash says which part has it (extendible hashing); a small table is one part.
//!
//! Invariants: every entry is in the part that its hash says; parts have neighbouring places, each
//! place belongs to one part.

use hashbrown::HashTable;

/// Entries from which on a part is split when one more comes: a table of 4,096 places is full then.
/// Moving half of them takes some 0.3 ms.
const PART_ENTRIES_MAX: usize = 3_584;

/// Bits of a hash that choose the part: enough for two hundred million entries.
const PLACE_BITS: u32 = 16;

/// Number of places.
const PLACES: u32 = 1 << PLACE_BITS;

/// See the module's documentation. Hashes are the caller's, as with [`HashTable`].
#[derive(Debug, Clone)]
pub struct PartedTable<T> {
    parts: Vec<Part<T>>,
    /// Index of the part for each prefix of a place. The prefixes have as many bits as the longest
    /// that a part needs.
    directory: Vec<u32>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Part<T> {
    table: HashTable<T>,
    /// Its first place.
    first: u32,
    /// Bits of a hash that all its entries share.
    bits: u32,
}

impl<T> Part<T> {
    /// The place behind its last one.
    fn end(&self) -> u32 {
        self.first + (PLACES >> self.bits)
    }
}

impl<T> Default for PartedTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> PartedTable<T> {
    /// A table without entries.
    pub fn new() -> Self {
        Self { parts: vec![Part { table: HashTable::new(), first: 0, bits: 0 }], directory: vec![0], len: 0 }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Says whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry with this hash that `is_same` recognises.
    pub fn find(&self, hash: u64, is_same: impl FnMut(&T) -> bool) -> Option<&T> {
        self.parts[self.part_of(hash)].table.find(hash, is_same)
    }

    /// The same, to be changed; its hash must stay.
    pub fn find_mut(&mut self, hash: u64, is_same: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let part = self.part_of(hash);
        self.parts[part].table.find_mut(hash, is_same)
    }

    /// Adds an entry that is not there yet. `hasher` tells the hash of any entry. Cost: O(1), and
    /// at most a walk over one part.
    pub fn insert_unique(&mut self, hash: u64, entry: T, hasher: impl Fn(&T) -> u64) {
        let mut part = self.part_of(hash);
        if self.parts[part].table.len() >= PART_ENTRIES_MAX && self.parts[part].bits < PLACE_BITS {
            self.split(part, &hasher);
            part = self.part_of(hash);
        }
        self.parts[part].table.insert_unique(hash, entry, hasher);
        self.len += 1;
    }

    /// Takes out the entry with this hash that `is_same` recognises.
    pub fn remove(&mut self, hash: u64, is_same: impl FnMut(&T) -> bool) -> Option<T> {
        let part = self.part_of(hash);
        let (entry, _) = self.parts[part].table.find_entry(hash, is_same).ok()?.remove();
        self.len -= 1;
        Some(entry)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().flat_map(|part| part.table.iter())
    }

    /// Returns some thousand entries from this place on, and the place of the next ones. 0 is the
    /// first place; `None` is behind the last. A caller that continues with that place sees each
    /// entry once, also if others come and go meanwhile.
    pub fn page(&self, place: u32) -> Option<(impl Iterator<Item = &T>, u32)> {
        let part = &self.parts[*self.directory.get(self.at(place))? as usize];
        Some((part.table.iter(), part.end()))
    }

    /// Bytes that it has reserved on the heap, without what entries own.
    pub fn allocation_size(&self) -> usize {
        let tables: usize = self.parts.iter().map(|part| part.table.allocation_size()).sum();
        tables + self.parts.capacity() * size_of::<Part<T>>() + self.directory.capacity() * size_of::<u32>()
    }

    fn part_of(&self, hash: u64) -> usize {
        self.directory[self.at(place_of(hash))] as usize
    }

    /// Returns the index in the directory for a place.
    fn at(&self, place: u32) -> usize {
        (place >> (PLACE_BITS - self.directory.len().trailing_zeros())) as usize
    }

    /// Moves the later half of a part's places into a new part.
    fn split(&mut self, number: usize, hasher: &impl Fn(&T) -> u64) {
        let part = &mut self.parts[number];
        let end = part.end();
        part.bits += 1;
        let middle = part.end();
        if part.bits > self.directory.len().trailing_zeros() {
            self.directory = self.directory.iter().flat_map(|part| [*part, *part]).collect();
        }
        let mut table = HashTable::with_capacity(PART_ENTRIES_MAX);
        for entry in part.table.extract_if(|entry| place_of(hasher(entry)) >= middle) {
            table.insert_unique(hasher(&entry), entry, hasher);
        }
        let new = Part { table, first: middle, bits: part.bits };
        let added = u32::try_from(self.parts.len()).expect("there are fewer parts than places");
        let places = self.at(middle)..self.at(end - 1) + 1;
        self.directory[places].fill(added);
        self.parts.push(new);
    }
}

/// The place of a hash, of bits that the tables use for nothing else: these take the lowest ones
/// and the seven highest.
fn place_of(hash: u64) -> u32 {
    ((hash >> (64 - 7 - PLACE_BITS)) & u64::from(PLACES - 1)) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use hashbrown::DefaultHashBuilder;

    use super::*;

    #[derive(Default)]
    struct Numbers {
        table: PartedTable<u64>,
        hasher: DefaultHashBuilder,
    }

    impl Numbers {
        fn add(&mut self, number: u64) {
            let hasher = &self.hasher;
            let hash = |number: &u64| hasher.hash_one(number);
            self.table.insert_unique(hash(&number), number, hash);
        }

        fn has(&self, number: u64) -> bool {
            self.table.find(self.hasher.hash_one(number), |known| *known == number).is_some()
        }

        fn check(&self) {
            let mut parts: Vec<_> = self.table.parts.iter().collect();
            parts.sort_by_key(|part| part.first);
            let mut ends = parts.iter().map(|part| part.end());
            assert!(parts.iter().skip(1).map(|part| part.first).eq(ends.clone().take(parts.len() - 1)));
            assert_eq!(ends.next_back(), Some(PLACES));
            for (number, part) in self.table.parts.iter().enumerate() {
                let places = part.first..part.end();
                assert!(
                    part.table.iter().all(|known| places.contains(&place_of(self.hasher.hash_one(known))))
                );
                for place in [places.start, places.end - 1] {
                    assert_eq!(self.table.directory[self.table.at(place)] as usize, number);
                }
            }
        }
    }

    #[test]
    fn entries_are_found_as_parts_are_split_and_go_when_they_are_removed() {
        const COUNT: u64 = 100_000;
        let mut numbers = Numbers::default();
        for number in 0..COUNT {
            numbers.add(number);
        }
        numbers.check();
        assert!(numbers.table.parts.len() > 20, "{} parts", numbers.table.parts.len());
        assert!((0..COUNT).all(|number| numbers.has(number)) && !numbers.has(COUNT));
        for number in (0..COUNT).step_by(2) {
            let hash = numbers.hasher.hash_one(number);
            assert_eq!(numbers.table.remove(hash, |known| *known == number), Some(number));
            assert_eq!(numbers.table.remove(hash, |known| *known == number), None);
        }
        assert_eq!(numbers.table.len(), COUNT as usize / 2);
        assert!((0..COUNT).all(|number| numbers.has(number) != number.is_multiple_of(2)));
        assert_eq!(numbers.table.iter().count(), numbers.table.len());
        numbers.check();
    }

    #[test]
    fn a_step_moves_no_more_than_one_part_has() {
        let mut numbers = Numbers::default();
        for number in 0..200_000 {
            let hashed = std::cell::Cell::new(0);
            let hasher = |number: &u64| {
                hashed.set(hashed.get() + 1);
                numbers.hasher.hash_one(number)
            };
            numbers.table.insert_unique(numbers.hasher.hash_one(number), number, hasher);
            assert!(hashed.get() <= 3 * PART_ENTRIES_MAX, "{} at {number}", hashed.get());
        }
        assert!(numbers.table.parts.iter().all(|part| part.table.len() <= PART_ENTRIES_MAX));
    }

    #[test]
    fn pages_are_short_and_show_each_entry_once_though_parts_are_split_between_them() {
        const BEFORE: u64 = 50_000;
        let mut numbers = Numbers::default();
        (0..BEFORE).for_each(|number| numbers.add(number));
        let (mut seen, mut place, mut next) = (Vec::new(), 0, BEFORE);
        loop {
            let before = seen.len();
            let Some((page, following)) = numbers.table.page(place) else { break };
            seen.extend(page.copied());
            place = following;
            assert!(seen.len() - before <= PART_ENTRIES_MAX);
            // As many come as split nearly every part.
            (next..next + 5_000).for_each(|number| numbers.add(number));
            next += 5_000;
        }
        let different: HashSet<u64> = seen.iter().copied().collect();
        assert_eq!(different.len(), seen.len(), "none twice");
        assert!((0..BEFORE).all(|number| different.contains(&number)), "all that were there");
    }

    #[test]
    fn hashes_that_are_all_alike_are_found_nevertheless() {
        let mut table = PartedTable::new();
        for number in 0..10_000_u64 {
            table.insert_unique(7, number, |_| 7);
        }
        assert_eq!(table.find(7, |known| *known == 9_999), Some(&9_999));
        assert_eq!(table.page(0).map(|(page, _)| page.count()), Some(10_000));
    }
}
