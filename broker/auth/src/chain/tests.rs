//! Chains of members that are closures, and of the local user store.

use std::collections::BTreeSet;

use super::*;
use crate::login::{
    AnonymousLogin, AnsweredStep, ConnectPacket, LoginRefusal, LoginRequest, MemberChallenge, MemberExchange,
};
use crate::password::tests::cheap_credential;
use crate::peer::Peer;
use crate::{Claims, DirectoryOptions, Identity, MemberCounts, PasswordCost, ROOT};

struct Answers<F>(&'static str, F);

impl<F: Fn(&MemberLogin<'_>) -> MemberAnswer + Send + Sync> LoginMember for Answers<F> {
    fn name(&self) -> &str {
        self.0
    }

    fn authenticate(&self, login: &MemberLogin<'_>) -> MemberAnswer {
        (self.1)(login)
    }
}

pub(super) fn member(
    name: &'static str,
    answer: impl Fn(&MemberLogin<'_>) -> MemberAnswer + Send + Sync + 'static,
) -> Arc<dyn LoginMember> {
    Arc::new(Answers(name, answer))
}

pub(super) fn allow(user: &str) -> MemberAnswer {
    MemberAnswer::Allow(Claims { user: user.to_owned(), ..Claims::default() })
}

/// Takes passwords that begin with `token:` and a user name.
pub(super) fn tokens() -> Arc<dyn LoginMember> {
    member("token", |login| {
        let token = login.password.and_then(|password| password.strip_prefix(b"token:"));
        let refusal = LoginRefusal::BadCredentials;
        match token {
            None => MemberAnswer::Continue,
            Some(b"bad") => MemberAnswer::Deny(MemberDenial { reason: "signature".to_owned(), refusal }),
            Some(b"outage") => MemberAnswer::Fail("no keys".to_owned()),
            Some(b"panic") => panic!("on purpose"),
            Some(user) => allow(std::str::from_utf8(user).unwrap()),
        }
    })
}

pub(super) fn users() -> Arc<Directory> {
    let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
    let users = Directory::new(options).unwrap();
    users.create_root(cheap_credential("secret-root")).unwrap();
    users.add_user("bob", cheap_credential("pw")).unwrap();
    Arc::new(users)
}

pub(super) fn login<'a>(user_name: Option<&'a str>, password: Option<&'a str>) -> ChainLogin<'a> {
    ChainLogin {
        request: LoginRequest {
            user_name,
            password: password.map(str::as_bytes),
            client_id: "c1".into(),
            peer: Peer::Tcp([10, 0, 0, 7].into()),
            anonymous: AnonymousLogin::default(),
            now_ms: 0,
        },
        method: None,
        exchange: None,
        certificate: None,
        tenant: "default",
        is_default_tenant: true,
        listener: "mqtt",
        wall_ms: 1_000,
        packet: None,
    }
}

/// Runs all steps of a login.
pub(super) fn outcome(
    users: &Arc<Directory>,
    chain: &Arc<LoginChain>,
    login: ChainLogin<'_>,
) -> Result<Identity, LoginRefusal> {
    let mut step = match chain.begin(users, login) {
        LoginStep::Verify(pending) => users.check_login(pending, 0),
        step @ (LoginStep::Admitted(_) | LoginStep::Refused(_) | LoginStep::Ask(_)) => step,
    };
    loop {
        step = match step {
            LoginStep::Admitted(identity) => return Ok(identity),
            LoginStep::Refused(refusal) => return Err(refusal),
            LoginStep::Verify(pending) => return users.finish_login(pending.verify(), 0),
            LoginStep::Ask(paused) => {
                let (sender, receiver) = std::sync::mpsc::channel();
                paused.ask(move |answered| sender.send(answered).unwrap());
                match receiver.recv().unwrap().go_on(0) {
                    AnsweredStep::Decided(step, _) => step,
                    AnsweredStep::Challenge(challenge) => panic!("{challenge:?}"),
                }
            }
        }
    }
}

fn name_and_member(
    outcome: Result<Identity, LoginRefusal>,
) -> Result<(String, Option<String>), LoginRefusal> {
    let text = |name: &Arc<str>| name.to_string();
    outcome.map(|it| (it.user().map(text).unwrap_or_default(), it.principal.member().map(text)))
}

#[test]
fn first_member_that_does_not_continue_decides() {
    let members = LoginMembers::new([tokens()]);
    let of_token = |user: &str| Ok((user.to_owned(), Some("token".to_owned())));
    let of_account = |user: &str| Ok((user.to_owned(), None));
    let bad = Err(LoginRefusal::BadCredentials);
    for names in [["token", "builtin"], ["builtin", "token"]] {
        let chain = Arc::new(members.chain(&names).unwrap());
        for (user, password, expected) in [
            (Some("any"), "token:ann", of_token("ann")),
            (None, "token:ann", of_token("ann")),
            (Some("bob"), "pw", of_account("bob")),
            (Some("bob"), "wrong", bad.clone()),
            (Some("any"), "wrong", bad.clone()),
            (Some("any"), "token:bad", bad.clone()),
        ] {
            let users = users();
            let found = name_and_member(outcome(&users, &chain, login(user, Some(password))));
            assert_eq!(found, expected, "{names:?} {user:?} {password}");
        }
    }
}

#[test]
fn member_that_fails_or_panics_denies_and_is_counted() {
    let members = LoginMembers::new([tokens()]);
    let chain = Arc::new(members.chain(&["token", "builtin"]).unwrap());
    let users = users();
    for password in ["token:outage", "token:panic"] {
        let found = outcome(&users, &chain, login(Some("bob"), Some(password)));
        assert_eq!(found, Err(LoginRefusal::CheckFailed), "{password}");
    }
    assert!(outcome(&users, &chain, login(Some("bob"), Some("pw"))).is_ok());
    assert!(outcome(&users, &chain, login(None, Some("token:ann"))).is_ok());
    let figures = |name: &str| {
        let (_, figures) = members.figures().find(|(known, _)| &***known == name).unwrap();
        (figures.counts(), figures.last_error())
    };
    let counts = MemberCounts { asked: 4, allowed: 1, denied: 0, continued: 1, failed: 2 };
    assert_eq!(figures("token"), (counts, Some("it panicked".to_owned())));
    let counts = MemberCounts { asked: 1, allowed: 1, denied: 0, continued: 0, failed: 0 };
    assert_eq!(figures("builtin"), (counts, None));
}

#[test]
fn member_that_answers_root_or_the_name_of_an_account_is_refused() {
    let chain = Arc::new(LoginMembers::new([tokens()]).chain(&["token"]).unwrap());
    for (user, password) in
        [("root", "token:root"), ("x", "token:root"), ("x", "token:bob"), ("x", "token:a/b")]
    {
        let users = users();
        let login = ChainLogin { is_default_tenant: false, ..login(Some(user), Some(password)) };
        assert_eq!(outcome(&users, &chain, login), Err(LoginRefusal::NameNotAllowed), "{user} {password}");
    }
}

#[test]
fn root_of_the_default_tenant_is_asked_of_the_user_store_alone() {
    let chain = Arc::new(LoginMembers::new([tokens()]).chain(&["token"]).unwrap());
    let users = users();
    let root = |password, is_default_tenant| {
        let login = ChainLogin { is_default_tenant, ..login(Some(ROOT), Some(password)) };
        outcome(&users, &chain, login).map(|identity| identity.is_root())
    };
    assert_eq!(root("secret-root", true), Ok(true));
    assert_eq!(root("token:ann", true), Err(LoginRefusal::BadCredentials));
    assert_eq!(root("secret-root", false), Err(LoginRefusal::BadCredentials));
}

#[test]
fn login_that_all_members_leave_to_the_next_is_refused() {
    let members = LoginMembers::new([tokens(), member("none", |_| MemberAnswer::Continue)]);
    for (names, expected) in [
        (&["token", "none"][..], LoginRefusal::BadCredentials),
        (&["token", "builtin"], LoginRefusal::AnonymousNotAllowed),
    ] {
        let chain = Arc::new(members.chain(names).unwrap());
        assert_eq!(outcome(&users(), &chain, login(None, None)), Err(expected), "{names:?}");
    }
}

#[test]
fn certificate_and_token_work_on_one_listener() {
    let chain = Arc::new(LoginMembers::new([tokens()]).chain(&["token", "builtin"]).unwrap());
    let users = users();
    let of = |certificate, password| {
        let login = ChainLogin { certificate: Some(certificate), ..login(None, password) };
        name_and_member(outcome(&users, &chain, login))
    };
    assert_eq!(of(Certificate::Of("bob"), None), Ok(("bob".to_owned(), None)));
    let token = Ok(("ann".to_owned(), Some("token".to_owned())));
    assert_eq!(of(Certificate::OfNobody, Some("token:ann")), token);
    assert_eq!(of(Certificate::OfNobody, None), Err(LoginRefusal::CertificateOfNobody));
}

#[test]
fn bad_tokens_wait_as_bad_passwords_do() {
    let chain = Arc::new(LoginMembers::new([tokens()]).chain(&["token"]).unwrap());
    let users = users();
    let bad = || outcome(&users, &chain, login(Some("ann"), Some("token:bad")));
    let refusals: BTreeSet<String> = (0..10).map(|_| format!("{:?}", bad().unwrap_err())).collect();
    assert!(refusals.contains("TooManyFailures"), "{refusals:?}");
    let outage = |client_id: &str| {
        let mut login = login(None, Some("token:outage"));
        login.request.client_id = client_id.into();
        outcome(&users, &chain, login)
    };
    for _ in 0..10 {
        assert_eq!(outage("c9"), Err(LoginRefusal::CheckFailed), "an outage is no failed login");
    }
}

#[test]
fn unknown_member_is_refused_with_the_names_that_exist() {
    let refused = LoginMembers::new([tokens()]).chain(&["jwt", "builtin"]).map(|_| ()).unwrap_err();
    assert_eq!(refused.to_string(), "there is no login module 'jwt'; configured are: builtin, token");
}

/// Answers by its reply; a name that begins with `lost` gets no answer.
struct Later;

impl WaitingMember for Later {
    fn name(&self) -> &str {
        "later"
    }

    fn ask(&self, login: WaitingLogin, reply: MemberReply) {
        let answer = match login.user_name.as_deref() {
            Some(user) if user.starts_with("lost") => return,
            Some(user) if user.starts_with("late-") => allow(user),
            Some("out") => MemberAnswer::Deny(MemberDenial {
                reason: "on purpose".to_owned(),
                refusal: LoginRefusal::DeniedByMember,
            }),
            Some(_) | None => MemberAnswer::Continue,
        };
        reply.send(MemberReplied { answer, connack: None });
    }
}

fn packet() -> Option<Arc<ConnectPacket>> {
    Some(Arc::new(ConnectPacket {
        connection: 7,
        endpoint: "10.0.0.7:1".to_owned(),
        server_name: None,
        certificate: None,
        body: zeroize::Zeroizing::default(),
    }))
}

#[test]
fn login_waits_for_a_member_that_answers_later_and_goes_on_behind_it() {
    let members = LoginMembers::new([tokens()]).and_waiting([Arc::new(Later) as Arc<dyn WaitingMember>]);
    let of = |user: &str, member: Option<&str>| Ok((user.to_owned(), member.map(str::to_owned)));
    for names in [["later", "token", "builtin"], ["token", "later", "builtin"]] {
        let chain = Arc::new(members.chain(&names).unwrap());
        assert!(chain.needs_packet());
        for (user, password, expected) in [
            (Some("late-1"), "x", of("late-1", Some("later"))),
            (Some("x"), "token:ann", of("ann", Some("token"))),
            (Some("bob"), "pw", of("bob", None)),
            (Some("bob"), "wrong", Err(LoginRefusal::BadCredentials)),
            (Some("out"), "x", Err(LoginRefusal::DeniedByMember)),
            (Some("lost-1"), "x", Err(LoginRefusal::CheckFailed)),
        ] {
            let users = users();
            let login = ChainLogin { packet: packet(), ..login(user, Some(password)) };
            let found = name_and_member(outcome(&users, &chain, login));
            assert_eq!(found, expected, "{names:?} {user:?}");
        }
    }
    let users = users();
    let chain = Arc::new(members.chain(&["later"]).unwrap());
    let without = name_and_member(outcome(&users, &chain, login(Some("late-1"), None)));
    assert_eq!(without, Err(LoginRefusal::CheckFailed), "a member without CONNECT is not asked");
}

/// Challenges `ask` by method `M`, and lets in whoever answers `right`. Counts what it forgets.
#[derive(Default)]
struct Challenging(std::sync::atomic::AtomicU64);

impl WaitingMember for Challenging {
    fn name(&self) -> &str {
        "steps"
    }

    fn takes(&self, method: &str) -> bool {
        method == "M"
    }

    fn ask(&self, login: WaitingLogin, reply: MemberReply) {
        let answer = match login.step.as_ref().map(|step| &**step.data) {
            Some(b"ask") => MemberAnswer::Challenge(b"what?".to_vec()),
            Some(b"right") => allow("late-m"),
            _ => MemberAnswer::Continue,
        };
        reply.send(MemberReplied { answer, connack: None });
    }

    fn forget(&self, connection: u64) {
        self.0.fetch_add(connection, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn challenge_goes_on_with_its_member_and_is_forgotten_if_it_does_not() {
    let steps = Arc::new(Challenging::default());
    let members = [Arc::new(Later) as Arc<dyn WaitingMember>, Arc::clone(&steps) as _];
    let members = LoginMembers::default().and_waiting(members);
    let chain = Arc::new(members.chain(&["later", "steps", "builtin"]).unwrap());
    let method = Method::OfMember("M".into());
    assert!(chain.takes(&method) && !chain.takes(&Method::OfMember("N".into())));
    let users = users();
    let step = |data: &str, exchange: Option<MemberExchange>| {
        let method = Some(method.clone());
        let login = ChainLogin { method, exchange, packet: packet(), ..login(None, Some(data)) };
        let LoginStep::Verify(pending) = chain.begin(&users, login) else { panic!("it waits for a thread") };
        let LoginStep::Ask(paused) = users.check_login(pending, 0) else { panic!("the member is asked") };
        let (sender, receiver) = std::sync::mpsc::channel();
        paused.ask(move |answered| sender.send(answered).unwrap());
        receiver.recv().unwrap().go_on(0)
    };
    let forgotten = || steps.0.load(std::sync::atomic::Ordering::Relaxed);
    let challenge = || match step("ask", None) {
        AnsweredStep::Challenge(challenge) => challenge,
        AnsweredStep::Decided(step, _) => panic!("{step:?}"),
    };
    let MemberChallenge { exchange, data } = challenge();
    assert_eq!((data, exchange.method()), (b"what?".to_vec(), method.clone()));
    let AnsweredStep::Decided(LoginStep::Admitted(identity), _) = step("right", Some(exchange)) else {
        panic!("the second step is right")
    };
    assert_eq!(identity.user_name(), Some("late-m"));
    assert_eq!(forgotten(), 0);
    let exchange = challenge().exchange;
    let AnsweredStep::Decided(LoginStep::Refused(_), _) = step("wrong", Some(exchange)) else {
        panic!("the second step is wrong")
    };
    assert_eq!(forgotten(), 0, "the member has ended it");
    drop(challenge());
    assert_eq!(forgotten(), 7);
}
