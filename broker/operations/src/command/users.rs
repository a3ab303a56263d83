//! `-addUser`, `-importUser`, `-removeUser`, `-changeUserPassword`, `-listUsers`. Commands
//! reference §7.1.
//!
//! The sweep of `sys` finds the sessions that a removal or a new password ends, once the reply is
//! out.

use std::sync::Arc;
use std::time::Duration;

use lotmq_auth::{
    Account, AccountRoom, Credential, Identity, NamedByRules, Scope, UserChange, UserChangeRefusal,
    UserError, check_user_change,
};
use lotmq_changes::Batch;
use lotmq_definitions::DefinitionKind;
use serde_json::{Value, json};
use tracing::warn;

use super::argument::word;
use super::reply::{Done, EntityType, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::accounts;
use crate::command_text::{self, CommandText};
use crate::limits::{OWN_PASSWORD_BYTES_MAX, REMOVED_NAMES_OF_OTHERS_MAX};
use crate::managed::Managing as _;
use crate::modules;
use crate::sys;
use lotmq_codes::Code;
use lotmq_core::client::session_end;
use lotmq_core::tenant::Tenant;
use lotmq_process::clock::utc_text;
use lotmq_process::this_turn;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::route_drivers::folders;

pub(super) static ADD: Verb = Verb {
    name: "addUser",
    arguments: &[word("user"), word("password").secret()],
    permission: Permission::Scope(Scope::UserManagementCreation),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Adds a user, without any permission yet; `auth.password_chars_min` (8) is the least length of a password.",
    example: "-addUser bob s3cret-pump",
    execute: add,
};

pub(super) static IMPORT: Verb = Verb {
    name: "importUser",
    arguments: &[word("user"), word("hash").secret()],
    permission: Permission::Scope(Scope::UserManagementCreation),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Adds a user with a password hash of mosquitto ($6$ or $7$), for administrators; the first login replaces the hash. `lotmq import mosquitto --apply` sends it.",
    example: "-importUser bob $7$101$ZjklghzZficO+EZQ$I1wC5h9KsLwpfBJjnXbd9kNU4937luUhZ0Rvg3hjjxyXeNkNYFZtgli0HqfhOXcHF+FVUTYtLOudv0GDtchH6g==",
    execute: import,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeUser",
    arguments: &[word("user")],
    permission: Permission::Scope(Scope::UserManagementRemove),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes a user and closes their sessions; what they deployed runs on without their permissions.",
    example: "-removeUser bob",
    execute: remove,
};

pub(super) static CHANGE_PASSWORD: Verb = Verb {
    name: "changeUserPassword",
    arguments: &[word("user"), word("password").secret().with_form("<new password>")],
    permission: Permission::ScopeOrOwn(Scope::UserManagementPasswordChange),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Sets a new password of at least `auth.password_chars_min` (8) characters and closes the sessions that used the old one; one's own is always allowed.",
    example: "-changeUserPassword bob n3w-s3cret",
    execute: change_password,
};

pub(super) static LIST: Verb = Verb {
    name: "listUsers",
    arguments: &[],
    permission: Permission::Scope(Scope::UserManagementUpdate),
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists users with their groups and settings, and from where they have to wait after wrong passwords.",
    example: "-listUsers",
    execute: list,
};

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (user, password) = user_and_password(call);
    allow(call, UserChange::Add { user })?;
    check_password(call, password)?;
    let credential = call.tenant.users.hash(password).map_err(invalid_password)?;
    add_account(call, user, credential)
}

/// Adds a user whose password nobody here knows. Its hash may be cheap to guess, so only
/// administrators choose that.
fn import(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (user, hash) = (call.text("user"), call.text("hash"));
    call.about(EntityType::User, user);
    allow(call, UserChange::Add { user })?;
    if !call.tenant.is_administrator(call.identity) {
        return Err(Refusal::lacks_permission(call.verb));
    }
    let credential = Credential::from_imported(hash).map_err(invalid_password)?;
    add_account(call, user, credential)
}

