//! Packs the records of a group into chunks, stores them and tells the index.

use lotmq_changes::encoding::Malformed;
use lotmq_changes::record::Frames;

use super::tables::{LogTable, Tables};
use super::unreadable;
use crate::log::chunk::ChunkBuilder;
use crate::log::index::LogIndex;

/// The chunk being filled.
pub(super) struct Packer {
    chunk: Option<ChunkBuilder>,
    /// Bytes of records still to come, to choose chunk sizes by.
    remaining: usize,
}

impl Packer {
    /// A packer for this many bytes of records.
    pub(super) fn new(remaining: usize) -> Self {
        Self { chunk: None, remaining }
    }

    pub(super) fn write<'a>(
        &mut self,
        frames: impl Iterator<Item = <Frames<'a> as Iterator>::Item>,
        index: &mut LogIndex,
        tables: &mut Tables<'_>,
    ) -> Result<(), redb::Error> {
        for frame in frames {
            let frame = frame.map_err(own_bytes)?;
            if self.chunk.as_ref().is_some_and(|chunk| !chunk.fits(frame.len())) {
                self.finish(index, &mut tables.log)?;
            }
            if self.chunk.is_none() {
                index.begin_chunk();
            }
            let chunk = self.chunk.get_or_insert_with(|| {
                ChunkBuilder::new(index.next_lsn, frame.len() + 2, self.remaining.max(frame.len() + 2))
            });
            chunk.push(frame);
            index.apply(frame, &tables.queues).map_err(unreadable)?;
            self.remaining = self.remaining.saturating_sub(frame.len() + 2);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, index: &mut LogIndex, log: &mut LogTable<'_>) -> Result<(), redb::Error> {
        let Some(chunk) = self.chunk.take() else { return Ok(()) };
        let lsn = chunk.lsn;
        let value = chunk.finish(index.next_message_id);
        log.insert(lsn, value.as_slice())?;
        index.chunks.end(value.len());
        Ok(())
    }
}

/// Records that we encoded ourselves a moment ago do not decode: memory is damaged, nothing must be
/// written.
pub(super) fn own_bytes(error: Malformed) -> redb::Error {
    redb::Error::Corrupted(error.to_string())
}
