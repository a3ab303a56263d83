//! A run of the login chain, on a login thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::member::{
    LoginMember, MemberAnswer, MemberDenial, MemberLogin, MemberReplied, MemberReply, MethodStep,
    WaitingLogin,
};
use super::{BUILT_IN_MEMBER, ChainMember, LoginChain, MemberKind};
use crate::ROOT;
use crate::attempts::Judgement;
use crate::directory::Directory;
use crate::login::{
    AnonymousLogin, AnsweredLogin, AnsweredStep, ConnectPacket, DecideLogin, Identity, LoginRefusal,
    LoginRequest, LoginStep, MemberChallenge, MemberExchange, MemberFigures, MemberResult, Method,
    PausedLogin, PendingLogin, Resume, WrittenLine,
};
use crate::peer::Peer;
use crate::principal::{ClaimRefusal, Claims};

/// Client certificate of a listener that takes users from certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate<'a> {
    /// It names this user.
    Of(&'a str),
    /// It names no user.
    OfNobody,
}

/// A login for a chain: the facts of the CONNECT, and of the place where it came in.
#[derive(Debug)]
pub struct ChainLogin<'a> {
    /// Facts of the CONNECT.
    pub request: LoginRequest<'a>,
    /// Authentication method, whose data are the password of `request`. Members that do not take
    /// the method are not asked. `None` for a password.
    pub method: Option<Method>,
    /// Authentication that the data go on with; `None` for the first ones.
    pub exchange: Option<MemberExchange>,
    /// Certificate of the Client; `None` if it decides nothing.
    pub certificate: Option<Certificate<'a>>,
    /// Name of the tenant.
    pub tenant: &'a str,
    /// Whether that is the default tenant, whose `root` is the operator.
    pub is_default_tenant: bool,
    /// Name of the listener.
    pub listener: &'a str,
    /// The time in milliseconds since 1970.
    pub wall_ms: u64,
    /// CONNECT, if the chain [needs](LoginChain::needs_packet) it.
    pub packet: Option<Arc<ConnectPacket>>,
}

impl ChainLogin<'_> {
    pub(super) fn is_root_of_default(&self) -> bool {
        self.is_default_tenant && self.request.user_name == Some(ROOT)
    }
}

/// A login that waits for its chain. The password is in the [`PendingLogin`] around it.
struct PendingChain {
    users: Arc<Directory>,
    chain: Arc<LoginChain>,
    /// Authentication method, whose data are in place of a password.
    method: Option<Method>,
    /// Authentication that the data go on with.
    exchange: Option<MemberExchange>,
    user_name: Option<Box<str>>,
    has_password: bool,
    client_id: Arc<str>,
    peer: Peer,
    anonymous: AnonymousLogin,
    /// User of the certificate; the inner `None` if it names nobody.
    certificate: Option<Option<Box<str>>>,
    tenant: Box<str>,
    listener: Box<str>,
    wall_ms: u64,
    came_ms: u64,
    packet: Option<Arc<ConnectPacket>>,
}

/// Asks the local user store, whose figures are these.
pub(super) fn ask_user_store(
    users: &Directory,
    request: &LoginRequest<'_>,
    certificate: Option<Certificate<'_>>,
    member: Option<&ChainMember>,
) -> LoginStep {
    let step = match certificate {
        None => users.begin_login(request),
        Some(Certificate::Of(name)) => users.certified_login(Some(name), request),
        Some(Certificate::OfNobody) => users.certified_login(None, request),
    };
    let Some(member) = member else { return step };
    member.figures.count_asked();
    counted(step, &member.figures)
}

/// Counts a decision; one that waits for a hash is counted when it is there.
fn counted(step: LoginStep, figures: &Arc<MemberFigures>) -> LoginStep {
    match step {
        LoginStep::Admitted(_) => figures.count(MemberResult::Allowed),
        LoginStep::Refused(_) => figures.count(MemberResult::Denied),
        LoginStep::Verify(pending) => {
            return LoginStep::Verify(PendingLogin { figures: Some(Arc::clone(figures)), ..pending });
        }
        LoginStep::Ask(_) => {}
    }
    step
}

/// Answer of a member that does not decide: the next one is asked. The user store has a reason of
/// its own for a last refusal.
struct PassedOn(Option<LoginRefusal>);

