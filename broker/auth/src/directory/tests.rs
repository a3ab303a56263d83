//! Accounts change as the commands reference §7 says; a login is decided as §7.1 and §9.1 say.

use super::*;
use crate::AnonymousLogin;
use crate::login::LoginStep;
use crate::password::tests::cheap_credential;
use crate::peer::Peer;

const LOCAL: &str = "127.0.0.1";
const REMOTE: &str = "192.168.1.9";

fn directory() -> Directory {
    let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
    let directory = Directory::new(options).unwrap();
    directory.create_root(cheap_credential("coreflux")).unwrap();
    directory.add_user("bob", cheap_credential("pw")).unwrap();
    directory
}

fn request<'a>(user: Option<&'a str>, password: Option<&'a str>, address: &str) -> LoginRequest<'a> {
    LoginRequest {
        user_name: user,
        password: password.map(str::as_bytes),
        client_id: "c1".into(),
        peer: Peer::Tcp(address.parse().unwrap()),
        anonymous: AnonymousLogin::default(),
        now_ms: 0,
    }
}

/// Runs all steps of a login; says too whether hashing was needed.
fn login(directory: &Directory, request: &LoginRequest<'_>) -> (Result<Identity, LoginRefusal>, bool) {
    let step = match directory.begin_login(request) {
        LoginStep::Verify(pending) => directory.check_login(pending, request.now_ms),
        step @ (LoginStep::Admitted(_) | LoginStep::Refused(_) | LoginStep::Ask(_)) => step,
    };
    match step {
        LoginStep::Admitted(identity) => (Ok(identity), false),
        LoginStep::Refused(refusal) => (Err(refusal), false),
        LoginStep::Verify(pending) => (directory.finish_login(pending.verify(), request.now_ms), true),
        LoginStep::Ask(_) => panic!("there is no chain"),
    }
}

#[test]
fn imported_hash_is_replaced_by_the_first_right_login() {
    for hash in crate::password::imported::tests::HASHES {
        let directory = directory();
        let added = directory.add_user("ann", Credential::from_imported(hash).unwrap()).unwrap();
        let begin = |password: &str| {
            let request = request(Some("ann"), Some(password), REMOTE);
            let LoginStep::Verify(pending) = directory.begin_login(&request) else { panic!("{hash}") };
            let LoginStep::Verify(pending) = directory.check_login(pending, 0) else { panic!("{hash}") };
            pending.verify()
        };
        let mut wrong = begin("s3cret");
        assert!(wrong.take_rehashed().is_none());
        assert_eq!(directory.finish_login(wrong, 0), Err(LoginRefusal::BadCredentials));
        let mut right = begin("s3cret-pump");
        let rehashed = right.take_rehashed().unwrap();
        let identity = directory.finish_login(right, 0).unwrap();
        let kept = directory.keep_rehashed(&identity, rehashed).unwrap();
        assert!(kept.credential.phc().starts_with("$argon2id$") && kept.credential.verify(b"s3cret-pump"));
        assert_eq!((kept.credential_version, kept.number), (added.credential_version, added.number));
        assert!(directory.is_current(&identity), "the session stays");
        // A password that was changed meanwhile stays.
        directory.change_password("ann", cheap_credential("another")).unwrap();
        assert!(directory.keep_rehashed(&identity, cheap_credential("s3cret-pump")).is_none());
    }
}

