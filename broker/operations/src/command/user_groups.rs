//! `-addUserToGroup`, `-removeUserFromGroup`, `-listUserGroups`. Groups exist by being named.
//! Commands reference §7.2.

use lotmq_auth::{Account, Scope, UserChange, UserError};
use serde_json::json;

use super::argument::word;
use super::reply::{Done, EntityType, Refusal};
use super::users::{allow, refused, room, store_with_rights};
use super::verb::{Call, Effect, Permission, Verb, Work};

pub(super) static ADD: Verb = Verb {
    name: "addUserToGroup",
    arguments: &[word("user"), word("group")],
    permission: Permission::Scope(Scope::UserManagementUpdate),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Makes a user a member of a group.",
    example: "-addUserToGroup bob operators",
    execute: add,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeUserFromGroup",
    arguments: &[word("user"), word("group")],
    permission: Permission::Scope(Scope::UserManagementUpdate),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Ends a user's membership of a group.",
    example: "-removeUserFromGroup bob operators",
    execute: remove,
};

pub(super) static LIST: Verb = Verb {
    name: "listUserGroups",
    arguments: &[word("user")],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists the groups of a user.",
    example: "-listUserGroups bob",
    execute: list,
};

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (user, group) = user_and_group(call);
    let joined = UserChange::JoinGroup { user, group };
    change(call, joined, |call| call.tenant.users.add_to_group_within(room(call), user, group))?;
    Ok(Done::new(format!("User {user} added to group {group} successfully!")))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (user, group) = user_and_group(call);
    let left = UserChange::LeaveGroup { user, group };
    change(call, left, |call| call.tenant.users.remove_from_group(user, group))?;
    Ok(Done::new(format!("User {user} removed from group {group} successfully!")))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let user = call.text("user");
    call.about(EntityType::User, user);
    let account = call
        .tenant
        .users
        .account(user)
        .ok_or_else(|| refused(UserError::NotFound { user: user.to_owned() }))?;
    let message = format!("{} group(s).", account.groups.len());
    Ok(Done::new(message).with_data(json!({ "groups": account.groups })))
}

fn user_and_group<'a>(call: &mut Call<'a>) -> (&'a str, &'a str) {
    let (user, group) = (call.text("user"), call.text("group"));
    call.about(EntityType::User, user);
    (user, group)
}

fn change(
    call: &mut Call<'_>,
    asked: UserChange<'_>,
    change: impl FnOnce(&Call<'_>) -> Result<Account, UserError>,
) -> Result<(), Refusal> {
    let _changes = call.commands.changes.lock();
    allow(call, asked)?;
    let account = change(call).map_err(refused)?;
    store_with_rights(call, &account)
}
