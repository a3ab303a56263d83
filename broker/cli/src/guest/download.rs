//! `lotmq guest download`: the component of a module, back from a broker.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use lotmq_client::{Client, Publication, QoS};
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_runner::COMPONENT_BYTES_MAX;
use lotmq_terminal::{Exit, output, seconds};
use serde_json::Value;

use super::build::write;
use super::folder::check_name;
use super::verify::sha256;
use crate::cmd::{
    COMMAND_TOPIC, OUTPUT_TOPIC, check_taken, connect_within, is_success, render_reply, show_reply,
};

/// Get the component of a module from a broker.
///
/// It is the one that was deployed, byte by byte. A file that is there is not overwritten without
/// --force. Without -u it is asked for as root, as by `lotmq cmd`.
///
/// Exit codes: 0 written, 1 it cannot be written or the broker says no, 2 wrong usage, 3 no broker
/// or no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct DownloadArgs {
    /// Name of the module
    name: String,
    /// File to write it to, instead of NAME.wasm; folders that are not there are made
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite a file that is there
    #[arg(long)]
    force: bool,
    /// Seconds to wait for each part
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(super) fn download(args: &DownloadArgs) -> anyhow::Result<Exit> {
    check_name(&args.name)?;
    let file = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.wasm", args.name)));
    ensure!(!file.is_dir(), "{} is a folder; -o names a file", file.display());
    ensure!(args.force || !file.exists(), "{} exists; --force overwrites it", file.display());
    let mut client = connect_within(&args.connect, args.timeout)?;
    let got = component(args, &mut client)?;
    client.disconnect()?;
    let component = match got {
        Got::Component(component) => component,
        Got::Refusal(reply) => {
            return show_reply(&reply, &render_reply(&reply));
        }
        Got::Nothing => {
            output::error(&format!("nothing came within {} s", args.timeout));
            return Ok(Exit::NoBroker);
        }
    };
    write(&file, &component)?;
    output::tell(&format!("{}: {} bytes, sha256 {}", file.display(), component.len(), sha256(&component)))?;
    Ok(Exit::Success)
}

/// Answer of a broker to the request for a component.
enum Got {
    Component(Vec<u8>),
    /// The reply that says why not.
    Refusal(Value),
    /// Nothing in time.
    Nothing,
}

/// Receives the component in one message, or in parts that are numbered from 0, followed by the
/// reply.
fn component(args: &DownloadArgs, client: &mut Client) -> anyhow::Result<Got> {
    let topic = format!("$SYS/Coreflux/Modules/{}/download", args.name);
    for filter in [OUTPUT_TOPIC.to_owned(), format!("{topic}/#")] {
        let granted = client.subscribe_to(&filter, QoS::AtLeastOnce)?;
        ensure!(!granted.is_failure(), "this user may not get modules: {granted}");
    }
    let id = random_text(12)?;
    let command = format!("-getModule {} -requestId {id}", args.name);
    let told = client.publish(&Publication::new(COMMAND_TOPIC, command).qos(QoS::AtLeastOnce))?;
    check_taken(client, told)?;
    let timeout = Duration::from_secs_f64(args.timeout);
    let (mut coming, mut deadline) = (Coming::default(), Instant::now() + timeout);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(message) = client.receive(left)? else { return Ok(Got::Nothing) };
        if let Some(part) = message.topic.strip_prefix(&topic) {
            coming.take(part, &message.payload)?;
            deadline = Instant::now() + timeout;
            continue;
        }
        // Also where other messages come without pause.
        if left.is_zero() {
            return Ok(Got::Nothing);
        }
        let reply: Value = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
        if reply.get("requestId").and_then(Value::as_str) != Some(&id) {
            continue;
        }
        if !is_success(&reply) {
            return Ok(Got::Refusal(reply));
        }
        let sent =
            reply.pointer("/data/sha256").and_then(Value::as_str).context("the reply has no digest")?;
        ensure!(sent == sha256(&coming.component), "the component has not come as it was sent");
        return Ok(Got::Component(coming.component));
    }
}

/// Received bytes of a component: all of it in one message, or parts of equal lengths and a last
/// one.
#[derive(Default)]
struct Coming {
    component: Vec<u8>,
    parts: usize,
    part_bytes: usize,
    is_whole: bool,
}

impl Coming {
    /// Takes a message; `name` is the end of its topic, empty or `/` and the number of the part.
    fn take(&mut self, name: &str, payload: &[u8]) -> anyhow::Result<()> {
        let is_alone = name.is_empty();
        let is_next =
            if is_alone { self.parts == 0 } else { name.strip_prefix('/') == Some(&*self.parts.to_string()) };
        ensure!(is_next, "part {} of the component is missing", self.parts);
        ensure!(!self.is_whole, "more comes than the component");
        if self.parts == 0 {
            self.part_bytes = payload.len();
        }
        ensure!(
            (1..=self.part_bytes).contains(&payload.len()),
            "part {} of the component has {} bytes, and the first one {}",
            self.parts,
            payload.len(),
            self.part_bytes
        );
        let bytes = self.component.len() + payload.len();
        ensure!(
            bytes as u64 <= COMPONENT_BYTES_MAX,
            "more than {COMPONENT_BYTES_MAX} bytes come, which no component has"
        );
        self.component.extend_from_slice(payload);
        self.parts += 1;
        self.is_whole = is_alone || payload.len() < self.part_bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_bounded_and_come_in_order() {
        let taken = |parts: &[(&str, usize)]| {
            let mut coming = Coming::default();
            let taken = parts.iter().try_for_each(|(name, bytes)| coming.take(name, &vec![0; *bytes]));
            taken.map(|()| coming.component.len()).map_err(|error| error.to_string())
        };
        assert_eq!(taken(&[("", 5)]), Ok(5));
        assert_eq!(taken(&[("/0", 5), ("/1", 5), ("/2", 1)]), Ok(11));
        for (parts, part) in [
            (&[("é0", 5)][..], "part 0 of the component is missing"),
            (&[("/1", 5)], "part 0 of the component is missing"),
            (&[("", 5), ("", 5)], "part 1 of the component is missing"),
            (&[("", 5), ("/1", 5)], "more comes than the component"),
            (&[("/0", 5), ("/1", 4), ("/2", 4)], "more comes than the component"),
            (&[("/0", 5), ("/1", 6)], "part 1 of the component has 6 bytes, and the first one 5"),
            (&[("/0", 0)], "part 0 of the component has 0 bytes"),
            (&[("/0", 40 << 20), ("/1", 40 << 20)], "which no component has"),
        ] {
            let refused = taken(parts).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
