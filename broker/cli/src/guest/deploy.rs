//! `lotmq guest deploy`: a guest as a module of a broker.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use lotmq_client::{Client, Publication, QoS};
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_runner::{ComponentRequest, EmbeddedModule, Embedding, read_component};
use lotmq_terminal::{Exit, Misuse, output, seconds};
use serde_json::Value;

use super::build::built;
use super::config;
use super::folder::{GuestFolder, check_name};
use super::installed::is_there;
use super::verify::{asks, check_type, sha256};
use crate::cmd::{
    ModuleStatus, connect_within, exchange_in_parts, is_success, quoted, render_reply, show_reply,
};
use crate::confirmation::is_confirmed;
use crate::pasteable::pasteable;

/// Build a guest and run it as a module of a broker.
///
/// It is granted everything that it asks for with --grant-all, and what --grant names; without both
/// you are asked, and it is refused where nobody can be asked. A module of the same name is
/// replaced, and what that changes is shown; the configuration that it has stays, unless --config
/// or --replace-config is given. Without -u it is sent as root, as by `lotmq cmd`.
///
/// Exit codes: 0 done, 1 it does not build or the broker says no, 2 wrong usage, 3 no broker or no
/// reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct DeployGuestArgs {
    /// Folder of the guest
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Component to deploy, from wherever it comes, instead of building the guest of the folder
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    file: Option<PathBuf>,
    /// Name of the module, instead of the guest's or that of the file
    #[arg(long)]
    name: Option<String>,
    /// Topics whose messages start it, instead of those in guest.toml; may be given several times
    #[arg(long, value_name = "FILTER")]
    on: Vec<String>,
    /// Configuration as JSON, instead of that in guest.toml and of the one that the module has
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    config: Option<Value>,
    /// Give a module that is there the configuration in guest.toml, in place of the one that it has
    #[arg(long, conflicts_with_all = ["config", "file"])]
    replace_config: bool,
    /// Put it in the place of a module of another user, too
    #[arg(long)]
    force: bool,
    /// Grant all that it asks for
    #[arg(long)]
    grant_all: bool,
    /// Grant this, such as write:scaled/# or state; may be given several times
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// File with the signature of the component, instead of NAME.sig beside it: 64 bytes of
    /// Ed25519, or ed25519:<base64>
    #[arg(long, value_name = "FILE", conflicts_with = "unsigned")]
    sig: Option<PathBuf>,
    /// Send no signature, also where NAME.sig is there
    #[arg(long)]
    unsigned: bool,
    /// Text for people that says which version it is
    #[arg(long, value_name = "TEXT")]
    version: Option<String>,
    /// Seconds to wait for each reply; they begin anew each time the broker says that it is still
    /// working
    #[arg(long, default_value_t = 180.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

