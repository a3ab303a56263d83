//! `lotmq restore`: a running broker goes on with what a backup holds.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use lotmq_client::{Client, ClientError, ProtocolVersion};
use lotmq_connect::{ConnectArgs, Version, random_text};
use lotmq_server::backup::{Archive, Manifest};
use lotmq_terminal::text::printable;
use lotmq_terminal::{Exit, output, seconds};
use serde_json::{Value, json};

use crate::backup::contents;
use crate::cmd::{connect_to_command, exchange, is_success, render_reply};
use crate::confirmation::is_confirmed;

/// Bytes of a packet beside the part of a backup: verb, number, request id, topic.
const OVERHEAD_BYTES: usize = 512;

/// Most bytes of a part.
const PART_BYTES_MAX: usize = 8 << 20;

/// How often is tried whether the broker is back.
const PAUSE: Duration = Duration::from_millis(100);

/// Have a running broker go on with what a backup holds.
///
/// As in: lotmq restore monday.zip.
///
/// The backup is checked first. The command says what it replaces and asks for consent; without a
/// terminal, it needs --yes. Then the broker restarts on the backup and all its clients are
/// disconnected. Parts that are not in the backup stay as they are, and the former store is kept
/// beside it as lotmq.redb.before-restore. A backup that no packet holds goes in parts. Without -u
/// it is done as root, with the password in LOTMQ_ROOT_PASSWORD or else the one of a new broker.
///
/// Exit codes: 0 restored, 1 refused or failed, and nothing has changed, 2 wrong usage, 3 no
/// broker.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct RestoreArgs {
    /// File that `lotmq backup` has written
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Do not ask before what the broker has is replaced
    #[arg(long, short = 'y')]
    yes: bool,
    /// Print the last reply of the broker as JSON
    #[arg(long)]
    json: bool,
    /// Seconds to wait for the check, and as many for the restart
    #[arg(long, default_value_t = 300.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<Exit> {
    let mut file = File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let archive = Archive::open(BufReader::new(&file), u64::MAX);
    let manifest = archive.with_context(|| format!("cannot restore {}", args.file.display()))?.manifest;
    let concern = args.concern(&manifest)?;
    if !args.yes && !is_confirmed(&format!("{concern} Go on?"))? {
        output::note(&format!("{concern} Nothing was changed; --yes goes on"));
        return Ok(Exit::Failure);
    }
    let timeout = Duration::from_secs_f64(args.timeout);
    let mut connect = args.connect.clone();
    // Only 5.0 tells how large a packet may be.
    connect.login.protocol_version = Some(Version(ProtocolVersion::V5));
    let mut client = connect_to_command(&connect)?;
    let reply = args.send(&mut client, &mut file)?;
    let is_accepted = reply.get("success").and_then(Value::as_bool) == Some(true);
    if !(args.json && is_accepted) {
        output::tell(&told(&reply, args.json))?;
    }
    if !is_accepted {
        return Ok(Exit::Failure);
    }
    await_end(&mut client, timeout);
    report(&connect, timeout, args.json)
}

/// Bytes of a part of a backup, for a broker that takes packets of so many bytes.
fn part_bytes(packet_bytes_max: Option<u32>) -> usize {
    let packet = packet_bytes_max.map_or(usize::MAX, |bytes| bytes as usize);
    // Four characters of base64 for three bytes.
    (packet.saturating_sub(OVERHEAD_BYTES) / 4 * 3).min(PART_BYTES_MAX)
}

/// The commands that restore a backup which the broker does not take. The data directory must have
/// no store, and keeps the key of the secrets.
fn offline(file: &Path) -> String {
    let file = file.display();
    format!(
        "restore it where the broker runs, while it is stopped. With its data directory DIR (`lotmq config show` names it):\n  \
         systemctl stop lotmq\n  \
         mv DIR/lotmq.redb DIR/lotmq.redb.before-restore\n  \
         lotmq store import {file} --data DIR && systemctl start lotmq\n\
         DIR/secret.key stays, or comes from the broker of the backup"
    )
}

