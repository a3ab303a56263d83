//! Tests of logins by SCRAM: accepted users, and the answers to rejected ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::*;
use crate::login::LoginStep;
use crate::peer::Peer;
use crate::{AccountReference, AnonymousLogin, Principal, ScramSecret};

const SECRET: ScramSecret = ScramSecret([3; 32]);

fn directory(scram: Option<ScramSecret>) -> Directory {
    let options = DirectoryOptions { cost: PasswordCost::TEST, scram, ..DirectoryOptions::default() };
    let directory = Directory::new(options).unwrap();
    for (user, password) in [("root", "coreflux"), ("bob", "pw"), ("a,b=c", "I\u{AD}X")] {
        directory.add_user(user, directory.hash(password).unwrap()).unwrap();
    }
    directory
}

fn request<'a>(user_name: Option<&'a str>, address: &str) -> LoginRequest<'a> {
    LoginRequest {
        user_name,
        password: None,
        client_id: "c1".into(),
        peer: Peer::Tcp(address.parse().unwrap()),
        anonymous: AnonymousLogin::default(),
        now_ms: 0,
    }
}

/// The client's side: the final message that proves `password`.
fn proof(password: &str, bare: &str, server_first: &str) -> Vec<u8> {
    let field = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
    let salt = STANDARD.decode(field("s=")).unwrap();
    let iterations = field("i=").parse().unwrap();
    let mut salted = [0; 32];
    ring::pbkdf2::derive(
        ring::pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        &salt,
        password.as_bytes(),
        &mut salted,
    );
    let sign = |key: &[u8], message: &[u8]| {
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), message);
        tag.as_ref().to_vec()
    };
    let client_key = sign(&salted, b"Client Key");
    let without_proof = format!("c=biws,r={}", field("r="));
    let signed = format!("{bare},{server_first},{without_proof}");
    let signature = sign(&Sha256::digest(&client_key), signed.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect();
    format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes()
}

fn challenged(
    directory: &Directory,
    request: &LoginRequest<'_>,
    bare: &str,
) -> Result<(Exchange, String), LoginRefusal> {
    let mut exchange = directory.begin_exchange("SCRAM-SHA-256").expect("it is on");
    match directory.step(&mut exchange, Some(format!("n,,{bare}").as_bytes()), request)? {
        ExchangeStep::Challenge(data) => Ok((exchange, String::from_utf8(data).unwrap())),
        ExchangeStep::Done { .. } => panic!("nobody is known by his name alone"),
    }
}

fn login(
    directory: &Directory,
    request: &LoginRequest<'_>,
    bare: &str,
    password: &str,
) -> Result<Identity, LoginRefusal> {
    let (mut exchange, server_first) = challenged(directory, request, bare)?;
    match directory.step(&mut exchange, Some(&proof(password, bare, &server_first)), request)? {
        ExchangeStep::Done { identity, data } => {
            assert!(data.starts_with(b"v="));
            Ok(identity)
        }
        ExchangeStep::Challenge(_) => panic!("two messages are enough"),
    }
}

#[test]
fn scram_admits_who_knows_the_password() {
    let directory = directory(Some(SECRET));
    let (local, remote) = ("127.0.0.1", "192.168.1.9");
    let failed = Err(LoginRefusal::ExchangeFailed);
    for (claimed, address, user, password, expected) in [
        (None, remote, "bob", "pw", Ok("bob")),
        (Some("bob"), remote, "bob", "pw", Ok("bob")),
        (Some(""), remote, "bob", "pw", Ok("bob")),
        (None, remote, "a=2Cb=3Dc", "IX", Ok("a,b=c")),
        (None, local, "root", "coreflux", Ok("root")),
        (None, remote, "root", "coreflux", Err(LoginRefusal::DefaultPasswordFromElsewhere)),
        (Some("eve"), remote, "bob", "pw", failed),
        (None, remote, "bob", "Pw", failed),
        (None, remote, "eve", "pw", failed),
        (None, remote, "eve", "", failed),
    ] {
        let bare = format!("n={user},r=abc");
        let found = login(&directory, &request(claimed, address), &bare, password);
        let found = found.map(|identity| identity.user_name().unwrap().to_owned());
        assert_eq!(found, expected.map(str::to_owned), "{claimed:?} {address} {user} {password}");
    }
}

#[test]
fn scram_challenge_does_not_reveal_whether_a_user_exists() {
    let (first, again) = (directory(Some(SECRET)), directory(Some(SECRET)));
    // In place of the nonce, which is random.
    let told = |directory: &Directory, user: &str| {
        let bare = format!("n={user},r=abc");
        let (_, message) = challenged(directory, &request(None, "10.0.0.1"), &bare).unwrap();
        message.split_once(",s=").unwrap().1.to_owned()
    };
    for user in ["bob", "eve"] {
        let before = told(&first, user);
        assert_eq!(before, told(&first, user), "the same each time: {user}");
        assert!(before.ends_with("==,i=15000"), "{before}");
    }
    again.restore([(*first.account("bob").unwrap()).clone()]);
    for user in ["bob", "eve"] {
        assert_eq!(told(&first, user), told(&again, user), "the same after a restart: {user}");
    }
    assert_ne!(told(&first, "eve"), told(&first, "bob"));
}

/// A precomputed table for one salt serves for one password at most.
#[test]
fn every_password_has_its_own_salt() {
    let directory = directory(Some(SECRET));
    let salt = || directory.account("bob").unwrap().credential.scram().unwrap().salt;
    let before = salt();
    for _ in 0..2 {
        directory.change_password("bob", directory.hash("pw").unwrap()).unwrap();
        assert_ne!(salt(), before);
    }
    assert!(login(&directory, &request(None, "10.0.0.1"), "n=bob,r=abc", "pw").is_ok());
}

