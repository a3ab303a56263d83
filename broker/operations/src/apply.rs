//! Applying changes that another process has written to the log: users, definitions, variables,
//! secrets and settings become effective in this broker while it runs.
//!
//! The rows are in the log already, so nothing is written but the ends of sessions of removed
//! users. Each change takes the code that a command calls behind its checks. A definition that does
//! not compile is registered as failed, and a rule then denies, as at a start.
//!
//! Not here: sessions and retained messages ([`lotmq_core::restore`]); modules with their assets,
//! and projects.

use std::sync::Arc;

use lotmq_auth::Account;
use lotmq_changes::{DefinitionName, ManagedChanges, RecoveredSecret, RemovedRow, SettingRow, TenantId};

use super::accounts::{self, Scram};
use super::broker::Broker;
use super::login_places;
use super::logins::ban_rows;
use super::managed::Managing as _;
use lotmq_core::client::session_end;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_programs::HasPrograms as _;

/// Makes the changes effective: users first, definitions last. `turn` is that of the calling
/// thread, which serves no clients.
pub fn apply(broker: &Broker, mut changes: ManagedChanges, turn: &mut Turn) {
    let _changes = broker.commands.changes.lock();
    for tenant in broker.hosting.tenants.all().iter() {
        let of_tenant = take(&mut changes, tenant.id);
        let ManagedChanges { users, definitions, environment, mut secrets, settings, removed } = of_tenant;
        let scram = Scram::of(tenant.id, &mut secrets);
        apply_users(broker, tenant, users.into_iter().map(|row| scram.equip(accounts::restored(row))));
        let variables = &tenant.programs().variables;
        for row in environment {
            variables.apply_environment(&row.name, Some(&row.value));
            tenant.programs().guests.variable_changed(&row.name);
        }
        for RecoveredSecret { name, value, .. } in secrets {
            variables.apply_secret(&name, Some(value));
            tenant.programs().guests.variable_changed(&name);
        }
        // The rows of removed users are gone from the log already.
        let _ = login_places::restore(tenant.id, &settings, &tenant.users);
        for SettingRow { name, value, .. } in &settings {
            apply_setting(broker, tenant, name, Some(value));
        }
        for row in removed {
            remove(broker, tenant, row, turn);
        }
        for row in &definitions {
            lotmq_programs::apply_definition(tenant, &broker.hosting, row);
        }
        tenant.programs().guests.batch_appended();
    }
}

/// Takes the changes of a tenant out.
fn take(changes: &mut ManagedChanges, tenant: TenantId) -> ManagedChanges {
    let of = |id: TenantId| id == tenant;
    ManagedChanges {
        users: changes.users.extract_if(.., |row| of(row.tenant)).collect(),
        definitions: changes.definitions.extract_if(.., |row| of(row.tenant)).collect(),
        environment: changes.environment.extract_if(.., |row| of(row.tenant)).collect(),
        secrets: changes.secrets.extract_if(.., |row| of(row.tenant)).collect(),
        settings: changes.settings.extract_if(.., |row| of(row.tenant)).collect(),
        removed: changes.removed.extract_if(.., |row| of(row.tenant())).collect(),
    }
}

fn apply_users(broker: &Broker, tenant: &Tenant, accounts: impl Iterator<Item = Account>) {
    let mut accounts = accounts.peekable();
    if accounts.peek().is_some() {
        tenant.users.restore(accounts);
        users_changed(broker, tenant);
    }
}

/// Notes that accounts have changed: sessions are looked through, and rules asked anew.
fn users_changed(broker: &Broker, tenant: &Tenant) {
    tenant.routes_changed();
    tenant.programs().guests.rights_changed(tenant);
    broker.sys.users_changed();
}

/// Applies a setting; `None` stands for one that was removed.
fn apply_setting(broker: &Broker, tenant: &Tenant, name: &str, value: Option<&str>) {
    tenant.managed().removed_names.apply(name, value);
    ban_rows::apply(tenant.users.bans(), name, value, broker.core.clock.lifetime_ms());
    broker.logs.apply(tenant, name, value);
    let guests = &tenant.programs().guests;
    if let Some((route, order)) = guests.route_orders.apply(name, value)
        && let Some(route) = guests.route(&route)
    {
        route.follow(&order);
    }
}

fn remove(broker: &Broker, tenant: &Arc<Tenant>, row: RemovedRow, turn: &mut Turn) {
    match row {
        RemovedRow::User(_, user) => remove_user(broker, tenant, &user, turn),
        RemovedRow::Definition(_, DefinitionName { kind, name }) => {
            lotmq_programs::remove_applied(tenant, &broker.hosting, &kind, &name);
        }
        RemovedRow::Environment(_, name) => {
            tenant.programs().variables.apply_environment(&name, None);
            tenant.programs().guests.variable_changed(&name);
        }
        RemovedRow::Secret(_, name) => {
            tenant.programs().variables.apply_secret(&name, None);
            tenant.programs().guests.variable_changed(&name);
        }
        RemovedRow::Setting(_, name) => apply_setting(broker, tenant, &name, None),
    }
}

/// As the command does; the rows of what the user owned come with the same changes.
fn remove_user(broker: &Broker, tenant: &Arc<Tenant>, user: &str, turn: &mut Turn) {
    // Somebody else may have removed the user here.
    let _ = tenant.users.remove_user(user);
    let leaves = tenant.managed().removed_names.leaves(user);
    accounts::disown(tenant, user);
    users_changed(broker, tenant);
    turn.tick();
    session_end::end_of_user(tenant, user, turn);
    drop(leaves);
}