pub(super) fn deploy(args: &DeployGuestArgs) -> anyhow::Result<Exit> {
    let (module, place) = args.module()?;
    let request = ComponentRequest::of(&module.component)?;
    let signature = args.signature(&place)?;
    let mut client = connect_within(&args.connect, args.timeout)?;
    output::note(&format!("{}: world {}, {}", module.name, request.world, asks(&request)));
    let Some(granted) = args.granted(&request)? else {
        output::error("nothing was deployed: give --grant-all, or --grant for each that it may have");
        return Ok(Exit::Failure);
    };
    let timeout = Duration::from_secs_f64(args.timeout);
    let command = args.command(&module, &request, (&granted, signature.as_deref()));
    let mut status = ModuleStatus::of(&module.name);
    // An author must not overwrite the broker's configuration of a module unasked.
    let is_kept = args.config.is_none() && !args.replace_config;
    let keeping = if is_kept { " -keepConfig" } else { "" };
    let forcing = if args.force { " -force" } else { "" };
    let replacing = format!("{command} -replace{forcing}{keeping}");
    // Asked before, so that no refused command stands in the broker's log.
    let is_there = is_there(&mut client, &module.name, timeout)?;
    let first = if is_there { &replacing } else { &command };
    let mut reply = upload(&mut client, first, &module.component, (timeout, &mut status))?;
    if !is_there && reply.as_ref().is_some_and(|reply| has_error(reply, "MODULE_EXISTS")) {
        reply = upload(&mut client, &replacing, &module.component, (timeout, &mut status))?;
    }
    client.disconnect()?;
    if reply.as_ref().is_some_and(|reply| has_error(reply, "OF_ANOTHER")) {
        output::note(
            "--force puts it in that one's place; its state begins anew, and its configuration is not kept",
        );
    }
    if reply.as_ref().is_some_and(|reply| has_error(reply, "SIGNATURE_REQUIRED")) {
        output::note(&format!(
            "sign {} and put the signature into {}, or name it with --sig",
            place.display(),
            place.with_extension(SIGNATURE).display()
        ));
    }
    if reply.as_ref().is_some_and(|reply| has_error(reply, "SIGNATURE_INVALID")) {
        let file = args.sig.clone().unwrap_or_else(|| place.with_extension(SIGNATURE));
        output::note(&format!(
            "the signature is that of {}: sign {} anew, or send none with --unsigned where the broker asks for none",
            file.display(),
            place.display()
        ));
    }
    let Some(reply) = reply else {
        output::error(&given_up(args.timeout, status.last_word()));
        return Ok(Exit::NoBroker);
    };
    let exit = shown(&reply)?;
    if exit == Exit::Success && is_never_started(&module, &request) {
        output::note(
            "no topic starts it: `on` in guest.toml or --on names those that do; otherwise it runs where an action calls it (CALL MODULE)",
        );
    }
    if has(&reply, "warnings", "CONFIG_KEPT") {
        output::note("lotmq guest deploy --replace-config gives it that of guest.toml");
    }
    Ok(exit)
}

/// Returns the message for a missing reply: the known state, and the next step.
fn given_up(timeout: f64, last_word: Option<(&str, u64)>) -> String {
    let known = match last_word {
        Some((told, ago)) => format!("the last word of the broker, {ago} s ago, was that {told}; it"),
        None => "the broker".to_owned(),
    };
    format!(
        "no reply within {timeout} s; {known} may still compile it and put it in place, which lotmq guest list shows; --timeout waits longer"
    )
}

impl DeployGuestArgs {
    /// The component with the options that it is added with, and its file.
    fn module(&self) -> anyhow::Result<(EmbeddedModule, PathBuf)> {
        let (mut module, place) = match &self.file {
            Some(file) => {
                let module = EmbeddedModule {
                    name: self.name.clone().map_or_else(|| name_of_file(file), Ok)?,
                    component: read_component(file)?,
                    on: Vec::new(),
                    config: None,
                    options: Vec::new(),
                };
                (module, file.clone())
            }
            None => {
                let guest = GuestFolder::open(&self.folder)?;
                let component = built(&guest, false)?;
                check_type(&Embedding::new()?, &guest, &component)?;
                if self.config.is_none() {
                    config::check(&guest, &component)?;
                }
                (guest.module(component), guest.component())
            }
        };
        if let Some(given) = &self.config {
            config::check_option(given, &module.component)?;
        }
        if let Some(name) = &self.name {
            module.name.clone_from(name);
        }
        check_name(&module.name)?;
        if !self.on.is_empty() {
            module.on.clone_from(&self.on);
        }
        module.config = self.config.clone().or(module.config);
        Ok((module, place))
    }

    /// Signature as `-sig` takes it: that of the file that is named, else of the one beside the
    /// component, if there is one.
    fn signature(&self, component: &Path) -> anyhow::Result<Option<String>> {
        let beside = component.with_extension(SIGNATURE);
        let file = match &self.sig {
            Some(file) => file,
            None if !self.unsigned && beside.is_file() => {
                output::note(&format!("with the signature in {}", beside.display()));
                &beside
            }
            None => return Ok(None),
        };
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        signature_of(&bytes).map(Some).with_context(|| file.display().to_string())
    }

