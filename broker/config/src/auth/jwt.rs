//! Section `[auth.jwt]`: keys that verify JSON Web Tokens, and what their claims mean.

use std::path::PathBuf;

use super::claim_path::{ClaimPath, ClaimPaths};
use super::key_address::KeyAddress;
use super::text_list::TextList;
use crate::key::{Need, section};

section! {
    /// Logins by a JSON Web Token (RFC 7519) in the password of CONNECT. At least one source of
    /// keys is needed. See docs/jwt.md.
    Jwt at "auth.jwt", |config| config.jwt => {
        /// File with a secret for HS256, HS384 and HS512, at least 32 bytes. The broker ignores a
        /// line break at the end. It reads changed files within seconds, also those of the next two
        /// keys.
        secret_file: Option<PathBuf> = None;
        /// PEM file with public keys (`BEGIN PUBLIC KEY`): RSA of 2048 to 8192 bits, EC on P-256 or
        /// P-384, or Ed25519.
        public_key_file: Option<PathBuf> = None;
        /// File with a JSON Web Key Set (RFC 7517).
        jwks_file: Option<PathBuf> = None;
        /// Address of a JSON Web Key Set. The broker fetches it without following redirections.
        jwks_url: Option<KeyAddress> = None;
        /// PEM file with the authorities that the server of `jwks_url` is checked against. Without
        /// it the broker trusts those of the system.
        jwks_ca: Option<PathBuf> = None;
        /// Whether `jwks_url` may be `http://` on another machine. Anybody who changes the answer
        /// on the way can then log in as any user.
        jwks_allow_http: bool = false;
        /// Time for one fetch of `jwks_url`, from the connection to the last byte.
        jwks_timeout_ms: u32 = 5_000, range 100..=60_000, unit "ms";
        /// Time between two fetches of `jwks_url`.
        jwks_refresh_sec: u32 = 300, range 10..=86_400, unit "s";
        /// Shortest time between fetches that tokens with an unknown `kid` cause.
        jwks_unknown_kid_sec: u32 = 10, range 1..=3_600, unit "s";
        /// How long keys stay in use after their source failed for the first time. After that every
        /// token is refused until the source works again.
        keys_outage_sec: u32 = 86_400, range 0..=2_592_000, unit "s";
        /// Accepted values of `iss`. Without any, the issuer is not checked.
        issuer: TextList = TextList::NONE;
        /// Accepted values of `aud`. Without any, a token that names an audience is refused, as RFC
        /// 7519 demands.
        audience: TextList = TextList::NONE;
        /// Whether a token needs `exp`. Without it, a token is good for as long as its key.
        require_exp: bool = true;
        /// Tolerance for `exp`, `nbf` and `iat` when clocks differ.
        clock_skew_sec: u32 = 30, range 0..=600, unit "s";
        /// Claim with the user name: its name, or a path such as `user.name`.
        user_claim: ClaimPath = ClaimPath::named("sub");
        /// Claim with the groups: a list of texts, or one text. A token may lack it.
        groups_claim: ClaimPath = ClaimPath::named("groups");
        /// Claims that become properties of the user, under the names that stand here.
        properties_claims: ClaimPaths = ClaimPaths::NONE;
        /// Claim with grants: a list of `{"permission", "action", "topic"}`. Without this claim in
        /// the token, Rules decide.
        acl_claim: ClaimPath = ClaimPath::named("acl");
        /// Claim that must equal the Client Identifier. A token without it is refused.
        client_id_claim: Option<ClaimPath> = None;
    }
}

impl Jwt {
    /// Whether keys come from anywhere, so that tokens can be verified.
    #[must_use]
    pub const fn has_keys(&self) -> bool {
        let Self { secret_file, public_key_file, jwks_file, jwks_url, .. } = self;
        secret_file.is_some() || public_key_file.is_some() || jwks_file.is_some() || jwks_url.is_some()
    }

    /// Returns keys of the section that need others.
    pub(crate) fn needs(&self) -> [Need; 2] {
        let Self { jwks_url, jwks_ca, jwks_allow_http, .. } = self;
        let is_open = jwks_url.as_ref().is_some_and(KeyAddress::can_be_changed_on_the_way);
        [
            ("auth.jwt.jwks_url", "auth.jwt.jwks_allow_http", is_open && !jwks_allow_http),
            ("auth.jwt.jwks_ca", "auth.jwt.jwks_url", jwks_ca.is_some() && jwks_url.is_none()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, ConfigFile, Sources};

    fn load(text: &str) -> Result<Config, String> {
        let text = format!("[auth.jwt]\n{text}");
        let file = Some(ConfigFile { path: PathBuf::from("lotmq.toml"), text });
        Config::load(Sources { file, ..Sources::default() }).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_of_a_section_are_read_and_checked() {
        assert!(!Config::default().jwt.has_keys());
        let config = load(
            "jwks_url = 'https://id.example/jwks'\nissuer = ['https://id.example/?a=b,c']\n\
             audience = 'one, two'\nclient_id_claim = 'cid'\nproperties_claims = ['site', 'a.b']",
        );
        let jwt = config.unwrap().jwt;
        assert!(jwt.has_keys());
        assert!(jwt.issuer.contains("https://id.example/?a=b,c") && !jwt.issuer.contains("c"));
        assert!(jwt.audience.contains("one") && jwt.audience.contains("two"));
        assert_eq!(jwt.client_id_claim.unwrap().text(), "cid");
        assert_eq!(jwt.properties_claims.iter().map(ClaimPath::text).collect::<Vec<_>>(), ["site", "a.b"]);
        assert_eq!(jwt.user_claim.text(), "sub");
    }

    #[test]
    fn keys_over_a_plain_connection_need_consent() {
        for (address, is_allowed) in [
            ("https://id.example/jwks", true),
            ("http://localhost:8080/jwks", true),
            ("http://127.0.0.1/jwks", true),
            ("http://[::1]:1/jwks", true),
            ("http://id.example/jwks", false),
            ("http://127.0.0.1.example/jwks", false),
        ] {
            let alone = load(&format!("jwks_url = '{address}'"));
            assert_eq!(alone.is_ok(), is_allowed, "{address}");
            assert!(load(&format!("jwks_url = '{address}'\njwks_allow_http = true")).is_ok(), "{address}");
        }
        let refused = load("jwks_url = 'http://id.example/jwks'").unwrap_err();
        assert_eq!(
            refused,
            "`auth.jwt.jwks_url` is \"http://id.example/jwks\" (file lotmq.toml:2), which needs `auth.jwt.jwks_allow_http`"
        );
        assert!(load("jwks_ca = 'ca.pem'").unwrap_err().ends_with("which needs `auth.jwt.jwks_url`"));
    }
}
