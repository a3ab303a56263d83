//! `-backup`, `-restoreBackup`. Commands reference §12.3.

use std::io::{self, BufReader, BufWriter, Cursor, IntoInnerError, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_auth::Identity;
use lotmq_changes::{ImportError, StoreError};
use lotmq_config::{Config, Durability};
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use super::argument::{file, switch, word};
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::backup::{
    self, Archive, ArchiveError, Contents, DownloadError, DownloadReceiver, Manifest, Part, PartError,
    PartNumber, Spool, WriteError,
};
use crate::command_queue::Commands;
use crate::command_queue::job::ReplyTo;
use crate::command_text::normalized_verb;
use crate::limits::{
    BACKUP_FREE_BYTES_MIN, BACKUP_NAME_BYTES_MAX, RESTORE_DISK_FACTOR, RESTORE_UNPACKED_BYTES_MAX,
    VERB_SHOWN_CHARS_MAX,
};
use lotmq_codes::Code;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::session_key::SessionKey;
use lotmq_process::clock::utc_text;
use lotmq_process::watchdog::Watchdog;
use lotmq_programs::limits::COMMIT_PATIENCE;
use lotmq_programs::{HasPrograms as _, Hosting};

pub(super) static BACKUP: Verb = Verb {
    name: "backup",
    arguments: &[
        // More words are unknown options.
        word("name").optional().repeated().with_form("[name]"),
        switch("-retained").loose(),
        switch("-sessions").loose(),
    ],
    permission: Permission::Root,
    effect: Effect::Reads,
    work: Work::Waits,
    summary: "Sends a backup to $SYS/Coreflux/Backup/<name>/download, to the client that asks and is subscribed to it.",
    example: "-backup monday -retained",
    execute: backup,
};

pub(super) static RESTORE: Verb = Verb {
    name: "restoreBackup",
    arguments: &[
        word("first").optional().with_form("[part:<number>/<count>]"),
        file("second").optional().with_form("[zip64:<base64>]"),
    ],
    permission: Permission::Root,
    effect: Effect::Reads,
    work: Work::Compiles,
    summary: "Checks a backup, then restarts the broker on it. One that no packet holds comes in parts, a command for each, in order. Without a backup it tells what the last restore came to.",
    example: "-restoreBackup",
    execute: restore,
};

fn backup(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, parts) = read_arguments(call)?;
    let topic = format!("$SYS/Coreflux/Backup/{name}/download");
    let receiver = receiver(call, ("backup", &topic))?;
    let chunk_bytes = backup::chunk_bytes(&receiver, &topic).ok_or_else(|| {
        let limit = receiver.packet_bytes_max();
        Refusal::new(Code::PacketsTooSmall, format!("The client takes packets of at most {limit} bytes."))
    })?;
    let _turn = call.backups.begin().ok_or_else(busy)?;
    let config = &call.hosting.config;
    let place = if is_in_memory(config) { std::env::temp_dir() } else { config.data.path.clone() };
    let contents = Contents {
        name: name.clone(),
        created_utc: utc_text(call.core.clock.wall_ms()),
        parts,
        configuration: configuration(config),
    };
    let (hosting, place_of_file) = (Arc::clone(call.hosting), place.clone());
    let write = move || {
        keep_the_last(&hosting)?;
        hosting.archive.in_snapshot(WriteError::is_lost, |snapshot| {
            let mut out = BufWriter::new(Spool::new(&place_of_file)?);
            let manifest = backup::write(&mut out, snapshot, &contents)?;
            Ok((out.into_inner().map_err(IntoInnerError::into_error)?, manifest))
        })
    };
    let written = call.run_blocking(write)?;
    let (spool, manifest) = written
        .map_err(|error| not_read(&error))?
        .map_err(|error| if error.is_full() { no_space(&place) } else { not_written(&error) })?;
    let commands = call.commands;
    let is_stopping = || commands.is_stopping();
    let mut chunks = Chunks::new(call, spool)?;
    let sent =
        backup::send(&is_stopping, &receiver, &topic, (chunks.bytes, chunk_bytes), |len| chunks.next(len))?;
    info!(target: "command", bytes = sent.bytes, "backup taken");
    Ok(Done::new(format!("Backup '{name}' with {} bytes was sent to {topic}.", sent.bytes)).with_data(
        json!({
            "name": name,
            "topic": topic,
            "bytes": sent.bytes,
            "sha256": sent.sha256,
            "chunks": sent.chunks,
            "createdUtc": manifest.created_utc,
            "parts": manifest.parts,
            "tables": tables(&manifest),
        }),
    ))
}

