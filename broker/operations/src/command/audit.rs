//! `-auditStatus`, `-auditQuery`, `-decryptAudit`. Commands reference §11.1.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use lotmq_auth::Scope;
use lotmq_config::Durability;
use serde_json::json;

use super::argument::text;
use super::reply::{Done, Refusal, missing_argument};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::audit::Selection;
use crate::limits::{AUDIT_FOUND_MAX, VERB_SHOWN_CHARS_MAX};
use crate::managed::Managing as _;
use lotmq_codes::Code;
use lotmq_programs::route_drivers::folders;

const PERMISSION: Permission = Permission::Scope(Scope::SystemConfiguration);

pub(super) static STATUS: Verb = Verb {
    name: "auditStatus",
    arguments: &[],
    permission: PERMISSION,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Tells how much is in the audit, and whether its records follow from one another.",
    example: "-auditStatus",
    execute: status,
};

pub(super) static QUERY: Verb = Verb {
    name: "auditQuery",
    arguments: &[text("YYYY-MM-DD").with_form("<YYYY-MM-DD[|filter]>")],
    permission: PERMISSION,
    effect: Effect::Reads,
    work: Work::Waits,
    summary: "Shows the records of a day (UTC) that have a text, at most the newest 1,000.",
    example: "-auditQuery 2026-01-05|addUser",
    execute: query,
};

pub(super) static DECRYPT: Verb = Verb {
    name: "decryptAudit",
    arguments: &[text("YYYY-MM-DD").optional().with_form("[YYYY-MM-DD][|path]")],
    permission: PERMISSION,
    effect: Effect::Reads,
    work: Work::Waits,
    summary: "Writes the records of a day, or all, as lines of JSON into a new file below the data directory's files/<tenant>.",
    example: "-decryptAudit |audit.jsonl",
    execute: decrypt,
};

/// Hands waiting records to the store, so that a query finds them, unless the store takes nothing.
fn flush(call: &Call<'_>) {
    let core = call.core;
    if core.store_failure().is_none() {
        // Reading comes behind it.
        let _ = call.tenant.managed().audit.flush(&*core.log, &core.counters, core.clock.wall_ms());
    }
}

fn status(call: &mut Call<'_>) -> Result<Done, Refusal> {
    flush(call);
    let (log, tenant) = (Arc::clone(&call.core.log), Arc::clone(call.tenant));
    let status = call.run_blocking(move || tenant.managed().audit.status(&*log))??;
    let broken_at = status.trails.iter().find_map(|trail| trail.broken_at);
    let data = json!({
        "enabled": call.tenant.managed().audit.is_enabled(),
        "days": status.days,
        "bytes": status.sum(|trail| trail.bytes),
        "encrypted": true,
        "records": status.sum(|trail| trail.records),
        "intact": status.is_intact(),
        "brokenAt": broken_at,
        "damaged": status.sum(|trail| trail.damaged),
        "locked": status.sum(|trail| trail.locked),
        "trails": status.to_json(),
    });
    let records = status.sum(|trail| trail.records);
    Ok(Done::new(format!("{records} record(s) of {} day(s).", status.days)).with_data(data))
}

fn query(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let text = call.text("YYYY-MM-DD");
    let (day, filter) = text.split_once('|').unwrap_or((text, ""));
    let day = day_of(day)?.ok_or_else(|| missing_argument(call.verb, "YYYY-MM-DD"))?;
    let filter = Some(filter.trim().to_owned()).filter(|filter| !filter.is_empty());
    let selection = Selection { day: Some(day), filter };
    flush(call);
    let (log, tenant) = (Arc::clone(&call.core.log), Arc::clone(call.tenant));
    let find = move || tenant.managed().audit.find(&*log, &selection, AUDIT_FOUND_MAX);
    let found = call.run_blocking(find)??;
    let mut done = Done::new(format!("{} record(s).", found.total));
    if found.total > found.records.len() {
        let message = format!("Only the newest {} of {} are shown.", found.records.len(), found.total);
        done = done.with_warning(Code::Truncated, &message);
    }
    if found.damaged > 0 {
        done = done.with_warning(Code::Damaged, &format!("{} records are damaged.", found.damaged));
    }
    Ok(done.with_data(found.records))
}

/// Parses a day; `None` for an empty text.
fn day_of(text: &str) -> Result<Option<Date>, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
    day.map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(VERB_SHOWN_CHARS_MAX).collect();
        Refusal::new(Code::DateInvalid, format!("'{shown}' is not a day. Write it as YYYY-MM-DD."))
    })
}

