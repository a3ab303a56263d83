//! Stored places from which users have logged in, so that after a restart too, known places do not
//! wait during a flood of guesses.
//!
//! Not a promise: a place is stored some time after the login. A lost place costs a wait during a
//! flood of guesses.

use lotmq_auth::Directory;
use lotmq_changes::{Batch, Op, SettingRow, TenantId};

/// Prefix of the names of settings that hold a user's places.
const SETTING: &str = "users.places/";

/// Stores the places that are new since the last call.
pub(crate) fn put_new(batch: &mut Batch, tenant: TenantId, users: &Directory) {
    for (user, value) in users.take_new_places() {
        // A user who was removed meanwhile has none. The next start removes the row of a login that
        // ended just then.
        batch.push(Op::PutSetting(&SettingRow { tenant, name: name(&user), value }));
    }
}

/// Removes those of a user.
pub(crate) fn delete(batch: &mut Batch, tenant: TenantId, user: &str) {
    batch.push(Op::DeleteSetting { tenant, name: &name(user) });
}

/// Restores the places of a tenant's users, at a start. Returns what is to be stored: places of
/// users that there are no more go.
pub fn restore(tenant: TenantId, settings: &[SettingRow], users: &Directory) -> Batch {
    let mut batch = Batch::new();
    for row in settings.iter().filter(|row| row.tenant == tenant) {
        let Some(user) = row.name.strip_prefix(SETTING) else { continue };
        if !users.restore_places(user, &row.value) {
            delete(&mut batch, tenant, user);
        }
    }
    batch
}

fn name(user: &str) -> String {
    format!("{SETTING}{user}")
}

#[cfg(test)]
mod tests {
    use lotmq_auth::{Account, Credential, DirectoryOptions, PasswordCost};

    use super::*;

    #[test]
    fn places_of_those_who_are_gone_go() {
        let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
        let users = Directory::new(options).unwrap();
        users.restore([Account::new("ann", Credential::restore("".into(), false), 1)]);
        let row = |name: &str| SettingRow {
            tenant: TenantId::DEFAULT,
            name: name.into(),
            value: "c0000201".into(),
        };
        let batch = restore(TenantId::DEFAULT, &[row("users.places/ann"), row("users.removed/bob")], &users);
        assert!(batch.is_empty());
        assert!(!restore(TenantId::DEFAULT, &[row("users.places/bob")], &users).is_empty());
    }
}
