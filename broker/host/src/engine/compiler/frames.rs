//! Frames between the broker and a compile worker: a job in, native code or a text out.
//!
//! A job is a head of fixed size and the binary. An answer is one byte for its kind, the length,
//! and the bytes. Numbers are little-endian. Invariant: the reader allocates no more than it has
//! received, and never more than the bound.

use std::io::{self, Read, Write};

use super::{BinaryKind, CompileJob, Tier};
use crate::engine::{MemoryLayout, PoolKind};
use crate::limits::{COMPONENT_BYTES_MAX, WORKER_ARTIFACT_BYTES_MAX, WORKER_ERROR_BYTES_MAX};

/// First bytes of a job, with the version of the frames.
const MAGIC: [u8; 4] = *b"LQC1";

/// Bytes of the head of a job: [`MAGIC`], tier, kind, pool, one that is zero, memory, length of the
/// binary.
const HEAD_BYTES: usize = 24;

const ARTIFACT: u8 = 0;
const REFUSED: u8 = 1;

/// Job as a worker reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReadJob {
    pub(super) tier: Tier,
    pub(super) kind: BinaryKind,
    pub(super) layout: MemoryLayout,
    pub(super) binary: Vec<u8>,
}

/// WorkerAnswer of a worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WorkerAnswer {
    /// The native code.
    Artifact(Vec<u8>),
    /// The text of the compiler that refused the binary.
    Refused(String),
}

/// Writes a job.
pub(super) fn write_job(to: &mut impl Write, job: &CompileJob<'_>) -> io::Result<()> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend(MAGIC);
    head.push(match job.tier {
        Tier::Baseline => 0,
        Tier::Optimised => 1,
    });
    head.push(match job.kind {
        BinaryKind::Component => 0,
        BinaryKind::CoreModule => 1,
    });
    head.push(match job.layout.kind {
        PoolKind::Wide => 0,
        PoolKind::Dense => 1,
    });
    head.push(0);
    head.extend((job.layout.memory_bytes_max as u64).to_le_bytes());
    head.extend((job.binary.len() as u64).to_le_bytes());
    to.write_all(&head)?;
    to.write_all(job.binary)?;
    to.flush()
}

/// Reads a job.
///
/// # Errors
/// When the bytes end before the job does, are no job, or are more than a component may have.
pub(super) fn read_job(from: &mut impl Read) -> io::Result<ReadJob> {
    let mut head = [0; HEAD_BYTES];
    from.read_exact(&mut head)?;
    let (magic, rest) = head.split_at(4);
    let (flags, numbers) = rest.split_at(4);
    let (memory, length) = numbers.split_at(8);
    let &[tier, kind, pool, 0] = flags else { return Err(invalid("an unknown job")) };
    if magic != MAGIC {
        return Err(invalid("an unknown job"));
    }
    let tier = [Tier::Baseline, Tier::Optimised].get(usize::from(tier)).copied();
    let kind = [BinaryKind::Component, BinaryKind::CoreModule].get(usize::from(kind)).copied();
    let pool = [PoolKind::Wide, PoolKind::Dense].get(usize::from(pool)).copied();
    let (Some(tier), Some(kind), Some(pool)) = (tier, kind, pool) else {
        return Err(invalid("an unknown job"));
    };
    let layout = MemoryLayout { kind: pool, memory_bytes_max: number(memory)? };
    let binary = read_bytes(from, number(length)?, COMPONENT_BYTES_MAX)?;
    Ok(ReadJob { tier, kind, layout, binary })
}

/// Writes an answer.
pub(super) fn write_answer(to: &mut impl Write, answer: &WorkerAnswer) -> io::Result<()> {
    let (kind, bytes) = match answer {
        WorkerAnswer::Artifact(bytes) => (ARTIFACT, bytes.as_slice()),
        WorkerAnswer::Refused(text) => (REFUSED, text.as_bytes()),
    };
    to.write_all(&[kind])?;
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)?;
    to.flush()
}

