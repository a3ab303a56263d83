//! Recovery of tenants at a start: each with its accounts, environment and secrets as they were
//! stored.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use lotmq_auth::{AccountReference, BanPolicy, Directory, DirectoryOptions, ROOT, Rulebook};
use lotmq_changes::{KeepRow, Log, QuarantineRow, Recovered, TenantId};
use lotmq_config::{Config, LotCache};
use lotmq_definitions::{CacheLimits, CacheMode, KeptSum, Owner, RegistryOptions, ValueKeeper};
use tracing::{error, warn};

use crate::server::{StartError, Surroundings};
use lotmq_core::tenant::Tenant;
use lotmq_operations::accounts::{self, AccountsError, NewRoot, Scram};
use lotmq_operations::audit::Audit;
use lotmq_operations::login_places;
use lotmq_operations::logins::ban_rows;
use lotmq_operations::managed::Managed;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::variables::{VariableRoom, Variables};
use lotmq_programs::{Guests, Programs};
use lotmq_programs::{kept_claims, kept_errors};

/// Name of the table of accounts.
const USERS: &str = "users";

/// Largest file `.env` that is read, in bytes. It holds names and short values; a larger one is a
/// mistake.
const ENVIRONMENT_FILE_BYTES_MAX: u64 = 1 << 20;

/// Makes the tenants that the store has. Takes their rows out of `recovered`.
///
/// # Errors
/// When a password cannot be hashed, the first `root` cannot be stored, or the audit cannot be
/// read.
pub(crate) fn tenants(
    log: &dyn Log,
    recovered: &mut Recovered,
    config: &Config,
    surroundings: &Surroundings,
) -> Result<Vec<Arc<Tenant>>, StartError> {
    let mut tenants = Vec::new();
    for (number, row) in recovered.tenants.iter().enumerate() {
        let is_on = config.auth.scram_sha_256;
        let scram = Scram::recover(is_on, row.id, &mut recovered.secrets, log)?;
        let wait_max_ms = u64::from(config.limits.login_wait_max_sec) * 1000;
        let cost = surroundings.password_cost;
        let bans = ban_policy(config);
        let options =
            DirectoryOptions { scram: scram.secret, wait_max_ms, cost, bans, ..DirectoryOptions::default() };
        let users = Directory::new(options)?;
        let of_tenant = recovered.users.extract_if(.., |user| user.tenant == row.id);
        users.restore(of_tenant.map(|row| scram.equip(accounts::restored(row))));
        // One that is damaged is not replaced by one that everybody knows the password of.
        let is_damaged = |row: &QuarantineRow| row.table == USERS;
        if users.account(ROOT).is_none() && recovered.quarantined.iter().any(is_damaged) {
            error!(
                "root may be among the damaged users and is not made anew before `lotmq store quarantine --forget`"
            );
        } else {
            accounts::ensure_root(&users, row.id, &NewRoot::of(config), log, surroundings.clock.wall_ms())?;
        }
        let places = login_places::restore(row.id, &recovered.settings, &users);
        let now_ms = surroundings.clock.lifetime_ms();
        let bans = ban_rows::restore(row.id, &recovered.settings, users.bans(), now_ms);
        for removed in [places, bans] {
            if !removed.is_empty() {
                log.commit(removed).map_err(AccountsError::from)?;
            }
        }
        let users = Arc::new(users);
        let permissions = Rulebook::new(Arc::clone(&users));
        let is_decided = config.compat.rules_at_delivery;
        let permissions = Arc::new(if is_decided { permissions } else { permissions.without_delivery() });
        let mut variables =
            Variables::new(row.id, config.lot.process_env.clone(), VariableRoom::of(&config.limits));
        if row.id == TenantId::DEFAULT {
            read_environment_file(&mut variables, &config.data.path);
        }
        for variable in recovered.environment.extract_if(.., |variable| variable.tenant == row.id) {
            variables.restore_environment(variable);
        }
        for secret in recovered.secrets.extract_if(.., |secret| secret.tenant == row.id) {
            if secret.value.is_none() {
                warn!(name = secret.name, "secret cannot be read with this key");
            }
            variables.restore_secret(secret);
        }
        let number = u32::try_from(number).expect("tenants are numbered with 32 bits");
        let guests = Guests::new(registry_options(config, surroundings.zone.clone()), config.lot.authority);
        let audit = Audit::open(log, row.id, config.audit.clone()).map_err(StartError::Audit)?;
        let managed = Managed::new(audit);
        managed.removed_names.restore(row.id, &recovered.settings);
        managed.assets.restore(row.id, &recovered.settings, &users);
        guests.route_orders.restore(row.id, &recovered.settings);
        let hooks = Box::new(Programs::new(guests, variables, Box::new(managed)));
        let tenant = Tenant::new((row.id, number), &row.name, users, permissions, hooks);
        tenants.push(Arc::new(tenant));
    }
    tell_unknown(config, &tenants);
    Ok(tenants)
}

