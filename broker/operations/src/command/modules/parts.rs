//! Uploads of modules in parts: `-addModule … -size -sha256`, the parts that are published,
//! `-cancelModuleUpload`, and the end. Commands reference §14.3.
//!
//! The state of an upload is in `uploads`. When the last part has come, the command is executed
//! again, with the bytes and a queue of its own. So the user's rights are checked twice, and the
//! Client does not wait.

use std::sync::Arc;
use std::time::Duration;

use lotmq_auth::Scope;
use lotmq_codec::{Properties, PropertyPlace};
use lotmq_host::World;
use lotmq_session::Time;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::check_place;
use super::options::ModuleRequest;
use crate::broker::Broker;
use crate::command::answer::{CommandAsker, publish_reply};
use crate::command::argument::word;
use crate::command::reply::{Done, EntityType, Heading, Refusal, missing_argument};
use crate::command::verb::{Call, Effect, Permission, Verb, Work};
use crate::command_queue::job::{CommandCaller, CommandOrigin, Job, ReplyTo, ResponseTo};
use crate::command_queue::work::Load;
use crate::command_text::CommandText;
use crate::limits::{
    MODULE_PART_BYTES, MODULE_PART_OVERHEAD_BYTES, MODULE_UPLOAD_BYTES_MAX, MODULE_UPLOAD_COMMAND_BYTES_MAX,
};
use crate::modules::signature;
use crate::uploads::{Announced, Begun, CancelledUpload, Ended, ReceivedUpload, UploadOrigin, UploadPart};
use lotmq_codes::Code;
use lotmq_core::arena::Span;
use lotmq_core::reason::NotTaken;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::session_key::SessionKey;
use lotmq_core::turn::Turn;
use lotmq_core::turn::internal;
use lotmq_process::clock::utc_text;
use lotmq_process::this_turn;

pub(in crate::command) static CANCEL: Verb = Verb {
    name: "cancelModuleUpload",
    arguments: &[word("uploadId")],
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Ends an upload of a module in parts; one of another user for root only.",
    example: "-cancelModuleUpload u0123",
    execute: cancel,
};

/// Name of a User Property with the digest of a part.
const SHA256: &str = "sha256";

/// Topics of modules.
const MODULES: &str = "$SYS/Coreflux/Modules/";

/// Begins an upload, or goes on with one, and says what to send where.
pub(super) fn begin(
    call: &mut Call<'_>,
    name: &str,
    world: World,
    asked: &ModuleRequest,
) -> Result<Done, Refusal> {
    let size = asked.size.ok_or_else(|| missing_argument(call.verb, "-size"))?;
    if size > MODULE_UPLOAD_BYTES_MAX {
        let message = format!("Module has {size} bytes, limit {MODULE_UPLOAD_BYTES_MAX}.");
        return Err(Refusal::new(Code::TooLarge, message));
    }
    let bytes = call.job.payload.len();
    if bytes > MODULE_UPLOAD_COMMAND_BYTES_MAX {
        let limit = MODULE_UPLOAD_COMMAND_BYTES_MAX;
        let message = format!("The command of an upload in parts has {bytes} bytes, limit {limit}.");
        return Err(Refusal::new(Code::TooLarge, message));
    }
    let sha256 = asked.sha256.clone().ok_or_else(|| missing_argument(call.verb, "-sha256"))?;
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Refusal::new(Code::ArgumentInvalid, "-sha256 takes 64 hexadecimal digits."));
    }
    check_place(call, (name, world, size), asked.replacing)?;
    // Nobody is to send a component for nothing.
    signature::read(&call.hosting.config.modules, asked.options.signature.as_deref())
        .map_err(|reason| Refusal::new(reason.code(), reason.to_string()))?;
    let client = sender(call)?;
    let announced = Announced { size, sha256, part_bytes: part_bytes(&client) };
    let response = match &call.job.reply_to {
        ReplyTo::Topics { response } => response.as_ref(),
        ReplyTo::Caller(_) => None,
    };
    let origin = UploadOrigin {
        tenant: Arc::clone(call.tenant),
        identity: Arc::clone(&call.job.caller.identity),
        session: client.session_id,
        module: name.into(),
        command: call.job.payload.as_slice().into(),
        response: response.map(|to| (to.topic.clone(), to.correlation_data.clone())),
    };
    let begun = call.uploads.begin(origin, announced, call.core.clock.now());
    let Begun { id, part_bytes, parts, missing, expires_after } =
        begun.map_err(|reason| Refusal::new(Code::QuotaExceeded, reason.to_string()))?;
    call.details = Some(json!({ "uploadId": id, "bytes": size }));
    let expires_ms = call.core.clock.wall_ms() + u64::try_from(expires_after.as_millis()).unwrap_or(u64::MAX);
    let missing: Vec<[usize; 2]> = missing.iter().map(|range| [range.start, range.end - 1]).collect();
    let topic = format!("{MODULES}{name}/upload/{id}");
    let message = format!("Send module '{name}' in {parts} chunk(s) to {topic}/<index>.");
    Ok(Done::new(message).with_data(json!({
        "uploadId": id,
        "topic": topic,
        "chunkSize": part_bytes,
        "chunks": parts,
        "missing": missing,
        "expiresUtc": utc_text(expires_ms),
    })))
}