/// Reads an answer.
///
/// # Errors
/// When the bytes end before the answer does, or are no answer.
pub(super) fn read_answer(from: &mut impl Read) -> io::Result<WorkerAnswer> {
    let (mut kind, mut length) = ([0], [0; 8]);
    from.read_exact(&mut kind)?;
    from.read_exact(&mut length)?;
    let length = number(&length)?;
    match kind {
        [ARTIFACT] => Ok(WorkerAnswer::Artifact(read_bytes(from, length, WORKER_ARTIFACT_BYTES_MAX)?)),
        [REFUSED] => {
            let text = read_bytes(from, length, WORKER_ERROR_BYTES_MAX)?;
            Ok(WorkerAnswer::Refused(String::from_utf8_lossy(&text).into_owned()))
        }
        _ => Err(invalid("an unknown answer")),
    }
}

/// Reads so many bytes. Memory grows with the received bytes.
fn read_bytes(from: &mut impl Read, length: usize, max: usize) -> io::Result<Vec<u8>> {
    if length > max {
        return Err(invalid("a frame that is too long"));
    }
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

fn number(bytes: &[u8]) -> io::Result<usize> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| invalid("a number of another size"))?;
    usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| invalid("a number that is too large"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the other process wrote {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ComponentSource;
    use proptest::{collection::vec, prelude::*, sample::Index};

    fn job(binary: &[u8], tier: Tier, kind: BinaryKind, pool: PoolKind) -> Vec<u8> {
        let layout = MemoryLayout { kind: pool, memory_bytes_max: 64 << 20 };
        let job = CompileJob { binary, kind, source: ComponentSource::Upload, tier, layout };
        let mut written = Vec::new();
        write_job(&mut written, &job).unwrap();
        written
    }

    #[test]
    fn jobs_and_answers_are_read_as_they_were_written() {
        for tier in [Tier::Baseline, Tier::Optimised] {
            for kind in [BinaryKind::Component, BinaryKind::CoreModule] {
                for pool in [PoolKind::Wide, PoolKind::Dense] {
                    let read = read_job(&mut job(b"\0asm", tier, kind, pool).as_slice()).unwrap();
                    assert_eq!((read.tier, read.kind, read.layout.kind), (tier, kind, pool));
                    assert_eq!(
                        (read.layout.memory_bytes_max, &*read.binary),
                        (64 << 20, b"\0asm".as_slice())
                    );
                }
            }
        }
        for answer in [WorkerAnswer::Artifact(vec![7; 1000]), WorkerAnswer::Refused("no".to_owned())] {
            let mut written = Vec::new();
            write_answer(&mut written, &answer).unwrap();
            assert_eq!(read_answer(&mut written.as_slice()).unwrap(), answer);
        }
    }

    proptest! {
        /// Bytes that were cut off, changed or made up are an error or a frame, and never a panic.
        #[test]
        fn garbage_is_an_error(
            bytes in vec(any::<u8>(), 0..200),
            changes in vec((any::<Index>(), any::<u8>()), 0..4),
            end in any::<Index>(),
        ) {
            let mut answer = Vec::new();
            write_answer(&mut answer, &WorkerAnswer::Artifact(bytes.clone())).unwrap();
            for mut frame in [job(&bytes, Tier::Baseline, BinaryKind::Component, PoolKind::Dense), answer, bytes] {
                for (at, byte) in &changes {
                    let at = at.index(frame.len().max(1));
                    frame.iter_mut().skip(at).take(1).for_each(|changed| *changed = *byte);
                }
                frame.truncate(end.index(frame.len() + 1));
                let _ = read_job(&mut frame.as_slice());
                let _ = read_answer(&mut frame.as_slice());
            }
        }
    }

    #[test]
    fn a_frame_that_ends_early_or_says_too_much_is_an_error() {
        let job = job(&[0; 100], Tier::Baseline, BinaryKind::Component, PoolKind::Dense);
        let mut answer = Vec::new();
        write_answer(&mut answer, &WorkerAnswer::Artifact(vec![1; 100])).unwrap();
        assert!((0..job.len()).all(|end| read_job(&mut &job[..end]).is_err()));
        assert!((0..answer.len()).all(|end| read_answer(&mut &answer[..end]).is_err()));
        for length in [WORKER_ARTIFACT_BYTES_MAX as u64 + 1, u64::MAX] {
            let mut long = vec![ARTIFACT];
            long.extend(length.to_le_bytes());
            assert_eq!(read_answer(&mut long.as_slice()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