fn add_account(call: &mut Call<'_>, user: &str, credential: Credential) -> Result<Done, Refusal> {
    let (commands, removed_names) = (call.commands, &call.tenant.managed().removed_names);
    let _changes = removed_names.lock_when_left(user, || commands.changes.lock());
    refuse_resting(call, user)?;
    let maker = maker(call);
    let account = call.tenant.users.add_user_counted(user, credential, maker.as_deref()).map_err(refused)?;
    let mut batch = Batch::new();
    accounts::put(&mut batch, call.tenant.id, &account, call.core.clock.wall_ms());
    call.tenant.managed().removed_names.end(&mut batch, call.tenant.id, user);
    let stored = call.commit(batch);
    // A user from outside of this name is somebody else, whose sessions end.
    this_turn::with(|turn| session_end::end_of_external_user(call.tenant, user, turn));
    accounts_changed(call);
    stored?;
    Ok(Done::new(format!("User {user} added successfully!")))
}

/// Maker of a new account, for whom it counts; `None` where that is an administrator, as it counts
/// for itself then.
fn maker(call: &Call<'_>) -> Option<Arc<Account>> {
    call.tenant.users.account_of(call.identity).filter(|maker| !maker.is_admin())
}

/// AccountRoom for what the asker adds to users.
pub(super) fn room(call: &Call<'_>) -> AccountRoom {
    if call.tenant.is_administrator(call.identity) { AccountRoom::Whole } else { AccountRoom::OfOthers }
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let user = call.text("user");
    call.about(EntityType::User, user);
    let changes = call.commands.changes.lock();
    allow(call, UserChange::Remove { user })?;
    let now = (call.core.clock.wall_ms(), rest(call));
    if room(call) == AccountRoom::OfOthers && !call.tenant.managed().removed_names.have_room_for_others(now) {
        let message = format!(
            "The names of {REMOVED_NAMES_OF_OTHERS_MAX} removed users rest; further ones are for administrators to remove. A new password shuts a user out, too."
        );
        return Err(Refusal::new(Code::QuotaExceeded, message));
    }
    call.tenant.users.remove_user(user).map_err(refused)?;
    let leaves = call.tenant.managed().removed_names.leaves(user);
    // Comes before the removal is stored. A broker that is killed in between still has the user,
    // and the files are where somebody finds them.
    archive_files(call, user);
    let mut batch = Batch::new();
    accounts::delete(&mut batch, call.tenant.id, user);
    call.tenant.programs().guests.store_without_owner(call.tenant, user, &mut batch);
    call.tenant.programs().guests.clear_memory_of_removed(call.tenant, user, &mut batch);
    call.tenant.managed().projects.displaced.disown(user, &mut batch);
    modules::store_without_owner(call.tenant, user, &mut batch);
    call.tenant.managed().assets.disown(call.tenant.id, user, &mut batch);
    call.tenant.programs().scripts.store_without_owner(call.tenant, user, &mut batch);
    call.tenant.managed().projects.store_without_owner(call.tenant.id, user, &mut batch);
    call.tenant.managed().removed_names.put(&mut batch, call.tenant.id, user, now);
    // In force whatever becomes of it: the store keeps it for when it works again.
    let stored = call.commit(batch);
    accounts::disown(call.tenant, user);
    accounts_changed(call);
    // Only a command that gives the name again waits for the ends of the sessions.
    drop(changes);
    this_turn::with(|turn| {
        turn.tick();
        session_end::end_of_user(call.tenant, user, turn);
    });
    drop(leaves);
    stored?;
    Ok(Done::new(format!("User {user} removed successfully!")))
}

fn archive_files(call: &Call<'_>, user: &str) {
    let of_tenant = folders::of_tenant(&call.hosting.config.data.path, &call.tenant.name);
    if let Err(error) = folders::archive_files(&of_tenant, user, call.core.clock.wall_ms()) {
        warn!(user, %error, "the files of a removed user stay where a later one of this name has his");
    }
}

