//! JSON of the plugin `dynamic_security`: clients, groups and roles.
//!
//! The plugin asks the roles of the client, then those of its groups, each by priority; the first
//! entry that matches decides, else the default. So each entry gets a priority of its own here.
//! A rule of lotmq for subscriptions is asked about messages as well, so an entry that denies a
//! subscription also denies what a broader one would bring.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::rule_text::{AclDirection, AclGrant, AclSubject, RANK_OF_FIRST, RANK_OF_REST, Wildcards};
use crate::{ForeignFileError, Gathered, ImportedUser};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityFile {
    #[serde(default, rename = "defaultACLAccess")]
    defaults: Defaults,
    #[serde(default)]
    clients: Vec<SecurityClient>,
    #[serde(default)]
    groups: Vec<SecurityGroup>,
    #[serde(default)]
    roles: Vec<SecurityRole>,
    anonymous_group: Option<String>,
}

/// Decisions where no entry matches: those of a file without them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Defaults {
    publish_client_send: bool,
    publish_client_receive: bool,
    subscribe: bool,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { publish_client_send: false, publish_client_receive: true, subscribe: false }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityClient {
    username: String,
    clientid: Option<String>,
    #[serde(default)]
    disabled: bool,
    password: Option<String>,
    salt: Option<String>,
    iterations: Option<u64>,
    #[serde(default)]
    roles: Vec<RoleName>,
    #[serde(default)]
    groups: Vec<GroupName>,
}

#[derive(Debug, Deserialize)]
struct RoleName {
    rolename: String,
    #[serde(default)]
    priority: i64,
}

#[derive(Debug, Deserialize)]
struct GroupName {
    groupname: String,
    #[serde(default)]
    priority: i64,
}

#[derive(Debug, Deserialize)]
struct SecurityGroup {
    groupname: String,
    #[serde(default)]
    roles: Vec<RoleName>,
}

#[derive(Debug, Deserialize)]
struct SecurityRole {
    rolename: String,
    #[serde(default)]
    acls: Vec<SecurityEntry>,
}

#[derive(Debug, Clone, Deserialize)]
struct SecurityEntry {
    acltype: String,
    topic: String,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    allow: bool,
}

/// Place of an entry in the order of the plugin: roles of clients first, then priorities of group,
/// role and entry.
type EntryPlace = (bool, Reverse<i64>, Reverse<i64>, String, usize);

/// # Errors
/// [`ForeignFileError::NotDynamicSecurity`].
pub(crate) fn read(path: &Path, text: &str, collected: &mut Gathered) -> Result<(), ForeignFileError> {
    // The error of the library quotes what it does not expect, which may be a secret.
    let file: SecurityFile = serde_json::from_str(text).map_err(|error| {
        let error = format!("line {}, column {}: {:?}", error.line(), error.column(), error.classify());
        ForeignFileError::NotDynamicSecurity { path: path.to_owned(), error }
    })?;
    restrict(path, &file.defaults, collected);
    for client in &file.clients {
        add_client(path, client, collected);
    }
    let mut entries: BTreeMap<EntryPlace, Vec<(AclSubject, SecurityEntry)>> = BTreeMap::new();
    let roles: BTreeMap<&str, Vec<SecurityEntry>> =
        file.roles.iter().map(|role| (&*role.rolename, ordered(&role.acls))).collect();
    let mut put = |subject: &AclSubject, is_group: bool, group_priority: i64, role: &RoleName| {
        let acls = roles.get(&*role.rolename).map(Vec::as_slice).unwrap_or_default();
        for (number, entry) in acls.iter().enumerate() {
            let place =
                (is_group, Reverse(group_priority), Reverse(role.priority), role.rolename.clone(), number);
            entries.entry(place).or_default().push((subject.clone(), entry.clone()));
        }
    };
    for client in file.clients.iter().filter(|client| !client.disabled) {
        let subject = AclSubject::User(client.username.clone());
        client.roles.iter().for_each(|role| put(&subject, false, 0, role));
    }
    for group in &file.groups {
        let memberships = file.clients.iter().flat_map(|client| &client.groups);
        let priorities: Vec<i64> =
            memberships.filter(|it| it.groupname == group.groupname).map(|it| it.priority).collect();
        let highest = priorities.iter().copied().max().unwrap_or_default();
        if priorities.iter().any(|priority| *priority != highest) {
            let name = &group.groupname;
            let told =
                format!("group {name:?} has several priorities; {highest} is taken for all its members");
            collected.remark(path, 0, told);
        }
        let subject = AclSubject::Group(group.groupname.clone());
        group.roles.iter().for_each(|role| put(&subject, true, highest, role));
        if file.anonymous_group.as_ref() == Some(&group.groupname) {
            group.roles.iter().for_each(|role| put(&AclSubject::Anonymous, true, highest, role));
        }
    }
    add_entries(path, entries, collected);
    Ok(())
}

