//! Reader of DER, in which certificates are written.

/// Tags of DER that certificates begin with.
pub mod tag {
    /// Values one after the other.
    pub const SEQUENCE: u8 = 0x30;
    /// Version of a certificate, where it is told.
    pub const VERSION: u8 = 0xA0;
}

/// Reader of the values of a DER sequence, one after the other.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Takes the next value and its tag; `None` at the end, and where the bytes are damaged.
    #[expect(clippy::should_implement_trait, reason = "after damage it would go on")]
    pub fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (len, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            // Four bytes would be gigabytes; an indefinite length is not DER.
            let count = usize::from(first & 0x7F);
            let digits = rest.get(..count).filter(|_| (1..=3).contains(&count))?;
            (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), &rest[count..])
        };
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// Takes the next value, which has this tag.
    pub fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, value)| value)
    }
}
