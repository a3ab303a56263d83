//! Rows of the commands reference §7.3, "Privilege check", and what follows from it.

use std::sync::Arc;

use super::*;
use crate::password::tests::cheap_credential;
use crate::peer::Peer;
use crate::{AccountReference, DirectoryOptions, PasswordCost, Principal, Rulebook};

fn identity_of(actor: &str, peer: Peer) -> Identity {
    Identity::new(Principal::of_reference(AccountReference::read(actor)), "c".into(), peer)
}

fn fixture() -> (Arc<Directory>, Rulebook) {
    let options =
        DirectoryOptions { cost: PasswordCost::TEST, remembered_max: 16, ..DirectoryOptions::default() };
    let directory = Arc::new(Directory::new(options).unwrap());
    for name in ["root", "plain", "keeper", "chief", "config"] {
        directory.add_user(name, cheap_credential("pw")).unwrap();
    }
    for name in ["keeper", "chief"] {
        directory.change_setting(name, "AllowedUserManagement", "true").unwrap();
    }
    for name in ["chief", "config"] {
        directory.change_setting(name, "AllowedSystemConfiguration", "true").unwrap();
    }
    (Arc::clone(&directory), Rulebook::new(directory))
}

/// Names that rules use.
struct Named {
    users: &'static [&'static str],
    groups: &'static [&'static str],
    properties: &'static [&'static str],
    any_user: bool,
}

const NOTHING: Named = Named { users: &[], groups: &[], properties: &[], any_user: false };

impl NamedByRules for Named {
    fn user(&self, name: &str) -> bool {
        self.users.contains(&name)
    }

    fn any_user(&self) -> bool {
        self.any_user
    }

    fn group(&self, name: &str) -> bool {
        self.groups.contains(&name)
    }

    fn property(&self, name: &str) -> bool {
        self.properties.contains(&name)
    }
}

fn more(what: &'static str, user: &str) -> UserChangeRefusal {
    UserChangeRefusal::TargetHasMore { what, user: user.to_owned() }
}

#[test]
fn rules_that_may_mean_any_user_name_all_who_are_there() {
    let (directory, table) = fixture();
    directory.add_user("somebody", cheap_credential("pw")).unwrap();
    directory.add_user("second", cheap_credential("pw")).unwrap();
    directory.change_setting("second", "AllowedUserManagement", "true").unwrap();
    let named = Named { any_user: true, ..NOTHING };
    let check = |actor: &str, change| {
        let identity = identity_of(actor, Peer::Unknown);
        check_user_change(&table, (&directory, &named as &dyn NamedByRules), &identity, change)
    };
    let (password, remove) =
        (UserChange::Password { user: "somebody" }, UserChange::Remove { user: "somebody" });
    assert_eq!(check("second", password), Err(more("change the password of", "somebody")));
    assert_eq!(check("second", remove), Err(more("remove", "somebody")));
    assert_eq!(check("second", UserChange::Password { user: "second" }), Ok(()), "one's own");
    assert_eq!(check("second", UserChange::Add { user: "new" }), Ok(()));
    assert_eq!((check("chief", password), check("chief", remove)), (Ok(()), Ok(())));
}

#[test]
fn user_change_needs_rights_named_by_rules() {
    let (directory, table) = fixture();
    for name in ["writer", "named", "tagged", "second"] {
        directory.add_user(name, cheap_credential("pw")).unwrap();
    }
    directory.change_setting("second", "AllowedUserManagement", "true").unwrap();
    for name in ["writer", "second"] {
        directory.add_to_group(name, "ops").unwrap();
    }
    for name in ["tagged", "second"] {
        directory.change_setting(name, "Line", "7").unwrap();
    }
    directory.add_to_group("plain", "shift").unwrap();
    let named = Named { users: &["named", "gone"], groups: &["ops"], properties: &["Line"], any_user: false };
    let group = || Err(UserChangeRefusal::GroupNamedByRules { group: "ops".to_owned() });
    let property = || Err(UserChangeRefusal::PropertyNamedByRules { setting: "Line".to_owned() });
    let line = |value| UserChange::Setting { user: "plain", setting: "Line", value };
    for (actor, change, expected) in [
        (
            "keeper",
            UserChange::Add { user: "gone" },
            Err(UserChangeRefusal::UserNamedByRules { user: "gone".to_owned() }),
        ),
        ("chief", UserChange::Add { user: "gone" }, Ok(())),
        ("keeper", UserChange::JoinGroup { user: "keeper", group: "ops" }, group()),
        ("keeper", UserChange::LeaveGroup { user: "writer", group: "ops" }, group()),
        ("second", UserChange::JoinGroup { user: "plain", group: "ops" }, Ok(())),
        ("second", UserChange::LeaveGroup { user: "writer", group: "ops" }, Ok(())),
        (
            "second",
            UserChange::LeaveGroup { user: "second", group: "ops" },
            Err(UserChangeRefusal::OwnMembership { group: "ops".to_owned() }),
        ),
        ("chief", UserChange::JoinGroup { user: "plain", group: "ops" }, Ok(())),
        ("keeper", UserChange::JoinGroup { user: "plain", group: "shift" }, Ok(())),
        ("keeper", line("7"), property()),
        ("second", line("7"), Ok(())),
        ("second", line("8"), property()),
        ("chief", line("8"), Ok(())),
        ("keeper", UserChange::Remove { user: "plain" }, Ok(())),
        ("keeper", UserChange::Remove { user: "writer" }, Err(more("remove", "writer"))),
        ("keeper", UserChange::Remove { user: "tagged" }, Err(more("remove", "tagged"))),
        ("keeper", UserChange::Password { user: "named" }, Err(more("change the password of", "named"))),
        ("second", UserChange::Password { user: "writer" }, Ok(())),
        ("second", UserChange::Password { user: "tagged" }, Ok(())),
        ("second", UserChange::Remove { user: "named" }, Err(more("remove", "named"))),
        ("chief", UserChange::Remove { user: "named" }, Ok(())),
    ] {
        let identity = identity_of(actor, Peer::Unix);
        let decided = check_user_change(&table, (&directory, &named), &identity, change);
        assert_eq!(decided, expected, "{actor} {change:?}");
    }
}