/// The Client that gave the command, who alone sends the parts.
fn sender(call: &Call<'_>) -> Result<Arc<Client>, Refusal> {
    let client = call.tenant.sessions.lock().get(SessionKey::from(call.identity)).map(Arc::clone);
    client.filter(|client| Some(client.session_id) == call.job.caller.session()).ok_or_else(|| {
        let message = "A module is uploaded in parts by the client that asks, which must be connected.";
        Refusal::new(Code::NoSender, message)
    })
}

/// Bytes of a part that the Client's listener takes in one packet.
fn part_bytes(client: &Client) -> usize {
    let state = client.state.lock();
    let packet = state.link.as_ref().map(|link| link.connection.listener.limits.max_packet_size);
    let packet = packet.map_or(usize::MAX, |bytes| bytes as usize);
    packet.saturating_sub(MODULE_PART_OVERHEAD_BYTES).clamp(MODULE_PART_OVERHEAD_BYTES, MODULE_PART_BYTES)
}

/// Whether a topic is one of parts.
pub(crate) fn is_part(topic: &str) -> bool {
    part_of(topic).is_some()
}

/// Module, upload and index that a topic names.
fn part_of(topic: &str) -> Option<(&str, &str, &str)> {
    // The level behind the identifier is the index. The caller refuses a text that is no index.
    let mut levels = topic.strip_prefix(MODULES)?.splitn(4, '/');
    let (name, upload, id, index) = (levels.next()?, levels.next()?, levels.next()?, levels.next()?);
    (upload == "upload").then_some((name, id, index))
}

/// Takes a part that a Client has published.
///
/// # Errors
/// When it is not taken. A Client is told why for uploads of its own.
pub(crate) fn part_published(
    broker: &Broker,
    turn: &mut Turn,
    client: &Arc<Client>,
    (topic, properties, payload): (Span, Span, Span),
) -> Result<(), NotTaken> {
    let identity = client.identity();
    // The command that follows the last part needs a place.
    if !broker.commands.has_place(&client.tenant, &identity) {
        return Err(NotTaken::CommandsBusy);
    }
    let taken = {
        let (module, id, index) = part_of(turn.arena.text(topic)).ok_or(NotTaken::PartRefused)?;
        let properties = Properties::from_raw(turn.arena.get(properties), PropertyPlace::PublishFromClient)
            .expect("properties were validated when the message came");
        let part = UploadPart {
            tenant: &client.tenant,
            identity: &identity,
            session: client.session_id,
            module,
            id,
            index,
            bytes: turn.arena.get(payload),
            sha256: properties.user_properties().find(|(name, _)| *name == SHA256).map(|(_, value)| value),
        };
        broker.uploads.take(&part, broker.core.clock.now())
    };
    let taken = match taken {
        Ok(taken) => taken,
        Err((refusal, origin)) => {
            let refused = Err(Refusal::new(refusal.code(), refusal.to_string()));
            match &origin {
                Some(origin) => tell_end(turn, origin, refused),
                None => {
                    let reply = heading(None).reply(refused);
                    let asked =
                        CommandAsker { identity: &identity, session: Some(client.session_id), hops: 0 };
                    publish_reply(turn, &client.tenant, &reply, asked);
                }
            }
            return Err(NotTaken::PartRefused);
        }
    };
    let (module, _, _) = part_of(turn.arena.text(topic)).ok_or(NotTaken::PartRefused)?;
    let module = module.to_owned();
    if let Some(progress) = taken.progress {
        publish_status(turn, &client.tenant, &module, &progress);
    }
    if let Some((origin, received)) = taken.complete {
        complete(broker, turn, origin, received);
    }
    Ok(())
}

/// Executes the command of an upload with its bytes.
fn complete(broker: &Broker, turn: &mut Turn, origin: UploadOrigin, received: ReceivedUpload) {
    let id = received.id.clone();
    let response = origin.response.clone();
    let response = response.map(|(topic, correlation_data)| ResponseTo { topic, correlation_data });
    let job = Job {
        caller: CommandCaller {
            tenant: Arc::clone(&origin.tenant),
            identity: Arc::clone(&origin.identity),
            origin: CommandOrigin::Session(received.session),
        },
        queue: broker.commands.upload_queue(),
        load: Load::new(Work::CompilesModule, received.bytes.len()),
        is_own_password: false,
        payload: Zeroizing::new(origin.command.to_vec()),
        reply_to: ReplyTo::Topics { response },
        upload: Some(received),
    };
    if broker.commands.submit(job).is_err() {
        broker.uploads.end(&id);
        let busy = Refusal::new(Code::Busy, "Too many commands are waiting. Try again later.");
        ended(turn, &Ended { id, origin }, busy);
    }
}

