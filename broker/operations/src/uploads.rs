//! Uploads of modules in parts: received bytes, Client and deadline of each. Commands reference
//! §14.3.
//!
//! ```text
//! -addModule … -size -sha256 ─▶ begin ─▶ take (each part) … the last one
//!                               ─▶ ReceivedUpload ─▶ the command again, with the bytes
//!                                        cancel, take_expired ─▶ Ended
//! ```
//!
//! Invariants: only the Client that began the upload may send parts, by user and Client Identifier.
//! Numbers and bytes are bounded for each user and for the whole broker, and announced bytes count
//! from the beginning. Nothing here looks into the bytes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use bytes::Bytes;
use lotmq_auth::Identity;
use lotmq_core::tenant::Tenant;
use lotmq_session::Time;
use lotmq_shares::OwnerKey;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::limits::{
    MODULE_UPLOAD_BYTES_MAX, MODULE_UPLOAD_COMMAND_BYTES_MAX, MODULE_UPLOAD_PATIENCE,
    MODULE_UPLOADS_BYTES_MAX, MODULE_UPLOADS_BYTES_PER_USER_MAX, MODULE_UPLOADS_MAX,
    MODULE_UPLOADS_PER_USER_MAX, MODULE_UPLOADS_REPORT_PAUSE,
};
use lotmq_codes::Code;

/// Ranges of missing parts that a reply names.
const MISSING_REPORTED_MAX: usize = 100;

/// Uploads that are under way.
#[derive(Default)]
pub struct Uploads {
    under_way: Mutex<BTreeMap<String, Upload>>,
    reserved: Arc<AtomicUsize>,
}

/// Announced properties of an upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) size: usize,
    /// Digest of all bytes, in hexadecimal.
    pub(crate) sha256: String,
    /// Bytes of each part but the last.
    pub(crate) part_bytes: usize,
}

/// Origin of an upload: who began it, and with which command.
#[derive(Clone)]
pub(crate) struct UploadOrigin {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) identity: Arc<Identity>,
    /// Session that gave the command or the last part.
    pub(crate) session: u64,
    pub(crate) module: Arc<str>,
    /// The command as it came, of at most [`MODULE_UPLOAD_COMMAND_BYTES_MAX`]; it is executed again
    /// with the bytes.
    pub(crate) command: Arc<[u8]>,
    pub(crate) response: Option<(String, Option<Vec<u8>>)>,
}

impl UploadOrigin {
    /// Owner in whose share it counts: users that a user manager has made count for the manager.
    fn owner(&self) -> OwnerKey {
        self.identity.owner_key(self.tenant.number)
    }

    /// Whether this Client began it: by user and Client Identifier, as the session may be another
    /// one by now.
    fn is_of(&self, tenant: &Tenant, identity: &Identity) -> bool {
        self.tenant.number == tenant.number
            && self.identity.is_same_user(identity)
            && self.identity.client_id == identity.client_id
    }
}

struct Upload {
    origin: UploadOrigin,
    announced: Announced,
    /// Bytes that have come, at their places; empty once they are [`ReceivedUpload`].
    bytes: Vec<u8>,
    has: Vec<bool>,
    received: usize,
    came_at: Time,
    told_at: Option<Time>,
    room: Arc<UploadRoom>,
    /// State of its command after all parts have come.
    ending: Option<Arc<Ending>>,
}

/// Reservation for the bytes of an upload, within those of all; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct UploadRoom {
    bytes: usize,
    reserved: Arc<AtomicUsize>,
}

impl Drop for UploadRoom {
    fn drop(&mut self) {
        self.reserved.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// End of an upload: decided once, by whoever comes first.
#[derive(Debug, Default)]
pub(crate) struct Ending(AtomicU8);

const OPEN: u8 = 0;
const CANCELLED: u8 = 1;
const INSTALLS: u8 = 2;

impl Ending {
    fn decide(&self, end: u8) -> bool {
        let decided = self.0.compare_exchange(OPEN, end, Ordering::AcqRel, Ordering::Acquire);
        decided.map_or_else(|was| was == end, |_| true)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) == CANCELLED
    }

    /// Decides that the module is installed; false when the upload was cancelled before.
    pub(crate) fn installs(&self) -> bool {
        self.decide(INSTALLS)
    }
}

/// Bytes of an upload, all of which have come.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedUpload {
    pub(crate) id: String,
    pub(crate) session: u64,
    pub(crate) bytes: Bytes,
    pub(crate) ending: Arc<Ending>,
    pub(crate) room: Arc<UploadRoom>,
}

