//! Backup that arrives in parts, each in a command of its own, until the last one has come.
//!
//! There is one at a time, in a file without a name beside the store. Only administrators send
//! parts, so that nobody else takes room on the disk.

use std::io::{self, Seek as _, Write as _};
use std::path::Path;

use lotmq_session::Time;
use parking_lot::Mutex;

use super::Spool;
use crate::limits::RESTORE_PART_PATIENCE;

/// Number of a part, from 1, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartNumber {
    pub(crate) number: u64,
    pub(crate) count: u64,
}

impl PartNumber {
    /// Reads `3/12`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (number, count) = text.split_once('/')?;
        let part = Self { number: number.parse().ok()?, count: count.parse().ok()? };
        (1..=part.count).contains(&part.number).then_some(part)
    }
}

/// Reason why a part is refused; what had come is dropped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error("part {wanted} of {count} was expected")]
    Order { wanted: u64, count: u64 },
    #[error("no part of it has come before, or the first ones came too long ago")]
    Unknown,
    #[error("it cannot be kept: {0}")]
    Io(#[from] io::Error),
}

/// The backup that arrives, if one does.
#[derive(Default)]
pub(crate) struct ArrivingBackup(Mutex<Option<Arriving>>);

struct Arriving {
    /// Session that sends it.
    session: u64,
    spool: Spool,
    next: PartNumber,
    last_at: Time,
}

impl ArrivingBackup {
    /// Keeps a part. The first one begins anew, whatever has come. Gives the backup with the last
    /// one.
    ///
    /// # Errors
    /// See [`PartError`].
    pub(crate) fn take(
        &self,
        (session, directory): (u64, &Path),
        part: PartNumber,
        bytes: &[u8],
        now: Time,
    ) -> Result<Option<Spool>, PartError> {
        let mut place = self.0.lock();
        let former = place.take().filter(|arriving| arriving.session == session);
        let mut arriving = match former {
            _ if part.number == 1 => {
                let next = PartNumber { number: 1, ..part };
                Arriving { session, spool: Spool::new(directory)?, next, last_at: now }
            }
            Some(arriving) => arriving,
            None => return Err(PartError::Unknown),
        };
        if arriving.next != part {
            return Err(PartError::Order { wanted: arriving.next.number, count: arriving.next.count });
        }
        arriving.spool.write_all(bytes)?;
        if part.number == part.count {
            arriving.spool.rewind()?;
            return Ok(Some(arriving.spool));
        }
        (arriving.next.number, arriving.last_at) = (part.number + 1, now);
        *place = Some(arriving);
        Ok(None)
    }

    /// Drops a backup of which nothing has come for too long.
    pub(crate) fn expire(&self, now: Time) {
        self.0.lock().take_if(|arriving| now.since(arriving.last_at) >= RESTORE_PART_PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Duration;

    use super::*;

    #[test]
    fn parts_come_in_order_from_one_session_and_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let (arriving, start) = (ArrivingBackup::default(), Time::from_millis(0));
        let take = |session: u64, part: &str, bytes: &[u8]| {
            arriving.take((session, directory.path()), PartNumber::read(part).unwrap(), bytes, start)
        };
        assert!(take(1, "1/2", b"ab").unwrap().is_none());
        let mut whole = Vec::new();
        take(1, "2/2", b"c").unwrap().unwrap().read_to_end(&mut whole).unwrap();
        assert_eq!(whole, b"abc");
        assert!(matches!(take(1, "2/2", b""), Err(PartError::Unknown)));
        for (session, part) in [(2, "2/3"), (1, "3/3"), (1, "2/4")] {
            take(1, "1/3", b"").unwrap();
            assert!(take(session, part, b"").is_err(), "{session} {part}");
        }
        take(1, "1/2", b"").unwrap();
        arriving.expire(start.plus(RESTORE_PART_PATIENCE - Duration::from_millis(1)));
        assert!(take(1, "2/2", b"").is_ok());
        take(1, "1/2", b"").unwrap();
        arriving.expire(start.plus(RESTORE_PART_PATIENCE));
        assert!(take(1, "2/2", b"").is_err());
        for text in ["0/1", "2/1", "1", "x/2", "-1/2", ""] {
            assert_eq!(PartNumber::read(text), None, "{text}");
        }
    }
}
