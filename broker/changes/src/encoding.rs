//! The compact binary encoding of every stored value: written with [`Put`], read back with
//! [`Decoder`].
//!
//! Numbers are big-endian where their order matters (keys) and LEB128 varints elsewhere; texts and
//! byte strings carry their length, except a last one that runs to the end.
//!
//! Invariant: a [`Decoder`] never panics and never allocates more than the bytes it was given,
//! whatever they are. Not here: checksums and versions (`table`, and `log::chunk` of the store).

/// Highest stored number of a message, a session or a credential. New numbers continue behind the
/// stored ones, so a higher one would make them start again.
///
/// A broker that counts a million a second gets there after 146,000 years.
pub const NUMBER_MAX: u64 = 1 << 62;

/// Bytes that no writer of ours can have produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// Appends encoded values to a byte vector.
pub trait Put {
    /// Appends `value` as a LEB128 varint, 1 to 10 bytes.
    fn put_varint(&mut self, value: u64);
    /// Appends 2 bytes, big-endian.
    fn put_u16(&mut self, value: u16);
    /// Appends 4 bytes, big-endian.
    fn put_u32(&mut self, value: u32);
    /// Appends 8 bytes, big-endian.
    fn put_u64(&mut self, value: u64);
    /// Appends the length as a varint, then the bytes.
    fn put_bytes(&mut self, value: &[u8]);
    /// Appends 0, or 1 and the varint.
    fn put_option(&mut self, value: Option<u64>);

    /// Appends a text like [`Put::put_bytes`].
    fn put_text(&mut self, value: &str) {
        self.put_bytes(value.as_bytes());
    }
}

impl Put for Vec<u8> {
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_bytes(&mut self, value: &[u8]) {
        self.put_varint(value.len() as u64);
        self.extend_from_slice(value);
    }

    fn put_option(&mut self, value: Option<u64>) {
        match value {
            None => self.push(0),
            Some(value) => {
                self.push(1);
                self.put_varint(value);
            }
        }
    }
}

/// Reads encoded values from the front of a byte slice.
#[derive(Debug, Clone, Copy)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    /// Name of the decoded value, for the error.
    what: &'static str,
}

impl<'a> Decoder<'a> {
    /// Reads `bytes`, which are called `what` in errors.
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The error for a value that decodes but cannot be.
    pub fn malformed(&self) -> Malformed {
        Malformed(self.what)
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Malformed(self.what))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let what = self.what;
        self.take(N)?.try_into().map_err(|_| Malformed(what))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// A byte that must be 0 or 1.
    pub fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed()),
        }
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Eight bytes of a number that new ones continue behind; at most [`NUMBER_MAX`].
    pub fn number(&mut self) -> Result<u64, Malformed> {
        let number = self.u64()?;
        self.reachable(number)
    }

    /// A varint that new numbers continue behind; at most [`NUMBER_MAX`].
    pub fn varint_number(&mut self) -> Result<u64, Malformed> {
        let number = self.varint()?;
        self.reachable(number)
    }

    fn reachable(&self, number: u64) -> Result<u64, Malformed> {
        if number <= NUMBER_MAX { Ok(number) } else { Err(self.malformed()) }
    }

    /// A varint; an encoding that exceeds 64 bits is refused.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.malformed());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed())
    }

    /// A varint that must fit 32 bits.
    pub fn varint_u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| self.malformed())
    }

    /// A length-prefixed byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.varint()?).map_err(|_| self.malformed())?;
        self.take(len)
    }

    /// A length-prefixed text.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let what = self.what;
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed(what))
    }

    /// An owned length-prefixed text.
    pub fn string(&mut self) -> Result<String, Malformed> {
        self.text().map(str::to_owned)
    }

    /// Everything that is left, as a text.
    pub fn rest_string(&mut self) -> Result<String, Malformed> {
        let rest = std::mem::take(&mut self.rest);
        std::str::from_utf8(rest).map(str::to_owned).map_err(|_| Malformed(self.what))
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Reads a value that [`Put::put_option`] wrote.
    pub fn option(&mut self) -> Result<Option<u64>, Malformed> {
        if self.flag()? { self.varint().map(Some) } else { Ok(None) }
    }

    /// A length-prefixed byte string at the end of a value, which older versions did not write;
    /// `None` if nothing is left.
    pub fn optional_bytes(&mut self) -> Result<Option<bytes::Bytes>, Malformed> {
        if self.is_empty() {
            Ok(None)
        } else {
            self.bytes().map(|it| Some(bytes::Bytes::copy_from_slice(it)))
        }
    }

    /// A count of items of at least one byte each: never more than the bytes that are left.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.varint()?).map_err(|_| self.malformed())?;
        if count > self.rest.len() { Err(self.malformed()) } else { Ok(count) }
    }

    /// Checks that nothing is left.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_texts_round_trip(number: u64, small: u16, text: String, option: Option<u64>) {
            let mut out = Vec::new();
            out.put_varint(number);
            out.put_u16(small);
            out.put_text(&text);
            out.put_option(option);
            let mut decoder = Decoder::new(&out, "test");
            prop_assert_eq!(decoder.varint(), Ok(number));
            prop_assert_eq!(decoder.u16(), Ok(small));
            prop_assert_eq!(decoder.text(), Ok(text.as_str()));
            prop_assert_eq!(decoder.option(), Ok(option));
            prop_assert_eq!(decoder.end(), Ok(()));
        }

        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let decoder = Decoder::new(&bytes, "test");
            let _ = { decoder }.varint();
            let _ = { decoder }.text();
            let _ = { decoder }.option();
            let _ = { decoder }.count();
            let _ = { decoder }.rest_string();
        }
    }

    #[test]
    fn a_varint_beyond_64_bits_is_refused() {
        for (bytes, expected) in [
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01][..], Ok(u64::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..], Err(Malformed("test"))),
            (&[0x80][..], Err(Malformed("test"))),
        ] {
            assert_eq!(Decoder::new(bytes, "test").varint(), expected);
        }
    }
}
