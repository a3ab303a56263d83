//! Value kinds that a value can have while a program runs, and sets of them as the compiler infers
//! them.
//!
//! The kinds are those of LoT reference §4, with text split by provenance: *data* (payloads, topic
//! values, JSON scalars, ENV, call results, output of transforms) adds and compares as a number
//! when it looks like one; *literal* text (literals of the program, results of concatenation, `AS
//! STRING`) never does.

use std::fmt;

/// A set of value kinds. Inference is conservative: a value's kind at run time is always in its
/// set.
///
/// ```
/// use lot_to_wasm::check::kind::KindSet;
/// let number = KindSet::INT | KindSet::DOUBLE;
/// assert!(number.contains(KindSet::INT) && !number.is(KindSet::INT));
/// assert_eq!(number.to_string(), "int|double");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KindSet(u16);

impl KindSet {
    /// No kind: the expression never yields.
    pub const NONE: KindSet = KindSet(0);
    /// Nothing was ever written, or an operand was missing.
    pub const EMPTY: KindSet = KindSet(1);
    /// An explicit null.
    pub const NULL: KindSet = KindSet(1 << 1);
    /// A truth value.
    pub const BOOL: KindSet = KindSet(1 << 2);
    /// 64-bit signed integer.
    pub const INT: KindSet = KindSet(1 << 3);
    /// binary64.
    pub const DOUBLE: KindSet = KindSet(1 << 4);
    /// Text that is data: numeric text counts as a number.
    pub const TEXT_DATA: KindSet = KindSet(1 << 5);
    /// Text of the program: never a number for `+ == != IN CASE`.
    pub const TEXT_LITERAL: KindSet = KindSet(1 << 6);
    /// A JSON object or array.
    pub const JSON: KindSet = KindSet(1 << 7);
    /// Raw bytes.
    pub const BYTES: KindSet = KindSet(1 << 8);
    /// A UTC instant in milliseconds.
    pub const TIME: KindSet = KindSet(1 << 9);

    /// `INT | DOUBLE`.
    pub const NUMBER: KindSet = KindSet(Self::INT.0 | Self::DOUBLE.0);
    /// `DOUBLE | NULL`.
    pub const DOUBLE_OR_NULL: KindSet = KindSet(Self::DOUBLE.0 | Self::NULL.0);
    /// `INT | DOUBLE | NULL`.
    pub const NUMBER_OR_NULL: KindSet = KindSet(Self::NUMBER.0 | Self::NULL.0);
    /// Either kind of text.
    pub const TEXT: KindSet = KindSet(Self::TEXT_DATA.0 | Self::TEXT_LITERAL.0);
    /// Kinds of a JSON scalar, array, object or a missing member.
    pub const FROM_JSON: KindSet =
        KindSet(Self::NULL.0 | Self::BOOL.0 | Self::NUMBER.0 | Self::TEXT_DATA.0 | Self::JSON.0);
    /// Kinds that a called Action can return: every kind, text always as data.
    pub const RETURNED: KindSet = KindSet(Self::ANY.0 & !Self::TEXT_LITERAL.0);
    /// Every kind.
    pub const ANY: KindSet = KindSet((1 << 10) - 1);

    const NAMES: [(KindSet, &'static str); 10] = [
        (Self::EMPTY, "empty"),
        (Self::NULL, "null"),
        (Self::BOOL, "bool"),
        (Self::INT, "int"),
        (Self::DOUBLE, "double"),
        (Self::TEXT_DATA, "data"),
        (Self::TEXT_LITERAL, "literal"),
        (Self::JSON, "json"),
        (Self::BYTES, "bytes"),
        (Self::TIME, "time"),
    ];

    /// This set and the kinds of `other`; as `|`, for constants.
    pub const fn with(self, other: KindSet) -> KindSet {
        KindSet(self.0 | other.0)
    }

    /// Whether every kind of `other` is in this set.
    pub fn contains(self, other: KindSet) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether at least one kind is in both sets.
    pub fn intersects(self, other: KindSet) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the value is known to be of one of `kinds`: not empty and a subset.
    pub fn is(self, kinds: KindSet) -> bool {
        self.0 != 0 && self.0 & !kinds.0 == 0
    }

    /// This set without the kinds of `other`.
    pub fn without(self, other: KindSet) -> KindSet {
        KindSet(self.0 & !other.0)
    }
}

impl std::ops::BitOr for KindSet {
    type Output = KindSet;
    fn bitor(self, other: KindSet) -> KindSet {
        KindSet(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for KindSet {
    fn bitor_assign(&mut self, other: KindSet) {
        self.0 |= other.0;
    }
}

impl fmt::Display for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            KindSet::ANY => return f.write_str("any"),
            KindSet::NONE => return f.write_str("none"),
            _ => {}
        }
        let mut first = true;
        for (kind, name) in Self::NAMES {
            if self.contains(kind) {
                if !first {
                    f.write_str("|")?;
                }
                f.write_str(name)?;
                first = false;
            }
        }
        Ok(())
    }
}
