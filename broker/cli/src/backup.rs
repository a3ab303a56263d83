//! `lotmq backup`: a backup of a running broker, as a file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use data_encoding::HEXLOWER;
use lotmq_client::{Client, Publication, QoS};
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_terminal::text::printable;
use lotmq_terminal::{Exit, output, seconds};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cmd::{COMMAND_TOPIC, OUTPUT_TOPIC, check_taken, connect_within, render_reply};
use crate::store::export_to;

/// Longest name that the broker takes for a backup.
const NAME_CHARS_MAX: usize = 64;

/// Take a backup of a running broker: users, rules, definitions, modules, variables, secrets as
/// they are encrypted, retained messages, kept values, and sessions with what waits for them.
///
/// As in: lotmq backup monday.zip.
///
/// FILE is a zip; it must not exist. The key of the secrets, secret.key, is not in it. Without -u
/// it is taken as root, with the password in LOTMQ_ROOT_PASSWORD or else the one of a new broker;
/// nobody else may. See also: lotmq restore, lotmq store import.
///
/// Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 no broker.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct BackupArgs {
    /// File to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Leave out retained messages and kept values; a restore leaves those that are there
    #[arg(long)]
    without_retained: bool,
    /// Leave out sessions with their subscriptions and waiting messages; a restore leaves those
    /// that are there
    #[arg(long)]
    without_sessions: bool,
    /// Print the reply of the broker as JSON
    #[arg(long)]
    json: bool,
    /// Seconds to wait while nothing comes
    #[arg(long, default_value_t = 300.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// One message of the download.
#[derive(Deserialize)]
struct Chunk<'a> {
    seq: u64,
    total: u64,
    sha256: &'a str,
    data: &'a str,
}

pub(crate) fn backup(args: &BackupArgs) -> anyhow::Result<Exit> {
    // Before the broker does anything.
    ensure!(!args.file.exists(), "{} exists; it is not overwritten", args.file.display());
    let mut client = connect_within(&args.connect, args.timeout)?;
    let reply = export_to(&args.file, |out| download(args, &mut client, out))?;
    client.disconnect()?;
    output::tell(&if args.json { format!("{reply:#}") } else { args.told(&reply) })?;
    Ok(Exit::Success)
}

impl BackupArgs {
    /// The line for people about a backup that was written.
    fn told(&self, reply: &Value) -> String {
        let data = &reply["data"];
        let parts = data["parts"].as_array().into_iter().flatten().filter_map(Value::as_str);
        printable(&format!(
            "{}: {} bytes, taken {}: {}",
            self.file.display(),
            data["bytes"],
            data["createdUtc"].as_str().unwrap_or_default(),
            parts.map(contents).collect::<Vec<_>>().join(", ")
        ))
    }
}

/// Describes a part of a backup for people.
pub(crate) fn contents(part: &str) -> &str {
    match part {
        "configuration" => "users and passwords, rules, definitions, modules and variables",
        "retained" => "retained messages and kept values",
        "sessions" => "sessions with what waits for them",
        other => other,
    }
}

