//! Logins of a case: its module for logins is asked about clients that want in, and told what
//! becomes of them, as a broker would; no login of a real client asks one in this build.
//!
//! The module is opened before it is asked first, and again when it has trapped, did not come back
//! or could not be opened. Answers, what it does to clients, lines and errors are told by the next
//! [`settle`](EmbeddedBroker::settle), in their order. Not here: carrying out what it allows.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_definitions::DefinitionKind;
use lotmq_host::Trap;
use lotmq_host::auth::{Answer, AuthInstance, AuthSpec, Description, Hooks, Login, Subscription, Unusable};
use lotmq_host::fiber::{Endpoint, EndpointTls};

use super::{EmbeddedBroker, EmbeddedError, LOOK};
use lotmq_programs::HasPrograms as _;
use lotmq_programs::auth_modules::AuthModuleCode;
use lotmq_programs::limits::ROUTE_RUN_TIME;
use lotmq_programs::recorder::{LoginEvent, Report, RunEvent, RunRecorder as _};

/// Longest time of this machine that a call takes, waiting included, and that a run takes behind
/// its end.
const CALL_TIME: Duration = Duration::from_secs(10);

/// A module for logins, with what is at work.
pub(super) struct LoginModule {
    name: Arc<str>,
    code: AuthModuleCode,
    open: Option<OpenModule>,
    /// Clients that have come, the latest of each identifier that CONNECT had.
    pending_clients: BTreeMap<String, PendingClient>,
    /// Connections that were made.
    connections: u64,
}

struct OpenModule {
    instance: AuthInstance,
    description: Description,
}

struct PendingClient {
    login: Login,
    session_present: bool,
    /// Method of an enhanced authentication that goes on.
    method: Option<String>,
}

/// Client that wants in.
pub struct NewLogin<'a> {
    /// Fields of its CONNECT; the connection number is filled in.
    pub login: Login,
    /// Whether CONNACK says that its session is there.
    pub session_present: bool,
    /// Authentication Method and Authentication Data of an enhanced authentication.
    pub enhanced: Option<(String, &'a [u8])>,
}

/// Answer to a question about a client.
type Answered = Result<Answer, Unusable>;

impl LoginModule {
    pub(super) fn new(name: &Arc<str>, code: &AuthModuleCode) -> Self {
        let (name, code) = (Arc::clone(name), code.clone());
        Self { name, code, open: None, pending_clients: BTreeMap::new(), connections: 0 }
    }

    fn wants(&self, hook: Hooks) -> bool {
        self.open.as_ref().is_some_and(|open| open.description.hooks.contains(hook))
    }
}

impl EmbeddedBroker {
    /// Puts a server on this machine in the place of what the configuration of a module for logins
    /// calls by this name: its endpoint leads there, without TLS.
    pub fn put_far_endpoint(&mut self, name: &str, port: u16) {
        self.far_endpoints.insert(name.to_owned(), port);
    }

    /// A client wants in: the module is asked, and told that it is connected where it lets it in.
    ///
    /// # Errors
    /// [`EmbeddedError::LoginModules`], [`EmbeddedError::NotNamed`].
    pub fn log_in(
        &mut self,
        NewLogin { mut login, session_present, enhanced }: NewLogin<'_>,
    ) -> Result<(), EmbeddedError> {
        let module = self.login_module()?;
        module.connections += 1;
        login.connection = module.connections;
        let name = login.client_id.clone();
        let (method, data) = enhanced.unzip();
        module.pending_clients.insert(name.clone(), PendingClient { login, session_present, method });
        self.decide_login(&name, data.unwrap_or_default())
    }

    /// A client goes on with its enhanced authentication.
    ///
    /// # Errors
    /// As of [`log_in`](Self::log_in), and [`EmbeddedError::NoSteps`].
    pub fn go_on_to_log_in(&mut self, client_id: &str, data: &[u8]) -> Result<(), EmbeddedError> {
        self.check_steps(client_id)?;
        self.decide_login(client_id, data)
    }

    /// A client gives up its enhanced authentication.
    ///
    /// # Errors
    /// As of [`go_on_to_log_in`](Self::go_on_to_log_in).
    pub fn give_up_login(&mut self, client_id: &str) -> Result<(), EmbeddedError> {
        self.check_steps(client_id)?;
        let Some(pending) = self.login_module()?.pending_clients.remove(client_id) else { return Ok(()) };
        let connection = pending.login.connection;
        self.ask("forget", async |instance| instance.forget(connection).await)?;
        self.tell_over()
    }

