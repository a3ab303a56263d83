//! Modules that are signed, and brokers that take no others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_test_support::{Broker, Program};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::{LOTMQ, broker, options};

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
    let announced =
        format!("-addModule scale -world action -size {} -sha256 {}", bytes.len(), "0".repeat(64));
    let first = broker.command(&announced);
    assert_eq!(first.code(), "SIGNATURE_REQUIRED", "before a part is sent: {first:?}");
    let first = broker.command(&format!("{announced} -sig ed25519:abc"));
    assert_eq!(first.code(), "SIGNATURE_INVALID", "{first:?}");
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

/// `lotmq guest` in a folder; what it writes, and its exit code.
fn deploy(folder: &std::path::Path, broker: &Broker, more: &str) -> (String, Option<i32>) {
    let deploy = "guest deploy --file scale.wasm --name scale --on raw/# --grant-all";
    let script = format!("cd '{}'; '{LOTMQ}' {deploy} -p {} {more} 2>&1", folder.display(), broker.port());
    let finished = Program::run("sh", &["-c", &script]).unwrap();
    (finished.stdout, finished.status.code())
}

#[test]
fn deploy_sends_the_adjacent_or_named_signature() {
    let (signer, bytes) = (Signer::new(), STANDARD.decode(crate::modules::scale()).unwrap());
    let broker = options()
        .variable("LOTMQ_MODULES_REQUIRE_SIGNATURE", "true")
        .variable("LOTMQ_MODULES_KEYS", &signer.key())
        .start();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    std::fs::write(path("scale.wasm"), &bytes).unwrap();
    let (told, code) = deploy(place.path(), &broker, "");
    assert!(
        told.contains("sign scale.wasm and put the signature into scale.sig") && code == Some(1),
        "{told}"
    );
    std::fs::write(path("text"), signer.sign(&bytes) + "\n").unwrap();
    let (told, code) = deploy(place.path(), &broker, "--sig text");
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(broker.command_ok("-moduleInfo scale").data()["signedBy"], signer.key());
    std::fs::write(path("scale.sig"), signer.0.sign(&bytes).as_ref()).unwrap();
    let (told, code) = deploy(place.path(), &broker, "");
    assert!(told.contains("with the signature in scale.sig") && code == Some(0), "{told}");
    let (told, code) = deploy(place.path(), &broker, "--unsigned");
    assert!(told.contains("SIGNATURE_REQUIRED") && code == Some(1), "{told}");
    std::fs::write(path("scale.sig"), "what is none").unwrap();
    let (told, code) = deploy(place.path(), &broker, "");
    assert!(told.contains("scale.sig: no signature") && code == Some(1), "{told}");
    let (told, code) = deploy(place.path(), &broker, "--sig nowhere");
    assert!(told.contains("cannot read nowhere") && code == Some(1), "{told}");
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