/// Guesses wait longer each time, at this user and address only. The broker rejects attempts that
/// come during the wait.
#[test]
fn guesses_wait_and_nobody_is_kept_out_elsewhere() {
    let directory = directory();
    let at = |now_ms, user, password, address| {
        login(&directory, &LoginRequest { now_ms, ..request(Some(user), Some(password), address) }).0
    };
    let (bad, early) = (LoginRefusal::BadCredentials, LoginRefusal::TooManyFailures);
    for user in ["bob", "nobody"] {
        for (now_ms, expected) in
            [(0, bad), (0, bad), (0, bad), (0, bad), (0, bad), (500, early), (999, early)]
        {
            assert_eq!(at(now_ms, user, "guess", REMOTE), Err(expected), "{user} at {now_ms}");
        }
    }
    // The password may be right, as long as it was never seen it is not looked at.
    assert_eq!(at(999, "bob", "pw", REMOTE), Err(early));
    assert!(at(999, "bob", "pw", LOCAL).is_ok(), "from another address");
    assert!(at(999, "root", "coreflux", LOCAL).is_ok());
    assert_eq!(
        at(1_000, "bob", "guess", REMOTE),
        Err(bad),
        "the wait is over, and what came meanwhile did not count"
    );
    assert_eq!(at(2_999, "bob", "guess", REMOTE), Err(early), "the next one is longer");
    assert_eq!(at(3_000, "bob", "guess", REMOTE), Err(bad));
    // A remembered password is admitted now and then beside the attacker's guesses.
    assert!(at(4_500, "bob", "pw", REMOTE).is_ok());
    assert_eq!(at(4_500, "bob", "guess", REMOTE), Err(bad), "success forgets the failures");
}

/// Whether a login would be that of a user who was there before.
fn is_familiar(directory: &Directory, user: &str, address: &str) -> bool {
    match directory.begin_login(&request(Some(user), Some("x"), address)) {
        LoginStep::Verify(pending) => pending.origin().is_familiar,
        step @ (LoginStep::Admitted(_) | LoginStep::Refused(_) | LoginStep::Ask(_)) => panic!("{step:?}"),
    }
}

#[test]
fn a_user_is_familiar_where_he_was_until_somebody_fails_as_him_there() {
    let directory = directory();
    assert!(!is_familiar(&directory, "bob", REMOTE));
    assert!(login(&directory, &request(Some("bob"), Some("pw"), REMOTE)).0.is_ok());
    let places = directory.take_new_places();
    // As after a start.
    let directory = self::directory();
    places.iter().for_each(|(user, places)| assert!(directory.restore_places(user, places)));
    assert!(!directory.restore_places("nobody", ""));
    for (user, address, expected) in
        [("bob", REMOTE, true), ("bob", LOCAL, false), ("root", LOCAL, false), ("nobody", REMOTE, false)]
    {
        assert_eq!(is_familiar(&directory, user, address), expected, "{user} {address}");
    }
    assert!(login(&directory, &request(Some("bob"), Some("guess"), REMOTE)).0.is_err());
    assert!(!is_familiar(&directory, "bob", REMOTE));
    assert!(login(&directory, &request(Some("bob"), Some("pw"), REMOTE)).0.is_ok());
    assert_eq!(directory.take_new_places(), [], "it is known");
}

/// Many guesses at once are as many as one after the other.
#[test]
fn guesses_that_waited_to_be_hashed_are_not_when_those_before_them_failed() {
    let directory = directory();
    let pending: Vec<_> = (0..20)
        .map(|_| match directory.begin_login(&request(Some("bob"), Some("guess"), REMOTE)) {
            LoginStep::Verify(pending) => pending,
            step @ (LoginStep::Admitted(_) | LoginStep::Refused(_) | LoginStep::Ask(_)) => panic!("{step:?}"),
        })
        .collect();
    let checked = pending.into_iter().map(|pending| match directory.check_login(pending, 0) {
        LoginStep::Verify(pending) => directory.finish_login(pending.verify(), 0),
        LoginStep::Refused(refusal) => Err(refusal),
        LoginStep::Admitted(identity) => Ok(identity),
        LoginStep::Ask(_) => panic!("there is no chain"),
    });
    let (hashed, others): (Vec<_>, Vec<_>) =
        checked.partition(|result| *result == Err(LoginRefusal::BadCredentials));
    assert_eq!(hashed.len(), 5);
    assert!(others.iter().all(|result| *result == Err(LoginRefusal::TooManyFailures)));
}

