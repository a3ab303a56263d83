//! Tasks of the login guests on their thread. Each opens an instance, asks it about logins, passes
//! events on, and lets it run in between.
//!
//! An instance serves one call at a time. A call that traps or takes too long ends the instance,
//! and the next one is opened after a pause. Logins wait for it meanwhile, as long as they may: a
//! task of its own fails the late ones. An instance that cannot be opened refuses them. Another
//! version of the module takes over between two calls.

use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lotmq_auth::{MemberAnswer, MemberReplied, MemberReply};
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{RunError, State};
use lotmq_host::Trap;
use lotmq_host::auth::{Answer, AuthInstance, Hooks, Login, Unusable};
use lotmq_process::limits::ROUND_SILENCE_MAX;
use lotmq_process::this_turn;
use lotmq_process::watchdog::{self, Watched, beat};
use tokio::task::{LocalSet, spawn_local};
use tracing::info;

use super::InstalledAuthModule;
use super::answers::{login, replied};
use super::asked::{LoginGuest, LoginGuests};
use super::changes::change_arrived;
use super::queue::{Availability, ClientEvent, GuestCall, LoginCall};
use crate::HasPrograms as _;
use crate::hosting::Hosting;
use crate::limits::{LOGIN_GUEST_ANSWER_MAX, LOGIN_GUEST_OPEN_MAX, ROUTE_RUN_TIME};
use crate::records;
use crate::route_drivers::again_after_panics;
use crate::routes::pause::Pause;

/// Time between two looks whether the module has changed, when nothing else happens.
const LOOK: Duration = Duration::from_millis(250);

/// Pause before an instance follows one that broke, for each that broke in a row.
const BROKEN_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause before an instance follows one that broke.
const BROKEN_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Native stack of the thread of login guests; guests run on fibers of their own.
const STACK_BYTES: usize = 2 << 20;

/// Reason why an instance was given up.
enum Ended {
    /// Another version of the module, or none.
    Changed,
    /// It trapped, or did not come back.
    Broke(String),
}

/// Starts the thread of the login guests, if there are any. Their modules are those of this tenant.
///
/// # Errors
/// When the system gives no thread.
pub fn start(
    hosting: &Arc<Hosting>,
    tenant: &Arc<Tenant>,
    guests: &Arc<LoginGuests>,
) -> std::io::Result<Option<JoinHandle<()>>> {
    if guests.guests.is_empty() {
        return Ok(None);
    }
    let pulse = hosting.watchdog.pulses.add("thread of login guests".to_owned(), ROUND_SILENCE_MAX);
    let runtime = watchdog::runtime(&pulse)?;
    let (hosting, tenant, guests) = (Arc::clone(hosting), Arc::clone(tenant), Arc::clone(guests));
    let builder = std::thread::Builder::new().name("login-guests".to_owned()).stack_size(STACK_BYTES);
    let thread = builder.spawn(move || {
        this_turn::install(Arc::clone(&hosting.context), None);
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, async {
            let _watched = Watched::new(&hosting.watchdog, "the thread of login guests");
            spawn_local(beat(pulse));
            for guest in &guests.guests {
                let (hosting, tenant, guest) = (Arc::clone(&hosting), Arc::clone(&tenant), Arc::clone(guest));
                spawn_local(tend(Arc::clone(&tenant), Arc::clone(&guest)));
                spawn_local(async move {
                    let drive = || drive(Arc::clone(&hosting), Arc::clone(&tenant), Arc::clone(&guest));
                    again_after_panics(drive, async || tokio::time::sleep(BROKEN_PAUSE_MAX).await).await;
                });
            }
            guests.ends.notified().await;
        });
        drop(tasks);
        let over = Availability::Away("the broker ends".into());
        guests.guests.iter().for_each(|guest| guest.stands(over.clone()));
        this_turn::uninstall();
    })?;
    Ok(Some(thread))
}