/// Tells that native code of a module is being made, and for how long it has been waited for.
pub(super) fn tell_compiling(call: &Call<'_>, module: &str, waited: Duration) {
    let mut status = json!({ "state": "compiling", "seconds": waited.as_secs() });
    if let Some(upload) = &call.job.upload {
        let total = upload.bytes.len();
        status = json!({ "uploadId": upload.id, "state": "compiling", "received": total, "total": total, "seconds": waited.as_secs() });
    }
    publish_module_status(call.tenant, module, &status);
}

/// Ends an upload whose command has ended, and tells of it.
pub(in crate::command) fn end(call: &Call<'_>, upload: &ReceivedUpload, outcome: &Result<Done, Refusal>) {
    call.uploads.end(&upload.id);
    let status = match outcome {
        Ok(_) => json!({ "uploadId": upload.id, "state": "installed" }),
        Err(refusal) => status_of(&upload.id, refusal),
    };
    if let Some((_, module)) = &call.entity {
        publish_module_status(call.tenant, module, &status);
    }
}

/// Refusal of the command of an upload that was cancelled.
pub(super) fn cancelled(call: &Call<'_>) -> Refusal {
    let id = call.job.upload.as_ref().map_or("", |upload| &upload.id);
    Refusal::new(Code::UploadCancelled, format!("Upload '{id}' was cancelled."))
}

fn cancel(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let id = call.text("uploadId");
    let cancelled = call.uploads.cancel(call.tenant, call.identity, id).ok_or_else(|| {
        let shown: String = id.chars().take(crate::limits::VERB_SHOWN_CHARS_MAX).collect();
        Refusal::new(Code::UploadUnknown, format!("Upload '{shown}' is unknown or expired."))
    })?;
    if let CancelledUpload::Ended(upload) = cancelled {
        let refusal = Refusal::new(Code::UploadCancelled, format!("Upload '{id}' was cancelled."));
        this_turn::with(|turn| {
            turn.tick();
            ended(turn, &upload, refusal);
            turn.flush();
        });
    }
    Ok(Done::new(format!("Upload '{id}' is cancelled.")))
}

/// Ends the uploads of which nothing has come for too long, that of a backup among them.
pub fn expire(broker: &Broker, turn: &mut Turn, now: Time) {
    broker.backups.arriving.expire(now);
    for upload in broker.uploads.take_expired(now) {
        let message = format!("Upload '{}' is unknown or expired.", upload.id);
        ended(turn, &upload, Refusal::new(Code::UploadExpired, message));
    }
}

/// Tells whoever began an upload, and who watches, that it has ended without its command.
fn ended(turn: &mut Turn, upload: &Ended, refusal: Refusal) {
    let Ended { id, origin } = upload;
    publish_status(turn, &origin.tenant, &origin.module, &status_of(id, &refusal));
    tell_end(turn, origin, Err(refusal));
}

/// Replies to the command of an upload.
fn tell_end(turn: &mut Turn, origin: &UploadOrigin, outcome: Result<Done, Refusal>) {
    let text = std::str::from_utf8(&origin.command).map(CommandText::new).ok();
    let request_id = text.as_ref().and_then(|text| text.request_id);
    let heading = Heading { request_id, ..heading(Some(&origin.module)) };
    let reply = heading.reply(outcome);
    let asked = CommandAsker { identity: &origin.identity, session: Some(origin.session), hops: 0 };
    publish_reply(turn, &origin.tenant, &reply, asked);
}

fn heading(module: Option<&str>) -> Heading<'_> {
    let entity = module.map(|module| (EntityType::Module, module));
    Heading { command: Some(super::ADD.name), request_id: None, entity }
}

fn status_of(id: &str, refusal: &Refusal) -> Value {
    json!({ "uploadId": id, "state": "refused", "code": refusal.code() })
}

fn publish_module_status(tenant: &Arc<Tenant>, module: &str, status: &Value) {
    this_turn::with(|turn| {
        turn.tick();
        publish_status(turn, tenant, module, status);
        turn.flush();
    });
}

fn publish_status(turn: &mut Turn, tenant: &Arc<Tenant>, module: &str, status: &Value) {
    internal::publish(
        turn,
        tenant,
        &format!("{MODULES}{module}/status"),
        status.to_string().as_bytes(),
        false,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_parts_name_a_module_an_upload_and_what_should_be_an_index() {
        for (topic, expected) in [
            ("$SYS/Coreflux/Modules/m/upload/u1/0", Some(("m", "u1", "0"))),
            ("$SYS/Coreflux/Modules/m/upload/u1/", Some(("m", "u1", ""))),
            ("$SYS/Coreflux/Modules/m/upload/u1", None),
            ("$SYS/Coreflux/Modules/m/upload/u1/0/1", Some(("m", "u1", "0/1"))),
            ("$SYS/Coreflux/Modules/m/download/u1/0", None),
            ("$SYS/Coreflux/Module/m/upload/u1/0", None),
        ] {
            assert_eq!(part_of(topic), expected, "{topic}");
        }
    }
}
