//! Decision about a token: its signature, its times, its issuer and audience, and its claims.

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_auth::{Claims, SessionBounds};
use lotmq_config::{ClaimPath, Jwt};
use serde_json::Value;

use crate::acl;
use crate::claims::TokenClaims;
use crate::key_set::KeySet;
use crate::refusal::{ForeignText, TokenRefusal};
use crate::token::CompactToken;

/// User name that stands for the one in the token, for clients that must send some.
pub(crate) const ANY_USER: &str = "jwt";

/// Demands on tokens, from section `[auth.jwt]`.
#[derive(Debug)]
pub(crate) struct TokenPolicy(Jwt);

/// Contents of a good token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedToken {
    /// The user, for the broker. Its name and groups are as the token has them.
    pub(crate) claims: Claims,
    /// Client Identifier that the token is for; `None` for any.
    client_id: Option<Box<str>>,
}

impl TokenPolicy {
    /// The policy of a configuration.
    pub(crate) fn new(config: Jwt) -> Self {
        Self(config)
    }

    /// Verifies a token at a time in seconds since 1970.
    ///
    /// # Errors
    /// See [`TokenRefusal`].
    pub(crate) fn verify(
        &self,
        bytes: &[u8],
        keys: &[Arc<KeySet>],
        now_sec: u64,
    ) -> Result<VerifiedToken, TokenRefusal> {
        let claims = signed_claims(&CompactToken::parse(bytes)?, keys)?;
        let valid_until_ms = self.check_times(&claims, now_sec)?;
        self.check_issuer(&claims)?;
        self.check_audience(&claims)?;
        let Jwt { user_claim, groups_claim, acl_claim, client_id_claim, .. } = &self.0;
        let client_id = client_id_claim.as_ref().map(|path| claims.text(path.text())).transpose()?;
        Ok(VerifiedToken {
            client_id: client_id.map(Box::from),
            claims: Claims {
                user: claims.text(user_claim.text())?.to_owned(),
                groups: claims.texts(groups_claim.text())?.into_iter().map(str::to_owned).collect(),
                properties: self.properties(&claims)?,
                grants: acl::grants(&claims, acl_claim.text())?,
                valid_until_ms,
                bounds: SessionBounds::default(),
            },
        })
    }

    /// Checks that a token is for this client, whose CONNECT has this User Name.
    ///
    /// # Errors
    /// [`TokenRefusal::OtherUser`], [`TokenRefusal::OtherClient`].
    pub(crate) fn check_client(
        &self,
        token: &VerifiedToken,
        user_name: Option<&str>,
        client_id: &str,
    ) -> Result<(), TokenRefusal> {
        let Jwt { user_claim, client_id_claim, .. } = &self.0;
        if user_name.is_some_and(|name| !name.is_empty() && name != ANY_USER && name != token.claims.user) {
            return Err(TokenRefusal::OtherUser { claim: user_claim.text().into() });
        }
        match (&token.client_id, client_id_claim) {
            (Some(wanted), Some(claim)) if **wanted != *client_id => {
                Err(TokenRefusal::OtherClient { claim: claim.text().into() })
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// Returns the end of the token with the tolerance, in milliseconds since 1970.
    fn check_times(&self, claims: &TokenClaims, now_sec: u64) -> Result<Option<u64>, TokenRefusal> {
        let skew = u64::from(self.0.clock_skew_sec);
        let ahead = |at: u64| at.saturating_sub(now_sec);
        let expiry = claims.date("exp")?;
        if expiry.is_none() && self.0.require_exp {
            return Err(TokenRefusal::NoExpiry);
        }
        // A token is not accepted on or after this time, RFC 7519 §4.1.4.
        let end = expiry.map(|at| at.saturating_add(skew));
        if let (Some(expiry), Some(end)) = (expiry, end)
            && end <= now_sec
        {
            return Err(TokenRefusal::Expired { ago_sec: now_sec - expiry });
        }
        if let Some(start) = claims.date("nbf")?.filter(|start| ahead(*start) > skew) {
            return Err(TokenRefusal::NotYetValid { ahead_sec: ahead(start) });
        }
        if let Some(issued) = claims.date("iat")?.filter(|issued| ahead(*issued) > skew) {
            return Err(TokenRefusal::IssuedInFuture { ahead_sec: ahead(issued) });
        }
        Ok(end.map(|end| end.saturating_mul(1_000)))
    }

    fn check_issuer(&self, claims: &TokenClaims) -> Result<(), TokenRefusal> {
        let accepted = &self.0.issuer;
        let issuer = claims.find("iss").and_then(Value::as_str);
        if accepted.is_empty() || issuer.is_some_and(|issuer| accepted.contains(issuer)) {
            Ok(())
        } else {
            Err(TokenRefusal::Issuer)
        }
    }

    /// A token with an audience is for those whom it names alone, RFC 7519 §4.1.3.
    fn check_audience(&self, claims: &TokenClaims) -> Result<(), TokenRefusal> {
        let accepted = &self.0.audience;
        let named = claims.texts("aud").map_err(|_| TokenRefusal::Audience)?;
        let is_for_all = named.is_empty() && accepted.is_empty();
        if is_for_all || named.iter().any(|audience| accepted.contains(audience)) {
            Ok(())
        } else {
            Err(TokenRefusal::Audience)
        }
    }

    fn properties(&self, claims: &TokenClaims) -> Result<BTreeMap<String, String>, TokenRefusal> {
        let found = self.0.properties_claims.iter().map(ClaimPath::text);
        let found = found.filter_map(|path| claims.find(path).map(|claim| (path, claim)));
        found.map(|(path, claim)| Ok((path.to_owned(), scalar(path, claim)?))).collect()
    }
}

/// Text of a claim that becomes a property.
fn scalar(path: &str, claim: &Value) -> Result<String, TokenRefusal> {
    match claim {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(claim.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(crate::claims::wrong_type(path, "text, number or truth value"))
        }
    }
}

/// TokenClaims of a token that one of the keys has signed.
fn signed_claims(token: &CompactToken<'_>, keys: &[Arc<KeySet>]) -> Result<TokenClaims, TokenRefusal> {
    let matching = keys.iter().flat_map(|set| set.matching(token.kid.as_deref(), token.algorithm));
    for key in matching {
        match token.claims(key) {
            Err(TokenRefusal::Signature) => {}
            verified => return verified,
        }
    }
    Err(unsigned(token, keys))
}

/// Reason why no key has signed a token.
fn unsigned(token: &CompactToken<'_>, keys: &[Arc<KeySet>]) -> TokenRefusal {
    if keys.is_empty() {
        return TokenRefusal::NoKeys;
    }
    let kid = token.kid.as_deref();
    // Keys of a secret or PEM have no identifiers, so they know every token's.
    let mut ids = keys.iter().flat_map(|set| set.ids()).peekable();
    if let Some(kid) = kid.filter(|kid| ids.peek().is_some() && ids.all(|known| known != *kid)) {
        return TokenRefusal::KeyUnknown { kid: ForeignText::of(kid) };
    }
    if keys.iter().all(|set| set.matching(kid, token.algorithm).next().is_none()) {
        return TokenRefusal::AlgorithmUnfit { name: token.algorithm_text.clone() };
    }
    TokenRefusal::Signature
}

#[cfg(test)]
pub(crate) mod tests;