fn decrypt(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let text = call.values.get("YYYY-MM-DD").unwrap_or_default();
    let (day, path) = text.split_once('|').unwrap_or((text, ""));
    let day = day_of(day)?;
    let path = match path.trim() {
        "" => day.map_or_else(|| "audit.jsonl".to_owned(), |day| format!("audit-{day}.jsonl")),
        path => path.to_owned(),
    };
    if call.hosting.config.store.durability == Durability::None {
        return Err(Refusal::new(
            Code::StoreInMemory,
            "The broker writes no files: store.durability is none.",
        ));
    }
    let root = folders::of_tenant(&call.hosting.config.data.path, &call.tenant.name);
    // Hides the place of the data directory on the machine.
    let shown = format!("files/{}/{path}", call.tenant.name);
    flush(call);
    let selection = Selection { day, filter: None };
    let (log, tenant, named) = (Arc::clone(&call.core.log), Arc::clone(call.tenant), shown.clone());
    let write = move || {
        let failed = |error: &io::Error| {
            Refusal::new(not_written(error), format!("'{named}' cannot be written: {error}."))
        };
        let (file, place) = create(&root, &path)?;
        let half = HalfWritten(Some(place));
        let mut out = BufWriter::new(file);
        let audit = &tenant.managed().audit;
        let lines = audit.each_line(&*log, &selection, |line| writeln!(out, "{line}"))?;
        let finish = |count| out.into_inner()?.sync_all().map(|()| count);
        lines.and_then(finish).map(|records| (half, records)).map_err(|error| failed(&error))
    };
    let (mut file, records) = call.run_blocking(write)??;
    file.keep();
    let data = json!({ "path": shown, "records": records });
    Ok(Done::new(format!("{records} record(s) written to '{shown}' of the data directory.")).with_data(data))
}

/// A file that goes again unless it is kept: a half one, or one of which its command has been told
/// that it is not there, must not be taken for a whole one.
struct HalfWritten(Option<PathBuf>);

impl HalfWritten {
    fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for HalfWritten {
    fn drop(&mut self) {
        // The caller gets the error that came first.
        self.0.take().map(std::fs::remove_file);
    }
}

/// Code for a file that cannot be written.
fn not_written(error: &io::Error) -> Code {
    if lotmq_store::is_full(error) { Code::NoSpace } else { Code::FileNotWritten }
}

/// Creates a new file below a root, for its owner only. No links are followed below the root.
fn create(root: &Path, asked: &str) -> Result<(File, PathBuf), Refusal> {
    let outside = || {
        let message =
            format!("'{}' is not below the folder 'files' of the data directory.", asked.escape_default());
        Refusal::new(Code::PathForbidden, message)
    };
    let names: Vec<_> = Path::new(asked).components().collect();
    if asked.ends_with('/') || !names.iter().all(|name| matches!(name, Component::Normal(_))) {
        return Err(outside());
    }
    let place = root.join(asked);
    let created = || {
        let folder = place.parent().unwrap_or(root);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        let is_below =
            folder.canonicalize()? == root.canonicalize()?.join(folder.strip_prefix(root).unwrap_or(root));
        if !is_below {
            return Ok(None);
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place).map(Some)
    };
    match created() {
        Ok(Some(file)) => Ok((file, place.clone())),
        Ok(None) => Err(outside()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("'{asked}' is there already.");
            Err(Refusal::new(Code::FileExists, message))
        }
        Err(error) => {
            let message = format!("'{asked}' cannot be made: {error}.");
            Err(Refusal::new(not_written(&error), message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_made_below_the_root_once_and_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("files/default");
        let code = |asked: &str| create(&root, asked).map(drop).map_err(|refusal| refusal.code().to_owned());
        assert_eq!(code("audit.jsonl"), Ok(()));
        std::fs::create_dir(root.join("inside")).unwrap();
        assert_eq!(code("inside/audit.jsonl"), Ok(()));
        std::os::unix::fs::symlink(directory.path(), root.join("link")).unwrap();
        std::os::unix::fs::symlink(directory.path().join("elsewhere"), root.join("linked.jsonl")).unwrap();
        for (asked, expected) in [
            ("audit.jsonl", "FILE_EXISTS"),
            ("linked.jsonl", "FILE_EXISTS"),
            ("../audit.jsonl", "PATH_FORBIDDEN"),
            ("inside/../../audit.jsonl", "PATH_FORBIDDEN"),
            ("/tmp/audit.jsonl", "PATH_FORBIDDEN"),
            ("inside/", "PATH_FORBIDDEN"),
            ("link/audit.jsonl", "PATH_FORBIDDEN"),
            ("nowhere/audit.jsonl", "FILE_NOT_WRITTEN"),
        ] {
            assert_eq!(code(asked), Err(expected.to_owned()), "{asked}");
        }
        assert!(!directory.path().join("audit.jsonl").exists());
        assert!(!directory.path().join("elsewhere").exists());
    }

    #[test]
    fn a_file_stays_only_if_its_command_has_kept_it() {
        let directory = tempfile::tempdir().unwrap();
        for is_kept in [false, true] {
            let place = directory.path().join("audit.jsonl");
            let mut half = HalfWritten(Some(place.clone()));
            std::fs::write(&place, "{}").unwrap();
            if is_kept {
                half.keep();
            }
            drop(half);
            assert_eq!(place.exists(), is_kept);
        }
    }

    #[test]
    fn days_are_read_as_they_are_written() {
        for (text, expected) in
            [(" 2026-01-05 ", Ok(Some("2026-01-05"))), ("", Ok(None)), ("2026-1-5", Err(()))]
        {
            let day = day_of(text).map(|day| day.map(|day| day.to_string())).map_err(drop);
            assert_eq!(day, expected.map(|day| day.map(str::to_owned)), "{text}");
        }
        assert_eq!(day_of("2026-02-30").unwrap_err().code(), "DATE_INVALID");
    }
}