    /// Subscriptions of a client that was let in were granted.
    ///
    /// # Errors
    /// As of [`log_in`](Self::log_in), and [`EmbeddedError::NotLetIn`].
    pub fn were_granted(
        &mut self,
        client_id: &str,
        subscriptions: &[Subscription],
    ) -> Result<(), EmbeddedError> {
        let connection = self.admitted_connection(client_id)?;
        if self.is_open_for("subscribed", Hooks::SUBSCRIBED)? {
            self.ask("subscribed", async |instance| instance.subscribed(connection, subscriptions).await)?;
        }
        self.tell_over()
    }

    /// The connection of a client that was let in is over, for a reason as `departure` of the
    /// contract has it.
    ///
    /// # Errors
    /// As of [`were_granted`](Self::were_granted).
    pub fn has_left(&mut self, client_id: &str, reason: &str) -> Result<(), EmbeddedError> {
        let connection = self.admitted_connection(client_id)?;
        self.recorder.admitted.lock().leave(connection);
        if self.is_open_for("disconnected", Hooks::DISCONNECTED)? {
            self.ask("disconnected", async |instance| instance.disconnected(connection, reason).await)?;
        }
        self.tell_over()
    }

    /// Lets the module of this name run without a client: once, until it comes back. When `time` of
    /// this machine is over it is told that there is other work. Clocks go on meanwhile.
    ///
    /// # Errors
    /// As of [`log_in`](Self::log_in).
    pub fn run_login_module(&mut self, time: Duration) -> Result<(), EmbeddedError> {
        if self.is_open_for("run", Hooks::RUN)?
            && let Some(mut open) = self.login_module()?.open.take()
        {
            match self.ran(&mut open.instance, time.min(ROUTE_RUN_TIME)) {
                Some(Ok(Ok(_))) => self.login_module()?.open = Some(open),
                Some(Ok(Err(reason))) => {
                    self.login_module()?.open = Some(open);
                    self.tell_failure("AUTH_RUN", reason)?;
                }
                Some(Err(trap)) => self.tell_trap(trap)?,
                None => self.tell_failure("AUTH_AWAY", endless("run"))?,
            }
            self.stand(Duration::ZERO);
        }
        self.tell_over()
    }

    /// Whether a module for logins of this name is there.
    #[must_use]
    pub fn has_login_module(&self, name: &str) -> bool {
        self.logins.iter().any(|module| *module.name == *name)
    }

    fn ran(&self, instance: &mut AuthInstance, time: Duration) -> Option<Result<Result<u32, String>, Trap>> {
        let work = instance.host_work();
        let until_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        self.time.goes_on(true);
        let ran = self.routes.as_ref()?.block_on(async {
            let mut run = pin!(instance.run(until_ms));
            let (began, mut before) = (Instant::now(), Instant::now());
            loop {
                let ended = tokio::time::timeout(LOOK, run.as_mut()).await.ok();
                let now = Instant::now();
                self.time.pass(now.duration_since(std::mem::replace(&mut before, now)));
                if ended.is_some() || began.elapsed() >= time + CALL_TIME {
                    return ended;
                }
                if began.elapsed() >= time {
                    work.announce();
                }
            }
        });
        self.time.goes_on(false);
        work.done();
        ran
    }

    /// The module that is asked about logins: the only one.
    fn login_module(&mut self) -> Result<&mut LoginModule, EmbeddedError> {
        match &mut self.logins[..] {
            [module] => Ok(module),
            others => Err(EmbeddedError::LoginModules {
                names: others.iter().map(|module| Arc::clone(&module.name)).collect(),
            }),
        }
    }

    /// Asks about a client that has come, and does what follows from the answer.
    fn decide_login(&mut self, name: &str, data: &[u8]) -> Result<(), EmbeddedError> {
        if !self.opens()? {
            return Ok(());
        }
        let module = self.login_module()?;
        let Some(pending) = module.pending_clients.remove(name) else { return Ok(()) };
        let methods = module.open.as_ref().map_or(&[][..], |open| &open.description.methods);
        if let Some(method) = pending.method.as_ref().filter(|method| !methods.contains(method)) {
            let call = format!("{:?} among the methods", method);
            return Err(EmbeddedError::NotNamed { call });
        }
        let login = &pending.login;
        let answered: Option<Answered> = match &pending.method {
            None => self.ask("authenticate", async |instance| instance.authenticate(login).await)?,
            Some(method) => self.ask("step", async |instance| instance.step(login, method, data).await)?,
        };
        match answered {
            None => {}
            Some(Err(unusable)) => {
                self.tell_failure("AUTH_ANSWER", format!("its answer cannot be used: {unusable}"))?;
            }
            Some(Ok(answer)) => self.take_answer(name, pending, answer)?,
        }
        self.tell_over()
    }

