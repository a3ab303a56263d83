//! Names and texts of the built-in rules, commands reference §8. Their decisions are in `table`.
//!
//! A test of the server compiles each text and compares its answers with the table.

/// Topics for the state of bridges; the `+` stands for the Client Identifier.
pub(crate) const BRIDGE_STATE: &str = "$SYS/broker/connection/+/state";

/// A rule that is always there.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// Its name, which no other rule can have.
    pub name: &'static str,
    /// Its priority.
    pub priority: u64,
    /// Its scope.
    pub scope: &'static str,
    /// Its pattern.
    pub topic: Option<&'static str>,
    /// Its text, published below `$SYS/Coreflux/Rules`.
    pub source: &'static str,
}

/// A rule for those who hold one of some flags; `root` needs no rule.
macro_rules! holder {
    ($name:literal, $scope:literal, $flag:literal $(, $more:literal)*) => {
        BuiltIn {
            name: $name,
            priority: 10,
            scope: $scope,
            topic: None,
            source: concat!(
                "DEFINE RULE ", $name, " WITH PRIORITY 10 FOR ", $scope, "\n    IF USER HAS ", $flag,
                $(" OR USER HAS ", $more,)* " THEN\n        ALLOW\n"
            ),
        }
    };
}

/// A rule for admins that leaves others to later rules.
macro_rules! second {
    ($name:literal, $scope:literal) => {
        BuiltIn {
            name: $name,
            priority: 20,
            scope: $scope,
            topic: Some("$SYS/#"),
            source: concat!(
                "DEFINE RULE ", $name, " WITH PRIORITY 20 FOR ", $scope, " TO TOPIC \"$SYS/#\"",
                "\n    IF USER IN GROUP \"admin\" OR USER HAS AllowedSystemConfiguration THEN\n        ALLOW\n"
            ),
        }
    };
}