/// The reply of the broker, when all of the backup is written.
fn download(args: &BackupArgs, client: &mut Client, out: &mut dyn Write) -> anyhow::Result<Value> {
    let name = name_of(&args.file);
    let topic = format!("$SYS/Coreflux/Backup/{name}/download");
    for filter in [OUTPUT_TOPIC, &topic] {
        let granted = client.subscribe_to(filter, QoS::AtLeastOnce)?;
        ensure!(!granted.is_failure(), "this user may not take backups: {granted}; that takes root");
    }
    let id = random_text(12)?;
    let retained = if args.without_retained { "" } else { " -retained" };
    let sessions = if args.without_sessions { "" } else { " -sessions" };
    let command = format!("-backup {name}{retained}{sessions} -requestId {id}");
    let told = client.publish(&Publication::new(COMMAND_TOPIC, command).qos(QoS::AtLeastOnce))?;
    check_taken(client, told)?;
    let timeout = Duration::from_secs_f64(args.timeout);
    let (mut coming, mut deadline) = (Coming::default(), Instant::now() + timeout);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let message = client.receive(left)?.filter(|message| message.topic == topic || !left.is_zero());
        let message = message.with_context(|| format!("nothing came within {} s", args.timeout))?;
        if message.topic == topic {
            let chunk = serde_json::from_slice(&message.payload).context("a chunk is damaged")?;
            let data = coming.take(&chunk, || lotmq_store::free_bytes(folder_of(&args.file)))?;
            out.write_all(&data).with_context(|| format!("cannot write {}", args.file.display()))?;
            progress(coming.bytes, chunk.seq, chunk.total);
            deadline = Instant::now() + timeout;
            continue;
        }
        let reply: Value = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
        if reply.get("requestId").and_then(Value::as_str) != Some(&id) {
            continue;
        }
        if reply.get("success").and_then(Value::as_bool) != Some(true) {
            bail!("{}", render_reply(&reply).trim_end());
        }
        let sent = reply.pointer("/data/sha256").and_then(Value::as_str);
        ensure!(
            sent == Some(&HEXLOWER.encode(&coming.digest.finalize())),
            "the backup has not come as it was sent"
        );
        return Ok(reply);
    }
}

/// Chunks that have come. The first one says how many there are, and none is longer than it.
#[derive(Default)]
struct Coming {
    chunks: u64,
    total: u64,
    bytes: u64,
    chunk_bytes: u64,
    digest: Sha256,
}

impl Coming {
    /// Bytes of the next chunk. `free_bytes` says what the disk has, which the announced backup has
    /// to fit.
    fn take(
        &mut self,
        chunk: &Chunk<'_>,
        free_bytes: impl FnOnce() -> Option<u64>,
    ) -> anyhow::Result<Vec<u8>> {
        let data = STANDARD.decode(chunk.data).context("a chunk is damaged")?;
        let bytes = data.len() as u64;
        if self.chunks == 0 {
            (self.total, self.chunk_bytes) = (chunk.total, bytes);
            let (announced, free) = (chunk.total.saturating_mul(bytes), free_bytes().unwrap_or(u64::MAX));
            ensure!(announced <= free, "the backup has about {announced} bytes, and the disk has {free}");
        }
        ensure!(
            chunk.total == self.total,
            "the broker announced {} chunks, and now {}",
            self.total,
            chunk.total
        );
        ensure!(self.chunks < self.total, "more chunks come than the {} that were announced", self.total);
        ensure!(chunk.seq == self.chunks + 1, "chunk {} is missing", self.chunks + 1);
        ensure!(
            (1..=self.chunk_bytes).contains(&bytes),
            "chunk {} has {bytes} bytes, and the first one {}",
            chunk.seq,
            self.chunk_bytes
        );
        ensure!(HEXLOWER.encode(&Sha256::digest(&data)) == chunk.sha256, "chunk {} is damaged", chunk.seq);
        self.digest.update(&data);
        (self.chunks, self.bytes) = (chunk.seq, self.bytes + bytes);
        Ok(data)
    }
}

/// Folder in which a file lies.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// A line that is written over and over, for people.
fn progress(bytes: u64, seq: u64, total: u64) {
    output::progress(&format!("{seq} of {total} parts, {bytes} bytes"), seq == total);
}

/// A name for the backup, after the file.
fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let letters = stem.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c));
    let name: String = letters.skip_while(|c| !c.is_ascii_alphanumeric()).take(NAME_CHARS_MAX).collect();
    if name.is_empty() { "backup".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_that_the_broker_takes_them() {
        for (file, expected) in [
            ("/tmp/monday.zip", "monday"),
            ("my backup (2).zip", "mybackup2"),
            ("-x", "x"),
            ("äö", "backup"),
            (&"a".repeat(100), &"a".repeat(64)),
        ] {
            assert_eq!(name_of(Path::new(file)), *expected, "{file}");
        }
    }
}
