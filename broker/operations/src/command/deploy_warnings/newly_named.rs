//! Groups and properties that a rule begins to name, with their present holders: until a rule names
//! them, user managers give them freely.

use lot_facts::RuleFacts;
use lotmq_auth::{ADMIN_GROUP, Account, Flag};
use lotmq_core::tenant::Tenant;
use serde_json::Value;

use crate::command::reply::problem;
use crate::limits::HOLDERS_SHOWN_MAX;
use lotmq_codes::Code;

/// Names in rules that no rule had before, in the order of the text's facts.
#[derive(Default)]
pub(crate) struct NewlyNamed {
    groups: Vec<String>,
    properties: Vec<String>,
}

impl NewlyNamed {
    /// Those of a rule that comes, before it is in force.
    pub(crate) fn of(tenant: &Tenant, rule: &RuleFacts) -> Self {
        let rules = &tenant.permissions;
        let groups = rule.inputs.groups.iter().filter(|group| !rules.names_group(group));
        let properties = rule.inputs.properties.iter().filter(|property| !rules.names_property(property));
        // Membership of `admin`, and flags, are rights without any rule.
        let groups = groups.filter(|group| *group != ADMIN_GROUP);
        let properties = properties.filter(|property| Flag::by_name(property).is_none());
        Self { groups: groups.cloned().collect(), properties: properties.cloned().collect() }
    }

    /// Warnings of users who hold them. Cost: O(users) for each name.
    pub(crate) fn warnings(&self, tenant: &Tenant, rule: &str) -> Vec<Value> {
        if self.groups.is_empty() && self.properties.is_empty() {
            return Vec::new();
        }
        let accounts = tenant.users.accounts();
        let holders = |holds: &dyn Fn(&Account) -> bool| -> Vec<String> {
            let holding = accounts.iter().filter(|account| !account.is_root() && holds(account));
            holding.map(|account| account.name.to_string()).collect()
        };
        let of_groups = self.groups.iter().filter_map(|group| {
            let users = name_list(&holders(&|account| account.groups.contains(group)))?;
            Some(format!(
                "Rule '{rule}' is the first that names group '{group}', in which are already: {users}."
            ))
        });
        let of_properties = self.properties.iter().filter_map(|property| {
            let users = name_list(&holders(&|account| account.property(property).is_some_and(is_set)))?;
            Some(format!(
                "Rule '{rule}' is the first that names property '{property}', which have already: {users}."
            ))
        });
        of_groups.chain(of_properties).map(|text| problem(Code::HeldAlready, &text)).collect()
    }
}

impl NewlyNamed {
    /// The same without what was told of before, to which it is added.
    pub(crate) fn but(mut self, told: &mut NewlyNamed) -> Self {
        self.groups.retain(|group| !told.groups.contains(group));
        self.properties.retain(|property| !told.properties.contains(property));
        told.groups.extend(self.groups.iter().cloned());
        told.properties.extend(self.properties.iter().cloned());
        self
    }
}

/// Whether a property is one that `USER HAS` says yes to.
fn is_set(value: &str) -> bool {
    !["", "false", "0", "off", "no"].contains(&value)
}

/// Names of users as they are told, the first of many; `None` of nobody.
fn name_list(users: &[String]) -> Option<String> {
    let shown = users.get(..HOLDERS_SHOWN_MAX).unwrap_or(users).join(", ");
    match users.len().saturating_sub(HOLDERS_SHOWN_MAX) {
        _ if users.is_empty() => None,
        0 => Some(shown),
        more => Some(format!("{shown} and {more} more")),
    }
}
