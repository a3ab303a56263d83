//! `-getModule`: the bytes of a module, to the Client that asks. Commands reference §14.2, §14.7.
//!
//! One message where a packet of the Client holds it and it could have come inline, else pieces
//! below the same topic: `…/download/0` and so on, of equal lengths but the last.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use lotmq_auth::Scope;
use serde_json::json;

use super::{authority, not_found};
use crate::backup::Download;
use crate::command::argument::word;
use crate::command::backup::receiver;
use crate::command::reply::{Done, EntityType, Refusal};
use crate::command::verb::{Call, Effect, Permission, Verb, Work};
use crate::components;
use crate::limits::{MODULE_BYTES_MAX, MODULE_PART_BYTES, MODULE_PART_OVERHEAD_BYTES};
use crate::managed::Managing as _;
use crate::module_catalog::Module;
use lotmq_codes::Code;

pub(in crate::command) static GET: Verb = Verb {
    name: "getModule",
    arguments: &[word("name")],
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Reads,
    work: Work::Waits,
    summary: "Sends the bytes of a module to $SYS/Coreflux/Modules/<name>/download, or in pieces to topics below it, to the client that asks and is \
              subscribed to them: its owner or an administrator.",
    example: "-getModule scale",
    execute: get,
};

fn get(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.text("name");
    call.about(EntityType::Module, name);
    let module = call.tenant.managed().modules.get(name).ok_or_else(|| not_found(name))?;
    if !authority::is_admin(call) && !authority::is_own(call, &module) {
        let message = format!("Module '{name}' is sent to its owner and to administrators.");
        return Err(Refusal::new(Code::PermissionDenied, message));
    }
    let topic = format!("$SYS/Coreflux/Modules/{name}/download");
    let destination = receiver(call, ("module", &topic))?;
    let packet = destination.packet_bytes_max();
    let room = packet.saturating_sub(MODULE_PART_OVERHEAD_BYTES);
    let bytes = module.component_bytes;
    let is_whole = bytes <= room.min(MODULE_BYTES_MAX);
    let piece_bytes = if is_whole { bytes.max(1) } else { room.min(MODULE_PART_BYTES) };
    if piece_bytes < MODULE_PART_OVERHEAD_BYTES && !is_whole {
        let message = format!("The client takes packets of at most {packet} bytes.");
        return Err(Refusal::new(Code::PacketsTooSmall, message));
    }
    let commands = call.commands;
    let is_stopping = || commands.is_stopping();
    let not_sent = |error| Refusal::new(Code::DownloadFailed, format!("The module was not sent: {error}."));
    let mut download = Download::new(&is_stopping, &destination);
    if is_whole {
        download.send(&topic, &piece(call, &module, 0..bytes)?).map_err(not_sent)?;
    } else {
        receiver(call, ("module", &format!("{topic}/0")))?;
        for (index, begin) in (0..bytes).step_by(piece_bytes).enumerate() {
            let piece = piece(call, &module, begin..begin + piece_bytes)?;
            download.send(&format!("{topic}/{index}"), &piece).map_err(not_sent)?;
        }
    }
    download.finish().map_err(not_sent)?;
    let pieces = bytes.div_ceil(piece_bytes);
    Ok(Done::new(format!("Module '{name}' with {bytes} bytes was sent to {topic}.")).with_data(json!({
        "name": name,
        "topic": topic,
        "bytes": bytes,
        "sha256": data_encoding::HEXLOWER.encode(&module.hash),
        "chunks": if is_whole { 0 } else { pieces },
        "chunkSize": if is_whole { 0 } else { piece_bytes },
    })))
}

/// Reads a piece of a component. A client may take its time for each, and so may whoever removes
/// the module meanwhile.
fn piece(call: &Call<'_>, module: &Arc<Module>, range: Range<usize>) -> Result<Bytes, Refusal> {
    let (archive, tenant, module) = (Arc::clone(&call.hosting.archive), call.tenant.id, Arc::clone(module));
    let range = range.start as u64..range.end as u64;
    Ok(call.run_blocking(move || components::read_range(&*archive, tenant, &module, range))??)
}
