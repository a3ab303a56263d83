//! How a row becomes a key and a value, and back.
//!
//! A value is `version u8, crc32c u32, body`. The checksum covers the key, the version and the
//! body.

use super::Table;
use crate::encoding::{Decoder, Malformed};
use crate::error::Corruption;

/// Version of the layout of every body. A second layout of a table needs a version of its own.
const VERSION: u8 = 1;

/// A row of one table: how it becomes key and value, and back.
pub trait Row: Sized {
    /// Its table.
    const TABLE: Table;

    /// Encodes the key.
    fn key(&self) -> Vec<u8>;
    /// Appends the body.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads a row.
    ///
    /// # Errors
    /// [`Malformed`] for a key or a body that no row has.
    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed>;
}

/// The stored value of a row with this key.
pub fn seal<R: Row>(key: &[u8], row: &R) -> Vec<u8> {
    let mut value = vec![VERSION, 0, 0, 0, 0];
    row.encode(&mut value);
    let crc = checksum(key, &value);
    value[1..5].copy_from_slice(&crc.to_be_bytes());
    value
}

/// Checks a stored value and returns its version and body.
///
/// # Errors
/// The reason, if the value is too short or its checksum does not match.
pub fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Result<(u8, &'a [u8]), &'static str> {
    let mut decoder = Decoder::new(value, "row");
    let (Ok(version), Ok(crc)) = (decoder.u8(), decoder.u32()) else {
        return Err("too short");
    };
    if checksum(key, value) != crc {
        return Err("checksum does not match");
    }
    Ok((version, decoder.rest()))
}

/// Covers the key, the version byte and the body; skips the checksum's own place.
fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let (head, body) = value.split_at(5);
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), &head[..1]), body)
}

/// Reads a row back.
///
/// # Errors
/// [`Corruption::Row`] for a value that is damaged or has an unknown version.
pub fn read<R: Row>(key: &[u8], value: &[u8]) -> Result<R, Corruption> {
    let corrupt = |reason| R::TABLE.corruption(key, reason);
    let (version, body) = unseal(key, value).map_err(corrupt)?;
    if version != VERSION {
        return Err(corrupt("row version unknown"));
    }
    let mut key_decoder = Decoder::new(key, "key");
    let mut body = Decoder::new(body, "body");
    let row = R::decode(&mut key_decoder, &mut body).map_err(|error| corrupt(error.0))?;
    key_decoder.end().and_then(|()| body.end()).map_err(|error| corrupt(error.0))?;
    Ok(row)
}

/// Characters of a name that errors show.
const NAME_CHARS_MAX: usize = 80;

impl Table {
    /// The error for a bad row of this table.
    pub fn corruption(self, key: &[u8], reason: &'static str) -> Corruption {
        let mut text = data_encoding::HEXLOWER.encode(&key[..key.len().min(64)]);
        // Most keys end with a name behind numbers.
        let name =
            key.iter().rev().take_while(|byte| (b' '..=b'~').contains(byte)).count().min(NAME_CHARS_MAX);
        if name > 0 {
            text.push_str(&format!(" ({})", String::from_utf8_lossy(&key[key.len() - name..])));
        }
        Corruption::Row { table: self.name(), key: text, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TenantId;
    use crate::table::EnvironmentRow;

    #[test]
    fn a_flipped_bit_in_key_or_value_is_found() {
        let row = EnvironmentRow { tenant: TenantId(3), name: "N".into(), value: "v".into() };
        let key = row.key();
        let value = seal(&key, &row);
        assert_eq!(read::<EnvironmentRow>(&key, &value), Ok(row));
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read::<EnvironmentRow>(&key, &damaged).is_err(), "bit {bit} of the value");
        }
        for bit in 0..key.len() * 8 {
            let mut damaged = key.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read::<EnvironmentRow>(&damaged, &value).is_err(), "bit {bit} of the key");
        }
    }
}
