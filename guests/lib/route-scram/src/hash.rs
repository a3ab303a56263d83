//! Hash functions of SCRAM, as tables of functions. The linker drops those that a guest does not
//! use.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// Hash function of an exchange.
#[derive(Clone, Copy)]
pub struct Hash {
    digest: fn(&[u8]) -> Vec<u8>,
    mac: fn(&[u8], &[u8]) -> Vec<u8>,
    salted: fn(&[u8], &[u8], u32) -> Vec<u8>,
}

impl Hash {
    /// That of `SCRAM-SHA-1`.
    pub const SHA_1: Hash = Hash::of::<Sha1, Hmac<Sha1>>();
    /// That of `SCRAM-SHA-256`.
    pub const SHA_256: Hash = Hash::of::<Sha256, Hmac<Sha256>>();
    /// That of `SCRAM-SHA-512`.
    pub const SHA_512: Hash = Hash::of::<Sha512, Hmac<Sha512>>();

    const fn of<D: Digest, H: Mac + KeyInit + Clone>() -> Hash {
        Hash { digest: digest::<D>, mac: mac::<H>, salted: salted::<H> }
    }

    pub(crate) fn digest(self, text: &[u8]) -> Vec<u8> {
        (self.digest)(text)
    }

    pub(crate) fn mac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        (self.mac)(key, text)
    }

    /// `Hi` of RFC 5802 §2.2.
    pub(crate) fn salted(self, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
        (self.salted)(password, salt, rounds)
    }
}

fn digest<D: Digest>(text: &[u8]) -> Vec<u8> {
    D::digest(text).to_vec()
}

fn keyed<H: KeyInit>(key: &[u8]) -> H {
    H::new_from_slice(key).expect("a key of HMAC has any length")
}

fn mac<H: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
    keyed::<H>(key).chain_update(text).finalize().into_bytes().to_vec()
}

fn salted<H: Mac + KeyInit + Clone>(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let keyed = keyed::<H>(password);
    let first = keyed.clone().chain_update(salt).chain_update(1u32.to_be_bytes());
    let mut last = first.finalize().into_bytes();
    let mut salted = last.to_vec();
    for _ in 1..rounds {
        last = keyed.clone().chain_update(&last).finalize().into_bytes();
        salted.iter_mut().zip(last.iter()).for_each(|(byte, other)| *byte ^= other);
    }
    salted
}
