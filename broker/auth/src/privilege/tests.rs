//! Rows of the commands reference §7.3, "Privilege check", and what follows from it.

use std::sync::Arc;

use super::*;
use crate::login::Peer;
use crate::password::tests::cheap_credential;
use crate::{DirectoryOptions, PasswordCost, Rulebook};

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
        ("plain", UserChange::Setting { user: "plain", setting: "x" }, denied(Scope::UserManagementUpdate)),
        ("config", UserChange::Add { user: "x" }, denied(Scope::UserManagementCreation)),
        ("keeper", UserChange::Add { user: "x" }, Ok(())),
        ("keeper", UserChange::Remove { user: "plain" }, Ok(())),
        ("keeper", UserChange::Password { user: "plain" }, Ok(())),
        ("keeper", UserChange::Password { user: "root" }, Err(UserChangeRefusal::RootProtected)),
        ("chief", UserChange::Password { user: "root" }, Err(UserChangeRefusal::RootProtected)),
        ("keeper", UserChange::Setting { user: "root", setting: "x" }, Err(UserChangeRefusal::RootProtected)),
        ("keeper", UserChange::Remove { user: "root" }, Err(UserChangeRefusal::RootProtected)),
        ("keeper", UserChange::Setting { user: "plain", setting: "Line" }, Ok(())),
        ("keeper", UserChange::Setting { user: "plain", setting: "AllowedUserManagement" }, Ok(())),
        (
            "keeper",
            UserChange::Setting { user: "plain", setting: "allowedsystemconfiguration" },
            Err(UserChangeRefusal::FlagNotHeld { flag: config }),
        ),
        ("chief", UserChange::Setting { user: "plain", setting: "AllowedSystemConfiguration" }, Ok(())),
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
        (
            "keeper",
            UserChange::Password { user: "config" },
            Err(UserChangeRefusal::TargetHasMore { user: "config".into() }),
        ),
        ("chief", UserChange::Password { user: "config" }, Ok(())),
        ("keeper", UserChange::Password { user: "nobody" }, Ok(())), // the directory says: not found
        ("root", UserChange::Setting { user: "plain", setting: "AllowedLogManagement" }, Ok(())),
        ("root", UserChange::Password { user: "root" }, Ok(())),
    ] {
        let mut identity = Identity::anonymous("c".into(), Peer::Unix);
        identity.user = Some(actor.into());
        assert_eq!(check_user_change(&table, &directory, &identity, change), expected, "{actor} {change:?}");
    }
    let anonymous = Identity::anonymous("c".into(), Peer::Unix);
    assert_eq!(
        check_user_change(&table, &directory, &anonymous, UserChange::Password { user: "" }),
        denied(Scope::UserManagementPasswordChange)
    );
}
