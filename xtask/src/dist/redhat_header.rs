//! A header of an RPM: values by tag, as an index and the bytes that it points into.

use std::collections::BTreeMap;

/// RpmValue of a tag.
pub(crate) enum RpmValue {
    Number16(Vec<u16>),
    Number32(Vec<u32>),
    Text(String),
    /// A text of which there could be one in each language; here there is one.
    Translated(String),
    Texts(Vec<String>),
}

/// Kind of the header: digests, or all else.
#[derive(Clone, Copy)]
pub(crate) enum Region {
    Signatures = 62,
    Immutable = 63,
}

/// Values by tag.
#[derive(Default)]
pub(crate) struct RpmHeader {
    values: BTreeMap<u32, RpmValue>,
}

/// Type of bytes without a meaning of their own.
const BINARY: u32 = 7;

/// Length of an index entry in bytes.
const ENTRY_BYTES: u32 = 16;

impl RpmHeader {
    pub(crate) fn add(&mut self, tag: u32, value: RpmValue) {
        self.values.insert(tag, value);
    }

    /// The header as it lies in a package: all of it is one region, whose entry comes first and
    /// whose trailer comes last.
    pub(crate) fn bytes(&self, region: Region) -> Vec<u8> {
        let (mut index, mut store) = (Vec::new(), Vec::new());
        for (tag, value) in &self.values {
            let (kind, alignment, count) = value.shape();
            store.resize(store.len().next_multiple_of(alignment), 0);
            index.push([*tag, kind, size(store.len()), size(count)]);
            value.write(&mut store);
        }
        let entries = size(index.len() + 1);
        let own = [region as u32, BINARY, size(store.len()), ENTRY_BYTES];
        // Offset of the index, counted from the end of the index.
        let trailer = [region as u32, BINARY, (entries * ENTRY_BYTES).wrapping_neg(), ENTRY_BYTES];
        store.extend(trailer.iter().flat_map(|number| number.to_be_bytes()));
        let mut bytes = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
        let numbers = [entries, size(store.len())].into_iter().chain(own).chain(index.into_iter().flatten());
        bytes.extend(numbers.flat_map(u32::to_be_bytes));
        bytes.extend(store);
        bytes
    }
}

/// As the format has lengths. Headers are some ten thousand bytes long.
fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl RpmValue {
    /// Number of its type, alignment in bytes, count of values.
    fn shape(&self) -> (u32, usize, usize) {
        match self {
            Self::Number16(numbers) => (3, 2, numbers.len()),
            Self::Number32(numbers) => (4, 4, numbers.len()),
            Self::Text(_) => (6, 1, 1),
            Self::Texts(texts) => (8, 1, texts.len()),
            Self::Translated(_) => (9, 1, 1),
        }
    }

    fn write(&self, store: &mut Vec<u8>) {
        match self {
            Self::Number16(numbers) => store.extend(numbers.iter().flat_map(|number| number.to_be_bytes())),
            Self::Number32(numbers) => store.extend(numbers.iter().flat_map(|number| number.to_be_bytes())),
            Self::Text(text) | Self::Translated(text) => write(store, text),
            Self::Texts(texts) => texts.iter().for_each(|text| write(store, text)),
        }
    }
}

fn write(store: &mut Vec<u8>, text: &str) {
    store.extend_from_slice(text.as_bytes());
    store.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_where_the_index_says_and_the_region_holds_them_all() {
        let mut header = RpmHeader::default();
        header.add(1001, RpmValue::Text("a".to_owned()));
        header.add(1002, RpmValue::Number32(vec![5, 6]));
        let bytes = header.bytes(Region::Immutable);
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((number(8), number(12)), (3, 4 + 8 + 16));
        let store = 16 + 3 * 16;
        assert_eq!([number(16), number(20), number(24), number(28)], [63, 7, 12, 16]);
        assert_eq!([number(32), number(36), number(40), number(44)], [1001, 6, 0, 1]);
        assert_eq!([number(48), number(52), number(56), number(60)], [1002, 4, 4, 2]);
        assert_eq!(&bytes[store..store + 12], b"a\0\0\0\0\0\0\x05\0\0\0\x06");
        assert_eq!(number(store + 12 + 8).wrapping_neg(), 3 * 16);
        assert_eq!(bytes.len(), store + 12 + 16);
    }
}
