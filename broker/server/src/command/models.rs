//! `-addModel`, `-removeModel`, `-removeAllModels`. Commands reference §3.

use lotmq_auth::Scope;
use lotmq_definitions::DefinitionKind;

use super::add_entity::add;
use super::remove_entity::{remove, remove_all};
use super::shown::Shown;
use super::verb::{Effect, Permission, Verb};

pub(super) static ADD: Verb = Verb {
    name: "addModel",
    usage: "<LoT text>",
    shown: Shown::Digest,
    permission: Permission::Scope(Scope::ModelManagementCreation),
    effect: Effect::Stores,
    summary: "Adds a model, or replaces the one of that name.",
    example: "-addModel DEFINE MODEL Unit COLLAPSED\n    ADD STRING \"unit\" WITH \"C\"",
    execute: |call| add(call, DefinitionKind::Model),
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeModel",
    usage: "<name>",
    shown: Shown::All,
    permission: Permission::Scope(Scope::ModelManagementRemove),
    effect: Effect::Stores,
    summary: "Removes a model.",
    example: "-removeModel Unit",
    execute: |call| remove(call, DefinitionKind::Model),
};

pub(super) static REMOVE_ALL: Verb = Verb {
    name: "removeAllModels",
    usage: "",
    shown: Shown::All,
    permission: Permission::Scope(Scope::ModelManagementRemove),
    effect: Effect::Stores,
    summary: "Removes all models.",
    example: "-removeAllModels",
    execute: |call| remove_all(call, DefinitionKind::Model, "models"),
};