/// Stores kept values, windows and last errors of definitions as they are, so that a backup has
/// those of the last minutes.
fn keep_the_last(hosting: &Hosting) -> Result<(), StoreError> {
    for tenant in hosting.tenants.all().iter() {
        let guests = &tenant.programs().guests;
        lotmq_programs::keep_windows(guests);
        lotmq_programs::keep_silences(guests);
        guests.kept_errors.keep_all(guests);
        if let Some(ticket) = lotmq_programs::save_all_kept(hosting, tenant)? {
            hosting.core.log.wait_for(ticket, COMMIT_PATIENCE)?;
        }
    }
    Ok(())
}

/// Chunks of a backup that is read back, on a thread beside that of its command: also a disk that
/// was written to may hang.
struct Chunks<'a> {
    commands: &'a Commands,
    watchdog: &'a Watchdog,
    /// Client that takes the backup.
    taker: (&'a Tenant, &'a Identity),
    /// Spool file; `None` while it is read.
    spool: Option<Spool>,
    bytes: u64,
}

impl<'a> Chunks<'a> {
    fn new(call: &Call<'a>, mut spool: Spool) -> Result<Self, Refusal> {
        let bytes = spool.seek(SeekFrom::End(0)).and_then(|bytes| spool.rewind().map(|()| bytes));
        let (commands, watchdog) = (call.commands, &*call.hosting.watchdog);
        let taker = (&**call.tenant, call.identity);
        Ok(Self { commands, watchdog, taker, bytes: bytes.map_err(not_read_back)?, spool: Some(spool) })
    }

    /// Reads the next bytes.
    fn next(&mut self, len: usize) -> Result<Vec<u8>, Refusal> {
        let lost = || not_read_back(io::Error::other("an earlier part was not read"));
        let mut spool = self.spool.take().ok_or_else(lost)?;
        let read = move || {
            let mut chunk = vec![0; len];
            spool.read_exact(&mut chunk).map(|()| (spool, chunk))
        };
        let read = self.commands.read_blocking(self.taker, &self.watchdog.pulses, read)?;
        let (spool, chunk) = read.map_err(not_read_back)?;
        self.spool = Some(spool);
        Ok(chunk)
    }
}

/// Reads the name and the parts that are wanted.
fn read_arguments(call: &Call<'_>) -> Result<(String, Vec<Part>), Refusal> {
    let mut name = None;
    for word in call.values.all("name") {
        if normalized_verb(word).is_some() {
            let shown: String = word.chars().take(VERB_SHOWN_CHARS_MAX).collect();
            return Err(Refusal::new(Code::ArgumentInvalid, format!("Unknown option '{shown}'.")));
        }
        if name.replace(word.to_owned()).is_some() {
            return Err(call.too_many_arguments());
        }
    }
    let mut parts = vec![Part::Configuration, Part::Secrets];
    let wanted = [("-retained", Part::Retained), ("-sessions", Part::Sessions)];
    parts.extend(wanted.into_iter().filter(|(option, _)| call.values.has(option)).map(|(_, part)| part));
    let of_time = || {
        let utc = utc_text(call.core.clock.wall_ms());
        utc.chars().filter(char::is_ascii_alphanumeric).collect()
    };
    let name: String = name.unwrap_or_else(of_time);
    if !is_backup_name(&name) {
        let shown: String = name.chars().take(VERB_SHOWN_CHARS_MAX).collect();
        let refusal = Refusal::new(Code::BackupNameInvalid, format!("Backup name '{shown}' is invalid."));
        return Err(refusal.with_suggestion(format!(
            "a name has at most {BACKUP_NAME_BYTES_MAX} letters, digits, dots, hyphens and underscores, and begins with a letter or digit"
        )));
    }
    Ok((name, parts))
}

