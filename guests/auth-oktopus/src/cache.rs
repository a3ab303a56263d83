//! The bucket in memory, bounded. A watch keeps it: each reading of the whole bucket has a number,
//! and an entry that the last reading did not bring is swept out.

use std::collections::BTreeMap;

use crate::credential::Credential;
use crate::limits::{CACHE_BYTES_MAX, ENTRY_BYTES};

/// Keys with their credentials.
#[derive(Default)]
pub(crate) struct Cache {
    entries: BTreeMap<Box<str>, Entry>,
    bytes: usize,
}

struct Entry {
    credential: Credential,
    /// Last reading that brought it.
    reading: u32,
}

/// The bucket has more keys and values than [`CACHE_BYTES_MAX`].
#[derive(Debug, PartialEq)]
pub(crate) struct Full;

impl Cache {
    pub(crate) fn get(&self, key: &str) -> Option<&Credential> {
        self.entries.get(key).map(|entry| &entry.credential)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Sets a key. Returns whether it had another credential.
    pub(crate) fn put(&mut self, key: &str, credential: Credential, reading: u32) -> Result<bool, Full> {
        let before = self.entries.get(key);
        let had_another = before.is_some_and(|entry| entry.credential != credential);
        let without = self.bytes - before.map_or(0, |entry| cost(key, &entry.credential));
        let bytes = without + cost(key, &credential);
        if bytes > CACHE_BYTES_MAX {
            return Err(Full);
        }
        self.bytes = bytes;
        self.entries.insert(key.into(), Entry { credential, reading });
        Ok(had_another)
    }

    /// Removes a key. Returns whether it was there.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        let removed = self.entries.remove(key);
        self.bytes -= removed.as_ref().map_or(0, |entry| cost(key, &entry.credential));
        removed.is_some()
    }

    /// Removes all keys that a reading did not bring, and returns them.
    pub(crate) fn sweep(&mut self, reading: u32) -> Vec<Box<str>> {
        let is_old = |entry: &Entry| entry.reading != reading;
        let old = self.entries.iter().filter(|(_, entry)| is_old(entry)).map(|(key, _)| key.clone());
        let old: Vec<Box<str>> = old.collect();
        for key in &old {
            self.remove(key);
        }
        old
    }
}

fn cost(key: &str, credential: &Credential) -> usize {
    ENTRY_BYTES + key.len() + credential.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clear(byte: u8) -> Credential {
        Credential::Clear([byte; 32])
    }

    #[test]
    fn keys_of_an_older_reading_are_swept_out() {
        let mut cache = Cache::default();
        assert_eq!(cache.put("a", clear(1), 1), Ok(false));
        assert_eq!(cache.put("b", clear(1), 1), Ok(false));
        assert_eq!(cache.put("a", clear(1), 2), Ok(false), "the same credential is no change");
        assert_eq!(cache.put("c", clear(1), 2), Ok(false));
        assert_eq!(cache.sweep(2), ["b".into()]);
        assert_eq!(cache.put("a", clear(2), 2), Ok(true));
        assert!(cache.remove("a") && !cache.remove("a") && cache.remove("c"));
        assert_eq!((cache.len(), cache.bytes), (0, 0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut cache = Cache::default();
        let put = |cache: &mut Cache, number: usize| cache.put(&format!("{number:0800}"), clear(0), 1);
        let full = (0..).find(|number| put(&mut cache, *number) == Err(Full)).unwrap();
        assert_eq!(full, CACHE_BYTES_MAX / (ENTRY_BYTES + 800));
        assert_eq!(put(&mut cache, 0), Ok(false), "a key that is there can change");
    }
}
