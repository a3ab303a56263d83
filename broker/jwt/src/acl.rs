//! Grants in a claim: a list of objects. The first one that is about an operation decides.

use lotmq_auth::{Grant, GrantActions, GrantEffect, GrantList};
use serde::Deserialize;
use serde_json::Value;

use crate::claims::{TokenClaims, wrong_type};
use crate::refusal::{GrantFault, TokenRefusal};

/// One entry of the claim. An unknown member may be a restriction, so it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AclEntry {
    permission: String,
    action: String,
    topic: String,
    qos_max: Option<u8>,
    retain: Option<bool>,
}

/// The grants at a path; `None` if the token has no such claim.
pub(crate) fn grants(claims: &TokenClaims, path: &str) -> Result<Option<GrantList>, TokenRefusal> {
    let Some(claim) = claims.find(path) else { return Ok(None) };
    let entries = claim.as_array().ok_or_else(|| wrong_type(path, "list of grants"))?;
    let numbered = entries.iter().zip(1..);
    let grants = numbered.map(|(value, entry)| {
        grant(value).map_err(|fault| TokenRefusal::Grant { claim: path.into(), entry, fault })
    });
    let list = GrantList::new(grants.collect::<Result<_, _>>()?);
    list.map(Some).map_err(|fault| TokenRefusal::Grants { claim: path.into(), fault })
}

fn grant(value: &Value) -> Result<Grant, GrantFault> {
    let AclEntry { permission, action, topic, qos_max, retain } =
        AclEntry::deserialize(value).map_err(|_| GrantFault::Form)?;
    let effect = match permission.as_str() {
        "allow" => GrantEffect::Allow,
        "deny" => GrantEffect::Deny,
        _ => return Err(GrantFault::Permission),
    };
    let actions = match action.as_str() {
        "publish" => GrantActions::Publish,
        "subscribe" => GrantActions::Subscribe,
        "all" => GrantActions::All,
        _ => return Err(GrantFault::Action),
    };
    let grant = Grant::new(effect, actions, &topic).and_then(|grant| grant.up_to_qos(qos_max.unwrap_or(2)));
    let grant = grant.map_err(GrantFault::Refused)?;
    Ok(if retain.unwrap_or(true) { grant } else { grant.without_retain() })
}