    /// Options that grant what was agreed to; `None` when nobody has agreed to anything.
    fn granted(&self, request: &ComponentRequest) -> anyhow::Result<Option<String>> {
        let named: String = self.grants.iter().map(|grant| format!(" -grant {}", quoted(grant))).collect();
        let needs_nothing = request.asks.as_ref().is_some_and(Vec::is_empty);
        if self.grant_all || (named.is_empty() && !needs_nothing && is_confirmed("Grant all of it?")?) {
            // Of what has no manifest all topics is what it gets without a grant.
            let all = if request.asks.is_some() { " -grantAll" } else { "" };
            return Ok(Some(format!("{all}{named}")));
        }
        Ok((needs_nothing || !named.is_empty()).then_some(named))
    }

    fn command(
        &self,
        module: &EmbeddedModule,
        request: &ComponentRequest,
        (granted, signature): (&str, Option<&str>),
    ) -> String {
        let EmbeddedModule { name, component, on, config, .. } = module;
        let mut command = format!("-addModule {name} -world {}{granted}", request.world);
        let mut option = |name: &str, value: &str| command.push_str(&format!(" -{name} {}", quoted(value)));
        if !on.is_empty() {
            option("on", &on.join(","));
        }
        if let Some(config) = config {
            option("config", &config.to_string());
        }
        if let Some(version) = &self.version {
            option("version", version);
        }
        if let Some(signature) = signature {
            option("sig", signature);
        }
        option("sha256", &sha256(component));
        command
    }
}

/// Name of a module after the file of its component, of which somebody is told who has named none.
fn name_of_file(file: &Path) -> Result<String, Misuse> {
    // As cargo names the file of a crate with hyphens.
    let name = file.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
    check_name(&name).map_err(|Misuse(reason)| {
        Misuse(format!("{} names no module: {reason}; --name names it", file.display()))
    })?;
    output::note(&format!("the module is {name}, after its file; --name gives it another name"));
    Ok(name)
}

/// Whether no message starts a module: neither what it is added with nor what it asks to read, by
/// which it is started otherwise.
fn is_never_started(module: &EmbeddedModule, request: &ComponentRequest) -> bool {
    let reads = |asks: &Vec<String>| asks.iter().any(|grant| grant.starts_with("read:"));
    request.world == "action"
        && module.on.is_empty()
        && request.asks.as_ref().is_some_and(|asks| !reads(asks))
}

/// How the file with the signature of a component ends.
const SIGNATURE: &str = "sig";

/// Signature of what a file holds: the bytes, as openssl writes them, or the text that they are
/// written as.
fn signature_of(file: &[u8]) -> anyhow::Result<String> {
    const PREFIX: &str = "ed25519:";
    const BYTES: usize = 64;
    if file.len() == BYTES {
        return Ok(format!("{PREFIX}{}", STANDARD.encode(file)));
    }
    let text = std::str::from_utf8(file).ok().and_then(|text| text.trim().strip_prefix(PREFIX));
    let bytes = text.and_then(|base64| STANDARD.decode(base64).ok()).filter(|bytes| bytes.len() == BYTES);
    let bytes = bytes.context("no signature: it has neither 64 bytes nor ed25519: and base64 of so many")?;
    Ok(format!("{PREFIX}{}", STANDARD.encode(bytes)))
}

/// Longest component that is sent with its command; what is longer comes in parts.
const IN_COMMAND_BYTES_MAX: usize = 4 << 20;

/// Sends a command with the component that it is about; the last reply.
fn upload(
    client: &mut Client,
    command: &str,
    component: &[u8],
    (timeout, status): (Duration, &mut ModuleStatus),
) -> anyhow::Result<Option<Value>> {
    let request_id = random_text(12)?;
    let command = match component.len() {
        0..=IN_COMMAND_BYTES_MAX => format!("{command} wasm64:{}", STANDARD.encode(component)),
        bytes => format!("{command} -size {bytes}"),
    };
    exchange_in_parts(client, &command, &request_id, (timeout, Some(status)), |client, reply| {
        send_parts(client, reply, component)
    })
}