/// First step of a login that a chain decides: it waits for a login thread, unless failed logins of
/// the user from there have to wait.
pub(super) fn begin(chain: &Arc<LoginChain>, users: &Arc<Directory>, login: ChainLogin<'_>) -> LoginStep {
    let ChainLogin { request, method, exchange, certificate, tenant, listener, wall_ms, packet, .. } = login;
    let user_name = request.user_name.filter(|name| !name.is_empty());
    // A token may come without a user name. Devices behind one address do not share their
    // failures then. Messages of a guest's method may name the user in a way that is not known
    // here, so they do.
    let unnamed = || match &method {
        Some(Method::OfMember(name)) => format!("\0{name}"),
        _ => format!("\0{}", request.client_id),
    };
    let named = user_name.map_or_else(unnamed, str::to_owned);
    let attempt = users.attempt(&request, &named);
    if matches!(users.judge(attempt, request.now_ms), Judgement::Wait) {
        return LoginStep::Refused(LoginRefusal::TooManyFailures);
    }
    let certificate = certificate.map(|certificate| match certificate {
        Certificate::Of(name) => Some(name.into()),
        Certificate::OfNobody => None,
    });
    let pending = PendingChain {
        users: Arc::clone(users),
        chain: Arc::clone(chain),
        method,
        exchange,
        user_name: user_name.map(Into::into),
        has_password: request.password.is_some(),
        client_id: Arc::clone(&request.client_id),
        peer: request.peer,
        anonymous: request.anonymous,
        certificate,
        tenant: tenant.into(),
        listener: listener.into(),
        wall_ms,
        came_ms: request.now_ms,
        packet,
    };
    let (is_known, is_familiar) = users.knows_place(user_name, &request);
    LoginStep::Verify(PendingLogin {
        chain: Some(Box::new(pending)),
        is_known,
        is_familiar,
        ..PendingLogin::of_nobody(users.decoy(), attempt, &request, request.password.unwrap_or_default())
    })
}

impl DecideLogin for PendingChain {
    fn decide(self: Box<Self>, pending: PendingLogin, now_ms: u64) -> LoginStep {
        run(Position { chain: self, pending, number: 0, last: None, asked_ms: now_ms }, now_ms)
    }
}

/// A login with the number of the member that is asked next.
struct Position {
    chain: Box<PendingChain>,
    pending: PendingLogin,
    number: usize,
    /// The user store's reason to leave the login to others.
    last: Option<LoginRefusal>,
    /// When the member was asked, if it answers later.
    asked_ms: u64,
}

impl Position {
    /// Asks the member at this position, which answers later.
    fn ask(self, resume: Resume) {
        let chain = Arc::clone(&self.chain.chain);
        let login = self.chain.packet.as_ref().map(|packet| WaitingLogin {
            tenant: self.chain.tenant.clone(),
            listener: self.chain.listener.clone(),
            user_name: self.chain.user_name.clone(),
            source: self.pending.origin().source,
            packet: Arc::clone(packet),
            step: self.step(),
        });
        let number = self.number;
        let reply = MemberReply::new(move |replied| {
            let this = self.with_exchange(&replied.answer);
            let (origin, go_on) =
                (this.pending.origin(), Box::new(move |now_ms| this.go_on(replied, now_ms)));
            resume(AnsweredLogin { origin, go_on });
        });
        match (&chain.members[number].member, login) {
            (MemberKind::Waiting(member), Some(login)) => member.ask(login, reply),
            // It fails, as the reply is dropped.
            (MemberKind::Waiting(_) | MemberKind::UserStore | MemberKind::Prompt(_), _) => drop(reply),
        }
    }

    /// The data as a step of an authentication by a method of a member.
    fn step(&self) -> Option<Box<MethodStep>> {
        let Some(Method::OfMember(method)) = &self.chain.method else { return None };
        Some(Box::new(MethodStep { method: Arc::clone(method), data: self.pending.password.clone() }))
    }

    /// Keeps the exchange that a challenge begins or goes on with, and ends it for every other
    /// answer. A login that is given up from here on makes the member forget.
    fn with_exchange(mut self, answer: &MemberAnswer) -> Self {
        if matches!(answer, MemberAnswer::Challenge(_)) {
            let members = Arc::clone(&self.chain.chain);
            if self.chain.exchange.is_none() {
                self.chain.exchange = self.chain.new_exchange(&members.members[self.number]);
            }
        } else {
            self.chain.exchange.take().into_iter().for_each(MemberExchange::finish);
        }
        self
    }

