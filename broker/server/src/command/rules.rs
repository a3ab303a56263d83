//! `-addRule`, `-removeRule`. Commands reference §3.

use lotmq_auth::Scope;
use lotmq_definitions::DefinitionKind;

use super::add_entity::add;
use super::remove_entity::remove;
use super::verb::{Permission, Verb};

pub(super) static ADD: Verb = Verb {
    name: "addRule",
    usage: "<LoT text>",
    permission: Permission::Scope(Scope::RuleManagementCreation),
    summary: "Adds a rule; a rule of that name stays unless -replace stands before DEFINE.",
    example: "-addRule DEFINE RULE Readers WITH PRIORITY 100 FOR Subscribe TO TOPIC \"plant/#\"\n    IF USER IS \"bob\" THEN\n        ALLOW\n    ELSE\n        DENY",
    execute: |call| add(call, DefinitionKind::Rule),
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeRule",
    usage: "<name>",
    permission: Permission::Scope(Scope::RuleManagementRemove),
    summary: "Removes a rule.",
    example: "-removeRule Readers",
    execute: |call| remove(call, DefinitionKind::Rule),
};