/// Upload that has begun, or that goes on.
pub(crate) struct Begun {
    pub(crate) id: String,
    pub(crate) part_bytes: usize,
    pub(crate) parts: usize,
    /// Parts that have not come, as ranges; the first of them.
    pub(crate) missing: Vec<Range<usize>>,
    pub(crate) expires_after: std::time::Duration,
}

/// Reason why no upload begins.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoUpload {
    #[error("You have {MODULE_UPLOADS_PER_USER_MAX} uploads of modules under way: {}; finish or cancel one.", under_way.join(", "))]
    OfUser {
        /// Names of these uploads, each with its module.
        under_way: Vec<String>,
    },
    #[error(
        "Your uploads of modules would have more than {MODULE_UPLOADS_BYTES_PER_USER_MAX} bytes; finish or cancel one."
    )]
    BytesOfUser,
    #[error("{count} uploads of modules are under way. Try again later.")]
    OfAll { count: usize },
    #[error("Uploads of modules have {reserved} bytes, limit {max}. Try again later.")]
    Bytes { reserved: usize, max: usize },
}

/// Part of an upload, as it was published.
pub(crate) struct UploadPart<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) identity: &'a Arc<Identity>,
    pub(crate) session: u64,
    pub(crate) module: &'a str,
    pub(crate) id: &'a str,
    pub(crate) index: &'a str,
    pub(crate) bytes: &'a [u8],
    /// Digest of the part in hexadecimal, where its sender gave one.
    pub(crate) sha256: Option<&'a str>,
}

/// Reason why a part is not taken. The upload goes on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PartRefusal {
    #[error("Upload '{id}' is unknown or expired.")]
    Unknown { id: String },
    #[error("Chunk index {index} is out of range 0..{last}.")]
    Range { index: String, last: usize },
    #[error("Chunk {index} has {bytes} bytes, not {expected}.")]
    Size { index: usize, bytes: usize, expected: usize },
    #[error("Expected sha256 {expected} of chunk {index}, got {found}.")]
    Digest { index: usize, expected: String, found: String },
    #[error("Chunk {index} came before with other bytes.")]
    Changed { index: usize },
}

impl PartRefusal {
    pub(crate) fn code(&self) -> Code {
        match self {
            PartRefusal::Unknown { .. } => Code::UploadUnknown,
            PartRefusal::Range { .. } => Code::ChunkRange,
            PartRefusal::Size { .. } => Code::ChunkSize,
            PartRefusal::Digest { .. } => Code::HashMismatch,
            PartRefusal::Changed { .. } => Code::ChunkChanged,
        }
    }
}

/// Result of an accepted part.
#[derive(Default)]
pub(crate) struct PartTaken {
    /// Progress to be told, where it is time.
    pub(crate) progress: Option<Value>,
    /// The upload, when that was the last of its parts.
    pub(crate) complete: Option<(UploadOrigin, ReceivedUpload)>,
}

/// Upload that ended without its command.
pub(crate) struct Ended {
    pub(crate) id: String,
    pub(crate) origin: UploadOrigin,
}

/// Result of the cancellation of an upload.
pub(crate) enum CancelledUpload {
    /// It has ended.
    Ended(Ended),
    /// Its command is under way, and tells of the end.
    Asked,
}

