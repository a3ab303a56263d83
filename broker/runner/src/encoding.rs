//! How the bytes of a connection or a datagram are written in a file with cases: as text, or in
//! hexadecimal digits for protocols that are none.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Deserialize;

/// Most bytes of received data that a failure shows.
const SHOWN_BYTES: usize = 400;

/// Way to write bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// As they are, in UTF-8.
    #[default]
    Text,
    /// Two digits for each, with blanks where one likes.
    Hex,
}

impl Encoding {
    /// Reads the value of key `encoding`.
    pub(crate) fn read(name: Option<&str>) -> Result<Self, String> {
        match name {
            None | Some("text") => Ok(Self::Text),
            Some("hex") => Ok(Self::Hex),
            Some(other) => Err(format!("`encoding` is \"text\" or \"hex\", found `{other}`")),
        }
    }

    /// The bytes that a text stands for.
    pub(crate) fn bytes(self, text: &str) -> Result<Vec<u8>, String> {
        if self == Self::Text {
            return Ok(text.as_bytes().to_vec());
        }
        let digits: String = text.split_whitespace().collect();
        let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
        bytes.map_err(|_| format!("`{text}` is no hex, which has two digits for each byte, as 01 ff"))
    }

    /// The beginning of bytes, as they would be written, in quotes.
    pub(crate) fn shown(self, bytes: &[u8]) -> String {
        let part = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
        let cut = if part.len() < bytes.len() { " …" } else { "" };
        match self {
            Self::Text => format!("{:?}{cut}", String::from_utf8_lossy(part)),
            Self::Hex => {
                let pairs: Vec<String> = part.iter().map(|byte| HEXLOWER.encode(&[*byte])).collect();
                format!("\"{}\"{cut}", pairs.join(" "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_two_digits_for_each_byte() {
        assert_eq!(Encoding::Hex.bytes("01 fF\n00").unwrap(), [1, 255, 0]);
        assert!(Encoding::Hex.bytes("").unwrap().is_empty());
        assert_eq!(Encoding::Hex.shown(&[1, 255, 0]), "\"01 ff 00\"");
        for text in ["1", "0x01", "zz", "01 f"] {
            assert_eq!(
                Encoding::Hex.bytes(text).unwrap_err(),
                format!("`{text}` is no hex, which has two digits for each byte, as 01 ff")
            );
        }
    }
}