    fn take_answer(
        &mut self,
        name: &str,
        pending: PendingClient,
        answer: Answer,
    ) -> Result<(), EmbeddedError> {
        let event = LoginEvent::Answered { client_id: name.to_owned(), answer: answer.clone() };
        let module = self.login_module()?;
        let by = Arc::clone(&module.name);
        let goes_on = matches!(answer, Answer::Allow(_) | Answer::Challenge(_));
        if goes_on {
            module.pending_clients.insert(name.to_owned(), pending);
        }
        self.recorder.sees(&by, RunEvent::OfLogins(event));
        let Answer::Allow(acceptance) = answer else { return Ok(()) };
        let Some(pending) = self.login_module()?.pending_clients.get_mut(name) else { return Ok(()) };
        pending.method = None;
        let (connection, session_present) = (pending.login.connection, pending.session_present);
        let client_id = chosen_identifier(&pending.login);
        let lasts = lasts(&pending.login);
        self.recorder.admitted.lock().admit(connection, (&client_id, &acceptance.principal.user), lasts);
        self.tell_over()?;
        if self.login_module()?.wants(Hooks::CONNECTED) {
            let told = async |instance: &mut AuthInstance| {
                instance.connected(connection, &client_id, session_present).await
            };
            self.ask("connected", told)?;
        }
        Ok(())
    }

    /// Tells the module of connections that were ended by what it did, or by another client's.
    fn tell_over(&mut self) -> Result<(), EmbeddedError> {
        loop {
            let next = self.recorder.admitted.lock().next_over();
            let Some((connection, reason)) = next else { return Ok(()) };
            if self.login_module()?.wants(Hooks::DISCONNECTED) {
                self.ask("disconnected", async |instance| instance.disconnected(connection, reason).await)?;
            }
        }
    }

    /// Refuses what is about an enhanced authentication that does not go on.
    fn check_steps(&mut self, client_id: &str) -> Result<(), EmbeddedError> {
        let pending = self.login_module()?.pending_clients.get(client_id);
        match pending.is_some_and(|pending| pending.method.is_some()) {
            true => Ok(()),
            false => Err(EmbeddedError::NoSteps { client_id: client_id.to_owned() }),
        }
    }

    /// Number of the connection of a client that was let in.
    fn admitted_connection(&mut self, client_id: &str) -> Result<u64, EmbeddedError> {
        let connection =
            self.login_module()?.pending_clients.get(client_id).map(|pending| pending.login.connection);
        let connection = connection.filter(|connection| self.recorder.admitted.lock().has(*connection));
        connection.ok_or_else(|| EmbeddedError::NotLetIn { client_id: client_id.to_owned() })
    }

    /// Whether the module is open; it wants the call of this name.
    fn is_open_for(&mut self, call: &str, hook: Hooks) -> Result<bool, EmbeddedError> {
        if !self.opens()? {
            return Ok(false);
        }
        match self.login_module()?.wants(hook) {
            true => Ok(true),
            false => Err(EmbeddedError::NotNamed { call: format!("the hook `{call}`") }),
        }
    }

    /// Opens the module, if it is not; whether it is open then.
    fn opens(&mut self) -> Result<bool, EmbeddedError> {
        if self.login_module()?.open.is_some() {
            return Ok(true);
        }
        let spec = match self.login_spec()? {
            Ok(spec) => spec,
            Err(reason) => return self.tell_failure("AUTH_AWAY", reason).map(|()| false),
        };
        let guest = self.login_module()?.code.guest.clone();
        let Some(routes) = &self.routes else { return Ok(false) };
        let open = async {
            let mut instance = guest.instance(spec).await?;
            let description = instance.describe().await?;
            let opened = instance.open().await?;
            Ok(opened.map(|()| OpenModule { instance, description }))
        };
        let opened = routes.block_on(async { tokio::time::timeout(CALL_TIME, open).await });
        match opened {
            Ok(Ok(Ok(open))) => self.login_module()?.open = Some(open),
            Ok(Ok(Err(reason))) => self.tell_failure("AUTH_AWAY", reason)?,
            Ok(Err(trap)) => self.tell_trap(trap)?,
            Err(_) => self.tell_failure("AUTH_AWAY", endless("open"))?,
        }
        Ok(self.login_module()?.open.is_some())
    }

