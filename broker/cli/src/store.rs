//! `lotmq store`: looks after the data directory of a broker that is stopped.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand, ValueEnum};
use lotmq_changes::table::{BackupClass, SCHEMA_VERSION};
use lotmq_changes::{QuarantineRow, TableSize};
use lotmq_server::backup::{Archive, Manifest};
use lotmq_server::warm::{self, WarmOutcome, WarmReport, Warmed};
use lotmq_store::Store;
use lotmq_terminal::text::printable;
use lotmq_terminal::{Exit, output, seconds};
use serde_json::json;

use crate::config_show::PlaceArgs;

/// First bytes of backup files.
const ZIP: &[u8] = b"PK\x03\x04";

/// Look after what a stopped broker has stored.
///
/// As in: lotmq store check --data ./data, or to another machine: lotmq store export all.lotmq, and
/// there: lotmq store import all.lotmq.
///
/// Exit codes: 0 done, 1 it failed or damage was found, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Print the size of the file and of each table
    ///
    /// Exit codes: 0 printed, 1 the store cannot be read, or a broker uses it, 2 wrong usage.
    Stats(DirectoryArgs),
    /// Read everything and say what is damaged
    ///
    /// Exit codes: 0 no damage found, 1 damage found, the store cannot be read, or a broker uses
    /// it, 2 wrong usage.
    Check(DirectoryArgs),
    /// Put aside what is damaged, also rules and what else denies something, and list what was put
    /// aside
    ///
    /// Exit codes: 0 done, 1 it failed, or a broker uses the store, 2 wrong usage.
    Quarantine(QuarantineArgs),
    /// Rewrite the file as small as it can be; takes seconds per GiB
    ///
    /// Exit codes: 0 done, 1 it failed, or a broker uses the store, 2 wrong usage.
    Compact(DirectoryArgs),
    /// Write everything to one file; the key of the secrets, secret.key, is not in it
    ///
    /// Exit codes: 0 written, 1 it failed, or a broker uses the store, 2 wrong usage.
    Export(ExportArgs),
    /// Compile all stored programs with this version, before a broker of it is started
    ///
    /// The broker may run meanwhile, also a former version, which is not disturbed. Its successor
    /// finds the native code and need not compile it. Run it as the user of the broker.
    ///
    /// Exit codes: 0 all programs are compiled, 1 some are not, or the time was over, 2 wrong
    /// usage.
    Warm(WarmArgs),
    /// Make a store of an exported file or of a backup; the data directory must hold none
    ///
    /// Exit codes: 0 made, 1 the file cannot be used, or there is a store already, 2 wrong usage.
    Import(ImportArgs),
}

#[derive(Args, Debug)]
struct DirectoryArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args, Debug)]
struct QuarantineArgs {
    /// Remove what was put aside, for good, and the damaged file with it
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args, Debug)]
struct ExportArgs {
    /// File to write; `-` is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Parts to leave out
    #[arg(long, value_delimiter = ',', value_name = "PART,…")]
    without: Vec<Part>,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args, Debug)]
struct WarmArgs {
    /// Seconds for all of it, or a time such as 15m; code that is made by then stays
    #[arg(long, default_value_t = 900.0, value_parser = seconds)]
    timeout: f64,
    /// Print JSON: one object for each program, and one with the numbers
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args, Debug)]
struct ImportArgs {
    /// File to read; `-` is standard input, for exports only
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

/// A part of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Definitions, modules, users, settings and environment variables
    Configuration,
    /// Retained messages and kept values
    Messages,
    /// Sessions with their subscriptions and queues
    Sessions,
    /// Secrets, as they are encrypted
    Secrets,
    /// Audit records, as they are encrypted
    Audit,
    /// Damaged data that was put aside
    Quarantine,
}

impl Part {
    fn class(self) -> BackupClass {
        match self {
            Self::Configuration => BackupClass::Configuration,
            Self::Messages => BackupClass::Messages,
            Self::Sessions => BackupClass::Sessions,
            Self::Secrets => BackupClass::Secret,
            Self::Audit => BackupClass::Audit,
            Self::Quarantine => BackupClass::Quarantine,
        }
    }
}

pub(crate) fn store(args: &StoreArgs) -> anyhow::Result<Exit> {
    match &args.command {
        StoreCommand::Stats(DirectoryArgs { place }) => stats(&directory(place)?),
        StoreCommand::Check(DirectoryArgs { place }) => check(&directory(place)?),
        StoreCommand::Quarantine(args) => quarantine(args),
        StoreCommand::Compact(DirectoryArgs { place }) => compact(&directory(place)?),
        StoreCommand::Export(args) => export(args),
        StoreCommand::Warm(args) => warm(args),
        StoreCommand::Import(args) => import(args),
    }
}

