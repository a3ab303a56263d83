use std::sync::Mutex as StdMutex;

use lotmq_test_support::{Answer, HttpServer, TokenSigner, eventually};
use serde_json::json;

use super::*;
use crate::policy::TokenPolicy;
use crate::policy::tests::section;
use crate::refusal::TokenRefusal;

fn schedule() -> (FetchSchedule, Instant) {
    let start = Instant::now();
    let mut jwt = Jwt::default();
    (jwt.jwks_refresh_sec, jwt.jwks_unknown_kid_sec) = (100, 10);
    (FetchSchedule::new(&jwt, start), start)
}

#[test]
fn unknown_keys_cause_one_fetch_in_the_configured_time() {
    let (mut schedule, start) = schedule();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(schedule.next, start, "the first fetch is at once");
    schedule.begins(start);
    schedule.ended(true, at(1));
    assert_eq!(schedule.next, at(101));
    schedule.hurry(at(2));
    assert_eq!(schedule.next, at(10), "10 s after the begin of the last one");
    schedule.hurry(at(3));
    assert_eq!(schedule.next, at(10));
    schedule.begins(at(10));
    schedule.hurry(at(10));
    schedule.ended(true, at(11));
    schedule.hurry(at(50));
    assert_eq!(schedule.next, at(50), "the last one was long ago");
}

#[test]
fn failed_fetches_are_repeated_with_growing_pauses() {
    let (mut schedule, start) = schedule();
    let pauses = (0..9).map(|_| {
        schedule.begins(start);
        schedule.ended(false, start);
        schedule.next.duration_since(start).as_secs()
    });
    assert_eq!(pauses.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 100, 100]);
    schedule.ended(true, start);
    schedule.ended(false, start);
    assert_eq!(schedule.next, start + FETCH_RETRY_PAUSE);
}

/// A server of one key set, which a test replaces; `None` is an outage.
struct KeyServer {
    server: HttpServer,
    set: Arc<StdMutex<Option<String>>>,
}

impl KeyServer {
    fn new(signers: &[(&str, &TokenSigner)]) -> Self {
        let set: Arc<StdMutex<Option<String>>> = Arc::default();
        let of_thread = Arc::clone(&set);
        let answer = move |_: &_| match &*of_thread.lock().unwrap() {
            Some(set) => Answer::of(200, set),
            None => Answer::of(503, ""),
        };
        let own = Self { server: HttpServer::start(answer), set };
        own.show(signers);
        own
    }