fn change_password(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (user, password) = user_and_password(call);
    allow(call, UserChange::Password { user })?;
    check_password(call, password)?;
    let credential = call.tenant.users.hash(password).map_err(invalid_password)?;
    let _changes = call.commands.changes.lock();
    // Asked again: the user may have been given more meanwhile.
    allow(call, UserChange::Password { user })?;
    let account = call.tenant.users.change_password(user, credential).map_err(refused)?;
    store(call, &account)?;
    Ok(Done::new(format!("Password for user {user} changed successfully!")))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let mut users = sys::users_json(&call.tenant.users);
    for wait in sys::login_waits(call.core, call.tenant) {
        let of_user = |user: &&mut Value| wait["user"].is_string() && user["Username"] == wait["user"];
        let Some(user) = users.iter_mut().find(of_user) else { continue };
        let text = format!(
            "from {} until {}",
            wait["from"].as_str().unwrap_or_default(),
            wait["until"].as_str().unwrap_or_default()
        );
        match user["LoginWaits"].as_array_mut() {
            Some(waits) => waits.push(text.into()),
            None => user["LoginWaits"] = json!([text]),
        }
    }
    Ok(Done::new(format!("{} user(s).", users.len())).with_data(users))
}

fn user_and_password<'a>(call: &mut Call<'a>) -> (&'a str, &'a str) {
    let (user, password) = (call.text("user"), call.text("password"));
    call.about(EntityType::User, user);
    (user, password)
}

/// Checks that the asker may make the change.
///
/// # Errors
/// The permission message where the scope alone forbids it, else why not.
pub(super) fn allow(call: &Call<'_>, change: UserChange<'_>) -> Result<(), Refusal> {
    let tenant = call.tenant;
    let directory = (&*tenant.users, &Named(tenant) as &dyn NamedByRules);
    let checked = check_user_change(&*tenant.permissions, directory, call.identity, change);
    checked.map_err(|refusal| {
        if matches!(refusal, UserChangeRefusal::ScopeDenied { .. }) {
            return Refusal::lacks_permission(call.verb);
        }
        Refusal::new(Code::PermissionDenied, refusal.to_string())
    })
}

/// Names of users that the rules of a tenant mention.
struct Named<'a>(&'a Tenant);

impl NamedByRules for Named<'_> {
    /// Rules compare names of users with texts, so the name stands in quotation marks in the rule
    /// that means it. A text that means something else is taken for it, too: then the change takes
    /// an administrator.
    fn user(&self, name: &str) -> bool {
        let escaped = name.replace('\\', r"\\").replace('"', r#"\""#).replace('\'', r"\'");
        let quoted = [name, &escaped].map(|name| [format!("\"{name}\""), format!("'{name}'")]);
        let registry = self.0.programs().guests.registry.read();
        let mut rules = registry.list(DefinitionKind::Rule);
        rules.any(|rule| quoted.iter().flatten().any(|quoted| rule.deployed.source.contains(quoted)))
    }

    fn any_user(&self) -> bool {
        self.0.permissions.names_any_user()
    }

    fn group(&self, name: &str) -> bool {
        self.0.permissions.names_group(name)
    }

    fn property(&self, name: &str) -> bool {
        self.0.permissions.names_property(name)
    }
}

/// Whether a command sets the user's own password, which they may always do. It needs no
/// CommandCall.
pub(crate) fn is_own_password(identity: &Identity, payload: &[u8]) -> bool {
    let user = identity.user_name().filter(|_| identity.principal.member().is_none());
    let Some(user) = user.filter(|_| payload.len() <= OWN_PASSWORD_BYTES_MAX) else {
        return false;
    };
    let Ok(text) = std::str::from_utf8(payload).map(CommandText::new) else { return false };
    let is_verb = command_text::normalized_verb(text.verb)
        .is_some_and(|name| name.eq_ignore_ascii_case(CHANGE_PASSWORD.name));
    is_verb
        && command_text::first_argument(&text.body)
            .is_ok_and(|first| first.is_some_and(|(name, _)| name == user))
}