/// Fails logins that have waited for as long as they may, and makes changes to sessions that have
/// come, whatever the guest does.
async fn tend(tenant: Arc<Tenant>, guest: Arc<LoginGuest>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let late = Instant::now().checked_sub(LOGIN_GUEST_ANSWER_MAX);
        let late = late.map(|before| guest.queue.lock().take_late(before)).unwrap_or_default();
        late.into_iter().for_each(|call| call.reply.fail(no_answer("authenticate", LOGIN_GUEST_ANSWER_MAX)));
        change_arrived(&guest, &tenant);
    }
}

/// Serves a guest until the broker ends.
async fn drive(hosting: Arc<Hosting>, tenant: Arc<Tenant>, guest: Arc<LoginGuest>) {
    let mut pause = Pause::reconnecting();
    let mut breaks = 0u32;
    loop {
        let module = installed(&tenant, &guest).await;
        let driver = GuestDriver { hosting: &hosting, tenant: &tenant, guest: &guest, module };
        match driver.open().await {
            Err(reason) => {
                driver.tell("AUTH_AWAY", &reason);
                guest.stands(Availability::Away(
                    format!("module '{}' is not open: {reason}", guest.module()).into(),
                ));
                driver.rest(pause.next()).await;
                if !driver.is_current() {
                    pause = Pause::reconnecting();
                }
            }
            Ok(mut open) => {
                {
                    let mut queue = guest.queue.lock();
                    queue.hooks = open.hooks;
                    queue.methods = std::mem::take(&mut open.methods);
                }
                guest.stands(Availability::Ready);
                info!(target: "login", module = &**guest.module(), "login guest is open");
                match driver.serve(&mut open).await {
                    Ended::Changed => {
                        // It is told once, whether it comes back or not.
                        let _ = tokio::time::timeout(LOGIN_GUEST_ANSWER_MAX, open.instance.close()).await;
                        pause = Pause::reconnecting();
                        breaks = 0;
                    }
                    Ended::Broke(reason) => {
                        driver.tell("AUTH_AWAY", &reason);
                        breaks = if open.has_answered { 1 } else { breaks.saturating_add(1) };
                        drop(open);
                        tokio::time::sleep(BROKEN_PAUSE.saturating_mul(breaks).min(BROKEN_PAUSE_MAX)).await;
                    }
                }
            }
        }
    }
}