/// Sends a component to where the reply says.
fn send_parts(client: &mut Client, reply: &Value, component: &[u8]) -> anyhow::Result<()> {
    let data = reply.get("data").context("the broker does not say where to send the component")?;
    let topic =
        data.get("topic").and_then(Value::as_str).context("the broker names no topic for the component")?;
    let size = data.get("chunkSize").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| *size > 0).context("the broker does not say how long a part is")?;
    for (number, part) in component.chunks(size).enumerate() {
        let told =
            client.publish(&Publication::new(format!("{topic}/{number}"), part).qos(QoS::AtLeastOnce))?;
        anyhow::ensure!(!told.is_failure(), "the broker refused part {number} of the component: {told}");
    }
    Ok(())
}

fn has_error(reply: &Value, code: &str) -> bool {
    has(reply, "errors", code)
}

/// Whether a reply has a code among its errors or warnings.
fn has(reply: &Value, member: &str, code: &str) -> bool {
    let told = reply.get(member).and_then(Value::as_array).into_iter().flatten();
    told.filter_map(|one| one.get("code")?.as_str()).any(|found| found == code)
}

/// The reply for people: what a module may do, and what that changed.
pub(super) fn shown(reply: &Value) -> anyhow::Result<Exit> {
    if !is_success(reply) {
        return show_reply(reply, &render_reply(reply));
    }
    let texts = |value: Option<&Value>| -> String {
        let texts = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join(", ")
    };
    output::tell(&pasteable(reply.get("message").and_then(Value::as_str).unwrap_or("done")))?;
    let data = reply.get("data");
    let granted = texts(data.and_then(|data| data.get("granted")));
    output::tell(&format!("granted {}", if granted.is_empty() { "nothing" } else { &granted }))?;
    let changes = data.and_then(|data| data.get("changes"));
    let mut is_as_before = changes.is_some();
    for (member, what) in [("asked", "asks for"), ("granted", "is granted")] {
        let change = changes.and_then(|changes| changes.get(member));
        for (way, word) in [("added", "now"), ("removed", "no longer")] {
            let texts = texts(change.and_then(|change| change.get(way)));
            if !texts.is_empty() {
                is_as_before = false;
                output::tell(&format!("{word} {what} {texts}"))?;
            }
        }
    }
    if is_as_before {
        output::tell("it takes the place of the one before, and asks for and is granted the same")?;
    }
    for warning in reply.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| warning.get(name).and_then(Value::as_str).unwrap_or_default();
        output::note(&format!("warning: {} ({})", pasteable(text("message")), text("code")));
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_message_contains_the_last_status_and_a_next_step() {
        let told = given_up(180.0, Some(("it compiles the module, for 40 s so far", 181)));
        assert_eq!(
            told,
            "no reply within 180 s; the last word of the broker, 181 s ago, was that it compiles the module, for 40 s so far; it may still compile it and put it in place, which lotmq guest list shows; --timeout waits longer"
        );
        assert!(given_up(0.5, None).starts_with("no reply within 0.5 s; the broker may still compile it"));
    }

    #[test]
    fn a_signature_is_64_bytes_or_their_text() {
        let text = format!("ed25519:{}", STANDARD.encode([7; 64]));
        assert_eq!(signature_of(&[7; 64]).unwrap(), text);
        assert_eq!(signature_of(format!("{text}\n").as_bytes()).unwrap(), text);
        for wrong in [&[7; 63][..], b"", b"ed25519:", b"ed25519:AAAA", b"rsa:AAAA", &[0xff; 10]] {
            assert!(signature_of(wrong).is_err(), "{wrong:?}");
        }
    }
}