/// Many devices with one account that come at once: the first one is hashed for all, and nobody is
/// refused.
#[test]
fn one_check_is_enough_for_all_who_wait_with_the_same_password() {
    let directory = directory();
    let begin = || match directory.begin_login(&request(Some("bob"), Some("pw"), REMOTE)) {
        LoginStep::Verify(pending) => pending,
        step @ (LoginStep::Admitted(_) | LoginStep::Refused(_) | LoginStep::Ask(_)) => panic!("{step:?}"),
    };
    let mut waiting: Vec<_> = (0..20).map(|_| begin()).collect();
    let first = waiting.remove(0);
    assert!(directory.finish_login(first.verify(), 0).is_ok());
    for pending in waiting {
        assert!(matches!(directory.check_login(pending, 0), LoginStep::Admitted(_)));
    }
}

#[test]
fn login_is_decided_by_name_password_and_peer() {
    let directory = directory();
    let bad = Err(LoginRefusal::BadCredentials);
    for (user, password, address, expected) in [
        (Some("bob"), Some("pw"), LOCAL, Ok(Some("bob"))),
        (Some("bob"), Some("pw"), REMOTE, Ok(Some("bob"))),
        (Some("bob"), Some("PW"), LOCAL, bad),
        (Some("bob"), Some(""), LOCAL, bad),
        (Some("bob"), None, LOCAL, bad),
        (Some("Bob"), Some("pw"), LOCAL, bad), // names are case-sensitive
        (Some("nobody"), Some("pw"), LOCAL, bad),
        (Some("root"), Some("coreflux"), LOCAL, Ok(Some("root"))),
        (Some("root"), Some("coreflux"), REMOTE, Err(LoginRefusal::DefaultPasswordFromElsewhere)),
        (Some("root"), Some("guess"), REMOTE, Err(LoginRefusal::DefaultPasswordFromElsewhere)),
        (Some("root"), Some("guess"), LOCAL, bad),
        (None, None, LOCAL, Ok(None)),
        (Some(""), Some(""), LOCAL, Ok(None)),
        (None, None, REMOTE, Err(LoginRefusal::AnonymousNotAllowed)),
        (Some(""), None, REMOTE, Err(LoginRefusal::AnonymousNotAllowed)),
    ] {
        let (result, _) = login(&directory, &request(user, password, address));
        let result = result.map(|identity| identity.user_name().map(str::to_owned));
        assert_eq!(result, expected.map(|name| name.map(str::to_owned)), "{user:?} {password:?} {address}");
    }
}

#[test]
fn a_certificate_stands_for_name_and_password() {
    let directory = directory();
    for (name, expected) in [
        (Some("bob"), Ok(Some("bob"))),
        (Some("Bob"), Err(LoginRefusal::CertificateOfNobody)),
        (Some(""), Err(LoginRefusal::CertificateOfNobody)),
        (None, Err(LoginRefusal::CertificateOfNobody)),
    ] {
        // User name and password of CONNECT do not count.
        let result = match directory.certified_login(name, &request(Some("root"), Some("guess"), REMOTE)) {
            LoginStep::Admitted(identity) => Ok(identity.user().cloned()),
            LoginStep::Refused(refusal) => Err(refusal),
            LoginStep::Verify(_) | LoginStep::Ask(_) => panic!("there is nothing to hash"),
        };
        assert_eq!(result.as_ref().map(Option::as_deref).map_err(|refusal| *refusal), expected, "{name:?}");
    }
}

#[test]
fn anonymous_login_follows_its_setting() {
    let directory = directory();
    for (anonymous, address, expected) in [
        (AnonymousLogin::FromLoopback, LOCAL, true),
        (AnonymousLogin::FromLoopback, REMOTE, false),
        (AnonymousLogin::FromEverywhere, REMOTE, true),
        (AnonymousLogin::Refused, LOCAL, false),
    ] {
        let request = LoginRequest { anonymous, ..request(None, None, address) };
        assert_eq!(login(&directory, &request).0.is_ok(), expected, "{anonymous:?} from {address}");
    }
    let proxied = LoginRequest { peer: Peer::Proxied(LOCAL.parse().unwrap()), ..request(None, None, LOCAL) };
    assert_eq!(login(&directory, &proxied).0, Err(LoginRefusal::AnonymousNotAllowed));
}

