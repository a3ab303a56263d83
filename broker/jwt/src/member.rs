//! Member `jwt` of the login chain: takes a token from the password of CONNECT, or by
//! authentication method `JWT`.

use lotmq_auth::{LoginMember, LoginRefusal, MemberAnswer, MemberDenial, MemberLogin, Method};
use lotmq_config::{JWT_MODULE, Jwt};

use crate::key_store::{KeyStore, KeyStoreError};
use crate::policy::TokenPolicy;
use crate::refusal::TokenRefusal;
use crate::token::is_token;

/// Member of the login chain that identifies users by JSON Web Tokens.
///
/// A password that is no token is for the next member. A token is decided here: whatever is wrong
/// with it, no further member is asked.
pub struct JwtMember {
    policy: TokenPolicy,
    keys: KeyStore,
}

impl JwtMember {
    /// Reads the keys and starts the thread that keeps them fresh.
    ///
    /// # Errors
    /// See [`KeyStoreError`].
    pub fn start(config: &Jwt) -> Result<Self, KeyStoreError> {
        Ok(Self { keys: KeyStore::start(config)?, policy: TokenPolicy::new(config.clone()) })
    }

    fn verify(&self, login: &MemberLogin<'_>, token: &[u8]) -> MemberAnswer {
        let verified = self.policy.verify(token, &self.keys.usable(), login.now_ms / 1_000);
        let checked = verified.and_then(|token| {
            self.policy.check_client(&token, login.user_name, login.client_id)?;
            Ok(token.claims)
        });
        checked.map_or_else(|refusal| self.refuse(&refusal), MemberAnswer::Allow)
    }

    fn refuse(&self, refusal: &TokenRefusal) -> MemberAnswer {
        let reason = refusal.to_string();
        let is_rotated = matches!(refusal, TokenRefusal::KeyUnknown { .. }) && self.keys.hurry_fetch();
        if is_rotated || *refusal == TokenRefusal::NoKeys {
            // The next try may find the key.
            return MemberAnswer::Fail(reason);
        }
        let is_for_somebody_else =
            matches!(refusal, TokenRefusal::OtherClient { .. } | TokenRefusal::OtherUser { .. });
        let refusal = if matches!(refusal, TokenRefusal::Expired { .. }) {
            LoginRefusal::CredentialsExpired
        } else if is_for_somebody_else {
            LoginRefusal::DeniedByMember
        } else {
            LoginRefusal::BadCredentials
        };
        MemberAnswer::Deny(MemberDenial { reason, refusal })
    }
}

impl LoginMember for JwtMember {
    fn name(&self) -> &str {
        JWT_MODULE
    }

    fn method(&self) -> Option<Method> {
        Some(Method::Jwt)
    }

    fn authenticate(&self, login: &MemberLogin<'_>) -> MemberAnswer {
        match login.password {
            Some(password) if is_token(password) => self.verify(login, password),
            Some(_) | None => MemberAnswer::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use lotmq_auth::Peer;
    use lotmq_test_support::{TokenSigner, free_address};
    use serde_json::json;

    use super::*;
    use crate::policy::tests::section;

    const SECRET: &str = "a secret of at least thirty-two bytes";

    /// Member with a secret, and a folder that keeps it.
    fn with_secret(others: &str) -> (JwtMember, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, SECRET).unwrap();
        let config = section(&format!("secret_file = '{}'\n{others}", path.display()));
        (JwtMember::start(&config).unwrap(), folder)
    }

    fn login<'a>(user_name: Option<&'a str>, password: Option<&'a [u8]>) -> MemberLogin<'a> {
        MemberLogin {
            tenant: "default",
            listener: "mqtt",
            user_name,
            password,
            client_id: "c",
            peer: Peer::Unknown,
            certificate_user: None,
            now_ms: 1_000_500,
        }
    }

    fn token(secret: &str, claims: &serde_json::Value) -> String {
        TokenSigner::hmac(secret).sign(&json!({"alg": "HS256"}), claims)
    }

    fn denied(refusal: LoginRefusal, reason: &str) -> MemberAnswer {
        MemberAnswer::Deny(MemberDenial { reason: reason.to_owned(), refusal })
    }

    #[test]
    fn passwords_that_are_no_tokens_are_for_the_next_member() {
        let (member, _folder) = with_secret("");
        for password in [None, Some(&b"secret"[..]), Some(b""), Some(b"a.b.c"), Some(&[0xFF; 9])] {
            assert_eq!(member.authenticate(&login(Some("ann"), password)), MemberAnswer::Continue);
        }
    }

    #[test]
    fn a_token_is_decided_here_whatever_is_wrong_with_it() {
        let (member, _folder) = with_secret("client_id_claim = 'cid'");
        let claims = json!({"sub": "ann", "exp": 1_001, "cid": "c"});
        let answer =
            |user_name, token: String| member.authenticate(&login(user_name, Some(token.as_bytes())));
        let good = answer(None, token(SECRET, &claims));
        let MemberAnswer::Allow(allowed) = good else { panic!("{good:?}") };
        assert_eq!((&*allowed.user, allowed.valid_until_ms), ("ann", Some(1_031_000)));
        let with = |name: &str, value: serde_json::Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            token(SECRET, &claims)
        };
        use LoginRefusal::{BadCredentials, CredentialsExpired, DeniedByMember};
        for (user_name, token, expected) in [
            (
                None,
                token("another secret of thirty-two bytes", &claims),
                denied(BadCredentials, "the signature is wrong"),
            ),
            (None, with("exp", json!(900)), denied(CredentialsExpired, "the token has expired 100 s ago")),
            (
                None,
                with("cid", json!("d")),
                denied(DeniedByMember, "the Client Identifier is not the one in claim cid"),
            ),
            (
                Some("bob"),
                with("cid", json!("c")),
                denied(
                    DeniedByMember,
                    "the User Name is not the one in claim sub; leave it empty, or use jwt",
                ),
            ),
            (None, with("sub", json!(7)), denied(BadCredentials, "claim sub is no text")),
        ] {
            assert_eq!(answer(user_name, token), expected, "{user_name:?}");
        }
    }

    #[test]
    fn without_keys_the_login_cannot_be_checked() {
        let config = section(&format!("jwks_url = 'http://{}/'", free_address()));
        let member = JwtMember::start(&config).unwrap();
        let token = token(SECRET, &json!({"sub": "ann", "exp": 1_001}));
        let answer = member.authenticate(&login(None, Some(token.as_bytes())));
        assert!(matches!(answer, MemberAnswer::Fail(_)), "{answer:?}");
        assert_eq!(member.authenticate(&login(None, Some(b"secret"))), MemberAnswer::Continue);
    }
}
