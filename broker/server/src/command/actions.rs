//! `-addAction`, `-removeAction`, `-removeAllActions`. Commands reference §3.

use lotmq_auth::Scope;
use lotmq_definitions::DefinitionKind;

use super::add_entity::add;
use super::remove_entity::{remove, remove_all};
use super::shown::Shown;
use super::verb::{Effect, Permission, Verb};

pub(super) static ADD: Verb = Verb {
    name: "addAction",
    usage: "<LoT text>",
    shown: Shown::Digest,
    permission: Permission::Scope(Scope::ActionManagementCreation),
    effect: Effect::Stores,
    summary: "Adds an action, or replaces the one of that name.",
    example: "-addAction DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD",
    execute: |call| add(call, DefinitionKind::Action),
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeAction",
    usage: "<name>",
    shown: Shown::All,
    permission: Permission::Scope(Scope::ActionManagementRemove),
    effect: Effect::Stores,
    summary: "Removes an action.",
    example: "-removeAction Echo",
    execute: |call| remove(call, DefinitionKind::Action),
};

pub(super) static REMOVE_ALL: Verb = Verb {
    name: "removeAllActions",
    usage: "",
    shown: Shown::All,
    permission: Permission::Scope(Scope::ActionManagementRemove),
    effect: Effect::Stores,
    summary: "Removes all actions.",
    example: "-removeAllActions",
    execute: |call| remove_all(call, DefinitionKind::Action, "actions"),
};
