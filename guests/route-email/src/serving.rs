//! Open route: a session with the server. Starts a new session if the server has ended the old one.

use lettre::Address;
use lotmq_guest::route::{Addressee, Connection, Delivery, Failure, Receipt, ambient, deliver_each, failure};

use crate::config::{Config, Form, Protection};
use crate::letter::{Letter, letter};
use crate::session::{Left, Session};
use crate::waiting::Waiting;

/// Milliseconds that a connect or an answer of the server may take.
const ANSWER_MS: u32 = 30_000;

/// Milliseconds without a mail after which the server is asked whether it is still there.
const IDLE_MS: u64 = 10_000;

/// An open route.
pub(crate) struct Serving {
    config: Config,
    session: Option<Session<Connection>>,
    used_ms: u64,
    waiting: Waiting,
}

impl Serving {
    /// Reads the configuration, and begins a session to see whether it is right.
    pub(crate) fn open(configuration: &str) -> Result<Serving, Failure> {
        let config = Config::parse(configuration)?;
        let session = Some(begin(&config)?);
        let waiting = Waiting::load(ambient::now_ms());
        Ok(Serving { config, session, used_ms: ambient::monotonic_ms(), waiting })
    }

    pub(crate) fn probe(&mut self) -> Result<(), Failure> {
        self.session().map(drop)
    }

    pub(crate) fn close(mut self) {
        if let Some(session) = &mut self.session {
            session.quit();
        }
    }

    pub(crate) fn deliver(&mut self, batch: &[Delivery]) -> Result<Receipt, Failure> {
        deliver_each(batch, |delivery| self.send(delivery))
    }

    /// The session, begun anew when the server has ended it while nothing was sent.
    fn session(&mut self) -> Result<&mut Session<Connection>, Failure> {
        let is_idle = ambient::monotonic_ms().saturating_sub(self.used_ms) >= IDLE_MS;
        let kept = self.session.take().and_then(|mut session| {
            let is_there = !is_idle || session.forget().is_ok();
            is_there.then_some(session)
        });
        let session = match kept {
            Some(session) => session,
            None => begin(&self.config)?,
        };
        self.used_ms = ambient::monotonic_ms();
        Ok(self.session.insert(session))
    }

    fn send(&mut self, delivery: &Delivery) -> Result<(), Failure> {
        let form = self.form(delivery)?;
        let made = letter(form, &self.config.from, delivery, ambient::now_ms()).map_err(Failure::Reject)?;
        let before = self.waiting.left_of(delivery.sequence, &made.id).cloned();
        let recipients: Vec<Address> = match &before {
            Some(left) => left.later.iter().map(|(address, _)| address.clone()).collect(),
            None => made.recipients.clone(),
        };
        let mut left = self.hand_over(&made, &recipients)?;
        let now_ms = ambient::now_ms();
        self.waiting.heed(&recipients, &mut left, now_ms);
        left.refused.splice(..0, before.into_iter().flat_map(|left| left.refused));
        if let Some((_, reason)) = left.later.last() {
            let reason = reason.clone();
            self.waiting.waits(delivery.sequence, &made.id, left, now_ms);
            return Err(Failure::Retry(reason));
        }
        self.waiting.is_over(delivery.sequence);
        match left.refused.len() {
            0 => Ok(()),
            refused if refused == made.recipients.len() => Err(Failure::Reject(left.refused.join("; "))),
            _ => Err(Failure::Reject(format!("the others have it, but {}", left.refused.join("; ")))),
        }
    }

    fn hand_over(&mut self, letter: &Letter, recipients: &[Address]) -> Result<Left, Failure> {
        let session = self.session()?;
        let sent = session.send(letter, recipients);
        // A mail that was refused on the way is not to stay begun.
        if let Err(Failure::Reject(_) | Failure::Retry(_)) = &sent {
            session.forget()?;
        }
        sent
    }

    fn form(&self, delivery: &Delivery) -> Result<&Form, Failure> {
        let form = match &delivery.to {
            Addressee::Event(name) => self.config.events.get(name),
            Addressee::Mapping(name) => self.config.mappings.get(name),
            Addressee::Tag(_) | Addressee::Table(_) => None,
        };
        form.ok_or_else(|| Failure::Reject("a mail is made by an event or a mapping".to_owned()))
    }
}

/// Connects, protects the connection and logs in.
fn begin(config: &Config) -> Result<Session<Connection>, Failure> {
    let connection = Connection::open("smtp", ANSWER_MS).map_err(|error| failure(&error))?;
    let mut session = Session::greeted(connection)?;
    let mut offers = session.hello()?;
    let is_protected = match (config.protection, offers.start_tls) {
        (Protection::FromTheStart, _) => true,
        (Protection::Never, _) | (Protection::WhenOffered, false) => false,
        (Protection::StartTls, false) => {
            return Err(Failure::Fatal(
                "SMTP_CONFIG: USE_TLS is TRUE, and the server offers no STARTTLS".to_owned(),
            ));
        }
        (Protection::StartTls | Protection::WhenOffered, true) => {
            session.wants_tls()?;
            session.stream().start_tls().map_err(|error| failure(&error))?;
            offers = session.hello()?;
            true
        }
    };
    if let Some((user, password)) = &config.login {
        if !is_protected && config.protection != Protection::Never {
            return Err(Failure::Fatal(
                "the server offers no STARTTLS, so that the password would be readable; USE_TLS FALSE in SMTP_CONFIG allows that".to_owned(),
            ));
        }
        session.log_in(&offers, user, password)?;
    }
    Ok(session)
}
