//! The contents of a disk, in pages that are shared until one of them changes.
//!
//! Invariant: what was never written reads as zeros and takes no memory.

use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Page size in bytes: the unit that images share and that a cache of the system writes as a whole.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Contents of a disk; a clone costs a counter for each page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    len: usize,
    /// `None` stands for zeros.
    pages: Vec<Option<Arc<[u8; PAGE_BYTES]>>>,
}

impl Image {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Cuts off what is behind this length, or adds zeros up to it.
    pub(crate) fn set_len(&mut self, len: usize) {
        self.pages.resize(len.div_ceil(PAGE_BYTES), None);
        let is_shorter = len < self.len;
        self.len = len;
        let within = len % PAGE_BYTES;
        if is_shorter
            && within > 0
            && let Some(Some(page)) = self.pages.last_mut()
        {
            Arc::make_mut(page)[within..].fill(0);
        }
    }

    /// Fills `out` with what is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when it is not all there.
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(out.len()) > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, place) in pieces(offset, out.len()) {
            match &self.pages[number] {
                Some(page) => out[place].copy_from_slice(&page[within]),
                None => out[place].fill(0),
            }
        }
        Ok(())
    }

    /// Writes, and grows if it must.
    pub(crate) fn write(&mut self, offset: usize, data: &[u8]) {
        if offset + data.len() > self.len {
            self.set_len(offset + data.len());
        }
        for (number, within, place) in pieces(offset, data.len()) {
            let page = self.pages[number].get_or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            Arc::make_mut(page)[within].copy_from_slice(&data[place]);
        }
    }

    /// Takes over from another image the pages that a range touches, as far as it has them.
    pub(crate) fn take_pages(&mut self, other: &Self, offset: usize, len: usize) {
        if offset + len > self.len {
            self.set_len(offset + len);
        }
        for (number, ..) in pieces(offset, len) {
            self.pages[number] = other.pages.get(number).cloned().flatten();
        }
    }

    /// Pages of a range that were never written.
    pub(crate) fn holes(&self, offset: usize, len: usize) -> usize {
        pieces(offset, len).filter(|(number, ..)| self.pages.get(*number).is_none_or(Option::is_none)).count()
    }

    /// Pages that were written.
    pub(crate) fn written(&self) -> usize {
        self.pages.iter().flatten().count()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(0, &mut bytes).expect("all of it is there");
        bytes
    }
}

/// The pages that a range touches: number, where in the page, where in the range.
fn pieces(offset: usize, len: usize) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        (done < len).then(|| {
            let (number, within) = ((offset + done) / PAGE_BYTES, (offset + done) % PAGE_BYTES);
            let count = (PAGE_BYTES - within).min(len - done);
            let piece = (number, within..within + count, done..done + count);
            done += count;
            piece
        })
    })
}