impl RestoreArgs {
    /// Sends the backup, in parts where no packet of the broker holds it; the last reply.
    fn send(&self, client: &mut Client, file: &mut File) -> anyhow::Result<Value> {
        let cannot_read = || format!("cannot read {}", self.file.display());
        file.rewind().with_context(cannot_read)?;
        let bytes = file.metadata().with_context(cannot_read)?.len();
        let part_bytes = part_bytes(client.connack_properties().maximum_packet_size().map(NonZeroU32::get));
        let count = bytes.div_ceil(u64::try_from(part_bytes)?.max(1));
        ensure!(
            part_bytes > 0,
            "the broker takes no packet that holds a part of it; {}",
            offline(&self.file)
        );
        for number in 1..=count {
            let mut part = Vec::new();
            file.by_ref()
                .take(u64::try_from(part_bytes)?)
                .read_to_end(&mut part)
                .with_context(cannot_read)?;
            let place = if count > 1 { format!("part:{number}/{count} ") } else { String::new() };
            let command = format!("-restoreBackup {place}zip64:{}", STANDARD.encode(part));
            let reply = exchange(client, &command, &random_text(12)?, Duration::from_secs_f64(self.timeout))?;
            let reply = reply.with_context(|| format!("no reply within {} s", self.timeout))?;
            let is_refused = !is_success(&reply);
            if is_refused && number == 1 && count > 1 {
                bail!("{}{}", render_reply(&reply), offline(&self.file));
            }
            if number == count || is_refused {
                return Ok(reply);
            }
            output::progress(&format!("{number} of {count} parts"), number + 1 == count);
        }
        bail!("{} is empty", self.file.display())
    }

    /// Returns the question to the user: the parts to replace, and the broker.
    fn concern(&self, manifest: &Manifest) -> anyhow::Result<String> {
        let context = self.connect.login.context.as_ref();
        let context = context.map(|name| format!(" (context {name})")).unwrap_or_default();
        let parts: Vec<&str> = manifest.parts.iter().map(|part| contents(part)).collect();
        Ok(printable(&format!(
            "Backup '{}' of {} takes the place of what the broker at {}{context} has of {}; its clients are disconnected.",
            manifest.name,
            manifest.created_utc,
            self.connect.endpoint()?,
            parts.join(", ")
        )))
    }
}

/// A reply of the broker: as JSON, or what it says to people, without the tables of the backup.
fn told(reply: &Value, as_json: bool) -> String {
    if as_json {
        return format!("{reply:#}");
    }
    let mut reply = reply.clone();
    if let Some(reply) = reply.as_object_mut() {
        reply.remove("data");
    }
    render_reply(&reply).trim_end().to_owned()
}

/// Waits until the broker has closed the connection.
fn await_end(client: &mut Client, timeout: Duration) {
    let deadline = Instant::now() + timeout;
    // Messages that still come are dropped.
    while client
        .receive(deadline.saturating_duration_since(Instant::now()))
        .is_ok_and(|message| message.is_some())
    {}
}

/// Asks the broker, when it is back, what the restore came to.
fn report(connect: &ConnectArgs, timeout: Duration, as_json: bool) -> anyhow::Result<Exit> {
    let deadline = Instant::now() + timeout;
    let mut client = loop {
        match connect_to_command(connect) {
            Ok(client) => break client,
            // After a restore that failed the login would be good as before.
            Err(error) if matches!(error.downcast_ref(), Some(ClientError::Refused { .. })) => {
                let message = "restored; users and passwords are those of the backup";
                output::tell(&told(&json!({"success": true, "message": message}), as_json))?;
                return Ok(Exit::Success);
            }
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context("the broker has not come back"));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    };
    let reply = exchange(&mut client, "-restoreBackup", &random_text(12)?, timeout)?;
    client.disconnect()?;
    let reply = reply.context("the broker is back and does not tell what the restore came to")?;
    output::tell(&told(&reply, as_json))?;
    let is_restored = reply.pointer("/data/state").and_then(Value::as_str) == Some("restored");
    Ok(if is_restored { Exit::Success } else { Exit::Failure })
}