/// All of them.
pub const BUILT_INS: &[BuiltIn] = &[
    BuiltIn {
        name: "AllowPublishSysCommand",
        priority: 10,
        scope: "CommandCall",
        topic: None,
        source: "DEFINE RULE AllowPublishSysCommand WITH PRIORITY 10 FOR CommandCall
    IF USER IS \"root\" OR USER IN GROUP \"admin\" OR USER HAS AllowedUserManagement OR USER HAS AllowedSystemConfiguration OR USER HAS AllowedLogManagement THEN
        ALLOW
    ELSE
        DENY
",
    },
    BuiltIn {
        name: "AllowSubscribeCommandOutput",
        priority: 10,
        scope: "SubscribeSys",
        topic: None,
        source: "DEFINE RULE AllowSubscribeCommandOutput WITH PRIORITY 10 FOR SubscribeSys
    -- Whatever rules say, every user may subscribe to the topic of replies and gets those to his own commands.
    IF TOPIC IS \"$SYS/Coreflux/Command/Output\" THEN
        IF USER IS \"root\" OR USER IN GROUP \"admin\" OR USER HAS AllowedUserManagement OR USER HAS AllowedSystemConfiguration OR USER HAS AllowedLogManagement THEN
            ALLOW
        ELSE
            DENY
    ELSE IF TOPIC IS \"$SYS/Coreflux/Projects\" OR TOPIC STARTS_WITH \"$SYS/Coreflux/Projects/\" THEN
        IF USER IS \"root\" OR USER IN GROUP \"admin\" OR USER HAS AllowedUserManagement OR USER HAS AllowedSystemConfiguration THEN
            ALLOW
        ELSE
            DENY
",
    },
    BuiltIn {
        name: "AllowSubscribeSysBroker",
        priority: 10,
        scope: "SubscribeSys",
        topic: Some("$SYS/broker/#"),
        source: "DEFINE RULE AllowSubscribeSysBroker WITH PRIORITY 10 FOR SubscribeSys TO TOPIC \"$SYS/broker/#\"
    IF USER IS NOT \"\" OR ENDPOINT STARTS_WITH \"127.\" OR ENDPOINT IS \"::1\" OR ENDPOINT IS \"unix\" THEN
        ALLOW
    ELSE
        DENY
",
    },
    second!("AllowSubscribeSysClient", "SubscribeSys"),
    second!("AllowPublishSys", "PublishSys"),
    BuiltIn {
        name: "AllowPublishBridgeState",
        priority: 20,
        scope: "PublishSys",
        topic: Some(BRIDGE_STATE),
        source: "DEFINE RULE AllowPublishBridgeState WITH PRIORITY 20 FOR PublishSys TO TOPIC \"$SYS/broker/connection/+/state\"
    IF CLIENTID IS TOPIC POSITION 4 THEN
        ALLOW
",
    },
    holder!("AllowUserCreation", "UserManagementCreation", "AllowedUserManagement"),
    holder!("AllowUserRemove", "UserManagementRemove", "AllowedUserManagement"),
    holder!("AllowUserPasswordChange", "UserManagementPasswordChange", "AllowedUserManagement"),
    holder!("AllowUserUpdate", "UserManagementUpdate", "AllowedUserManagement"),
    holder!("AllowRuleCreation", "RuleManagementCreation", "AllowedSystemConfiguration"),
    holder!("AllowRuleRemove", "RuleManagementRemove", "AllowedSystemConfiguration"),
    holder!("AllowModelCreation", "ModelManagementCreation", "AllowedSystemConfiguration"),
    holder!("AllowModelRemove", "ModelManagementRemove", "AllowedSystemConfiguration"),
    holder!("AllowActionCreation", "ActionManagementCreation", "AllowedSystemConfiguration"),
    holder!("AllowActionRemove", "ActionManagementRemove", "AllowedSystemConfiguration"),
    holder!("AllowActionRun", "ActionManagementRun", "AllowedSystemConfiguration"),
    holder!("AllowRouteCreation", "RouteManagementCreation", "AllowedSystemConfiguration"),
    holder!("AllowRouteRemove", "RouteManagementRemove", "AllowedSystemConfiguration"),
    holder!("AllowModuleCreation", "ModuleManagementCreation", "AllowedSystemConfiguration"),
    holder!("AllowModuleRemove", "ModuleManagementRemove", "AllowedSystemConfiguration"),
    holder!("AllowLogCreation", "LogManagementCreation", "AllowedLogManagement"),
    holder!("AllowLogUpdate", "LogManagementUpdate", "AllowedLogManagement"),
    holder!("AllowLogRemove", "LogManagementRemove", "AllowedLogManagement"),
    holder!("AllowLogRead", "LogManagementRead", "AllowedLogManagement"),
    holder!("AllowAssetCreation", "AssetManagementCreation", "AllowedAssetManipulation", "AllowedSystemConfiguration"),
    holder!("AllowAssetUpdate", "AssetManagementUpdate", "AllowedAssetManipulation", "AllowedSystemConfiguration"),
    holder!("AllowAssetRemove", "AssetManagementRemove", "AllowedAssetManipulation", "AllowedSystemConfiguration"),
    holder!("AllowAssetStart", "AssetManagementStart", "AllowedAssetManipulation", "AllowedSystemConfiguration"),
    holder!("AllowAssetStop", "AssetManagementStop", "AllowedAssetManipulation", "AllowedSystemConfiguration"),
    holder!("AllowSystemConfiguration", "SystemConfiguration", "AllowedSystemConfiguration"),
];

/// The rules of a fresh installation, which can be removed and restored.
pub const SEEDS: &[BuiltIn] = &[
    BuiltIn {
        name: "AllowConnect",
        priority: 1_000_000,
        scope: "Connect",
        topic: None,
        source: "DEFINE RULE AllowConnect WITH PRIORITY 1000000 FOR Connect\n    ALLOW\n",
    },
    BuiltIn {
        name: "AllowPublishTopic",
        priority: 1_000_000,
        scope: "Publish",
        topic: Some("#"),
        source: "DEFINE RULE AllowPublishTopic WITH PRIORITY 1000000 FOR Publish TO TOPIC \"#\"\n    ALLOW\n",
    },
    BuiltIn {
        name: "AllowSubscribeTopic",
        priority: 1_000_000,
        scope: "Subscribe",
        topic: Some("#"),
        source: "DEFINE RULE AllowSubscribeTopic WITH PRIORITY 1000000 FOR Subscribe TO TOPIC \"#\"\n    ALLOW\n",
    },
];

/// The built-in rule of this name.
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    BUILT_INS.iter().find(|rule| rule.name == name)
}
