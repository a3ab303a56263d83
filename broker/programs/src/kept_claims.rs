//! Ownership check at start for data that programs keep: states, windows, silences and the memory
//! of models.
//!
//! It shares nothing out: the sums of kept values are `lotmq_shares::AccountShares` of
//! `definitions`.
//!
//! The data is removed with its definition, or when its name gets another owner. After a crash or a
//! partial restore of a backup, data of a former owner may be left.

use std::collections::HashMap;

use lotmq_changes::{DefinitionRow, ModuleRow};
use lotmq_definitions::{DefinitionKind, Owner, watching_action};

use super::{rights, states};
use crate::HasPrograms as _;
use lotmq_core::tenant::Tenant;

/// Owners of stored definitions, by kind and name: their names, an empty one of what is nobody's,
/// and the numbers of those accounts that are known.
type Owners<'a> = HashMap<(&'a str, &'a str), (&'a str, Option<u64>)>;

/// Forgets what a definition of another owner has kept, and, where `are_all_known`, what is of
/// none. Before definitions are deployed, which look for their own.
pub fn forget_of_others(
    tenant: &Tenant,
    (definitions, modules): (&[DefinitionRow], &[ModuleRow]),
    are_all_known: bool,
) {
    let definitions = definitions.iter().filter(|row| row.tenant == tenant.id);
    let modules = modules.iter().filter(|row| row.tenant == tenant.id && !row.is_former);
    let account = |user: &str| tenant.users.account(user).map(|account| account.number);
    let owners = definitions
        .map(|row| ((&*row.kind, &*row.name), &*row.owner))
        .chain(modules.map(|row| ((DefinitionKind::Module.key(), &*row.name), &*row.owner)))
        .map(|(definition, owner)| (definition, (owner, account(owner))))
        .collect();
    let values = &tenant.programs().guests.values;
    let mut foreign = Vec::new();
    values.each_kept(|topic, kept| {
        if is_foreign(topic, kept.keeper.user, &owners, are_all_known) {
            foreign.push(topic.to_owned());
        }
    });
    foreign.iter().for_each(|topic| values.forget(topic));
}

/// Whether a kept value was written for another definition than the one that would find it. Of what
/// nobody is known to have kept, and of what is nobody's now, that cannot be told.
fn is_foreign(topic: &str, keeper: Option<&Owner>, owners: &Owners<'_>, are_all_known: bool) -> bool {
    let Some((kind, name)) = definition_of(topic) else { return false };
    match owners.get(&(kind, name)) {
        Some((owner, account)) => keeper.is_some_and(|keeper| {
            let is_owner = *keeper.name == **owner && account.is_none_or(|account| account == keeper.account);
            !owner.is_empty() && !is_owner
        }),
        // Models leave what they remember to their owner, and installed instances of modules are
        // stored elsewhere.
        None => are_all_known && kind != DefinitionKind::Model.key() && kind != DefinitionKind::Module.key(),
    }
}

/// Kind and name of the definition whose own value a topic has.
fn definition_of(topic: &str) -> Option<(&str, &str)> {
    if let Some(model) = rights::model_of_memory(topic) {
        return Some((DefinitionKind::Model.key(), model));
    }
    let watching = watching_action(topic).map(|action| (DefinitionKind::Action.key(), action));
    watching.or_else(|| states::definition_of(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_value_of_a_former_definition_or_owner_is_foreign() {
        let owners: Owners<'_> = [
            (("action", "A"), ("ann", Some(1))),
            (("model", "M"), ("ann", Some(1))),
            (("action", "N"), ("", None)),
            (("module", "a"), ("ann", Some(1))),
            // An account that is damaged.
            (("action", "D"), ("dan", None)),
        ]
        .into();
        let user = |name: &str, account| Owner { name: name.into(), account };
        for (topic, keeper, are_all_known, expected) in [
            ("$LOT/Window/A/\0t", Some("ann"), true, false),
            ("$LOT/Window/A/\0t", Some("bob"), true, true),
            ("$LOT/Window/D/\0t", Some("dan"), true, false),
            ("$LOT/Silence/A/\0", Some("bob"), false, true),
            ("$LOT/State/action/A/\0k", Some("bob"), true, true),
            ("$LOT/State/action/A/\0k", Some("ann"), true, false),
            ("$LOT/Models/M/n/x", Some("bob"), true, true),
            ("$LOT/Models/M/n/x", Some("ann"), true, false),
            // Written by an older version, or before its owner was removed.
            ("$LOT/Models/M/n/x", None, true, false),
            ("$LOT/Window/N/\0t", Some("ann"), true, false),
            // Of no definition.
            ("$LOT/Window/Gone/\0t", Some("ann"), true, true),
            ("$LOT/Window/Gone/\0t", Some("ann"), false, false),
            ("$LOT/State/action/Gone/\0k", None, true, true),
            ("$LOT/State/module/m/\0k", Some("bob"), true, false),
            ("$LOT/State/module/a/\0k", Some("bob"), true, true),
            ("$LOT/Models/Gone/n/x", Some("bob"), true, false),
            // Anybody's.
            ("plant/A", Some("bob"), true, false),
            ("$LOT/Error/action/A/\0", Some("bob"), true, false),
        ] {
            let keeper = keeper.map(|name| user(name, 1));
            let found = is_foreign(topic, keeper.as_ref(), &owners, are_all_known);
            assert_eq!(found, expected, "{topic} of {keeper:?}");
        }
        // A former user of the name, whom a restore of a part of a backup has brought back, or
        // taken away.
        for topic in ["$LOT/Window/A/\0t", "$LOT/Models/M/n/x", "$LOT/State/module/a/\0k"] {
            assert!(is_foreign(topic, Some(&user("ann", 2)), &owners, true), "{topic}");
        }
    }
}
