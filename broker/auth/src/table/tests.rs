//! Each row of the commands reference §7.3, §7.4 and §8: the built-in rules with the three seeds.

use proptest::prelude::*;

use super::*;
use crate::login::Identity;
use crate::password::tests::cheap_credential;
use crate::peer::Peer;
use crate::scope::is_under_sys;
use crate::{AccountReference, Decide, DirectoryOptions, PasswordCost, Principal, Rulebook};

/// All kinds of identities: anonymous here and elsewhere, a plain user, each flag, group admin,
/// root, and a removed user whose session lives.
const WHO: [&str; 10] =
    ["anon-local", "anon-remote", "plain", "config", "users", "logs", "assets", "admins", "root", "gone"];

struct Fixture {
    table: Rulebook,
    directory: Arc<Directory>,
}

impl Fixture {
    fn new() -> Fixture {
        let options =
            DirectoryOptions { cost: PasswordCost::TEST, remembered_max: 16, ..DirectoryOptions::default() };
        let directory = Directory::new(options).unwrap();
        for name in ["root", "plain", "config", "users", "logs", "assets", "admins"] {
            directory.add_user(name, cheap_credential("pw")).unwrap();
        }
        for (name, flag) in [
            ("config", Flag::SystemConfiguration),
            ("users", Flag::UserManagement),
            ("logs", Flag::LogManagement),
            ("assets", Flag::AssetManipulation),
        ] {
            directory.change_setting(name, flag.name(), "true").unwrap();
        }
        directory.add_to_group("admins", "admin").unwrap();
        let directory = Arc::new(directory);
        let table = Rulebook::new(Arc::clone(&directory));
        table.put(crate::rulebook::tests::seeds());
        Fixture { table, directory }
    }

    fn identity(&self, who: &str) -> Identity {
        let address = if who == "anon-local" { "127.0.0.1" } else { "10.0.0.7" };
        let peer = Peer::Tcp(address.parse().unwrap());
        match who.starts_with("anon") {
            true => Identity::anonymous("c1".into(), peer),
            false => Identity::new(Principal::of_reference(AccountReference::read(who)), "c1".into(), peer),
        }
    }

