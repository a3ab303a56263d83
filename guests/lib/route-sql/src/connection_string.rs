//! Connection strings in both forms: `Host=…;Port=…;Database=…` and
//! `scheme://user:password@host:port/database?…`.
//!
//! The host reads the server's address from them; this module reads all other parts.

use lotmq_connection_string::{asks_for_tls, decoded, is_address, pairs};

/// Parts of a connection string, without the server's address.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) database: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) schema: Option<String>,
    /// Seconds.
    pub(crate) timeout: Option<u64>,
    /// Whether TLS is requested; `None` if the string does not set it.
    pub(crate) is_secure: Option<bool>,
}

pub(crate) fn parse(text: &str) -> Said {
    let text = text.trim();
    let pairs = pairs(text);
    let mut said = Said { is_secure: asks_for_tls(&pairs), ..Said::default() };
    if is_address(text) {
        said.address(text);
    }
    pairs.iter().for_each(|(key, value)| said.setting(key, value));
    said
}

impl Said {
    /// Reads the part of an address before its question mark.
    fn address(&mut self, text: &str) {
        let place = text.split_once("://").map_or(text, |(_, behind)| behind);
        let place = place.split_once('?').map_or(place, |(place, _)| place);
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        if let Some((login, _)) = authority.rsplit_once('@') {
            let (user, password) = match login.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (login, None),
            };
            self.user = Some(decoded(user));
            self.password = password.map(decoded);
        }
        if !path.is_empty() {
            self.database = Some(decoded(path));
        }
    }

    fn setting(&mut self, key: &str, value: &str) {
        let set = |to: &mut Option<String>| *to = Some(value.to_owned());
        match key {
            "database" | "db" | "initial catalog" | "dbname" => set(&mut self.database),
            "username" | "user" | "user id" | "userid" | "uid" | "user name" => set(&mut self.user),
            "password" | "pwd" => set(&mut self.password),
            "search path" | "searchpath" | "currentschema" | "search_path" => set(&mut self.schema),
            "command timeout" | "default command timeout" | "commandtimeout" => {
                self.timeout = value.trim().parse().ok()
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let text = |text: &str| Some(text.to_owned());
        for (string, database, user, password, is_secure) in [
            (
                "Host=db;Port=7;Database=plant;Username=app;Password=a=b",
                text("plant"),
                text("app"),
                text("a=b"),
                None,
            ),
            ("Server=db; Uid=app; Pwd='a;''b'; Database=\"p\"", text("p"), text("app"), text("a;'b"), None),
            ("Host=db;SSL Mode=Require", None, None, None, Some(true)),
            ("Host=db;SSL Mode=Prefer", None, None, None, Some(false)),
            (
                "postgres://app:a%40b@db:7/plant?sslmode=verify-full",
                text("plant"),
                text("app"),
                text("a@b"),
                Some(true),
            ),
            ("mysql://app@db/plant", text("plant"), text("app"), None, None),
            ("mysql://db", None, None, None, None),
        ] {
            let said = parse(string);
            assert_eq!(
                (said.database, said.user, said.password, said.is_secure),
                (database, user, password, is_secure),
                "{string}"
            );
        }
        let said = parse("Host=a;Search Path=x;Command Timeout=5");
        assert_eq!((said.schema, said.timeout), (text("x"), Some(5)));
    }
}
