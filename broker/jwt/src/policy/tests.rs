use lotmq_auth::GrantRefusal;
use lotmq_config::{Config, ConfigFile, Sources};
use lotmq_test_support::TokenSigner;
use serde_json::{Value, json};

use super::*;
use crate::key::SecretKeys;
use crate::refusal::GrantFault;

const NOW: u64 = 1_000_000;

/// Section `[auth.jwt]` with these lines.
pub(crate) fn section(lines: &str) -> Jwt {
    let text = format!("[auth.jwt]\n{lines}");
    let file = Some(ConfigFile { path: "lotmq.toml".into(), text });
    Config::load(Sources { file, ..Sources::default() }).unwrap().jwt
}

fn policy(lines: &str) -> TokenPolicy {
    TokenPolicy::new(section(lines))
}

fn signer() -> TokenSigner {
    TokenSigner::hmac([7; 64])
}

fn own_keys() -> Vec<Arc<KeySet>> {
    vec![Arc::new(KeySet::of_secret(&[7; 64]).unwrap())]
}

fn keys(jwks: &[Value]) -> Vec<Arc<KeySet>> {
    let set = json!({ "keys": jwks }).to_string();
    vec![Arc::new(KeySet::of_jwks(set.as_bytes(), SecretKeys::Allowed).unwrap())]
}

/// Verifies claims of `ann` with these besides, signed as they should be.
fn judged(section: &str, claims: &Value) -> Result<VerifiedToken, TokenRefusal> {
    let mut all = json!({"sub": "ann", "exp": NOW + 100});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    // A test takes a claim away by null.
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let token = signer().sign(&json!({"alg": "HS256"}), &all);
    policy(section).verify(token.as_bytes(), &own_keys(), NOW)
}

