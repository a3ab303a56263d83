//! Stored bans of operators, so that they hold after a restart. Automatic bans are not stored.

use lotmq_auth::{BanTarget, Bans};
use lotmq_changes::{Batch, Op, SettingRow, TenantId};

/// Prefix of the names of settings that hold a ban.
const SETTING: &str = "bans/";

/// Stores a ban with its end in lifetime milliseconds; `None` for one without an end.
pub(crate) fn put(batch: &mut Batch, tenant: TenantId, target: &BanTarget, until_ms: Option<u64>) {
    let value = until_ms.map(|until_ms| until_ms.to_string()).unwrap_or_default();
    batch.push(Op::PutSetting(&SettingRow { tenant, name: name(target), value }));
}

/// Removes a stored ban.
pub(crate) fn delete(batch: &mut Batch, tenant: TenantId, target: &BanTarget) {
    batch.push(Op::DeleteSetting { tenant, name: &name(target) });
}

/// Restores the bans of a tenant. Returns the removal of those that have ended.
///
/// A damaged row stays and bans nobody.
pub fn restore(tenant: TenantId, settings: &[SettingRow], bans: &Bans, now_ms: u64) -> Batch {
    let mut batch = Batch::new();
    for row in settings.iter().filter(|row| row.tenant == tenant) {
        let Some((target, until_ms)) = parse(row) else { continue };
        if until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            delete(&mut batch, tenant, &target);
        } else if let Err(error) = bans.add(target, until_ms, now_ms) {
            tracing::warn!(%error, name = row.name, "stored ban is not in force");
        }
    }
    batch
}

/// Applies a setting that another process has written; `None` stands for one that was removed.
pub(crate) fn apply(bans: &Bans, name: &str, value: Option<&str>, now_ms: u64) {
    let Some(target) = name.strip_prefix(SETTING).and_then(BanTarget::from_text) else { return };
    match value.map(parse_end) {
        Some(Some(until_ms)) => {
            if let Err(error) = bans.add(target, until_ms, now_ms) {
                tracing::warn!(%error, name, "stored ban is not in force");
            }
        }
        Some(None) => {}
        None => {
            bans.remove(&target, now_ms);
        }
    }
}

/// Reads a row; `None` if it is no ban, or a damaged one.
fn parse(row: &SettingRow) -> Option<(BanTarget, Option<u64>)> {
    let target = BanTarget::from_text(row.name.strip_prefix(SETTING)?)?;
    Some((target, parse_end(&row.value)?))
}

/// Reads the stored end of a ban, which an empty text does not have; `None` for a damaged one.
fn parse_end(value: &str) -> Option<Option<u64>> {
    if value.is_empty() { Some(None) } else { value.parse().ok().map(Some) }
}

fn name(target: &BanTarget) -> String {
    format!("{SETTING}{}", target.to_text())
}

#[cfg(test)]
mod tests {
    use lotmq_auth::BanPolicy;

    use super::*;

    #[test]
    fn bans_that_have_ended_are_removed_and_damaged_rows_ban_nobody() {
        let row = |name: &str, value: &str| SettingRow {
            tenant: TenantId::DEFAULT,
            name: name.into(),
            value: value.into(),
        };
        let bans = Bans::new(BanPolicy::OFF);
        let rows = [
            row("bans/user/ann", ""),
            row("bans/address/c0000201", "1000"),
            row("bans/user/bob", "999"),
            row("bans/user/eve", "soon"),
            row("bans/address/x", ""),
            row("users.places/ann", "c0000201"),
        ];
        assert_eq!(restore(TenantId::DEFAULT, &rows, &bans, 999).len(), 1);
        let listed: Vec<_> = bans.list(999).into_iter().map(|ban| (ban.user, ban.until_ms)).collect();
        assert_eq!(listed, [(None, Some(1000)), (Some("ann".into()), None)]);
    }
}