impl Uploads {
    /// Begins an upload, or goes on with the one that the same Client began of the same bytes for
    /// the same module.
    ///
    /// # Errors
    /// [`NoUpload`].
    pub(crate) fn begin(
        &self,
        origin: UploadOrigin,
        announced: Announced,
        now: Time,
    ) -> Result<Begun, NoUpload> {
        let (count_max, bytes_max) = bounds_of(&origin);
        let mut under_way = self.under_way.lock();
        let is_same = |upload: &Upload| {
            let before = &upload.origin;
            before.is_of(&origin.tenant, &origin.identity)
                && before.module == origin.module
                && upload.announced == announced
                && upload.ending.is_none()
        };
        let known = under_way.iter().find(|(_, upload)| is_same(upload)).map(|(id, _)| id.clone());
        let id = match known {
            Some(id) => id,
            None => {
                let of_user = |upload: &&Upload| upload.origin.owner() == origin.owner();
                if under_way.len() >= count_max {
                    return Err(NoUpload::OfAll { count: under_way.len() });
                }
                let of_them = under_way.iter().filter(|(_, upload)| of_user(upload));
                let of_them: Vec<String> =
                    of_them.map(|(id, upload)| format!("{id} of '{}'", upload.origin.module)).collect();
                if of_them.len() >= MODULE_UPLOADS_PER_USER_MAX {
                    return Err(NoUpload::OfUser { under_way: of_them });
                }
                let bytes = announced.size + MODULE_UPLOAD_COMMAND_BYTES_MAX;
                let before: usize = under_way.values().filter(of_user).map(|upload| upload.room.bytes).sum();
                if before + bytes > MODULE_UPLOADS_BYTES_PER_USER_MAX {
                    return Err(NoUpload::BytesOfUser);
                }
                let room = self.reserve(bytes, bytes_max)?;
                let id = new_id();
                let parts = announced.size.div_ceil(announced.part_bytes);
                let upload = Upload {
                    origin: origin.clone(),
                    bytes: vec![0; announced.size],
                    has: vec![false; parts],
                    announced,
                    received: 0,
                    came_at: now,
                    told_at: None,
                    room,
                    ending: None,
                };
                under_way.insert(id.clone(), upload);
                id
            }
        };
        let upload = under_way.get_mut(&id).expect("it was found or put there");
        // A repeated command may have other options; it brings nothing, and so gives no more time.
        upload.origin = origin;
        Ok(Begun {
            part_bytes: upload.announced.part_bytes,
            parts: upload.has.len(),
            missing: upload.missing(),
            expires_after: MODULE_UPLOAD_PATIENCE.saturating_sub(now.since(upload.came_at)),
            id,
        })
    }

    fn reserve(&self, bytes: usize, max: usize) -> Result<Arc<UploadRoom>, NoUpload> {
        let before = self.reserved.fetch_add(bytes, Ordering::Relaxed);
        let room = UploadRoom { bytes, reserved: Arc::clone(&self.reserved) };
        if before + bytes > max {
            return Err(NoUpload::Bytes { reserved: before, max });
        }
        Ok(Arc::new(room))
    }

    /// Takes a part.
    ///
    /// # Errors
    /// [`PartRefusal`], with the command of the upload if that is the sender's own.
    pub(crate) fn take(
        &self,
        part: &UploadPart<'_>,
        now: Time,
    ) -> Result<PartTaken, (PartRefusal, Option<Box<UploadOrigin>>)> {
        let mut under_way = self.under_way.lock();
        let unknown = || (PartRefusal::Unknown { id: truncated(part.id) }, None);
        let upload = under_way.get_mut(part.id).ok_or_else(unknown)?;
        let is_own = upload.origin.is_of(part.tenant, part.identity) && *upload.origin.module == *part.module;
        if !is_own || upload.is_over(now) {
            return Err(unknown());
        }
        if upload.ending.is_some() {
            // It came twice.
            return Ok(PartTaken::default());
        }
        let before = upload.received;
        upload.put(part).map_err(|refusal| (refusal, Some(Box::new(upload.origin.clone()))))?;
        // One that has come before brings nothing.
        if upload.received > before {
            upload.came_at = now;
        }
        upload.origin.identity = Arc::clone(part.identity);
        upload.origin.session = part.session;
        if upload.received == upload.announced.size {
            let ending = Arc::<Ending>::default();
            upload.ending = Some(Arc::clone(&ending));
            let received = ReceivedUpload {
                id: part.id.to_owned(),
                session: part.session,
                bytes: std::mem::take(&mut upload.bytes).into(),
                ending,
                room: Arc::clone(&upload.room),
            };
            // The next report is that another thread compiles it. Progress would come after that.
            return Ok(PartTaken { progress: None, complete: Some((upload.origin.clone(), received)) });
        }
        let is_due = upload.told_at.is_none_or(|told_at| now.since(told_at) >= MODULE_UPLOADS_REPORT_PAUSE);
        let progress = is_due.then(|| {
            upload.told_at = Some(now);
            upload.progress(part.id)
        });
        Ok(PartTaken { progress, complete: None })
    }