    /// Returns the rights and resources of an instance, or the reason why it cannot have those of
    /// its configuration.
    fn login_spec(&mut self) -> Result<Result<AuthSpec, String>, EmbeddedError> {
        let module = self.login_module()?;
        let (name, code) = (Arc::clone(&module.name), module.code.clone());
        let guests = &self.tenant.programs().guests;
        let definition = guests.registry.read().get(DefinitionKind::Module, &name).cloned();
        let definition = definition.expect("it was deployed, and nobody removes it");
        let spec = match code.spec((&self.tenant, &self.broker.hosting), &definition, None) {
            Ok(spec) => spec,
            Err(reason) => return Ok(Err(reason.to_string())),
        };
        let far_sides = &self.far_endpoints;
        let endpoints = spec.endpoints.iter().map(|(name, endpoint)| {
            let endpoint = endpoint.clone();
            let endpoint = match far_sides.get(name) {
                Some(port) => at_far_side(endpoint, *port),
                None => endpoint,
            };
            (name.clone(), endpoint)
        });
        Ok(Ok(AuthSpec { endpoints: Arc::new(endpoints.collect()), ..spec }))
    }

    /// Calls the instance, if the module is open; a failure is told, and the next call has a new
    /// one.
    fn ask<T>(
        &mut self,
        call: &str,
        ask: impl AsyncFnOnce(&mut AuthInstance) -> Result<T, Trap>,
    ) -> Result<Option<T>, EmbeddedError> {
        let Some(mut open) = self.login_module()?.open.take() else { return Ok(None) };
        let Some(routes) = &self.routes else { return Ok(None) };
        // The clock of the runtime is there within it alone.
        let called =
            routes.block_on(async { tokio::time::timeout(CALL_TIME, ask(&mut open.instance)).await });
        match called {
            Ok(Ok(answer)) => {
                self.login_module()?.open = Some(open);
                return Ok(Some(answer));
            }
            Ok(Err(trap)) => self.tell_trap(trap)?,
            Err(_) => self.tell_failure("AUTH_AWAY", endless(call))?,
        }
        Ok(None)
    }

    fn tell_trap(&mut self, trap: Trap) -> Result<(), EmbeddedError> {
        self.tell_failure(trap.kind.code(), trap.message)
    }

    fn tell_failure(&mut self, code: &str, message: String) -> Result<(), EmbeddedError> {
        let by = Arc::clone(&self.login_module()?.name);
        let report = Report { is_error: true, line: 0, column: 0, message, code: code.to_owned() };
        self.recorder.sees(&by, RunEvent::Reported(report));
        Ok(())
    }
}

/// Returns the message about a call that does not return.
fn endless(call: &str) -> String {
    format!("no answer within {} s: its call of `{call}` does not come back", CALL_TIME.as_secs())
}

/// Identifier of a client as the broker knows it, which chooses one where CONNECT has none.
fn chosen_identifier(login: &Login) -> String {
    if login.client_id.is_empty() { format!("chosen-{}", login.connection) } else { login.client_id.clone() }
}

/// Whether a session outlasts its connection.
fn lasts(login: &Login) -> bool {
    match login.session_expiry_seconds {
        Some(seconds) => seconds > 0,
        None => login.protocol_version < 5 && !login.clean_start,
    }
}

/// An endpoint to a server of the case in the place of its own; those where the module listens are
/// as they are.
fn at_far_side(endpoint: Endpoint, port: u16) -> Endpoint {
    if endpoint.listens {
        return endpoint;
    }
    let host = Ipv4Addr::LOCALHOST.to_string();
    // From the first byte the host does it, and the guest does not see it.
    let tls = match endpoint.tls {
        EndpointTls::OnDemand(tls) => EndpointTls::OnDemand(tls),
        EndpointTls::Never | EndpointTls::OnConnect(_) => EndpointTls::Never,
    };
    Endpoint { host, port, others: Vec::new(), tls, server_name: None, ..endpoint }
}