fn directory(place: &PlaceArgs) -> anyhow::Result<PathBuf> {
    Ok(place.load(Vec::new())?.store_path().parent().map(Path::to_owned).unwrap_or_default())
}

fn stats(directory: &Path) -> anyhow::Result<Exit> {
    let stats = Store::stats(directory)?;
    output::tell(&format!("file     {} bytes, {} on the disk", stats.file_bytes, stats.disk_bytes))?;
    // A store of another version does not open.
    output::tell(&format!("schema   version {SCHEMA_VERSION}"))?;
    output::tell(tables(&stats.tables).trim_end())?;
    Ok(Exit::Success)
}

fn tables(sizes: &[TableSize]) -> String {
    let mut text = format!("{:<16}{:>12}{:>16}\n", "table", "rows", "bytes");
    for TableSize { name, rows, bytes } in sizes {
        text.push_str(&format!("{name:<16}{rows:>12}{bytes:>16}\n"));
    }
    text
}

fn check(directory: &Path) -> anyhow::Result<Exit> {
    let damaged = Store::check(directory)?;
    for corruption in &damaged {
        output::tell(&format!("damaged: {corruption}"))?;
    }
    if !damaged.is_empty() {
        return Ok(Exit::Failure);
    }
    list(&Store::quarantined(directory)?)?;
    output::tell(&format!("schema version {SCHEMA_VERSION}"))?;
    output::tell("no damage found")?;
    Ok(Exit::Success)
}

fn quarantine(args: &QuarantineArgs) -> anyhow::Result<Exit> {
    let directory = directory(&args.place)?;
    if args.forget {
        output::tell(&format!("{} rows removed", Store::forget_quarantined(&directory)?))?;
        return Ok(Exit::Success);
    }
    let rows = Store::quarantine(&directory)?;
    list(&rows)?;
    output::tell(&format!("schema version {SCHEMA_VERSION}"))?;
    output::tell(&format!("{} rows are put aside", rows.len()))?;
    Ok(Exit::Success)
}

fn list(rows: &[QuarantineRow]) -> anyhow::Result<()> {
    for row in rows {
        output::tell(&format!("put aside: {row}"))?;
    }
    Ok(())
}

fn compact(directory: &Path) -> anyhow::Result<Exit> {
    let before = Store::stats(directory)?.file_bytes;
    Store::compact(directory)?;
    let after = Store::stats(directory)?.file_bytes;
    output::tell(&format!("{before} bytes before, {after} now"))?;
    Ok(Exit::Success)
}

fn export(args: &ExportArgs) -> anyhow::Result<Exit> {
    let directory = directory(&args.place)?;
    let wanted = Part::value_variants().iter().filter(|part| !args.without.contains(part));
    let classes: Vec<BackupClass> = wanted.map(|part| part.class()).collect();
    let sizes = if args.file.as_os_str() == "-" {
        Store::export(&directory, &classes, &mut io::stdout().lock())?
    } else {
        export_to(&args.file, |out| Ok(Store::export(&directory, &classes, out)?))?
    };
    let rows: u64 = sizes.iter().map(|size| size.rows).sum();
    output::note(&format!("{rows} rows; keep secret.key beside it if there are secrets"));
    Ok(Exit::Success)
}

/// Makes a file for its owner only, as it holds what the store does. It has its name when it is
/// whole: until then what is written lies beside it, so that what is interrupted is neither taken
/// for a whole one nor in the way of the next attempt.
pub(crate) fn export_to<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    ensure!(!path.exists(), "{} exists; it is not overwritten", path.display());
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    let part = Path::new(&part);
    // An interrupted attempt may have left a file that anybody can read.
    let _ = std::fs::remove_file(part);
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part);
    let file = created.with_context(|| format!("cannot make {}", part.display()))?;
    let mut out = BufWriter::new(&file);
    let written = write(&mut out).and_then(|written| {
        let is_whole = out.flush().and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(part, path));
        is_whole.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(written)
    });
    if written.is_err() {
        // The first error is the one that matters.
        let _ = std::fs::remove_file(part);
    }
    written
}

