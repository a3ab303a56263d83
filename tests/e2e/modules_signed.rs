//! Modules that are signed, and brokers that take no others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_test_support::Broker;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::{broker, options};

/// Somebody who signs.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> Signer {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Signer(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    fn key(&self) -> String {
        format!("ed25519:{}", STANDARD.encode(self.0.public_key()))
    }

    fn sign(&self, bytes: &[u8]) -> String {
        format!("ed25519:{}", STANDARD.encode(self.0.sign(bytes)))
    }
}

fn add(broker: &Broker, options: &str) -> lotmq_test_support::Reply {
    let module = crate::modules::scale();
    broker.command(&format!("-addModule scale -world action -replace {options} wasm64:{module}"))
}

#[test]
fn a_broker_that_requires_signatures_takes_what_its_keys_have_signed_and_nothing_else() {
    let (signer, second, stranger) = (Signer::new(), Signer::new(), Signer::new());
    let bytes = STANDARD.decode(crate::modules::scale()).unwrap();
    let mut broker = options()
        .variable("LOTMQ_MODULES_REQUIRE_SIGNATURE", "true")
        .variable("LOTMQ_MODULES_KEYS", &format!("{}, {}", signer.key(), second.key()))
        .start();
    let changed = [&bytes[..], b"\0\x02\x01x"].concat();
    for (options, code) in [
        (String::new(), "SIGNATURE_REQUIRED"),
        (format!("-sig {}", stranger.sign(&bytes)), "SIGNATURE_INVALID"),
        (format!("-sig {}", signer.sign(&changed)), "SIGNATURE_INVALID"),
        (format!("-sig {}", signer.sign(&bytes).replace("ed25519", "rsa")), "SIGNATURE_INVALID"),
        (format!("-sig ed25519:{}", STANDARD.encode([0; 63])), "SIGNATURE_INVALID"),
        ("-sig ed25519:%%".to_owned(), "SIGNATURE_INVALID"),
    ] {
        let reply = add(&broker, &options);
        assert_eq!(reply.code(), code, "{options}: {reply:?}");
    }
    assert_eq!(broker.command("-moduleInfo scale").code(), "MODULE_NOT_FOUND");
    for by in [&signer, &second] {
        let added = add(&broker, &format!("-sig {}", by.sign(&bytes)));
        assert_eq!(added.data()["signedBy"], by.key(), "{added:?}");
    }
    broker.kill();
    broker.start_again();
    assert_eq!(broker.command_ok("-moduleInfo scale").data()["signedBy"], second.key());
    assert_eq!(broker.command_ok("-rollbackModule scale").data()["signedBy"], signer.key());
}

#[test]
fn a_signature_is_checked_also_where_none_is_required() {
    let (signer, bytes) = (Signer::new(), STANDARD.decode(crate::modules::scale()).unwrap());
    let broker = broker();
    assert_eq!(add(&broker, "").data()["signedBy"], Value::Null);
    let unknown = add(&broker, &format!("-sig {}", signer.sign(&bytes)));
    assert_eq!(unknown.code(), "SIGNATURE_INVALID", "the broker has no keys: {unknown:?}");
    assert_eq!(broker.command_ok("-moduleInfo scale").data()["former"], json!(null));
}