#[test]
fn user_changes_are_decided_by_scope_and_privilege() {
    let (directory, table) = fixture();
    let denied = |scope| Err(UserChangeRefusal::ScopeDenied { scope });
    let config = Flag::SystemConfiguration;
    for (actor, change, expected) in [
        ("plain", UserChange::Add { user: "x" }, denied(Scope::UserManagementCreation)),
        ("plain", UserChange::Remove { user: "x" }, denied(Scope::UserManagementRemove)),
        ("plain", UserChange::Password { user: "plain" }, Ok(())), // one's own
        ("plain", UserChange::Password { user: "keeper" }, denied(Scope::UserManagementPasswordChange)),
        (
            "plain",
            UserChange::Setting { user: "plain", setting: "x", value: "1" },
            denied(Scope::UserManagementUpdate),
        ),
        ("config", UserChange::Add { user: "x" }, denied(Scope::UserManagementCreation)),
        ("keeper", UserChange::Add { user: "x" }, Ok(())),
        ("keeper", UserChange::Remove { user: "plain" }, Ok(())),
        ("keeper", UserChange::Remove { user: "config" }, Err(more("remove", "config"))),
        ("chief", UserChange::Remove { user: "config" }, Ok(())),
        ("keeper", UserChange::Password { user: "plain" }, Ok(())),
        ("keeper", UserChange::Password { user: "root" }, Err(UserChangeRefusal::RootProtected)),
        ("chief", UserChange::Password { user: "root" }, Err(UserChangeRefusal::RootProtected)),
        (
            "keeper",
            UserChange::Setting { user: "root", setting: "x", value: "1" },
            Err(UserChangeRefusal::RootProtected),
        ),
        ("keeper", UserChange::Remove { user: "root" }, Err(UserChangeRefusal::RootProtected)),
        ("keeper", UserChange::Setting { user: "plain", setting: "Line", value: "1" }, Ok(())),
        (
            "keeper",
            UserChange::Setting { user: "plain", setting: "AllowedUserManagement", value: "true" },
            Ok(()),
        ),
        (
            "keeper",
            UserChange::Setting { user: "plain", setting: "allowedsystemconfiguration", value: "true" },
            Err(UserChangeRefusal::FlagNotHeld { flag: config }),
        ),
        (
            "chief",
            UserChange::Setting { user: "plain", setting: "AllowedSystemConfiguration", value: "true" },
            Ok(()),
        ),
        ("keeper", UserChange::JoinGroup { user: "plain", group: "shift" }, Ok(())),
        (
            "keeper",
            UserChange::JoinGroup { user: "keeper", group: "admin" },
            Err(UserChangeRefusal::AdminGroupProtected),
        ),
        (
            "keeper",
            UserChange::LeaveGroup { user: "chief", group: "admin" },
            Err(UserChangeRefusal::AdminGroupProtected),
        ),
        ("chief", UserChange::JoinGroup { user: "plain", group: "admin" }, Ok(())),
        ("keeper", UserChange::Password { user: "config" }, Err(more("change the password of", "config"))),
        ("chief", UserChange::Password { user: "config" }, Ok(())),
        ("keeper", UserChange::Password { user: "nobody" }, Ok(())), // the directory says: not found
        (
            "root",
            UserChange::Setting { user: "plain", setting: "AllowedLogManagement", value: "true" },
            Ok(()),
        ),
        ("root", UserChange::Password { user: "root" }, Ok(())),
    ] {
        let identity = identity_of(actor, Peer::Unix);
        assert_eq!(
            check_user_change(&table, (&directory, &NOTHING), &identity, change),
            expected,
            "{actor} {change:?}"
        );
    }
    let anonymous = Identity::anonymous("c".into(), Peer::Unix);
    assert_eq!(
        check_user_change(&table, (&directory, &NOTHING), &anonymous, UserChange::Password { user: "" }),
        denied(Scope::UserManagementPasswordChange)
    );
}