    /// Goes on with the answer of the member at this position.
    fn go_on(self, replied: MemberReplied, now_ms: u64) -> AnsweredStep {
        let Position { mut chain, pending, number, last, asked_ms } = self;
        let member = &chain.chain.members[number];
        member.figures.note_answer(now_ms.saturating_sub(asked_ms));
        let answer = match replied.answer {
            MemberAnswer::Challenge(data) => match chain.exchange.take() {
                Some(exchange) => return AnsweredStep::Challenge(MemberChallenge { exchange, data }),
                None => MemberAnswer::Fail("its challenge belongs to no authentication".to_owned()),
            },
            answer @ (MemberAnswer::Allow(_)
            | MemberAnswer::Deny(_)
            | MemberAnswer::Continue
            | MemberAnswer::Fail(_)) => answer,
        };
        match chain.judged(member, answer, now_ms) {
            Ok(step) => AnsweredStep::Decided(chain.ended(&pending, member, step, now_ms), replied.connack),
            Err(PassedOn(_)) => {
                member.figures.count(MemberResult::Continued);
                let next = Position { number: number + 1, chain, pending, last, asked_ms };
                AnsweredStep::Decided(run(next, now_ms), None)
            }
        }
    }
}

/// Asks members until one decides, or until one has to be waited for.
fn run(mut position: Position, now_ms: u64) -> LoginStep {
    let members = Arc::clone(&position.chain.chain);
    // An authentication goes on with the member that has begun it.
    if let Some(exchange) = &position.chain.exchange {
        let is_its = |member: &ChainMember| *member.name == *exchange.member();
        position.number = members.members.iter().position(is_its).unwrap_or(members.members.len());
    }
    for (number, member) in members.members.iter().enumerate().skip(position.number) {
        if position.chain.method.as_ref().is_some_and(|method| !member.takes(method)) {
            continue;
        }
        position.number = number;
        let is_last = number + 1 == members.members.len();
        member.figures.count_asked();
        let asking = Asking { chain: &position.chain, password: &position.pending.password, now_ms };
        let said = match &member.member {
            MemberKind::UserStore => asking.user_store(is_last, &member.figures),
            MemberKind::Prompt(asked) => asking.member(member, &**asked),
            MemberKind::Waiting(_) => {
                position.asked_ms = now_ms;
                return LoginStep::Ask(PausedLogin { ask: Box::new(move |resume| position.ask(resume)) });
            }
        };
        match said {
            Err(PassedOn(refusal)) => {
                member.figures.count(MemberResult::Continued);
                position.last = refusal.or(position.last);
            }
            Ok(step) => return position.chain.ended(&position.pending, member, step, now_ms),
        }
    }
    position.chain.users.failed(position.pending.attempt, now_ms);
    LoginStep::Refused(position.last.unwrap_or(LoginRefusal::BadCredentials))
}

/// Chain that runs now.
struct Asking<'a> {
    chain: &'a PendingChain,
    password: &'a [u8],
    now_ms: u64,
}

impl Asking<'_> {
    /// Asks the user store. It leaves users whom it does not know to the next member, after the
    /// time that a password takes.
    fn user_store(&self, is_last: bool, figures: &Arc<MemberFigures>) -> Result<LoginStep, PassedOn> {
        let Asking { chain, password, now_ms } = *self;
        let request = chain.request(password, now_ms);
        let certificate = chain.certificate.as_ref().map(|name| match name {
            Some(name) => Certificate::Of(name),
            None => Certificate::OfNobody,
        });
        let step = ask_user_store(&chain.users, &request, certificate, None);
        match step {
            LoginStep::Refused(
                refusal @ (LoginRefusal::AnonymousNotAllowed | LoginRefusal::CertificateOfNobody),
            ) => Err(PassedOn(Some(refusal))),
            LoginStep::Verify(unknown) if !unknown.is_known && !is_last => {
                drop(unknown.verify());
                Err(PassedOn(None))
            }
            LoginStep::Verify(known) => Ok(counted(chain.users.check_login(known, now_ms), figures)),
            LoginStep::Admitted(_) | LoginStep::Refused(_) | LoginStep::Ask(_) => Ok(counted(step, figures)),
        }
    }

    /// Asks another member.
    fn member(&self, member: &ChainMember, asked: &dyn LoginMember) -> Result<LoginStep, PassedOn> {
        let Asking { chain, password, now_ms } = *self;
        let login = MemberLogin {
            tenant: &chain.tenant,
            listener: &chain.listener,
            user_name: chain.user_name.as_deref(),
            password: chain.has_password.then_some(password),
            client_id: &chain.client_id,
            peer: chain.peer,
            certificate_user: chain.certificate.as_ref().and_then(Option::as_deref),
            now_ms: chain.wall_ms + now_ms.saturating_sub(chain.came_ms),
        };
        let answer = catch_unwind(AssertUnwindSafe(|| asked.authenticate(&login)));
        let answer = answer.unwrap_or_else(|_| MemberAnswer::Fail("it panicked".to_owned()));
        chain.judged(member, answer, now_ms)
    }
}

