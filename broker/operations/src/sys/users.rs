//! `Config/Users`: the accounts as JSON, without their passwords.

use lotmq_auth::{Account, Directory, Flag};
use serde_json::{Map, Value, json};

/// Topics that show the accounts; the second is an older spelling.
pub(crate) const USERS_TOPICS: [&str; 2] = ["$SYS/Coreflux/Config/Users", "$SYS/Coreflux/Config/users"];

/// All accounts as JSON, by name.
pub(crate) fn users_json(users: &Directory) -> Vec<Value> {
    users.accounts().iter().map(|account| user_json(account)).collect()
}

fn user_json(account: &Account) -> Value {
    let mut user = Map::new();
    user.insert("Username".to_owned(), json!(&*account.name));
    user.insert("Password".to_owned(), json!("****"));
    user.insert("Groups".to_owned(), json!(account.groups));
    for flag in Flag::ALL {
        user.insert(flag.name().to_owned(), json!(account.has(flag)));
    }
    user.insert("Properties".to_owned(), json!(account.properties));
    Value::Object(user)
}

#[cfg(test)]
mod tests {
    use lotmq_auth::{DirectoryOptions, PasswordCost};

    use super::*;

    #[test]
    fn user_list_contains_no_passwords() {
        let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
        let users = Directory::new(options).unwrap();
        users.add_user("bob", users.hash("secret").unwrap()).unwrap();
        users.add_to_group("bob", "g").unwrap();
        users.change_setting("bob", "AllowedLogManagement", "true").unwrap();
        users.change_setting("bob", "Line", "7").unwrap();
        assert_eq!(
            Value::Array(users_json(&users)).to_string(),
            r#"[{"Username":"bob","Password":"****","Groups":["g"],"AllowedSystemConfiguration":false,"#
                .to_owned()
                + r#""AllowedUserManagement":false,"AllowedLogManagement":true,"AllowedAssetManipulation":false,"#
                + r#""Properties":{"Line":"7"}}]"#
        );
    }
}
