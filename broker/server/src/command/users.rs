//! `-addUser`, `-removeUser`, `-changeUserPassword`, `-listUsers`. Commands reference §7.1.
//!
//! Whose sessions a removal or a new password ends is found by the sweep of `sys`, once the reply is out.

use lotmq_auth::{Scope, UserChange, UserChangeRefusal, UserError, check_user_change};
use lotmq_store::Batch;
use zeroize::Zeroizing;

use super::reply::{Done, EntityType, Refusal};
use super::shown::Shown;
use super::verb::{Call, Effect, Permission, Verb};
use crate::net::turn::Turn;
use crate::{accounts, modules, session_end, sys};

pub(super) static ADD: Verb = Verb {
    name: "addUser",
    usage: "<user> <password>",
    shown: Shown::First(1),
    permission: Permission::Scope(Scope::UserManagementCreation),
    effect: Effect::Stores,
    summary: "Adds a user, without any permission yet.",
    example: "-addUser bob s3cret",
    execute: add,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeUser",
    usage: "<user>",
    shown: Shown::All,
    permission: Permission::Scope(Scope::UserManagementRemove),
    effect: Effect::Stores,
    summary: "Removes a user and closes their sessions; what they deployed runs on without their permissions.",
    example: "-removeUser bob",
    execute: remove,
};

pub(super) static CHANGE_PASSWORD: Verb = Verb {
    name: "changeUserPassword",
    usage: "<user> <new password>",
    shown: Shown::First(1),
    permission: Permission::ScopeOrOwn(Scope::UserManagementPasswordChange),
    effect: Effect::Stores,
    summary: "Sets a new password and closes the sessions that used the old one; one's own is always allowed.",
    example: "-changeUserPassword bob n3w-s3cret",
    execute: change_password,
};

pub(super) static LIST: Verb = Verb {
    name: "listUsers",
    usage: "",
    shown: Shown::All,
    permission: Permission::Scope(Scope::UserManagementUpdate),
    effect: Effect::TellsWhatIsStored,
    summary: "Lists users with their groups and settings.",
    example: "-listUsers",
    execute: list,
};

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let [user, password] = user_and_password(call)?;
    allow(call, UserChange::Add { user: &user })?;
    let credential = call.tenant.users.hash(&user, &password).map_err(invalid_password)?;
    let _changes = call.broker.commands.changes.lock();
    let account = call.tenant.users.add_user(&user, credential).map_err(refused)?;
    store(call, &account, |call| {
        let _ = call.tenant.users.remove_user(&user);
    })?;
    Ok(Done::new(format!("User {} added successfully!", *user)))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let user = call.argument("user")?;
    call.about(EntityType::User, &user);
    allow(call, UserChange::Remove { user: &user })?;
    let _changes = call.broker.commands.changes.lock();
    let account = call.tenant.users.remove_user(&user).map_err(refused)?;
    let mut batch = Batch::new();
    accounts::delete(&mut batch, call.tenant.id, &user);
    call.tenant.guests.store_without_owner(call.tenant, &user, &mut batch);
    modules::store_without_owner(call.tenant, &user, &mut batch);
    call.tenant.scripts.store_without_owner(call.tenant, &user, &mut batch);
    call.tenant.projects.store_without_owner(call.tenant.id, &user, &mut batch);
    if let Err(refusal) = call.commit(batch) {
        call.tenant.users.restore([(*account).clone()]);
        return Err(refusal);
    }
    call.tenant.guests.disown(&user);
    modules::disown(call.tenant, &user);
    call.tenant.scripts.disown(&user);
    call.tenant.projects.disown(&user);
    Turn::with(|turn| {
        turn.tick();
        session_end::end_of_user(call.tenant, &user, turn);
        turn.flush();
    });
    sys::users_changed(call);
    Ok(Done::new(format!("User {user} removed successfully!")))
}

fn change_password(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let [user, password] = user_and_password(call)?;
    allow(call, UserChange::Password { user: &user })?;
    let credential = call.tenant.users.hash(&user, &password).map_err(invalid_password)?;
    let _changes = call.broker.commands.changes.lock();
    let before = call.tenant.users.account(&user);
    let account = call.tenant.users.change_password(&user, credential).map_err(refused)?;
    store(call, &account, |call| call.tenant.users.restore(before.map(|account| (*account).clone())))?;
    Ok(Done::new(format!("Password for user {} changed successfully!", *user)))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    call.arguments(&[], 0)?;
    let users = sys::users_json(&call.tenant.users);
    Ok(Done::new(format!("{} user(s).", users.len())).with_data(users))
}

fn user_and_password(call: &mut Call<'_>) -> Result<[Zeroizing<String>; 2], Refusal> {
    let arguments = call.arguments(&["user", "password"], 0)?;
    let mut arguments = arguments.into_iter().map(Zeroizing::new);
    let [user, password] = std::array::from_fn(|_| arguments.next().unwrap_or_default());
    call.about(EntityType::User, &user);
    Ok([user, password])
}

/// Whether the one who asks may make the change.
///
/// # Errors
/// The permission message where the scope alone forbids it, else why not.
pub(super) fn allow(call: &Call<'_>, change: UserChange<'_>) -> Result<(), Refusal> {
    let tenant = call.tenant;
    let checked = check_user_change(&*tenant.permissions, &tenant.users, call.identity, change);
    checked.map_err(|refusal| {
        if matches!(refusal, UserChangeRefusal::ScopeDenied { .. }) {
            return Refusal::permission_denied(call.verb.name);
        }
        Refusal::new("PERMISSION_DENIED", refusal.to_string())
    })
}

/// Makes a changed account durable; `undo` puts the directory back where that fails.
///
/// # Errors
/// When it is not stored.
pub(super) fn store(
    call: &mut Call<'_>,
    account: &lotmq_auth::Account,
    undo: impl FnOnce(&Call<'_>),
) -> Result<(), Refusal> {
    let mut batch = Batch::new();
    accounts::put(&mut batch, call.tenant.id, account, call.broker.clock.wall_ms());
    if let Err(refusal) = call.commit(batch) {
        undo(call);
        return Err(refusal);
    }
    sys::users_changed(call);
    Ok(())
}

/// The refusal of the directory.
pub(super) fn refused(error: UserError) -> Refusal {
    let code = match &error {
        UserError::Exists { .. } => "USER_EXISTS",
        UserError::NotFound { .. } | UserError::NotInGroup { .. } => "NOT_FOUND",
        UserError::RootProtected => "USER_PROTECTED",
        UserError::NameInvalid { .. } | UserError::GroupNameInvalid { .. } => "NAME_INVALID",
        UserError::TooManyProperties { .. } | UserError::TooManyGroups { .. } | UserError::TooManyUsers => {
            "QUOTA_EXCEEDED"
        }
        UserError::FlagValueInvalid { .. }
        | UserError::SettingNameInvalid { .. }
        | UserError::SettingTooLong { .. }
        | _ => "ARGUMENT_INVALID",
    };
    Refusal::new(code, error.to_string())
}

fn invalid_password(error: lotmq_auth::PasswordError) -> Refusal {
    Refusal::new("PASSWORD_INVALID", format!("The password cannot be used: {error}."))
}