/// Failures of both ways to log in count together, and challenges that were asked for in advance
/// are no more guesses.
#[test]
fn guesses_by_exchange_wait_as_those_by_password() {
    let directory = directory(Some(SECRET));
    let bare = "n=bob,r=abc";
    let from = |address| LoginRequest { now_ms: 0, ..request(None, address) };
    let early = Some(LoginRefusal::TooManyFailures);
    let mut open: Vec<_> = (0..8).map(|_| challenged(&directory, &from("10.0.0.1"), bare).unwrap()).collect();
    for _ in 0..3 {
        assert_eq!(
            login(&directory, &from("10.0.0.1"), bare, "guess").err(),
            Some(LoginRefusal::ExchangeFailed)
        );
    }
    let guess = LoginRequest { password: Some(b"guess"), ..request(Some("bob"), "10.0.0.1") };
    for _ in 0..2 {
        let LoginStep::Verify(pending) = directory.begin_login(&guess) else { panic!("hashed") };
        assert!(directory.finish_login(pending.verify(), 0).is_err());
    }
    assert_eq!(login(&directory, &from("10.0.0.1"), bare, "pw").err(), early);
    for (exchange, server_first) in &mut open {
        let right = proof("pw", bare, server_first);
        assert_eq!(directory.step(exchange, Some(&right), &from("10.0.0.1")).err(), early);
    }
    assert!(login(&directory, &from("10.0.0.2"), bare, "pw").is_ok(), "from another address");
    let later = LoginRequest { now_ms: 1_000, ..from("10.0.0.1") };
    assert!(login(&directory, &later, bare, "pw").is_ok());
}

#[test]
fn an_exchange_is_for_one_login_in_its_order() {
    let directory = directory(Some(SECRET));
    let request = request(None, "10.0.0.1");
    let failed = Some(LoginRefusal::ExchangeFailed);
    let bare = "n=bob,r=abc";
    // The same proof twice, and one for another challenge.
    let (mut exchange, server_first) = challenged(&directory, &request, bare).unwrap();
    let right = proof("pw", bare, &server_first);
    assert!(directory.step(&mut exchange, Some(&right), &request).is_ok());
    assert_eq!(directory.step(&mut exchange, Some(&right), &request).err(), failed);
    let (mut other, _) = challenged(&directory, &request, bare).unwrap();
    assert_eq!(directory.step(&mut other, Some(&right), &request).err(), failed);
    // No second try, and nothing without data.
    let (mut exchange, server_first) = challenged(&directory, &request, bare).unwrap();
    let right = proof("pw", bare, &server_first);
    assert_eq!(directory.step(&mut exchange, Some(b"c=biws,r=x,p=AAAA"), &request).err(), failed);
    assert_eq!(directory.step(&mut exchange, Some(&right), &request).err(), failed);
    let (mut exchange, _) = challenged(&directory, &request, bare).unwrap();
    assert_eq!(directory.step(&mut exchange, None, &request).err(), failed);
    // A password that is changed in between.
    let (mut exchange, server_first) = challenged(&directory, &request, bare).unwrap();
    directory.change_password("bob", directory.hash("pw").unwrap()).unwrap();
    let right = proof("pw", bare, &server_first);
    assert_eq!(directory.step(&mut exchange, Some(&right), &request).err(), failed);
    // A client that lets the server begin.
    let mut exchange = directory.begin_exchange("SCRAM-SHA-256").unwrap();
    let step = directory.step(&mut exchange, None, &request).unwrap();
    assert!(matches!(step, ExchangeStep::Challenge(data) if data.is_empty()));
    assert!(directory.step(&mut exchange, Some(b"n,,n=bob,r=abc"), &request).is_ok());
}

#[test]
fn verifiers_exist_where_they_are_wanted_only() {
    let off = directory(None);
    assert!(off.begin_exchange("SCRAM-SHA-256").is_none());
    assert!(off.account("bob").unwrap().credential.scram().is_none());
    let on = directory(Some(SECRET));
    for unknown in ["scram-sha-256", "SCRAM-SHA-1", ""] {
        assert!(on.begin_exchange(unknown).is_none(), "{unknown}");
    }
    // Accounts from before it was turned on: made at the next login with a password.
    let account = |directory: &Directory| (*directory.account("bob").unwrap()).clone();
    on.restore([account(&off)]);
    assert!(login(&on, &request(None, "10.0.0.1"), "n=bob,r=abc", "pw").is_err());
    let plain = |directory: &Directory, password: &str| {
        let request =
            LoginRequest { password: Some(password.as_bytes()), ..request(Some("bob"), "10.0.0.1") };
        let LoginStep::Verify(pending) = directory.begin_login(&request) else { panic!("hashed") };
        let LoginStep::Verify(pending) = directory.check_login(pending, 0) else { panic!("hashed") };
        let mut verified = pending.verify();
        let verifier = verified.take_verifier();
        (directory.finish_login(verified, 0), verifier)
    };
    assert!(plain(&on, "wrong").1.is_none());
    let (identity, verifier) = plain(&on, "pw");
    let (identity, verifier) = (identity.unwrap(), verifier.unwrap());
    let unversioned = Principal::of_reference(AccountReference::read("bob"));
    let stale = Identity { principal: unversioned, ..identity.clone() };
    assert!(on.keep_verifier(&stale, verifier.clone()).is_none());
    let changed = on.keep_verifier(&identity, verifier).unwrap();
    assert!(changed == account(&on) && changed.credential.scram().is_some());
    assert!(login(&on, &request(None, "10.0.0.1"), "n=bob,r=abc", "pw").is_ok());
}