#[test]
fn root_with_a_password_of_its_own_comes_from_everywhere() {
    let directory = directory();
    assert!(directory.root_has_default_password());
    directory.change_password("root", cheap_credential("better")).unwrap();
    assert!(!directory.root_has_default_password());
    assert!(login(&directory, &request(Some("root"), Some("better"), REMOTE)).0.is_ok());
    directory.change_password("root", cheap_credential("coreflux")).unwrap();
    assert!(directory.root_has_default_password(), "set back by hand it is the default again");
}

#[test]
fn only_the_first_login_hashes_until_the_password_changes() {
    let directory = directory();
    let right = request(Some("bob"), Some("pw"), REMOTE);
    let steps = |request: &LoginRequest<'_>| {
        let (result, hashed) = login(&directory, request);
        (result.is_ok(), hashed)
    };
    assert_eq!(steps(&right), (true, true));
    assert_eq!(steps(&right), (true, false));
    assert_eq!(steps(&request(Some("bob"), Some("wrong"), REMOTE)), (false, true));
    assert_eq!(steps(&right), (true, false), "a failed login forgets nothing");
    directory.change_password("bob", cheap_credential("new")).unwrap();
    assert_eq!(steps(&right), (false, true));
    assert_eq!(steps(&request(Some("bob"), Some("new"), REMOTE)), (true, true));
    directory.remove_user("bob").unwrap();
    assert_eq!(steps(&request(Some("bob"), Some("new"), REMOTE)), (false, true));
}

#[test]
fn change_between_begin_and_finish_refuses_the_login() {
    let directory = directory();
    let begin = || match directory.begin_login(&request(Some("bob"), Some("pw"), LOCAL)) {
        LoginStep::Verify(pending) => pending.verify(),
        step @ (LoginStep::Admitted(_) | LoginStep::Refused(_) | LoginStep::Ask(_)) => panic!("{step:?}"),
    };
    let verified = begin();
    directory.change_password("bob", cheap_credential("pw")).unwrap();
    assert_eq!(directory.finish_login(verified, 0), Err(LoginRefusal::BadCredentials));
    let verified = begin();
    directory.remove_user("bob").unwrap();
    directory.add_user("bob", cheap_credential("pw")).unwrap();
    assert_eq!(directory.finish_login(verified, 0), Err(LoginRefusal::BadCredentials));
}

#[test]
fn sessions_of_changed_and_removed_users_are_no_longer_current() {
    let directory = directory();
    let bob = login(&directory, &request(Some("bob"), Some("pw"), LOCAL)).0.unwrap();
    let nobody = login(&directory, &request(None, None, LOCAL)).0.unwrap();
    assert!(directory.is_current(&bob));
    directory.change_setting("bob", "AllowedUserManagement", "true").unwrap();
    assert!(directory.is_current(&bob), "a setting closes nothing");
    directory.change_password("bob", cheap_credential("pw")).unwrap();
    assert!(!directory.is_current(&bob));
    let bob = login(&directory, &request(Some("bob"), Some("pw"), LOCAL)).0.unwrap();
    directory.remove_user("bob").unwrap();
    assert!(!directory.is_current(&bob));
    directory.add_user("bob", cheap_credential("pw")).unwrap();
    assert!(!directory.is_current(&bob), "another user of the same name is another user");
    assert!(directory.is_current(&nobody));
}

#[test]
fn refusals_are_worded_as_the_reference_says() {
    let directory = directory();
    for (result, text) in [
        (directory.add_user("bob", cheap_credential("x")).map(drop), "User bob already exists."),
        (directory.create_root(cheap_credential("x")).map(drop), "User root already exists."),
        (directory.remove_user("root").map(drop), "User root cannot be removed."),
        (directory.remove_user("eve").map(drop), "User eve not found."),
        (directory.change_password("eve", cheap_credential("x")).map(drop), "User eve not found."),
        (directory.change_setting("eve", "x", "1").map(drop), "User eve not found."),
        (directory.add_to_group("eve", "g").map(drop), "User eve not found."),
        (directory.remove_from_group("bob", "g").map(drop), "User bob is not in group g."),
        (
            directory.add_user("a/b", cheap_credential("x")).map(drop),
            "User name 'a/b' is invalid: the name contains '/'; control characters and / + # are not allowed.",
        ),
    ] {
        assert_eq!(result.map_err(|error| error.to_string()), Err(text.to_owned()));
    }
}

