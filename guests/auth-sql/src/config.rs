//! The configuration: a JSON object, from the option `-config` of the module.

use auth_settings::{Settings, Template, parse};

use crate::hash::{Digest, SaltedForm};
use crate::limits::{PBKDF2_ROUNDS, TIMEOUT_RANGE, TIMEOUT_SECONDS};
use crate::query::Query;
use crate::server::{ENDPOINT, Kind, Server};

/// Members of the configuration.
const MEMBERS: [&str; 13] = [
    "endpoints",
    "server",
    "database",
    "db_user",
    "db_password",
    "query",
    "groups_query",
    "grants_query",
    "pbkdf2_digest",
    "pbkdf2_iterations",
    "user",
    "unknown_user",
    "timeout_seconds",
];

/// Checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) server: Server,
    /// Returns the password hash of a user.
    pub(crate) query: Query,
    pub(crate) groups: Option<Query>,
    pub(crate) grants: Option<Query>,
    /// Form of a hash with a salt in a column of its own.
    pub(crate) salted: Option<SaltedForm>,
    /// Name of the user in the broker.
    pub(crate) user: Template,
    /// Whether the next member of the chain decides about a user without a row.
    pub(crate) passes_unknown: bool,
    /// Milliseconds for the whole of a login.
    pub(crate) timeout_ms: u64,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// The member that is wrong, and the values that it may have.
    pub(crate) fn parse(text: &str) -> Result<Config, String> {
        let json = parse(text)?;
        let settings = Settings::of(&json, &MEMBERS)?;
        settings.check_endpoint(ENDPOINT)?;
        if ["USE_TLS", "USE_SSL"].iter().any(|tls| settings.endpoint_has(ENDPOINT, tls)) {
            let allowed = "USE_STARTTLS in place of USE_TLS: databases begin TLS behind a first message";
            return Err(settings.wrong("endpoints.sql", allowed));
        }
        let timeout_s = settings.number("timeout_seconds", TIMEOUT_SECONDS, TIMEOUT_RANGE, "seconds")?;
        let timeout_ms = timeout_s * 1_000;
        let kind = match settings.choice("server", &["postgresql", "mysql"])? {
            "mysql" => Kind::Mysql,
            _ => Kind::Postgres,
        };
        let user = settings.template("user")?.map_or_else(|| Template::parse("${username}"), Ok)?;
        let needed = || settings.wrong("query", "needed; a SELECT of password_hash with a placeholder");
        Ok(Config {
            server: Server {
                kind,
                database: text_without_nul(&settings, "database")?,
                user: text_without_nul(&settings, "db_user")?,
                password: settings.text("db_password")?,
                starts_tls: settings.endpoint_has(ENDPOINT, "USE_STARTTLS"),
                timeout_ms,
            },
            query: Query::read(&settings, "query", kind)?.ok_or_else(needed)?,
            groups: Query::read(&settings, "groups_query", kind)?,
            grants: Query::read(&settings, "grants_query", kind)?,
            salted: salted_form(&settings)?,
            user,
            passes_unknown: settings.passes_unknown()?,
            timeout_ms,
        })
    }
}

fn text_without_nul(settings: &Settings<'_>, member: &str) -> Result<String, String> {
    let text = settings.needed(member)?;
    if text.contains('\0') { Err(settings.wrong(member, "a text without NUL")) } else { Ok(text) }
}

fn salted_form(settings: &Settings<'_>) -> Result<Option<SaltedForm>, String> {
    let digest = settings.choice("pbkdf2_digest", &["sha256", "sha512"])?;
    if settings.raw("pbkdf2_iterations").is_none() {
        return match settings.raw("pbkdf2_digest") {
            None => Ok(None),
            Some(_) => Err(settings.wrong("pbkdf2_digest", "needs pbkdf2_iterations")),
        };
    }
    let range = u64::from(*PBKDF2_ROUNDS.start())..=u64::from(*PBKDF2_ROUNDS.end());
    let rounds = settings.number("pbkdf2_iterations", 1, range, "iterations")?;
    let digest = if digest == "sha512" { Digest::Sha512 } else { Digest::Sha256 };
    Ok(Some(SaltedForm { digest, rounds: u32::try_from(rounds).unwrap_or(u32::MAX) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = r#""database":"d","db_user":"u","endpoints":{"sql":{"HOST":"h","PORT":5432}}"#;

    #[test]
    fn wrong_member_is_reported_with_its_name() {
        let query = r#","query":"SELECT 1 FROM t WHERE u = ${username}""#;
        for (members, reason) in [
            ("", "query: needed; a SELECT of password_hash with a placeholder"),
            (r#","query":1"#, "query: a text"),
            (r#","query":"SELECT 1""#, "query: it has no placeholder, such as ${username}"),
            (r#","query":"SELECT ${password}""#, "query: ${password} would stand in the log of the database"),
            (r#","query":"SELECT '${username}'""#, "query: no quotation marks around a placeholder"),
            (r#","query":"SELECT $1, ${username}""#, "query: $1 and ${…} do not go together"),
            (r#","query":"SELECT ${user}""#, "query: ${user} is no placeholder"),
            (r#","query":"SELECT ${username}\u0000""#, "query: a text without NUL"),
        ] {
            let error = Config::parse(&format!("{{{REST}{members}}}")).unwrap_err();
            assert!(error.starts_with(reason), "{members}: {error}");
        }
        for (members, reason) in [
            (r#","server":"oracle""#, "server: \"postgresql\" or \"mysql\""),
            (
                r#","server":"mysql","groups_query":"SELECT ?, ${username}""#,
                "groups_query: ? and ${…} do not",
            ),
            (r#","grants_query":"x""#, "grants_query: it has no placeholder"),
            (r#","pbkdf2_digest":"sha512""#, "pbkdf2_digest: needs pbkdf2_iterations"),
            (r#","pbkdf2_digest":"md5""#, "pbkdf2_digest: \"sha256\" or \"sha512\""),
            (r#","pbkdf2_iterations":0"#, "pbkdf2_iterations: 1 to 600000 iterations"),
            (r#","timeout_seconds":9"#, "timeout_seconds: 1 to 4 seconds"),
            (r#","unknown_user":1"#, "unknown_user: \"deny\" or \"continue\""),
            (r#","db_pass":1"#, "db_pass: unknown; the members are endpoints"),
            (r#","db_password":1"#, "db_password: a text or {\"secret\": \"NAME\"}"),
        ] {
            let error = Config::parse(&format!("{{{REST}{query}{members}}}")).unwrap_err();
            assert!(error.starts_with(reason), "{members}: {error}");
        }
        let plain = format!("{{{REST}{query}}}");
        assert!(Config::parse(&plain).is_ok());
        let tls = plain.replace("5432", "5432,\"USE_TLS\":true");
        assert!(
            Config::parse(&tls).unwrap_err().starts_with("endpoints.sql: USE_STARTTLS in place of USE_TLS")
        );
        assert_eq!(Config::parse(&plain.replace("\"d\"", "\"\"")).unwrap_err(), "database: needed; a text");
    }
}
