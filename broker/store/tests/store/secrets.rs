//! Secrets are in no file in plain text, and open with their key only.

use lotmq_changes::*;
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

const DIRECTORY: &str = "LOTMQ_STORE_SECRETS_DIRECTORY";

/// Run by the test below in a process with its own environment; says what the secret is.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let options = StoreOptions { secret_key: KeySource::EnvironmentOrFile, ..options(directory.as_ref()) };
    match Store::open(options, Box::new(|_| {})) {
        Err(error) => println!("secret {error}"),
        Ok((store, recovered)) if recovered.is_new => {
            commit(&store, [Op::PutSecret { tenant: TenantId::DEFAULT, name: "S", value: b"v" }]);
        }
        Ok((_store, recovered)) => println!("secret {:?}", recovered.secrets[0].value.is_some()),
    }
}

#[test]
fn the_key_from_the_environment_comes_before_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let run = |key: Option<&str>| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "secrets::child", "--nocapture"]).env(DIRECTORY, directory.path());
        command.env_remove("LOTMQ_SECRET_KEY");
        if let Some(key) = key {
            command.env("LOTMQ_SECRET_KEY", key);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let key = "0f".repeat(32);
    run(Some(&key));
    assert!(!directory.path().join("secret.key").exists());
    assert!(run(Some(&key)).contains("secret true"));
    assert!(run(Some("0f")).contains("LOTMQ_SECRET_KEY must be 64 hexadecimal digits"));
    assert!(run(None).contains("secret false"), "the file's key is another one");
}
