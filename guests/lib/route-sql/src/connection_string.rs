//! Connection strings in both of their forms: `Host=…;Port=…;Database=…` and `scheme://user:password@host:port/database?…`.
//!
//! Host, port and TLS are the host's to read; this is about all else.

use percent_encoding::percent_decode_str;

/// What a connection string says besides where the server is.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) database: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) schema: Option<String>,
    /// Seconds.
    pub(crate) timeout: Option<u64>,
    /// Whether TLS is asked for; `None` where nothing is said of it.
    pub(crate) is_secure: Option<bool>,
}

pub(crate) fn parse(text: &str) -> Said {
    let text = text.trim();
    let mut said = Said::default();
    match text.split_once("://") {
        Some((_, behind)) => said.address(behind),
        None => pairs(text).iter().for_each(|(key, value)| said.setting(key, value)),
    }
    said
}

/// Keys, in lower case, and values of a connection string, of an address those behind its question mark.
#[must_use]
pub fn pairs_of(text: &str) -> Vec<(String, String)> {
    let text = text.trim();
    let lower = |(key, value): (String, String)| (key.trim().to_ascii_lowercase(), value);
    if !text.contains("://") {
        return pairs(text).into_iter().map(lower).collect();
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| lower((decoded(key), decoded(value)))).collect()
}

impl Said {
    fn address(&mut self, text: &str) {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
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
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            self.setting(&decoded(key), &decoded(value));
        }
    }

    fn setting(&mut self, key: &str, value: &str) {
        let key = key.trim().to_ascii_lowercase();
        let set = |to: &mut Option<String>| *to = Some(value.to_owned());
        match key.as_str() {
            "database" | "db" | "initial catalog" | "dbname" => set(&mut self.database),
            "username" | "user" | "user id" | "userid" | "uid" | "user name" => set(&mut self.user),
            "password" | "pwd" => set(&mut self.password),
            "search path" | "searchpath" | "currentschema" | "search_path" => set(&mut self.schema),
            "command timeout" | "default command timeout" | "commandtimeout" => {
                self.timeout = value.trim().parse().ok()
            }
            "sslmode" | "ssl mode" | "ssl-mode" => {
                let without = ["disable", "disabled", "none", "allow", "prefer", "preferred"];
                let is_without = without.iter().any(|word| word.eq_ignore_ascii_case(value.trim()));
                self.is_secure.get_or_insert(!is_without);
            }
            "usessl" | "use ssl" | "encrypt" => {
                let with = ["true", "yes", "strict", "mandatory"];
                let is_with = with.iter().any(|word| word.eq_ignore_ascii_case(value.trim()));
                self.is_secure.get_or_insert(is_with);
            }
            _ => {}
        }
    }
}

/// Pairs of keys and values, of which a value may stand between quotes that are doubled within it.
fn pairs(text: &str) -> Vec<(String, String)> {
    let (mut pairs, mut rest) = (Vec::new(), text);
    while let Some((key, behind)) = rest.split_once('=') {
        let value = behind.trim_start();
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
        let (value, behind) = match quote {
            Some(quote) => quoted(&value[1..], quote),
            None => {
                let (value, behind) = value.split_once(';').unwrap_or((value, ""));
                (value.trim().to_owned(), behind)
            }
        };
        pairs.push((key.trim_start_matches([';', ' ']).to_owned(), value));
        rest = behind;
    }
    pairs
}

fn quoted(text: &str, quote: char) -> (String, &str) {
    let (mut value, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once(quote) {
        value.push_str(before);
        match behind.strip_prefix(quote) {
            Some(behind) => {
                value.push(quote);
                rest = behind;
            }
            None => return (value, behind),
        }
    }
    value.push_str(rest);
    (value, "")
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
