//! The constants of a program: texts, and ready-made cells for the runtime.
//!
//! They are one passive data segment, copied by the start function to memory that the runtime gives
//! out. First come the areas for the run's result and for results of the host, then the texts, with
//! counters among them, then the cells, whose texts are addressed from the start.

use std::collections::HashMap;

use crate::check::tree::Constant;

/// Offset of the area of the exported function's result.
pub(super) const RESULT: u32 = 0;
/// Offset of the area in which the host puts results that do not fit one value.
pub(crate) const ANSWER: u32 = 32;
/// Bytes of each area: the largest result, `result<list<value>, run-error>`, has 28.
const AREA_BYTES: u32 = 32;
/// Bytes of a cell.
pub(crate) const CELL_BYTES: u32 = 16;

/// Location of a text: offset from the start of the constants, and length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) offset: u32,
    pub(super) length: u32,
}

#[derive(Debug)]
pub(super) struct Constants {
    texts: Vec<u8>,
    known_texts: HashMap<String, Text>,
    cells: Vec<u8>,
    known_cells: HashMap<CellKey, u32>,
}

/// Key for equal cells. Doubles are compared by their bits.
type CellKey = (u8, u64);

/// Case numbers of the WIT variant `value`, as in `guests/lot-runtime/src/cell.rs`.
mod tag {
    pub(super) const EMPTY: u8 = 0;
    pub(super) const NULL: u8 = 1;
    pub(super) const BOOL: u8 = 2;
    pub(super) const INT: u8 = 3;
    pub(super) const DOUBLE: u8 = 4;
    pub(super) const TEXT: u8 = 5;
    pub(super) const JSON: u8 = 6;
}

impl Constants {
    pub(super) fn new() -> Self {
        Constants {
            texts: vec![0; 2 * AREA_BYTES as usize],
            known_texts: HashMap::new(),
            cells: Vec::new(),
            known_cells: HashMap::new(),
        }
    }

    /// Takes up a text, once.
    pub(super) fn text(&mut self, text: &str) -> Text {
        if let Some(known) = self.known_texts.get(text) {
            return *known;
        }
        let place = Text { offset: length(&self.texts), length: length(text.as_bytes()) };
        self.texts.extend_from_slice(text.as_bytes());
        self.known_texts.insert(text.to_owned(), place);
        place
    }

    /// Words that are 0 at first and keep their values from run to run; the offset of the first.
    pub(super) fn counters(&mut self, count: usize) -> u32 {
        let offset = length(&self.texts).next_multiple_of(4);
        self.texts.resize(offset as usize + 4 * count, 0);
        offset
    }

    /// Takes up a value, once; returns its offset from the start of the cells.
    pub(super) fn cell(&mut self, constant: &Constant) -> u32 {
        let mut text = |text: &str| {
            let place = self.text(text);
            u64::from(place.offset) | u64::from(place.length) << 32
        };
        let (tag, bits) = match constant {
            Constant::Empty => (tag::EMPTY, 0),
            Constant::Null => (tag::NULL, 0),
            Constant::Bool(truth) => (tag::BOOL, u64::from(*truth)),
            Constant::Int(number) => (tag::INT, number.cast_unsigned()),
            Constant::Double(number) => (tag::DOUBLE, number.to_bits()),
            Constant::Text(content) => (tag::TEXT, text(content)),
            Constant::Json(content) => (tag::JSON, text(content)),
        };
        *self.known_cells.entry((tag, bits)).or_insert_with(|| {
            let offset = length(&self.cells);
            self.cells.extend_from_slice(&[tag, 0, 0, 0, 0, 0, 0, 0]);
            self.cells.extend_from_slice(&bits.to_le_bytes());
            offset
        })
    }

    /// Offset of the cells from the start of the constants.
    pub(super) fn cells_offset(&self) -> u32 {
        length(&self.texts).next_multiple_of(8)
    }

    pub(super) fn cell_count(&self) -> u32 {
        length(&self.cells) / CELL_BYTES
    }

    /// All of them.
    pub(super) fn data(&self) -> Vec<u8> {
        let mut data = self.texts.clone();
        data.resize(self.cells_offset() as usize, 0);
        data.extend_from_slice(&self.cells);
        data
    }
}

/// A program's text, and with it its constants, is at most some MiB.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