    fn show(&self, signers: &[(&str, &TokenSigner)]) {
        let keys: Vec<_> = signers.iter().map(|(kid, signer)| signer.jwk(kid)).collect();
        *self.set.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    fn breaks_down(&self) {
        *self.set.lock().unwrap() = None;
    }

    fn config(&self, others: &str) -> Jwt {
        section(&format!("jwks_url = 'http://{}/jwks'\n{others}", self.server.address))
    }
}

fn judged(store: &KeyStore, signer: &TokenSigner, kid: &str) -> Result<(), TokenRefusal> {
    let alg = if matches!(signer, TokenSigner::Hmac(_)) { "HS256" } else { "ES256" };
    let token = signer.sign(&json!({"alg": alg, "kid": kid}), &json!({"sub": "ann", "exp": 100}));
    TokenPolicy::new(Jwt::default()).verify(token.as_bytes(), &store.usable(), 1).map(|_| ())
}

fn eventually_good(store: &KeyStore, signer: &TokenSigner, kid: &str) {
    eventually(&format!("a token of {kid} is good"), || judged(store, signer, kid).ok());
}

#[test]
fn keys_of_the_network_are_rotated_when_a_token_names_an_unknown_one() {
    let (one, two) = (TokenSigner::p256(), TokenSigner::p256());
    let server = KeyServer::new(&[("1", &one)]);
    let store = KeyStore::start(&server.config("jwks_unknown_kid_sec = 1")).unwrap();
    eventually_good(&store, &one, "1");
    server.show(&[("2", &two)]);
    assert!(matches!(judged(&store, &two, "2"), Err(TokenRefusal::KeyUnknown { .. })));
    for _ in 0..1_000 {
        assert!(store.hurry_fetch());
    }
    eventually_good(&store, &two, "2");
    assert!(judged(&store, &one, "1").is_err(), "the key was taken away");
    assert_eq!(server.server.asked().len(), 2, "a thousand unknown keys cause one fetch");
}

#[test]
fn keys_stay_during_an_outage_and_end_after_its_time() {
    let one = TokenSigner::p256();
    let server = KeyServer::new(&[("1", &one)]);
    let store = KeyStore::start(&server.config("jwks_unknown_kid_sec = 1\nkeys_outage_sec = 2")).unwrap();
    eventually_good(&store, &one, "1");
    server.breaks_down();
    let fetches = server.server.asked().len();
    assert!(store.hurry_fetch());
    eventually("a failed fetch", || (server.server.asked().len() > fetches).then_some(()));
    assert_eq!(judged(&store, &one, "1"), Ok(()), "the outage has begun");
    eventually("the end of the keys", || {
        (judged(&store, &one, "1") == Err(TokenRefusal::NoKeys)).then_some(())
    });
    server.show(&[("1", &one)]);
    eventually_good(&store, &one, "1");
}

#[test]
fn no_token_is_good_before_the_first_fetch() {
    let one = TokenSigner::p256();
    let server = KeyServer::new(&[("1", &one)]);
    server.breaks_down();
    let store = KeyStore::start(&server.config("")).unwrap();
    eventually("a failed fetch", || (!server.server.asked().is_empty()).then_some(()));
    assert_eq!(judged(&store, &one, "1"), Err(TokenRefusal::NoKeys));
    server.show(&[("1", &one)]);
    eventually_good(&store, &one, "1");
}

/// A secret on the network would be everybody's.
#[test]
fn secrets_of_the_network_are_not_used() {
    let secret = TokenSigner::hmac([7; 32]);
    let server = KeyServer::new(&[("s", &secret)]);
    let store = KeyStore::start(&server.config("")).unwrap();
    eventually("a fetch", || (!server.server.asked().is_empty()).then_some(()));
    server.show(&[("s", &secret), ("1", &TokenSigner::p256())]);
    eventually("keys", || (!store.usable().is_empty()).then_some(()));
    assert!(judged(&store, &secret, "s").is_err());
}

/// mosquitto#588: a file that could not be read again let everybody in.
#[test]
fn a_file_that_fails_to_reload_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let (one, two) = ("1".repeat(40), "2".repeat(40));
    std::fs::write(&path, &one).unwrap();
    let lines = format!("secret_file = '{}'\nkeys_outage_sec = 3", path.display());
    let store = KeyStore::start(&section(&lines)).unwrap();
    assert!(!store.hurry_fetch(), "nothing comes of the network");
    let judged = |secret: &str| judged(&store, &TokenSigner::hmac(secret), "x");
    assert_eq!((judged(&one), judged(&two)), (Ok(()), Err(TokenRefusal::Signature)));
    for broken in ["short", "", "-----BEGIN PUBLIC KEY-----"] {
        std::fs::write(&path, broken).unwrap();
        for guess in [broken, &two, &"\0".repeat(64)].into_iter().filter(|guess| !guess.is_empty()) {
            assert!(judged(guess).is_err(), "{broken:?} {guess:?}");
        }
    }
    eventually("the end of the former secret", || judged(&one).is_err().then_some(()));
    assert_eq!(judged(&one), Err(TokenRefusal::NoKeys));
    std::fs::write(&path, &two).unwrap();
    eventually("the new secret", || judged(&two).ok());
    assert_eq!(judged(&one), Err(TokenRefusal::Signature));
}

#[test]
fn a_start_without_keys_names_the_file() {
    for key in ["secret_file", "public_key_file", "jwks_file"] {
        let error = KeyStore::start(&section(&format!("{key} = '/nowhere/key'"))).err().unwrap();
        assert!(error.to_string().starts_with("/nowhere/key cannot be read: "), "{error}");
        let KeyStoreError::Source { setting, .. } = error else { panic!("{error}") };
        assert_eq!(setting, format!("auth.jwt.{key}"));
    }
}