fn is_backup_name(name: &str) -> bool {
    name.len() <= BACKUP_NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// Finds the receiver of a download: the caller itself, or the Client that gave the command, if
/// what is sent to a topic would reach it. Nobody else gets it: a backup holds hashes of passwords.
pub(super) fn receiver(call: &Call<'_>, (what, topic): (&str, &str)) -> Result<DownloadReceiver, Refusal> {
    if let ReplyTo::Caller(caller) = &call.job.reply_to {
        return Ok(DownloadReceiver::Caller(caller.clone()));
    }
    let client = call.tenant.sessions.lock().get(SessionKey::from(call.identity)).map(Arc::clone);
    let client =
        client.filter(|client| Some(client.session_id) == call.job.caller.session()).ok_or_else(|| {
            let message =
                format!("A {what} is sent to the client that asks for it, which must be connected.");
            Refusal::new(Code::NoReceiver, message)
        })?;
    let is_receiver = |target: &lotmq_core::tenant::subscriber::Target| Arc::ptr_eq(&target.client, &client);
    if call.tenant.route(topic).targets.iter().any(is_receiver) {
        return Ok(DownloadReceiver::Client(client));
    }
    let refusal = Refusal::new(Code::NotSubscribed, format!("Subscribe to the topic of the {what} first."));
    Err(refusal.with_suggestion(format!("the topic is {topic}")))
}

fn restore(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let [first, second] = ["first", "second"].map(|name| call.values.get(name));
    match (first, second) {
        (None, _) => Ok(last_restore(call)),
        (Some(whole), None) => restore_from(call, Cursor::new(decoded(whole)?), RESTORE_UNPACKED_BYTES_MAX),
        (Some(part), Some(bytes)) => take_part(call, part, &decoded(bytes)?),
    }
}

/// Bytes of a backup, or of a part of one.
fn decoded(argument: &str) -> Result<Vec<u8>, Refusal> {
    let base64 = argument
        .strip_prefix("zip64:")
        .ok_or_else(|| Refusal::new(Code::ArgumentInvalid, "The backup is given as zip64:<base64>."))?;
    STANDARD
        .decode(base64)
        .map_err(|_| Refusal::new(Code::Base64Invalid, "zip64 argument is not valid base64."))
}

/// Keeps a part of a backup, and restores the backup with the last one.
fn take_part(call: &mut Call<'_>, part: &str, bytes: &[u8]) -> Result<Done, Refusal> {
    let part = part.strip_prefix("part:").and_then(PartNumber::read).ok_or_else(|| {
        Refusal::new(Code::ArgumentInvalid, "A part is given as part:<number>/<count>, from 1.")
    })?;
    let config = &call.hosting.config;
    let place = if is_in_memory(config) { std::env::temp_dir() } else { config.data.path.clone() };
    let (arriving, now) = (&call.backups.arriving, call.core.clock.now());
    let taken = arriving.take((call.job.queue, &place), part, bytes, now).map_err(|error| match error {
        PartError::Io(error) if error.kind() == io::ErrorKind::StorageFull => no_space(&place),
        PartError::Io(_) | PartError::Order { .. } | PartError::Unknown => {
            let message = format!("The part of the backup is refused: {error}. Begin with the first one.");
            Refusal::new(Code::BackupPart, message)
        }
    })?;
    let PartNumber { number, count } = part;
    match taken {
        // The space on the disk bounds what it unpacks to.
        Some(whole) => restore_from(call, BufReader::new(whole), u64::MAX),
        None => Ok(Done::new(format!("Part {number} of {count} of the backup is here."))
            .with_data(json!({ "received": number, "total": count }))),
    }
}

fn restore_from(call: &mut Call<'_>, zip: impl io::Read + io::Seek, bytes_max: u64) -> Result<Done, Refusal> {
    let _turn = call.backups.begin().ok_or_else(busy)?;
    let mut archive = Archive::open(zip, bytes_max).map_err(invalid)?;
    check_space(&call.hosting.config, &archive.manifest)?;
    let staged = call.hosting.archive.stage(&mut archive.store().map_err(invalid)?).map_err(not_staged)?;
    let manifest = &archive.manifest;
    let kept: Vec<&str> =
        Part::ALL.into_iter().filter(|part| staged.keeps(part.class())).map(Part::name).collect();
    let mut done = Done::new(format!(
        "Backup '{}' of {} is good. The broker restarts on it now; all clients are disconnected.",
        manifest.name, manifest.created_utc
    ));
    if !staged.keeps(Part::Configuration.class()) {
        done = done.with_warning(Code::UsersReplaced, "Users and their passwords are those of the backup.");
    }
    if !staged.locked_secrets().is_empty() {
        let names = staged.locked_secrets().join(", ");
        let warning = format!("The key of this broker does not open these secrets: {names}.");
        done = done.with_warning(Code::SecretsLocked, &warning);
    }
    warn!(target: "command", name = manifest.name, "restoring a backup");
    let done = done.with_data(json!({
        "name": manifest.name,
        "createdUtc": manifest.created_utc,
        "broker": manifest.broker,
        "parts": manifest.parts,
        "kept": kept,
        "tables": tables(manifest),
        "lockedSecrets": staged.locked_secrets(),
    }));
    call.backups.keep(staged);
    call.restarts = true;
    Ok(done)
}

fn last_restore(call: &Call<'_>) -> Done {
    let Some(report) = &call.backups.report else {
        return Done::new("Nothing was restored since the broker was started.")
            .with_data(json!({"state": "none"}));
    };
    let at = utc_text(report.ended_at_ms);
    match &report.error {
        None => Done::new(format!("A backup was restored at {at}."))
            .with_data(json!({"state": "restored", "endedUtc": at})),
        Some(error) => Done::new(format!("The last restore failed, nothing has changed: {error}."))
            .with_data(json!({"state": "failed", "endedUtc": at, "reason": error})),
    }
}

/// Checks the free space for a restore: the file of a store is larger than its stream, and the
/// present one is kept besides.
fn check_space(config: &Config, manifest: &Manifest) -> Result<(), Refusal> {
    let unpacked: u64 = manifest.members.iter().map(|member| member.bytes).sum();
    let present = std::fs::metadata(config.store_path()).map_or(0, |data| data.len());
    let needed = unpacked.saturating_mul(RESTORE_DISK_FACTOR).saturating_add(present);
    let free = lotmq_store::free_bytes(&config.data.path).unwrap_or(u64::MAX);
    if free < needed.saturating_add(BACKUP_FREE_BYTES_MIN) {
        Err(no_space(&config.data.path))
    } else {
        Ok(())
    }
}

fn is_in_memory(config: &Config) -> bool {
    config.store.durability == Durability::None
}

/// Configuration with every key. No key holds a secret: passwords and keys are in files and
/// variables of their own.
fn configuration(config: &Config) -> Value {
    let keys: Map<String, Value> =
        config.entries().map(|(key, value, _)| (key.path.to_owned(), value)).collect();
    Value::Object(keys)
}

fn tables(manifest: &Manifest) -> Value {
    let rows = manifest
        .tables
        .iter()
        .map(|table| (table.name.clone(), json!({"rows": table.rows, "bytes": table.bytes})));
    Value::Object(rows.collect())
}

fn busy() -> Refusal {
    Refusal::new(Code::Busy, "Another backup or restore is under way.")
}

fn no_space(place: &std::path::Path) -> Refusal {
    let free = lotmq_store::free_bytes(place).unwrap_or(0);
    Refusal::new(Code::NoSpace, format!("Not enough space for it: {free} bytes are free."))
}

fn not_written(error: &WriteError) -> Refusal {
    Refusal::new(Code::BackupFailed, format!("The backup cannot be written: {error}."))
}

fn not_read(error: &StoreError) -> Refusal {
    Refusal::new(Code::StoreFailed, format!("The store cannot be read: {error}."))
}

fn not_read_back(error: io::Error) -> Refusal {
    Refusal::new(Code::DownloadFailed, format!("The backup was not sent: {error}."))
}

impl From<DownloadError> for Refusal {
    fn from(error: DownloadError) -> Self {
        Self::new(Code::DownloadFailed, format!("The backup was not sent: {error}."))
    }
}

fn invalid(error: ArchiveError) -> Refusal {
    let code = match error {
        ArchiveError::Foreign(_) => Code::BackupForeign,
        ArchiveError::TooNew { .. } => Code::BackupTooNew,
        ArchiveError::TooLarge { .. } => Code::BackupTooLarge,
        ArchiveError::Damaged(_) => Code::BackupDamaged,
    };
    Refusal::new(code, format!("The backup cannot be used: {error}."))
}

fn not_staged(error: ImportError) -> Refusal {
    let code = match &error {
        ImportError::NoFile => Code::StoreInMemory,
        ImportError::TooNew { .. } => Code::BackupTooNew,
        ImportError::Io(_) => Code::StoreFailed,
        ImportError::Foreign
        | ImportError::Damaged(_)
        | ImportError::Exists(_)
        | ImportError::Load(_)
        | _ => Code::BackupDamaged,
    };
    Refusal::new(code, format!("The backup cannot be used: {error}."))
}