fn ban_policy(config: &Config) -> BanPolicy {
    let auth = &config.auth;
    BanPolicy {
        failures: auth.ban_failed_logins,
        connects_per_min: auth.ban_connects_per_min,
        first_ms: u64::from(auth.ban_sec) * 1_000,
        longest_ms: u64::from(auth.ban_max_sec) * 1_000,
    }
}

/// Tells of tenants that the configuration names and that are not there: a name may be misspelt, or
/// its tenant removed.
fn tell_unknown(config: &Config, tenants: &[Arc<Tenant>]) {
    for name in config.routes.tenants.names() {
        if tenants.iter().all(|tenant| *tenant.name != *name) {
            warn!(tenant = name, "routes.tenants names a tenant that is not there");
        }
    }
}

fn registry_options(config: &Config, zone: TimeZone) -> RegistryOptions {
    let lot = &config.lot;
    RegistryOptions {
        cache: match lot.cache {
            LotCache::ReadTopics => CacheMode::ReadTopics,
            LotCache::All => CacheMode::All,
        },
        cache_limits: CacheLimits {
            topics_max: usize::try_from(lot.cache_topics).unwrap_or(usize::MAX),
            bytes_max: lot.cache_bytes,
            ..CacheLimits::default()
        },
        ..RegistryOptions::new(zone)
    }
}

/// Reads the file `.env` in the data directory, for names that the store does not have; it is never
/// written (commands reference §10).
fn read_environment_file(variables: &mut Variables, data: &Path) {
    let path = data.join(".env");
    let Ok(metadata) = std::fs::metadata(&path) else { return };
    if metadata.len() > ENVIRONMENT_FILE_BYTES_MAX {
        warn!(path = %path.display(), bytes = metadata.len(), "environment file is too large and was not read");
        return;
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => variables.read_file(&text),
        Err(error) => warn!(path = %path.display(), %error, "environment file was not read"),
    }
}

/// Restores the kept values, including those beyond today's bounds that were within the bounds of
/// their day. Drops values of definitions that are not stored; see [`kept_claims`] for
/// `are_all_known`.
pub(crate) fn keeps(tenants: &[Arc<Tenant>], recovered: &mut Recovered, are_all_known: bool) {
    let mut users: HashMap<String, Owner> = HashMap::new();
    for KeepRow { tenant, topic, payload, user, .. } in std::mem::take(&mut recovered.keeps) {
        let Some(tenant) = tenants.iter().find(|known| known.id == tenant) else { continue };
        // One name for all that is a user's.
        let user = user.map(|stored| {
            let AccountReference { name, number } = AccountReference::read(&stored);
            let known = users.get(&stored).cloned();
            let user = known.unwrap_or_else(|| Owner { name: name.into(), account: number });
            users.entry(stored).or_insert(user).clone()
        });
        let sum = if kept_errors::is_error(&topic) { KeptSum::Errors } else { KeptSum::Values };
        let keeper = ValueKeeper { sum, user: user.as_ref() };
        tenant.programs().guests.values.restore_kept(keeper, &topic, &payload);
    }
    let rows = (&*recovered.definitions, &*recovered.modules);
    tenants.iter().for_each(|tenant| kept_claims::forget_of_others(tenant, rows, are_all_known));
}
