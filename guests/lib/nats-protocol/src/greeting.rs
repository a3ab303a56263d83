//! Begin of a connection: the facts that the server's INFO states, and the client's CONNECT.

use serde_json::{Map, Value as Json, json};

/// Credentials of a client.
#[derive(Debug, PartialEq)]
pub enum Login {
    /// None: the server lets in everybody, or checks the client certificate.
    None,
    /// User name and password.
    User {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// Token instead of a user name.
    Token(String),
}

/// Facts of a server, from its INFO.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Server {
    /// Bytes of the largest message that it takes.
    pub payload_max: usize,
    /// Whether messages may have headers.
    pub has_headers: bool,
    /// Whether it offers TLS.
    pub has_tls: bool,
    /// Whether it insists on TLS.
    pub needs_tls: bool,
}

impl Server {
    /// Reads an INFO. `payload_max` applies if the server states none.
    #[must_use]
    pub fn of(info: &Json, payload_max: usize) -> Server {
        let stated = info["max_payload"].as_u64().and_then(|bytes| usize::try_from(bytes).ok());
        let needs_tls = info["tls_required"] == true;
        Server {
            payload_max: stated.unwrap_or(payload_max),
            has_headers: info["headers"] == true,
            has_tls: needs_tls || info["tls_available"] == true,
            needs_tls,
        }
    }

    /// Returns the CONNECT and a PING, whose PONG says that the login succeeded. With `is_verbose`
    /// the server answers each line.
    #[must_use]
    pub fn greeting(&self, login: &Login, is_secure: bool, is_verbose: bool) -> String {
        let mut said = Map::new();
        for (name, value) in [
            ("verbose", json!(is_verbose)),
            ("pedantic", json!(false)),
            ("tls_required", json!(is_secure)),
            ("name", json!("lotmq")),
            ("lang", json!("rust")),
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("protocol", json!(1)),
            ("echo", json!(true)),
            ("headers", json!(self.has_headers)),
            ("no_responders", json!(self.has_headers)),
        ] {
            said.insert(name.to_owned(), value);
        }
        match login {
            Login::None => {}
            Login::User { user, password } => {
                said.insert("user".to_owned(), user.as_str().into());
                said.insert("pass".to_owned(), password.as_str().into());
            }
            Login::Token(token) => drop(said.insert("auth_token".to_owned(), token.as_str().into())),
        }
        format!("CONNECT {}\r\nPING\r\n", Json::Object(said))
    }
}

/// Whether an error of the server stays until people change the configuration.
#[must_use]
pub fn is_for_people(error: &str) -> bool {
    let lower = error.to_ascii_lowercase();
    ["authorization violation", "user authentication", "invalid client", "secure connection"]
        .iter()
        .any(|known| lower.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_has_the_credentials_and_facts_of_the_server() {
        let info = json!({"max_payload": 5, "headers": true, "tls_available": true});
        let server = Server::of(&info, 100);
        assert_eq!(server, Server { payload_max: 5, has_headers: true, has_tls: true, needs_tls: false });
        let said = server.greeting(&Login::Token("t".to_owned()), true, false);
        let said = said.strip_prefix("CONNECT ").unwrap().strip_suffix("\r\nPING\r\n").unwrap();
        let said: Json = serde_json::from_str(said).unwrap();
        assert_eq!(
            (&said["auth_token"], &said["tls_required"], &said["headers"]),
            (&json!("t"), &json!(true), &json!(true))
        );
        assert_eq!(Server::of(&json!({}), 100).payload_max, 100);
        assert!(is_for_people("Authorization Violation") && !is_for_people("Stale Connection"));
    }
}
