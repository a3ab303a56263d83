//! `-add…`, `-remove…` and `-removeAll…` of the kinds of definitions that LoT text makes: a family
//! of three verbs for each kind. Commands reference §3.

use lotmq_auth::Scope;
use lotmq_definitions::DefinitionKind;

use super::add_entity::add;
use super::argument::{FORCE, program, word};
use super::remove_entity::{remove, remove_all};
use super::verb::{Effect, Permission, Verb, Work};

/// `family: Kind "Kind" "Kinds" "a kind" "kinds", who adds, who removes, a name and the text that
/// defines it`.
macro_rules! families {
    ($($family:ident: $kind:ident $title:literal $titles:literal $one:literal $all:literal, $adds:ident, $removes:ident, $name:literal $text:literal;)*) => {
        $(pub(super) mod $family {
            use super::*;

            pub(in super::super) static ADD: Verb = Verb {
                name: concat!("add", $title),
                arguments: &[program("LoT text")],
                permission: Permission::Scope(Scope::$adds),
                effect: Effect::Stores,
                work: Work::Compiles,
                summary: concat!("Adds ", $one, ", or replaces the one of that name."),
                example: concat!("-add", $title, " ", $text),
                execute: |call| add(call, DefinitionKind::$kind),
            };

            pub(in super::super) static REMOVE: Verb = Verb {
                name: concat!("remove", $title),
                arguments: &[word("name"), FORCE],
                permission: Permission::Scope(Scope::$removes),
                effect: Effect::Stores,
                work: Work::Answers,
                summary: concat!("Removes ", $one, "; one of another user with -force only."),
                example: concat!("-remove", $title, " ", $name),
                execute: |call| remove(call, DefinitionKind::$kind),
            };

            pub(in super::super) static REMOVE_ALL: Verb = Verb {
                name: concat!("removeAll", $titles),
                arguments: &[FORCE],
                permission: Permission::Scope(Scope::$removes),
                effect: Effect::Stores,
                work: Work::Answers,
                summary: concat!("Removes all ", $all, "; where some belong to other users, with -force only."),
                example: concat!("-removeAll", $titles),
                execute: |call| remove_all(call, DefinitionKind::$kind, $all),
            };
        })*
    };
}

families! {
    actions: Action "Action" "Actions" "an action" "actions", ActionManagementCreation, ActionManagementRemove,
        "Echo" "DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD";
    models: Model "Model" "Models" "a model" "models", ModelManagementCreation, ModelManagementRemove,
        "Unit" "DEFINE MODEL Unit COLLAPSED\n    ADD STRING \"unit\" WITH \"C\"";
    routes: Route "Route" "Routes" "a route" "routes", RouteManagementCreation, RouteManagementRemove,
        "Up" "DEFINE ROUTE Up WITH TYPE MQTT_BRIDGE";
    rules: Rule "Rule" "Rules" "a rule" "rules", RuleManagementCreation, RuleManagementRemove,
        "Readers" "DEFINE RULE Readers WITH PRIORITY 100 FOR Subscribe TO TOPIC \"plant/#\"\n    IF USER IS \"bob\" THEN\n        ALLOW\n    ELSE\n        DENY";
    themes: Theme "Theme" "Themes" "a theme" "themes", SystemConfiguration, SystemConfiguration,
        "Dark" "DEFINE THEME \"Dark\"\n    SET \"BACKGROUND\" WITH \"#101010\"";
}
