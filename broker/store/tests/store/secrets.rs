//! Secrets are in no file in plain text, and open with their key only.

use lotmq_store::*;

use crate::support::*;

#[test]
fn no_file_holds_a_secret_in_plain_text() {
    let directory = tempfile::tempdir().unwrap();
    let value = b"correct-horse-battery-staple";
    let options = StoreOptions { secret_key: KeySource::File, ..options(directory.path()) };
    let (store, _) = Store::open(options.clone(), Box::new(|_| {})).unwrap();
    let secret = |name| Op::PutSecret { tenant: TenantId::DEFAULT, name, value };
    commit(&store, [secret("A"), secret("B")]);
    drop(store);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(value.len()).any(|window| window == value));
        assert!(!bytes.windows(12).any(|window| window == &value[8..20]));
    }
    let (_store, recovered) = Store::open(options, Box::new(|_| {})).unwrap();
    let values: Vec<_> =
        recovered.secrets.iter().map(|secret| secret.value.as_ref().unwrap().to_vec()).collect();
    assert_eq!(values, [value, value]);
    assert!(!format!("{recovered:?}").contains("horse"));
}

#[test]
fn with_another_key_secrets_are_locked_and_the_rest_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    commit(&store, [Op::PutSecret { tenant: TenantId::DEFAULT, name: "S", value: b"v" }]);
    drop(store);
    let other = StoreOptions { secret_key: KeySource::Key([8; 32]), ..options(directory.path()) };
    let (store, recovered) = Store::open(other, Box::new(|_| {})).unwrap();
    assert_eq!(recovered.secrets[0].name, "S");
    assert!(recovered.secrets[0].value.is_none());
    drop(store);
    let (_store, recovered) = open(directory.path());
    assert!(recovered.secrets[0].value.is_some());
}

#[test]
fn a_malformed_key_file_is_refused_and_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret.key"), "not a key").unwrap();
    let options = StoreOptions { secret_key: KeySource::File, ..options(directory.path()) };
    let error = Store::open(options, Box::new(|_| {})).unwrap_err();
    assert!(matches!(error, OpenError::SecretKey(SecretKeyError::FileMalformed(_))), "{error}");
    assert_eq!(std::fs::read(directory.path().join("secret.key")).unwrap(), b"not a key");
}
