//! `-changeUserSettings`. Commands reference §7.2.

use lot_nearest::nearest_within;
use lotmq_auth::{Flag, Scope, UserChange};

use super::argument::word;
use super::reply::{Done, EntityType, Refusal};
use super::users::{allow, refused, room, store_with_rights};
use super::verb::{Call, Effect, Permission, Verb, Work};
use lotmq_codes::Code;

pub(super) static CHANGE: Verb = Verb {
    name: "changeUserSettings",
    arguments: &[word("user"), word("setting"), word("value")],
    permission: Permission::Scope(Scope::UserManagementUpdate),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Sets AllowedSystemConfiguration, AllowedUserManagement, AllowedLogManagement or AllowedAssetManipulation \
              to true or false, or a property of any other name.",
    example: "-changeUserSettings bob AllowedUserManagement true",
    execute: change,
};

fn change(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let [user, setting, value] = ["user", "setting", "value"].map(|argument| call.text(argument));
    call.about(EntityType::User, user);
    refuse_misspelt_flag(setting)?;
    let _changes = call.commands.changes.lock();
    allow(call, UserChange::Setting { user, setting, value })?;
    let users = &call.tenant.users;
    let account = users.change_setting_within(room(call), user, (setting, value)).map_err(refused)?;
    store_with_rights(call, &account)?;
    Ok(Done::new(format!("Settings for user {user} changed successfully!")))
}

/// Refuses a misspelt permission: it would silently become a property, and the user would not get,
/// or not lose, the permission.
fn refuse_misspelt_flag(setting: &str) -> Result<(), Refusal> {
    const EDITS_MAX: usize = 3;
    let flags = || Flag::ALL.iter().map(|flag| flag.name());
    match nearest_within(EDITS_MAX, setting, flags()).filter(|_| Flag::by_name(setting).is_none()) {
        Some(flag) => Err(Refusal::new(
            Code::ArgumentInvalid,
            format!(
                "Setting '{setting}' is no permission; did you mean {flag}? A property needs a name that is less like it."
            ),
        )),
        None => Ok(()),
    }
}