/// Refuses the name of a removed user to all but `root`, as long as it rests.
fn refuse_resting(call: &Call<'_>, user: &str) -> Result<(), Refusal> {
    if call.identity.is_root() {
        return Ok(());
    }
    let now_ms = call.core.clock.wall_ms();
    match call.tenant.managed().removed_names.resting_since(user, rest(call), now_ms) {
        Some(at_ms) => Err(Refusal::new(
            Code::NameRests,
            format!(
                "User {user} was removed at {}. Only root gives the name again before {} day(s) have passed.",
                utc_text(at_ms),
                call.hosting.config.auth.removed_names_rest_days
            ),
        )),
        None => Ok(()),
    }
}

/// Time for which names of removed users rest.
fn rest(call: &Call<'_>) -> Duration {
    const DAY: Duration = Duration::from_secs(86_400);
    DAY * call.hosting.config.auth.removed_names_rest_days
}

/// Refuses a password that is too short to withstand guessing.
fn check_password(call: &Call<'_>, password: &str) -> Result<(), Refusal> {
    let min = call.hosting.config.auth.password_chars_min as usize;
    // An empty one has a refusal of its own.
    if password.is_empty() || password.chars().count() >= min {
        return Ok(());
    }
    let message = format!("The password cannot be used: it has fewer than {min} characters.");
    let refusal = Refusal::new(Code::PasswordInvalid, message);
    Err(refusal
        .with_suggestion("auth.password_chars_min of the configuration says how long it must be".to_owned()))
}

/// Makes a changed account durable. It is in force in any case, like all changes by commands.
///
/// # Errors
/// When it is not stored.
pub(super) fn store(call: &mut Call<'_>, account: &Account) -> Result<(), Refusal> {
    let mut batch = Batch::new();
    accounts::put(&mut batch, call.tenant.id, account, call.core.clock.wall_ms());
    let stored = call.commit(batch);
    accounts_changed(call);
    stored
}

/// The same of an account whose rights have changed: open routes of its user may have to let go of
/// what they were opened with.
///
/// # Errors
/// When it is not stored.
pub(super) fn store_with_rights(call: &mut Call<'_>, account: &Account) -> Result<(), Refusal> {
    let stored = store(call, account);
    call.tenant.programs().guests.rights_changed(call.tenant);
    stored
}

/// Refusal for an error of the directory.
pub(super) fn refused(error: UserError) -> Refusal {
    let code = match &error {
        UserError::Exists { .. } => Code::UserExists,
        UserError::NotFound { .. } | UserError::NotInGroup { .. } => Code::NotFound,
        UserError::RootProtected => Code::UserProtected,
        UserError::NameInvalid { .. } | UserError::GroupNameInvalid { .. } => Code::NameInvalid,
        UserError::TooManyProperties { .. }
        | UserError::TooManyGroups { .. }
        | UserError::TooManyUsers { .. }
        | UserError::TooManyDetails { .. } => Code::QuotaExceeded,
        UserError::FlagValueInvalid { .. }
        | UserError::SettingNameInvalid { .. }
        | UserError::SettingTooLong { .. }
        | _ => Code::ArgumentInvalid,
    };
    Refusal::new(code, error.to_string())
}

fn invalid_password(error: lotmq_auth::PasswordError) -> Refusal {
    Refusal::new(Code::PasswordInvalid, format!("The password cannot be used: {error}."))
}

/// Notes that accounts have changed: they are published, sessions looked through, and rules asked
/// anew.
fn accounts_changed(call: &mut Call<'_>) {
    let users = Value::Array(sys::users_json(&call.tenant.users)).to_string();
    for topic in sys::USERS_TOPICS {
        call.changed(topic, users.clone());
    }
    let config = sys::config_json(call.broker, call.tenant);
    call.changed("$SYS/Coreflux/Config", config);
    // Rules may now say something else about who gets what.
    call.tenant.routes_changed();
    call.users_changed = true;
}