    /// Returns the identities of [`WHO`] that the table allows, in that order.
    fn allowed(&self, question: impl Fn(&Identity) -> Question<'_>) -> Vec<&'static str> {
        let may = |who: &&str| self.table.decide(&question(&self.identity(who))).is_allowed();
        WHO.into_iter().filter(may).collect()
    }
}

#[test]
fn commands_have_the_holders_of_section_7_3() {
    let fixture = Fixture::new();
    let callers = ["config", "users", "logs", "admins", "root"].as_slice();
    let configurers = ["config", "root"].as_slice();
    for scope in Scope::ALL.iter().copied() {
        let name = scope.name();
        let expected = match name {
            "Connect" => &WHO,
            "CommandCall" => callers,
            "SystemConfiguration" => configurers,
            "ShellCommand" => &["root"],
            "PublishSys" => &["config", "admins", "root"],
            // Without a topic there is nothing to allow.
            "Publish" | "Subscribe" | "SubscribeSys" => &["root"],
            _ if name.starts_with("UserManagement") => &["users", "root"],
            _ if name.starts_with("LogManagement") => &["logs", "root"],
            _ if name.starts_with("AssetManagement") => &["config", "assets", "root"],
            _ if name.contains("Management") => configurers,
            _ => panic!("no expectation for {name}"),
        };
        assert_eq!(fixture.allowed(|who| Question::operation(who, scope)), expected, "{name}");
    }
}

#[test]
fn publishes_follow_seeds_and_built_ins() {
    let fixture = Fixture::new();
    for (topic, expected) in [
        ("a/b", WHO.as_slice()),
        ("a", &WHO),
        ("/", &WHO),
        ("$foo/bar", &["root"]), // language reference §10.4, the seeds do not reach $…
        ("$share/g/a", &["root"]), // not a subscription: a first level that begins with $
        ("$SYSTEM/x", &["root"]), // not $SYS
        ("$SYS/Coreflux/Command", &["config", "users", "logs", "admins", "root"]),
        ("$SYS/Coreflux/Config/New", &["config", "root"]),
        ("$SYS/Coreflux/Stats", &["config", "admins", "root"]),
        ("$SYS/broker/uptime", &["config", "admins", "root"]),
        ("$SYS/broker/connection/c1/state", &WHO), // the Client's own
        ("$SYS/broker/connection/c2/state", &["config", "admins", "root"]),
        ("$SYS/broker/connection/c1/state/x", &["config", "admins", "root"]),
    ] {
        assert_eq!(fixture.allowed(|who| Question::publish(who, topic)), expected, "{topic}");
    }
}

#[test]
fn subscriptions_follow_the_literal_filter() {
    let fixture = Fixture::new();
    let everybody = WHO.as_slice();
    let callers = ["config", "users", "logs", "admins", "root"].as_slice();
    let readers = ["config", "users", "admins", "root"].as_slice();
    let admins = ["config", "admins", "root"].as_slice();
    let users_and_local =
        ["anon-local", "plain", "config", "users", "logs", "assets", "admins", "root"].as_slice();
    for (filter, expected) in [
        ("a/b", everybody),
        ("#", everybody),
        ("+/broker/#", everybody), // never delivers $SYS
        ("$share/g/a/#", everybody),
        ("$foo/bar", &["root"]),
        ("$share/g/$foo/bar", &["root"]),
        ("$SYS/Coreflux/Command/Output", callers),
        ("$share/g/$SYS/Coreflux/Command/Output", callers),
        ("$SYS/Coreflux/Projects/#", readers),
        ("$SYS/Coreflux/Projects/list", readers),
        ("$SYS/Coreflux/Projects/+/status", readers),
        ("$SYS/Coreflux/#", admins),
        ("$SYS/Coreflux/Command/+", admins),
        ("$SYS/Coreflux/Version", admins),
        ("$SYS/+/uptime", admins),
        ("$SYS/broker/#", users_and_local),
        ("$SYS/broker/uptime", users_and_local),
        ("$SYS/broker/clients/+", users_and_local),
        ("$share/g/$SYS/broker/#", users_and_local),
        ("$SYS/#", &["anon-local", "config", "admins", "root"]),
    ] {
        assert_eq!(fixture.allowed(|who| Question::subscribe(who, filter)), expected, "{filter}");
    }
}

#[test]
fn local_anonymous_gets_only_the_broker_tree_of_the_whole_sys_filter() {
    let fixture = Fixture::new();
    let ask = |who: &str, filter| fixture.table.decide(&Question::subscribe(&fixture.identity(who), filter));
    assert_eq!(ask("anon-local", "$SYS/#"), Authorization::AllowOnly("$SYS/broker/#"));
    assert_eq!(ask("anon-local", "$share/g/$SYS/#"), Authorization::AllowOnly("$SYS/broker/#"));
    assert_eq!(ask("anon-local", "$SYS/broker/#"), Authorization::Allow);
    assert_eq!(ask("anon-local", "$SYS/+"), Authorization::Deny);
    assert_eq!(ask("anon-remote", "$SYS/#"), Authorization::Deny);
    assert_eq!(ask("plain", "$SYS/#"), Authorization::Deny);
    assert_eq!(ask("root", "$SYS/#"), Authorization::Allow);
}

#[test]
fn scope_and_topic_that_disagree_are_decided_by_the_topic() {
    let fixture = Fixture::new();
    let plain = fixture.identity("plain");
    for scope in [Scope::Publish, Scope::Subscribe] {
        let question = Question {
            scope,
            identity: &plain,
            topic: Some("$SYS/Coreflux/Version"),
            payload: None,
            message: None,
        };
        assert_eq!(fixture.table.decide(&question), Authorization::Deny, "{}", scope.name());
    }
}

#[test]
fn change_of_a_user_moves_the_generation() {
    let fixture = Fixture::new();
    let before = fixture.table.generation();
    fixture.directory.change_setting("plain", "AllowedLogManagement", "true").unwrap();
    assert_ne!(fixture.table.generation(), before);
}

proptest! {
    /// Topics outside of `$…` are open to all. Under `$SYS`, a user without permissions sees only
    /// the broker tree.
    #[test]
    fn only_the_broker_tree_is_open_to_plain_users(filter in "(\\$SYS|\\$share/g|\\$x|a|\\+|#)(/(broker|Coreflux|\\+|#|a)){0,4}") {
        let fixture = Fixture::new();
        let plain = fixture.identity("plain");
        let authorization = fixture.table.decide(&Question::subscribe(&plain, &filter));
        let inner = inner_filter(&filter);
        let is_open = if is_under_sys(inner) { covers("$SYS/broker/#", inner) } else { !inner.starts_with('$') };
        let is_output = covers("$SYS/Coreflux/Projects/#", inner);
        prop_assert_eq!(authorization.is_allowed(), is_open && !is_output);
    }
}