fn warm(args: &WarmArgs) -> anyhow::Result<Exit> {
    let mut config = args.place.load(Vec::new())?;
    config.compile_worker = Some("/proc/self/exe".into());
    let mut written = Ok(());
    let report = warm::warm(&config, Duration::from_secs_f64(args.timeout), &mut |of| {
        let line = if args.json { warmed_as_json(&of) } else { warmed_as_text(&of) };
        if written.is_ok() {
            written = output::tell(&line);
        }
    })?;
    written?;
    let WarmReport { cached, compiled, failed, left } = report;
    output::tell(&match args.json {
        true => json!({ "cached": cached, "compiled": compiled, "failed": failed, "left": left }).to_string(),
        false => format!("{compiled} compiled, {cached} were there, {failed} failed, {left} left"),
    })?;
    Ok(if failed + left == 0 { Exit::Success } else { Exit::Failure })
}

fn warmed_as_json(Warmed { name, outcome, done: (done, all), time }: &Warmed) -> String {
    let (outcome, reason) = match outcome {
        WarmOutcome::Cached => ("cached", None),
        WarmOutcome::Compiled => ("compiled", None),
        WarmOutcome::Failed(reason) => ("failed", Some(reason)),
    };
    let seconds = time.as_secs();
    let mut told = json!({ "name": name, "outcome": outcome, "done": done, "all": all, "seconds": seconds });
    if let Some(reason) = reason {
        told["reason"] = json!(reason);
    }
    told.to_string()
}

fn warmed_as_text(Warmed { name, outcome, done: (done, all), time }: &Warmed) -> String {
    let outcome = match outcome {
        WarmOutcome::Cached => "was there".to_owned(),
        WarmOutcome::Compiled => format!("compiled in {} s", time.as_secs()),
        WarmOutcome::Failed(reason) => format!("failed: {reason}"),
    };
    printable(&format!("{done} of {all}: {name} {outcome}"))
}

/// Ends the name of a file that is not whole yet.
const PART: &str = ".part";

/// File of the key for secrets, in the data directory.
const SECRET_KEY: &str = "secret.key";

fn import(args: &ImportArgs) -> anyhow::Result<Exit> {
    let directory = directory(&args.place)?;
    let sizes = if args.file.as_os_str() == "-" {
        Store::import(&directory, &mut io::stdin().lock())?
    } else {
        import_file(&directory, &args.file)
            .with_context(|| format!("cannot import {}", args.file.display()))?
    };
    output::tell(tables(&sizes).trim_end())?;
    let has_secrets = sizes.iter().any(|table| table.name == "secrets" && table.rows > 0);
    if has_secrets
        && !directory.join(SECRET_KEY).exists()
        && std::env::var_os("LOTMQ_SECRET_KEY").is_none_or(|key| key.is_empty())
    {
        output::note(&format!(
            "warning: SECRETS_LOCKED: secrets are encrypted with the key of the broker that they come from; copy its {SECRET_KEY} into {} before the first start, \
             or set them anew (`lotmq cmd -setSecret`)",
            directory.display()
        ));
    }
    Ok(Exit::Success)
}

fn import_file(directory: &Path, path: &Path) -> anyhow::Result<Vec<TableSize>> {
    let cannot_read = || format!("cannot read {}", path.display());
    let mut file = BufReader::new(File::open(path).with_context(cannot_read)?);
    if !file.fill_buf().with_context(cannot_read)?.starts_with(ZIP) {
        return Ok(Store::import(directory, &mut file)?);
    }
    let free = lotmq_store::free_bytes(directory).unwrap_or(u64::MAX);
    let mut backup = Archive::open(file, free)?;
    let Manifest { name, created_utc, .. } = &backup.manifest;
    output::note(&printable(&format!("backup `{name}` of {created_utc}")));
    Ok(Store::import(directory, &mut backup.store()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("monday.zip");
        let part = folder.path().join("monday.zip.part");
        std::fs::write(&part, "of an attempt that was interrupted").unwrap();
        let failed = export_to::<()>(&path, |out| {
            out.write_all(b"half")?;
            anyhow::bail!("away")
        });
        assert!(failed.is_err_and(|error| error.to_string() == "away"));
        assert!(!path.exists() && !part.exists());
        export_to(&path, |out| {
            assert!(!path.exists() && part.exists());
            Ok(out.write_all(b"whole")?)
        })
        .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert!(!part.exists());
        assert!(
            export_to(&path, |_| Ok(())).is_err_and(|error| error.to_string().contains("not overwritten"))
        );
    }
}