#[test]
fn every_algorithm_is_verified_with_a_key_of_its_type() {
    let claims = json!({"sub": "ann", "exp": NOW + 1});
    for (signer, algorithms) in [
        (signer(), &["HS256", "HS384", "HS512"][..]),
        (TokenSigner::rsa(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
        (TokenSigner::p256(), &["ES256"]),
        (TokenSigner::p384(), &["ES384"]),
        (TokenSigner::ed25519(), &["EdDSA"]),
    ] {
        let keys = keys(&[signer.jwk("a")]);
        for algorithm in algorithms {
            let token = signer.sign(&json!({"alg": algorithm, "kid": "a"}), &claims);
            let verified = policy("").verify(token.as_bytes(), &keys, NOW).unwrap();
            assert_eq!(verified.claims.user, "ann", "{algorithm}");
            let (rest, signature) = token.rsplit_once('.').unwrap();
            let first = if signature.starts_with('A') { "B" } else { "A" };
            for wrong in [String::new(), "AAAA".to_owned(), format!("{first}{}", &signature[1..])] {
                let refusal = policy("").verify(format!("{rest}.{wrong}").as_bytes(), &keys, NOW);
                assert_eq!(refusal, Err(TokenRefusal::Signature), "{algorithm} {wrong}");
            }
        }
    }
}

/// Attacks of the years 2015 to 2022: a public key as secret, no signature, a key in the header.
#[test]
fn algorithm_is_bound_to_the_type_of_the_key() {
    let claims = json!({"sub": "ann", "exp": NOW + 1});
    for signer in [TokenSigner::rsa(), TokenSigner::p256(), TokenSigner::ed25519()] {
        let keys = keys(&[signer.jwk("a")]);
        for secret in [signer.public_key_pem().into_bytes(), signer.public_key_der()] {
            for header in [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": "a"})] {
                let token = TokenSigner::hmac(secret.clone()).sign(&header, &claims);
                let refusal = policy("").verify(token.as_bytes(), &keys, NOW).unwrap_err();
                assert_eq!(refusal, TokenRefusal::AlgorithmUnfit { name: ForeignText::of("HS256") });
            }
        }
        let own_key = json!({"alg": "ES256", "jwk": TokenSigner::p256().jwk("b")});
        let token = TokenSigner::p256().sign(&own_key, &claims);
        assert!(policy("").verify(token.as_bytes(), &keys, NOW).is_err());
    }
    let unsigned = signer().sign(&json!({"alg": "none"}), &claims);
    let refusal = policy("").verify(unsigned.as_bytes(), &own_keys(), NOW).unwrap_err();
    assert_eq!(refusal, TokenRefusal::AlgorithmUnknown { name: ForeignText::of("none") });
    assert!(refusal.to_string().starts_with("algorithm \"none\" is not supported"), "{refusal}");
}

#[test]
fn a_kid_chooses_the_key() {
    let (one, two) = (TokenSigner::p256(), TokenSigner::p256());
    let keys = keys(&[one.jwk("1"), two.jwk("2")]);
    let claims = json!({"sub": "ann", "exp": NOW + 1});
    let verify = |signer: &TokenSigner, header: Value| {
        policy("").verify(signer.sign(&header, &claims).as_bytes(), &keys, NOW).map(|_| ())
    };
    let (of, other) = (ForeignText::of, TokenSigner::p384());
    for (signer, header, expected) in [
        (&one, json!({"alg": "ES256", "kid": "1"}), Ok(())),
        (&two, json!({"alg": "ES256", "kid": "2"}), Ok(())),
        (&two, json!({"alg": "ES256"}), Ok(())),
        (&two, json!({"alg": "ES256", "kid": "1"}), Err(TokenRefusal::Signature)),
        (&one, json!({"alg": "ES256", "kid": "3"}), Err(TokenRefusal::KeyUnknown { kid: of("3") })),
        (
            &other,
            json!({"alg": "ES384", "kid": "1"}),
            Err(TokenRefusal::AlgorithmUnfit { name: of("ES384") }),
        ),
        (&TokenSigner::p256(), json!({"alg": "ES256"}), Err(TokenRefusal::Signature)),
    ] {
        assert_eq!(verify(signer, header.clone()), expected, "{header}");
    }
    let token = one.sign(&json!({"alg": "ES256"}), &claims);
    assert_eq!(policy("").verify(token.as_bytes(), &[], NOW), Err(TokenRefusal::NoKeys));
}

#[test]
fn times_are_checked_with_a_tolerance() {
    for (section, claims, expected) in [
        ("", json!({"exp": NOW + 1}), Ok(Some((NOW + 31) * 1_000))),
        ("", json!({"exp": NOW - 29}), Ok(Some((NOW + 1) * 1_000))),
        ("", json!({"exp": NOW - 30}), Err(TokenRefusal::Expired { ago_sec: 30 })),
        ("", json!({"exp": 0}), Err(TokenRefusal::Expired { ago_sec: NOW })),
        ("", json!({"exp": -1.5}), Err(TokenRefusal::Expired { ago_sec: NOW })),
        ("", json!({"exp": u64::MAX}), Ok(Some(u64::MAX))),
        ("", json!({"exp": null}), Err(TokenRefusal::NoExpiry)),
        ("", json!({"exp": "1"}), Err(crate::claims::wrong_type("exp", "number of seconds"))),
        ("require_exp = false", json!({"exp": null}), Ok(None)),
        ("require_exp = false", json!({"exp": 1}), Err(TokenRefusal::Expired { ago_sec: NOW - 1 })),
        ("clock_skew_sec = 0", json!({"exp": NOW}), Err(TokenRefusal::Expired { ago_sec: 0 })),
        ("clock_skew_sec = 0", json!({"exp": NOW + 1}), Ok(Some((NOW + 1) * 1_000))),
        ("require_exp = false", json!({"exp": null, "nbf": NOW + 30, "iat": NOW + 30}), Ok(None)),
        ("", json!({"nbf": NOW + 31}), Err(TokenRefusal::NotYetValid { ahead_sec: 31 })),
        ("", json!({"nbf": true}), Err(crate::claims::wrong_type("nbf", "number of seconds"))),
        ("", json!({"iat": NOW + 31}), Err(TokenRefusal::IssuedInFuture { ahead_sec: 31 })),
    ] {
        let judged = judged(section, &claims).map(|token| token.claims.valid_until_ms);
        assert_eq!(judged, expected, "{section} {claims}");
    }
}

#[test]
fn issuer_and_audience_are_among_the_accepted_ones() {
    let issuers = "issuer = ['https://one.example', 'two']";
    let audiences = "audience = ['broker', 'other']";
    for (section, claims, expected) in [
        ("", json!({}), Ok(())),
        ("", json!({"iss": "anybody"}), Ok(())),
        (issuers, json!({"iss": "two"}), Ok(())),
        (issuers, json!({"iss": "https://one.example"}), Ok(())),
        (issuers, json!({"iss": "https://one.example/"}), Err(TokenRefusal::Issuer)),
        (issuers, json!({"iss": ["two"]}), Err(TokenRefusal::Issuer)),
        (issuers, json!({}), Err(TokenRefusal::Issuer)),
        (audiences, json!({"aud": "broker"}), Ok(())),
        (audiences, json!({"aud": ["x", "other"]}), Ok(())),
        (audiences, json!({"aud": ["x"]}), Err(TokenRefusal::Audience)),
        (audiences, json!({"aud": []}), Err(TokenRefusal::Audience)),
        (audiences, json!({"aud": {"broker": 1}}), Err(TokenRefusal::Audience)),
        (audiences, json!({}), Err(TokenRefusal::Audience)),
        ("", json!({"aud": "somebody"}), Err(TokenRefusal::Audience)),
        ("", json!({"aud": 1}), Err(TokenRefusal::Audience)),
    ] {
        assert_eq!(judged(section, &claims).map(|_| ()), expected, "{section} {claims}");
    }
}

#[test]
fn claims_become_the_user_with_groups_and_properties() {
    let section = "user_claim = 'user.name'\ngroups_claim = 'realm_access.roles'\n\
                   properties_claims = ['site', 'user.floor', 'is_new', 'missing']";
    let claims = json!({
        "sub": null, "user": {"name": "bob", "floor": 3}, "realm_access": {"roles": ["a", "b"]},
        "site": "north", "is_new": true
    });
    let token = judged(section, &claims).unwrap();
    let properties = [("is_new", "true"), ("site", "north"), ("user.floor", "3")];
    let expected = Claims {
        user: "bob".to_owned(),
        groups: ["a", "b"].map(str::to_owned).into(),
        properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        grants: None,
        valid_until_ms: Some((NOW + 130) * 1_000),
        bounds: SessionBounds::default(),
    };
    assert_eq!((token.claims, token.client_id), (expected, None));
}

#[test]
fn unusable_claims_are_refused_by_name() {
    let of_type = |claim, expected| crate::claims::wrong_type(claim, expected);
    for (claims, expected) in [
        (json!({"sub": null}), TokenRefusal::ClaimMissing { claim: "sub".into() }),
        (json!({"sub": 7}), of_type("sub", "text")),
        (json!({"groups": {"a": 1}}), of_type("groups", "list of texts")),
        (json!({"site": ["x"]}), of_type("site", "text, number or truth value")),
    ] {
        assert_eq!(judged("properties_claims = 'site'", &claims), Err(expected), "{claims}");
    }
}

#[test]
fn grants_have_one_form() {
    let grants =
        |acl: Value| judged("", &json!({ "acl": acl })).map(|token| token.claims.grants.map(Vec::from));
    let good = json!([
        {"permission": "deny", "action": "publish", "topic": "a/#", "qos_max": 1, "retain": false},
        {"permission": "allow", "action": "all", "topic": "%c/+"}
    ]);
    assert_eq!(grants(good).unwrap().unwrap().len(), 2);
    assert_eq!(grants(json!([])).unwrap().unwrap().len(), 0, "an empty list denies all");
    let claim: Box<str> = "acl".into();
    let entry = |member: &str, value: Value| {
        let mut entry = json!({"permission": "allow", "action": "all", "topic": "a"});
        entry[member] = value;
        json!([{"permission": "allow", "action": "all", "topic": "b"}, entry])
    };
    let of_filter = |filter: &str, reason| GrantRefusal::Filter { filter: filter.to_owned(), reason };
    for (member, value, fault) in [
        ("permission", json!("Allow"), GrantFault::Permission),
        ("action", json!("pub"), GrantFault::Action),
        ("topic", json!("a/#/b"), GrantFault::Refused(of_filter("a/#/b", "# is not its last level"))),
        ("topic", json!(7), GrantFault::Form),
        ("qos_max", json!(3), GrantFault::Refused(GrantRefusal::QosAbove2 { qos: 3 })),
        ("qos_max", json!(256), GrantFault::Form),
        ("qos_max", json!([0]), GrantFault::Form),
        ("retain", json!("yes"), GrantFault::Form),
        ("qos", json!([0, 1]), GrantFault::Form),
    ] {
        let expected = TokenRefusal::Grant { claim: claim.clone(), entry: 2, fault };
        assert_eq!(grants(entry(member, value.clone())), Err(expected), "{member} {value}");
    }
    assert!(grants(json!([{"permission": "allow"}])).is_err() && grants(json!(["a"])).is_err());
    assert_eq!(grants(json!({})), Err(crate::claims::wrong_type("acl", "list of grants")));
    // A token of 16 KiB has fewer, so the list is judged without one.
    let many = vec![json!({"permission": "allow", "action": "all", "topic": "a"}); 257];
    let claims = TokenClaims([("acl".to_owned(), many.into())].into_iter().collect());
    let expected = TokenRefusal::Grants { claim, fault: GrantRefusal::TooMany { count: 257 } };
    assert_eq!(acl::grants(&claims, "acl"), Err(expected));
}

#[test]
fn a_token_is_for_its_user_and_its_client() {
    let bound = "client_id_claim = 'cid'";
    let other_user = Err(TokenRefusal::OtherUser { claim: "sub".into() });
    let other_client = Err(TokenRefusal::OtherClient { claim: "cid".into() });
    for (section, user_name, client_id, expected) in [
        ("", None, "c", Ok(())),
        ("", Some(""), "c", Ok(())),
        ("", Some("jwt"), "c", Ok(())),
        ("", Some("ann"), "c", Ok(())),
        ("", Some("bob"), "c", other_user.clone()),
        ("", Some("Ann"), "c", other_user.clone()),
        ("", Some("root"), "c", other_user),
        (bound, None, "c", Ok(())),
        (bound, None, "C", other_client.clone()),
        (bound, None, "", other_client),
    ] {
        let token = judged(section, &json!({"cid": "c"})).unwrap();
        let checked = policy(section).check_client(&token, user_name, client_id);
        assert_eq!(checked, expected, "{section} {user_name:?} {client_id}");
    }
    let refusal = judged(bound, &json!({}));
    assert_eq!(refusal, Err(TokenRefusal::ClaimMissing { claim: "cid".into() }));
}

#[test]
fn refusals_show_nothing_of_the_token() {
    let header = json!({"alg": "HS256", "kid": "k".repeat(500)});
    let claims = json!({"sub": ["swordfish"], "exp": NOW + 1, "groups": ["swordfish#"]});
    let token = signer().sign(&header, &claims);
    let mut refusals = Vec::new();
    for keys in [own_keys(), Vec::new(), keys(&[TokenSigner::p256().jwk("a")])] {
        refusals.push(policy("").verify(token.as_bytes(), &keys, NOW).unwrap_err());
    }
    refusals.push(policy("issuer = 'x'").verify(token.as_bytes(), &own_keys(), NOW).unwrap_err());
    let parts: Vec<&str> = token.split('.').collect();
    for refusal in refusals {
        for text in [refusal.to_string(), format!("{refusal:?}")] {
            assert!(!text.contains("swordfish"), "{text}");
            assert!(parts.iter().all(|part| !text.contains(&part[..8])), "{text}");
            assert!(text.len() < 300, "{text}");
        }
    }
}
