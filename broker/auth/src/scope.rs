//! Scopes: the kinds of question that a rule can decide, language reference §10.2.
//!
//! The scope of a PUBLISH or SUBSCRIBE follows from its topic; that of a command stands in the
//! command table.

use crate::pattern::inner_filter;

macro_rules! scopes {
    ($( $(#[$doc:meta])* $name:ident, )*) => {
        /// Kind of operation that a question is about. Rules match these names case-sensitively.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Scope { $( $(#[$doc])* $name, )* }

        impl Scope {
            /// All scopes, in the order of the language reference.
            pub const ALL: &[Scope] = &[ $( Scope::$name, )* ];

            /// The scope as rules spell it.
            pub fn name(self) -> &'static str {
                match self { $( Scope::$name => stringify!($name), )* }
            }
        }
    };
}

scopes! {
    /// CONNECT, after authentication.
    Connect,
    /// A Client's PUBLISH, except under `$SYS`.
    Publish,
    /// One filter of a SUBSCRIBE, except under `$SYS`.
    Subscribe,
    /// A Client's PUBLISH to a topic whose first level is `$SYS`.
    PublishSys,
    /// A filter whose first level is `$SYS`.
    SubscribeSys,
    /// Any PUBLISH to `$SYS/Coreflux/Command`.
    CommandCall,
    /// Shell-type commands.
    ShellCommand,
    /// Environment, secrets, configuration, projects, default rules.
    SystemConfiguration,
    /// `-addUser`.
    UserManagementCreation,
    /// `-removeUser`.
    UserManagementRemove,
    /// `-changeUserPassword`.
    UserManagementPasswordChange,
    /// Settings and groups of users.
    UserManagementUpdate,
    /// `-addRule`.
    RuleManagementCreation,
    /// `-removeRule`, `-removeAllRules`.
    RuleManagementRemove,
    /// `-addModel`.
    ModelManagementCreation,
    /// `-removeModel`, `-removeAllModels`.
    ModelManagementRemove,
    /// `-addAction`.
    ActionManagementCreation,
    /// `-removeAction`, `-removeAllActions`.
    ActionManagementRemove,
    /// `-runAction`.
    ActionManagementRun,
    /// `-addRoute`.
    RouteManagementCreation,
    /// `-removeRoute`, `-removeAllRoutes`.
    RouteManagementRemove,
    /// `-addTraceLog`.
    LogManagementCreation,
    /// Changing a trace log.
    LogManagementUpdate,
    /// `-removeTraceLog`.
    LogManagementRemove,
    /// Reading trace logs.
    LogManagementRead,
    /// `-install`.
    AssetManagementCreation,
    /// Configuration and policies of assets.
    AssetManagementUpdate,
    /// `-uninstall`.
    AssetManagementRemove,
    /// `-run`.
    AssetManagementStart,
    /// `-stop`.
    AssetManagementStop,
    /// `-addModule`, commands reference §14.5.
    ModuleManagementCreation,
    /// `-removeModule`, commands reference §14.5.
    ModuleManagementRemove,
}

/// A scope name that is not in the table; names are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope {0:?}")]
pub struct UnknownScope(pub String);

impl std::str::FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Scope, UnknownScope> {
        Scope::ALL.iter().copied().find(|s| s.name() == name).ok_or_else(|| UnknownScope(name.to_owned()))
    }
}

impl Scope {
    /// The scope of a Client's PUBLISH to `topic`.
    pub fn of_publish(topic: &str) -> Scope {
        match topic {
            COMMAND_TOPIC => Scope::CommandCall,
            CONFIG_TOPIC => Scope::SystemConfiguration,
            _ if is_under_sys(topic) => Scope::PublishSys,
            _ => Scope::Publish,
        }
    }

    /// The scope of one requested filter, and the text that decides: of `$share/<group>/<filter>`
    /// the part after the group, commands reference §7.4.
    pub fn of_subscribe(filter: &str) -> (Scope, &str) {
        let inner = inner_filter(filter);
        let scope = if is_under_sys(inner) { Scope::SubscribeSys } else { Scope::Subscribe };
        (scope, inner)
    }
}

/// Topic to which commands are published.
const COMMAND_TOPIC: &str = "$SYS/Coreflux/Command";

/// Topic to which a new configuration is published, commands reference §9.2.
const CONFIG_TOPIC: &str = "$SYS/Coreflux/Config/New";

/// Whether the first level is `$SYS`.
pub(crate) fn is_under_sys(topic_or_filter: &str) -> bool {
    topic_or_filter.split('/').next() == Some("$SYS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_case_sensitive() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(*scope));
        }
        assert_eq!("publish".parse::<Scope>(), Err(UnknownScope("publish".into())));
    }

    #[test]
    fn scope_follows_from_the_first_level() {
        for (topic, expected) in [
            ("a/b", Scope::Publish),
            ("$foo/bar", Scope::Publish),
            ("$SYSTEM/x", Scope::Publish),
            ("$SYS", Scope::PublishSys),
            ("$SYS/Coreflux/Config/New", Scope::SystemConfiguration),
            ("$SYS/Coreflux/Config/Users", Scope::PublishSys),
            ("$SYS/Coreflux/Command", Scope::CommandCall),
            ("$SYS/Coreflux/Command/Output", Scope::PublishSys),
        ] {
            assert_eq!(Scope::of_publish(topic), expected, "{topic}");
        }
        for (filter, expected) in [
            ("#", (Scope::Subscribe, "#")),
            ("+/broker/#", (Scope::Subscribe, "+/broker/#")),
            ("$SYS/#", (Scope::SubscribeSys, "$SYS/#")),
            ("$share/g/$SYS/#", (Scope::SubscribeSys, "$SYS/#")),
            ("$share/g/a/#", (Scope::Subscribe, "a/#")),
            ("$share/g", (Scope::Subscribe, "$share/g")),
        ] {
            assert_eq!(Scope::of_subscribe(filter), expected, "{filter}");
        }
    }
}