fn restrict(path: &Path, defaults: &Defaults, collected: &mut Gathered) {
    if !defaults.publish_client_send {
        collected.grants.restrict(AclDirection::Publish, Wildcards::Refused);
    }
    if !defaults.subscribe || !defaults.publish_client_receive {
        collected.grants.restrict(AclDirection::Read, Wildcards::Refused);
    }
    if !defaults.publish_client_receive {
        let told = "publishClientReceive is denied by default: in lotmq who may subscribe also receives";
        collected.remark(path, 0, told);
    }
}

fn add_client(path: &Path, client: &SecurityClient, collected: &mut Gathered) {
    let name = &client.username;
    if client.disabled {
        return collected.remark(path, 0, format!("user {name:?} is disabled and left out"));
    }
    let (Some(password), Some(salt)) = (&client.password, &client.salt) else {
        return collected.remark(path, 0, format!("user {name:?} has no password and is left out"));
    };
    let hash = format!("$7${}${salt}${password}", client.iterations.unwrap_or(101));
    let groups = client.groups.iter().map(|group| group.groupname.clone()).collect();
    collected.add_user(path, 0, ImportedUser { name: name.clone(), hash, groups });
    if let Some(client_id) = &client.clientid
        && lotmq_auth::check_user_name(name).is_ok()
        && !client_id.contains(char::is_control)
    {
        collected.grants.bind(name, client_id);
    }
}

/// Entries of a role in the order in which the plugin asks them.
fn ordered(acls: &[SecurityEntry]) -> Vec<SecurityEntry> {
    let mut acls = acls.to_vec();
    acls.sort_by_key(|entry| Reverse(entry.priority));
    acls
}

fn add_entries(
    path: &Path,
    entries: BTreeMap<EntryPlace, Vec<(AclSubject, SecurityEntry)>>,
    collected: &mut Gathered,
) {
    for (rank, ((.., role, _), of_place)) in (RANK_OF_FIRST..).zip(entries) {
        for (subject, entry) in of_place {
            let SecurityEntry { acltype, topic, allow, .. } = &entry;
            let direction = match (&**acltype, allow) {
                ("publishClientSend", _) => AclDirection::Publish,
                ("subscribeLiteral" | "subscribePattern", _) | ("publishClientReceive", false) => {
                    AclDirection::Read
                }
                // A client that may subscribe also receives, and each one may unsubscribe.
                ("publishClientReceive" | "unsubscribeLiteral" | "unsubscribePattern", true) => continue,
                _ => {
                    let told = format!("role {role:?}: {acltype} of {topic:?} has no equal");
                    collected.remark(path, 0, told);
                    continue;
                }
            };
            let grant = AclGrant { subject, direction, topic: topic.clone(), allows: *allow, rank };
            let added = if rank < RANK_OF_REST {
                collected.grants.add(grant).map_err(|reason| reason.to_string())
            } else {
                Err("there are too many entries before it".to_owned())
            };
            if let Err(reason) = added {
                collected.remark(path, 0, format!("role {role:?}: {acltype} of {topic:?}: {reason}"));
            }
        }
    }
}