    /// Cancels an upload of a user, or of anybody for `root`; `None` where there is none, or its
    /// module is being installed.
    pub(crate) fn cancel(&self, tenant: &Tenant, identity: &Identity, id: &str) -> Option<CancelledUpload> {
        let mut under_way = self.under_way.lock();
        let upload = under_way.get(id)?;
        let origin = &upload.origin;
        let may = origin.identity.is_same_user(identity) || identity.is_root();
        if origin.tenant.number != tenant.number || !may {
            return None;
        }
        match &upload.ending {
            Some(ending) => ending.decide(CANCELLED).then_some(CancelledUpload::Asked),
            None => {
                let upload = under_way.remove(id).expect("it is there");
                Some(CancelledUpload::Ended(Ended { id: id.to_owned(), origin: upload.origin }))
            }
        }
    }

    /// Forgets an upload whose command has ended.
    pub(crate) fn end(&self, id: &str) {
        self.under_way.lock().remove(id);
    }

    /// Takes out the uploads of which nothing has come for too long.
    pub(crate) fn take_expired(&self, now: Time) -> Vec<Ended> {
        let mut under_way = self.under_way.lock();
        let expired = under_way.extract_if(.., |_, upload| upload.is_over(now));
        expired.map(|(id, upload)| Ended { id, origin: upload.origin }).collect()
    }
}

/// Number and bytes of all uploads that may be under way for one more of this user to begin:
/// administrators find room when others have taken theirs.
fn bounds_of(origin: &UploadOrigin) -> (usize, usize) {
    match origin.tenant.is_administrator(&origin.identity) {
        true => (
            MODULE_UPLOADS_MAX + MODULE_UPLOADS_PER_USER_MAX,
            MODULE_UPLOADS_BYTES_MAX + MODULE_UPLOAD_BYTES_MAX + MODULE_UPLOAD_COMMAND_BYTES_MAX,
        ),
        false => (MODULE_UPLOADS_MAX, MODULE_UPLOADS_BYTES_MAX),
    }
}

impl Upload {
    /// Whether nothing has come for too long.
    fn is_over(&self, now: Time) -> bool {
        self.ending.is_none() && now.since(self.came_at) >= MODULE_UPLOAD_PATIENCE
    }

    /// Puts a part at its place.
    fn put(&mut self, part: &UploadPart<'_>) -> Result<(), PartRefusal> {
        let last = self.has.len() - 1;
        let range = || PartRefusal::Range { index: truncated(part.index), last };
        // As the upload was told to write it: neither `00` nor `0/1`.
        let is_number = part.index == "0"
            || (!part.index.starts_with('0') && part.index.bytes().all(|byte| byte.is_ascii_digit()));
        let index: usize = part.index.parse().ok().filter(|_| is_number).ok_or_else(range)?;
        let start =
            index.checked_mul(self.announced.part_bytes).filter(|_| index <= last).ok_or_else(range)?;
        let expected = (self.announced.size - start).min(self.announced.part_bytes);
        if part.bytes.len() != expected {
            return Err(PartRefusal::Size { index, bytes: part.bytes.len(), expected });
        }
        if let Some(expected) = part.sha256 {
            let found = data_encoding::HEXLOWER.encode(&Sha256::digest(part.bytes));
            if !found.eq_ignore_ascii_case(expected) {
                return Err(PartRefusal::Digest { index, expected: truncated(expected), found });
            }
        }
        let place = &mut self.bytes[start..start + expected];
        if self.has[index] {
            return if place == part.bytes { Ok(()) } else { Err(PartRefusal::Changed { index }) };
        }
        place.copy_from_slice(part.bytes);
        self.has[index] = true;
        self.received += expected;
        Ok(())
    }

    fn progress(&self, id: &str) -> Value {
        json!({ "uploadId": id, "state": "uploading", "received": self.received, "total": self.announced.size })
    }

    /// Ranges of parts that have not come, the first of them.
    fn missing(&self) -> Vec<Range<usize>> {
        let mut missing: Vec<Range<usize>> = Vec::new();
        for (index, _) in self.has.iter().enumerate().filter(|(_, has)| !**has) {
            if let Some(range) = missing.last_mut().filter(|range| range.end == index) {
                range.end += 1;
            } else if missing.len() < MISSING_REPORTED_MAX {
                missing.push(index..index + 1);
            } else {
                break;
            }
        }
        missing
    }
}

/// Name of an upload, which nobody guesses.
fn new_id() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    format!("u{}", data_encoding::HEXLOWER.encode(&bytes))
}

fn truncated(text: &str) -> String {
    text.chars().take(crate::limits::VERB_SHOWN_CHARS_MAX).collect()
}
