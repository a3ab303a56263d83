//! Types of values, as the protocol numbers them (\[MS-TDS\] §2.2.5.4).

use crate::code_page::{Collation, TwoBytes};
use crate::fault::Fault;
use crate::source::utf16;

/// Type of a column, as far as its values need it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Type {
    pub(crate) token: u8,
    /// Bytes of a value at most.
    pub(crate) length: u32,
    /// Digits of a fraction.
    pub(crate) scale: u8,
    pub(crate) collation: Collation,
}

/// Tokens of types.
pub(crate) mod token {
    pub(crate) const NULL: u8 = 0x1f;
    pub(crate) const IMAGE: u8 = 0x22;
    pub(crate) const TEXT: u8 = 0x23;
    pub(crate) const GUID: u8 = 0x24;
    pub(crate) const INT_N: u8 = 0x26;
    pub(crate) const DATE: u8 = 0x28;
    pub(crate) const TIME: u8 = 0x29;
    pub(crate) const DATETIME2: u8 = 0x2a;
    pub(crate) const DATETIMEOFFSET: u8 = 0x2b;
    pub(crate) const INT1: u8 = 0x30;
    pub(crate) const BIT: u8 = 0x32;
    pub(crate) const INT2: u8 = 0x34;
    pub(crate) const INT4: u8 = 0x38;
    pub(crate) const DATETIME4: u8 = 0x3a;
    pub(crate) const FLOAT4: u8 = 0x3b;
    pub(crate) const MONEY: u8 = 0x3c;
    pub(crate) const DATETIME: u8 = 0x3d;
    pub(crate) const FLOAT8: u8 = 0x3e;
    pub(crate) const VARIANT: u8 = 0x62;
    pub(crate) const NTEXT: u8 = 0x63;
    pub(crate) const BIT_N: u8 = 0x68;
    pub(crate) const DECIMAL_N: u8 = 0x6a;
    pub(crate) const NUMERIC_N: u8 = 0x6c;
    pub(crate) const FLOAT_N: u8 = 0x6d;
    pub(crate) const MONEY_N: u8 = 0x6e;
    pub(crate) const DATETIME_N: u8 = 0x6f;
    pub(crate) const MONEY4: u8 = 0x7a;
    pub(crate) const INT8: u8 = 0x7f;
    pub(crate) const VARBINARY: u8 = 0xa5;
    pub(crate) const VARCHAR: u8 = 0xa7;
    pub(crate) const BINARY: u8 = 0xad;
    pub(crate) const CHAR: u8 = 0xaf;
    pub(crate) const NVARCHAR: u8 = 0xe7;
    pub(crate) const NCHAR: u8 = 0xef;
    pub(crate) const UDT: u8 = 0xf0;
    pub(crate) const XML: u8 = 0xf1;
}

impl Type {
    /// The text of a column of texts.
    pub(crate) fn text(self, bytes: &[u8]) -> Result<String, Fault> {
        match self.token {
            token::NVARCHAR | token::NCHAR | token::NTEXT => Ok(utf16(bytes)),
            // With the mark of its order or without.
            token::XML => Ok(utf16(bytes.strip_prefix(b"\xff\xfe").unwrap_or(bytes))),
            _ => self.collation.text(bytes).map_err(|TwoBytes(page)| {
                Fault::Rejected(format!(
                    "a text in code page {page} cannot be read: write CAST(… AS nvarchar(max)) in the query"
                ))
            }),
        }
    }
}