#[test]
fn every_change_moves_the_generation_and_restore_keeps_versions_apart() {
    let directory = directory();
    let mut before = directory.generation();
    let mut moved = |what: &str| {
        let now = directory.generation();
        assert_ne!(now, before, "{what}");
        before = now;
    };
    directory.add_to_group("bob", "g").unwrap();
    moved("join");
    directory.remove_from_group("bob", "g").unwrap();
    moved("leave");
    directory.change_setting("bob", "x", "1").unwrap();
    moved("setting");
    directory.change_password("bob", cheap_credential("x")).unwrap();
    moved("password");
    directory.remove_user("bob").unwrap();
    moved("remove");

    let options =
        DirectoryOptions { cost: PasswordCost::TEST, remembered_max: 4, ..DirectoryOptions::default() };
    let again = Directory::new(options).unwrap();
    let bob = Account { credential_version: 41, ..Account::new("bob", cheap_credential("pw"), 0) };
    again.restore([bob]);
    assert_eq!(again.add_user("eve", cheap_credential("x")).unwrap().credential_version, 42);
    assert_eq!(again.accounts().iter().map(|a| a.name.to_string()).collect::<Vec<_>>(), ["bob", "eve"]);
}

#[test]
fn non_administrators_may_fill_three_quarters_of_the_user_limits() {
    let users = directory();
    let credential = cheap_credential("secret");
    let ann = Account::new("ann", credential.clone(), 1);
    let add = |name: &str, maker| users.add_user_counted(name, credential.clone(), maker);
    let before = users.accounts().len();
    for number in before..ACCOUNTS_MAX / 4 * 3 {
        add(&format!("u{}", number - before), Some(&ann)).unwrap();
    }
    let refused = add("more", Some(&ann)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "There are already 75000 users, limit 75000 for who is no administrator."
    );
    add("more", None).unwrap();

    let value = "x".repeat(4000);
    let set =
        |room, user: &str, name: &str, value: &str| users.change_setting_within(room, user, (name, value));
    let mut count = 0;
    let refused = loop {
        match set(AccountRoom::OfOthers, &format!("u{}", count / 200), &format!("P{count}"), &value) {
            Ok(_) => count += 1,
            Err(refused) => break refused,
        }
    };
    let limit = "limit 6291456 for who is no administrator.";
    assert!(refused.to_string().ends_with(limit), "{refused}");
    let long = "g".repeat(64);
    assert!((0..64).any(|number| {
        users.add_to_group_within(AccountRoom::OfOthers, "more", &format!("{number}{}", &long[..60])).is_err()
    }));
    set(AccountRoom::Whole, "more", "P", &value).unwrap();
    // A shorter value has room, and a removed one makes room.
    set(AccountRoom::OfOthers, "u0", "P0", "y").unwrap();
    users.remove_user("u0").unwrap();
    for number in 0..100 {
        set(AccountRoom::OfOthers, "u9", &format!("Q{number}"), &value).unwrap();
    }
    // Stored accounts are restored even beyond the bounds.
    let again = directory();
    again.restore(users.accounts().iter().map(|account| Account::clone(account)));
    let fills = |number: usize| {
        let (user, name) = (format!("u{}", 10 + number / 200), format!("R{number}"));
        again.change_setting(&user, &name, &value).is_ok()
    };
    let filled = (0..).take_while(|number| fills(*number)).count();
    assert!((300..800).contains(&filled), "a quarter is left to administrators: {filled}");
    assert!(again.change_setting_within(AccountRoom::OfOthers, "u9", ("Q0", "z")).is_ok());
}
