//! `-updateData`: publishes the figures of the `$SYS` tree now. The only verb without a reply.
//! Commands reference §1.7.

use super::argument::text;
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};

pub(super) static UPDATE: Verb = Verb {
    name: "updateData",
    // Clients send it with anything behind it.
    arguments: &[text("anything").optional().hidden()],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Publishes the figures below $SYS now; gives no reply.",
    example: "-updateData",
    execute: update,
};

fn update(call: &mut Call<'_>) -> Result<Done, Refusal> {
    call.broker.sys.refresh();
    Ok(Done { is_silent: true, ..Done::default() })
}