/// Waits for the module, and refuses logins until it is there.
async fn installed(tenant: &Arc<Tenant>, guest: &LoginGuest) -> InstalledAuthModule {
    loop {
        match usable(tenant, guest.module()) {
            Ok(module) => return module,
            Err(reason) => guest.stands(Availability::Away(reason.into())),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The module, unless it is missing or switched off.
fn usable(tenant: &Tenant, name: &str) -> Result<InstalledAuthModule, String> {
    let guests = &tenant.programs().guests;
    let module = guests.deciding_modules.logins.get(name);
    let module = module.ok_or_else(|| format!("there is no module '{name}' of world 'auth'"))?;
    match guests.registry.read().state(module.definition.id) {
        Some(State::Disabled) => Err(format!("module '{name}' is disabled")),
        Some(_) => Ok(module),
        None => Err(format!("there is no module '{name}' of world 'auth'")),
    }
}

/// Instance that was opened.
struct OpenGuest {
    instance: AuthInstance,
    hooks: Hooks,
    /// Authentication methods that it knows.
    methods: Box<[Box<str>]>,
    /// Time at which it wants to run; `None` if it does not.
    runs_at: Option<Instant>,
    /// Whether a call for a Client has come back.
    has_answered: bool,
}

/// GuestDriver of one version of the module.
struct GuestDriver<'a> {
    hosting: &'a Arc<Hosting>,
    tenant: &'a Arc<Tenant>,
    guest: &'a Arc<LoginGuest>,
    module: InstalledAuthModule,
}

impl GuestDriver<'_> {
    /// Opens an instance; an error is for people.
    async fn open(&self) -> Result<OpenGuest, String> {
        let InstalledAuthModule { definition, code } = &self.module;
        let spec = code
            .spec((self.tenant, self.hosting), definition, Some(self.guest))
            .map_err(|error| error.to_string())?;
        let opening = async {
            let mut instance = code.guest.instance(spec).await?;
            let description = instance.describe().await?;
            let opened = instance.open().await?;
            Ok::<_, Trap>((instance, description, opened))
        };
        let opened = tokio::time::timeout(LOGIN_GUEST_OPEN_MAX, opening).await;
        let opened = opened.map_err(|_| no_answer("open", LOGIN_GUEST_OPEN_MAX))?;
        let (instance, description, opened) = opened.map_err(|trap| trap.message)?;
        opened?;
        let hooks = description.hooks;
        let methods = description.methods.into_iter().map(Into::into).collect();
        let runs_at = hooks.contains(Hooks::RUN).then(Instant::now);
        Ok(OpenGuest { instance, hooks, methods, runs_at, has_answered: false })
    }

    /// Calls the instance until it breaks or the module changes.
    async fn serve(&self, open: &mut OpenGuest) -> Ended {
        loop {
            if !self.is_current() {
                return Ended::Changed;
            }
            change_arrived(self.guest, self.tenant);
            let (next, lost) = {
                let mut queue = self.guest.queue.lock();
                (queue.next(), queue.take_lost_events())
            };
            if lost > 0 {
                self.tell(
                    "AUTH_EVENTS_LOST",
                    &format!("{lost} events of clients found no room in its queue"),
                );
            }
            let done = match next {
                None => self.run_or_wait(open).await,
                Some(call) => {
                    let done = match call {
                        GuestCall::Login(call) => self.answer(open, call).await,
                        GuestCall::Event(event) => self.hear(open, &event).await,
                    };
                    open.has_answered |= done.is_ok();
                    done
                }
            };
            if let Err(reason) = done {
                return Ended::Broke(reason);
            }
        }
    }

    /// Asks about a login. An error ends the instance.
    async fn answer(&self, open: &mut OpenGuest, call: LoginCall) -> Result<(), String> {
        let LoginCall { login: asked, reply, came } = call;
        let left = LOGIN_GUEST_ANSWER_MAX.saturating_sub(came.elapsed());
        if left.is_zero() {
            reply.fail(no_answer("authenticate", LOGIN_GUEST_ANSWER_MAX));
            return Ok(());
        }
        let login = match login(&asked) {
            Ok(login) => login,
            Err(error) => {
                reply.fail(format!("CONNECT cannot be read: {error}"));
                return Ok(());
            }
        };
        let instance = &mut open.instance;
        let answered: Result<Result<Answer, Unusable>, String> = match &asked.step {
            None => called(instance.authenticate(&login), "authenticate", left).await,
            Some(step) => called(instance.step(&login, &step.method, &step.data), "step", left).await,
        };
        match answered {
            Ok(Ok(answer)) => self.reply(reply, &login, replied(answer, asked.step.is_some())),
            Ok(Err(unusable)) => {
                let reason = format!("its answer cannot be used: {unusable}");
                self.tell("AUTH_ANSWER", &reason);
                reply.fail(reason);
            }
            Err(reason) => {
                reply.fail(&*reason);
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Replies to a login. One that is allowed is known from then on, so that it can be revoked
    /// before it has a session.
    fn reply(&self, reply: MemberReply, login: &Login, replied: MemberReplied) {
        if let MemberAnswer::Allow(claims) = &replied.answer {
            let (user, client_id) = (&*claims.user, &*login.client_id);
            let mut queue = self.guest.queue.lock();
            if !queue.admissions.add(login.connection, user, client_id, Instant::now()) {
                drop(queue);
                return reply.fail("too many logins that it has allowed have no session yet");
            }
        }
        reply.send(replied);
    }

    /// Tells the instance of an event.
    async fn hear(&self, open: &mut OpenGuest, event: &ClientEvent) -> Result<(), String> {
        let instance = &mut open.instance;
        match event {
            ClientEvent::Connected { connection, client_id, session_present } => {
                let call = instance.connected(*connection, client_id, *session_present);
                called(call, "connected", LOGIN_GUEST_ANSWER_MAX).await
            }
            ClientEvent::Subscribed { connection, subscription } => {
                let subscriptions = std::slice::from_ref(subscription);
                let call = instance.subscribed(*connection, subscriptions);
                called(call, "subscribed", LOGIN_GUEST_ANSWER_MAX).await
            }
            ClientEvent::Forgotten { connection } => {
                called(instance.forget(*connection), "forget", LOGIN_GUEST_ANSWER_MAX).await
            }
            ClientEvent::Disconnected { connection, reason } => {
                let call = instance.disconnected(*connection, reason);
                called(call, "disconnected", LOGIN_GUEST_ANSWER_MAX).await
            }
        }
    }

    /// Lets the instance run if it is time, or waits for something to do.
    async fn run_or_wait(&self, open: &mut OpenGuest) -> Result<(), String> {
        let due = open.runs_at.map(|at| at.saturating_duration_since(Instant::now()));
        if due.is_none_or(|due| !due.is_zero()) {
            let wait = due.map_or(LOOK, |due| due.min(LOOK));
            // Either way it is time to look.
            let _ = tokio::time::timeout(wait, self.guest.called.notified()).await;
            return Ok(());
        }
        let work = open.instance.host_work();
        let until_ms = u32::try_from(LOOK.as_millis()).unwrap_or(u32::MAX);
        let ran = {
            let mut run = pin!(open.instance.run(until_ms));
            let has_work = tokio::time::timeout(ROUTE_RUN_TIME, self.guest.called.notified());
            tokio::select! {
                ran = &mut run => Ok(ran),
                // It is to come back, whether somebody has called or it runs for too long.
                _ = has_work => {
                    work.announce();
                    tokio::time::timeout(LOGIN_GUEST_ANSWER_MAX, run).await
                }
            }
        };
        work.done();
        let ran = ran.map_err(|_| no_answer("run", LOGIN_GUEST_ANSWER_MAX))?;
        let pause_ms = match ran.map_err(|trap| trap.message)? {
            Ok(pause_ms) => pause_ms,
            Err(reason) => {
                self.tell("AUTH_RUN", &reason);
                u32::try_from(BROKEN_PAUSE_MAX.as_millis()).unwrap_or(u32::MAX)
            }
        };
        open.runs_at = Some(Instant::now() + Duration::from_millis(pause_ms.into()));
        Ok(())
    }

    /// Rests before the instance is opened again, at most until the module changes.
    async fn rest(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while self.is_current() && Instant::now() < end {
            tokio::time::sleep(LOOK.min(end.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Whether the module is still this one.
    fn is_current(&self) -> bool {
        let now = usable(self.tenant, self.guest.module());
        now.is_ok_and(|now| Arc::ptr_eq(&now.definition, &self.module.definition))
    }

    /// Records an error of the module, and logs it.
    fn tell(&self, code: &str, message: &str) {
        let definition = &self.module.definition;
        let error = RunError { code, message, ..RunError::default() };
        this_turn::with(|turn| {
            turn.tick();
            records::record(turn, self.tenant, definition, &error, 0);
            turn.flush();
        });
    }
}

/// Waits for a call; an error says that it trapped or did not come back.
async fn called<T>(
    call: impl Future<Output = Result<T, Trap>>,
    name: &str,
    time: Duration,
) -> Result<T, String> {
    match tokio::time::timeout(time, call).await {
        Ok(called) => called.map_err(|trap| trap.message),
        Err(_) => Err(no_answer(name, time)),
    }
}

/// Message about a call that does not come back.
fn no_answer(call: &str, time: Duration) -> String {
    format!("its call of `{call}` does not come back within {} ms", time.as_millis())
}