impl ChainMember {
    /// Keeps the reason of a refused answer or a failure for operators, and logs it at a limited
    /// rate.
    fn note(&self, chain: &PendingChain, what: &str, reason: &str, now_ms: u64) {
        debug_assert_ne!(&*self.name, BUILT_IN_MEMBER, "the user store does not fail");
        self.figures.note_error(reason);
        if let Some(WrittenLine { suppressed }) = self.lines.failed.next(now_ms) {
            let user = chain.user_name.as_deref();
            tracing::warn!(target: "login", member = &*self.name, client_id = &*chain.client_id, user, listener = &*chain.listener, what, reason, suppressed, "login refused because of a member of the chain");
        }
    }

    /// Logs a denial, at a limited rate.
    fn note_denial(&self, chain: &PendingChain, reason: &str, now_ms: u64) {
        if let Some(WrittenLine { suppressed }) = self.lines.denied.next(now_ms) {
            let user = chain.user_name.as_deref();
            tracing::info!(target: "login", member = &*self.name, client_id = &*chain.client_id, user, listener = &*chain.listener, reason, suppressed, "login denied by a member of the chain");
        }
    }
}

impl PendingChain {
    /// Takes the answer of a member, and counts it if it decides.
    fn judged(&self, member: &ChainMember, answer: MemberAnswer, now_ms: u64) -> Result<LoginStep, PassedOn> {
        let (counted, refusal) = match answer {
            MemberAnswer::Continue => return Err(PassedOn(None)),
            MemberAnswer::Allow(claims) => match self.vouched_identity(member, claims, now_ms) {
                Ok(identity) => {
                    member.figures.count(MemberResult::Allowed);
                    return Ok(LoginStep::Admitted(identity));
                }
                Err(refused) => {
                    member.note(self, "its answer is refused", &refused.to_string(), now_ms);
                    (MemberResult::Denied, LoginRefusal::NameNotAllowed)
                }
            },
            MemberAnswer::Challenge(_) => {
                member.note(self, "it failed", "it answers at once, and has no challenges", now_ms);
                (MemberResult::Failed, LoginRefusal::CheckFailed)
            }
            MemberAnswer::Deny(MemberDenial { reason, refusal }) => {
                member.note_denial(self, &reason, now_ms);
                (MemberResult::Denied, refusal)
            }
            MemberAnswer::Fail(reason) => {
                member.note(self, "it failed", &reason, now_ms);
                (MemberResult::Failed, LoginRefusal::CheckFailed)
            }
        };
        member.figures.count(counted);
        Ok(LoginStep::Refused(refusal))
    }

    /// Notes the end of a login for the waits after failures.
    fn ended(&self, pending: &PendingLogin, member: &ChainMember, step: LoginStep, now_ms: u64) -> LoginStep {
        match &step {
            LoginStep::Admitted(identity) => self.users.proved(identity, pending.attempt),
            // The user store counts its own failures.
            LoginStep::Refused(refusal) if !member.is_user_store() => {
                if *refusal != LoginRefusal::CheckFailed {
                    self.users.failed(pending.attempt, now_ms);
                }
            }
            LoginStep::Refused(_) | LoginStep::Verify(_) | LoginStep::Ask(_) => {}
        }
        step
    }

    /// Authentication that a member begins; `None` if there is no method of a member.
    fn new_exchange(&self, member: &ChainMember) -> Option<MemberExchange> {
        match (&member.member, &self.method, &self.packet) {
            (MemberKind::Waiting(asked), Some(method @ Method::OfMember(_)), Some(packet)) => {
                let (asked, connection) = (Arc::clone(asked), packet.connection);
                let forget = move || asked.forget(connection);
                Some(MemberExchange::new(&member.name, method.clone(), packet, forget))
            }
            _ => None,
        }
    }

    /// Identity of a user for whom a member vouches.
    fn vouched_identity(
        &self,
        member: &ChainMember,
        claims: Claims,
        now_ms: u64,
    ) -> Result<Identity, ClaimRefusal> {
        let (principal, dropped) = self.users.vouched(&member.name, claims)?;
        let line = if dropped.is_empty() { None } else { member.lines.left_out.next(now_ms) };
        if let Some(WrittenLine { suppressed }) = line {
            let (user, dropped) = (principal.name().map(|name| &**name), dropped.join(", "));
            tracing::warn!(target: "login", member = &*member.name, user, dropped, suppressed, "a member of the login chain gives no rights of administrators; these groups and properties are left out");
        }
        Ok(Identity::new(principal, Arc::clone(&self.client_id), self.peer))
    }

    fn request<'a>(&'a self, password: &'a [u8], now_ms: u64) -> LoginRequest<'a> {
        LoginRequest {
            user_name: self.user_name.as_deref(),
            password: self.has_password.then_some(password),
            client_id: Arc::clone(&self.client_id),
            peer: self.peer,
            anonymous: self.anonymous,
            now_ms,
        }
    }
}
