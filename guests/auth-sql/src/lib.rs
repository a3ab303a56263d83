//! Logins checked against a PostgreSQL, MySQL or MariaDB database: a query returns the password
//! hash of a user, others return groups and grants.
//!
//! Invariant: a database that is away, too slow or answers anything unexpected keeps the client
//! out. Values are parameters, and the password never leaves the guest.

mod config;
mod database;
mod hash;
mod limits;
mod mysql;
mod postgres;
mod query;
mod rows;
mod server;
mod table;
mod wire;

use std::cell::RefCell;

use auth_settings::all_topics;
use config::Config;
use database::Session;
use hash::Hash;
use lotmq_guest::auth::{
    Answer, Authenticator, BAD_USER_NAME_OR_PASSWORD, Grant, Login, Permission, Principal, allow, ambient,
    config as configuration, deny, metrics,
};
use query::Query;
use rows::{UserRow, grants_of, groups_of};
use table::{Failure, Table};

/// Reason Code of CONNACK: the database did not answer.
const SERVER_UNAVAILABLE: u8 = 0x88;

struct Sql;

struct Open {
    config: Config,
    session: Option<Session>,
    /// Hash of the last user who was found, whose time an unknown user costs.
    usual: Hash,
}

/// Reason why a client is kept out: a Reason Code of CONNACK, and a text for the log.
struct Refused(u8, String);

thread_local!(static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) });

impl Authenticator for Sql {
    fn open() -> Result<(), String> {
        let config = Config::parse(&configuration::get())?;
        OPEN.set(Some(Open { config, session: None, usual: Hash::usual() }));
        Ok(())
    }

    fn authenticate(login: Login) -> Answer {
        let answer = OPEN.with_borrow_mut(|open| open.as_mut().map(|open| open.answer(&login)));
        let Some(answer) = answer else { return deny(SERVER_UNAVAILABLE, "the guest is not open") };
        answer.unwrap_or_else(|Refused(reason_code, log)| deny(reason_code, log))
    }

    fn close() {
        if let Some(Open { session: Some(mut session), .. }) = OPEN.take() {
            session.close();
        }
    }
}

impl Open {
    fn answer(&mut self, login: &Login) -> Result<Answer, Refused> {
        let until_ms = ambient::monotonic_ms() + self.config.timeout_ms;
        let name = self.config.user.render_text(login).map_err(|unfit| denied(unfit.text()))?;
        if name.is_empty() {
            return Err(denied("the name of the user is empty".to_owned()));
        }
        let table = ask(&mut self.session, &self.config, &self.config.query, login, until_ms)?;
        let password = login.password.as_deref().unwrap_or_default();
        let Some(row) = UserRow::of(&table).map_err(unavailable)? else {
            // As long as the check of a user who is there.
            self.usual.verifies(password);
            return match self.config.passes_unknown {
                true => Ok(Answer::Continue),
                false => Err(denied("the database has no row for the user".to_owned())),
            };
        };
        let hash =
            Hash::read(&row.password_hash, row.salt.as_deref(), self.config.salted).map_err(|unusable| {
                self.usual.verifies(password);
                denied(format!("the stored password of the user verifies nothing: {}", unusable.text()))
            })?;
        let is_verified = hash.verifies(password);
        self.usual = hash;
        if !is_verified {
            return Err(denied("the password is wrong".to_owned()));
        }
        self.admit(name, row.is_superuser, login, until_ms)
    }

    /// Groups and grants of a user who is proved.
    fn admit(
        &mut self,
        name: String,
        is_superuser: bool,
        login: &Login,
        until_ms: u64,
    ) -> Result<Answer, Refused> {
        let Open { config, session, .. } = self;
        let mut asked = |query: &Query| ask(session, config, query, login, until_ms);
        let groups = config.groups.as_ref().map(&mut asked).transpose()?.map(groups_of).unwrap_or_default();
        let grants: Option<Vec<Grant>> = match (&config.grants, is_superuser) {
            (_, true) => Some(all_topics()),
            (Some(query), false) => Some(grants_of(&asked(query)?).map_err(unavailable)?),
            (None, false) => None,
        };
        let permission = grants.map_or(Permission::Rules, Permission::Grants);
        Ok(allow(Principal { groups, permission, ..Principal::named(name) }))
    }
}

/// Asks a query. Connects first if there is no session, and again if the server has ended it
/// meanwhile.
fn ask(
    session: &mut Option<Session>,
    config: &Config,
    query: &Query,
    login: &Login,
    until_ms: u64,
) -> Result<Table, Refused> {
    let values = query.values(login).map_err(denied)?;
    let mut was_open = session.is_some();
    loop {
        let mut open = match session.take() {
            Some(open) => open,
            None => Session::open(&config.server, until_ms).map_err(|reason| {
                count("sql_errors");
                unavailable(reason)
            })?,
        };
        count("sql_queries");
        match open.ask(query, values.clone(), until_ms) {
            Ok(table) => {
                *session = Some(open);
                return Ok(table);
            }
            Err(Failure::Lost(_)) if was_open && ambient::monotonic_ms() < until_ms => was_open = false,
            Err(Failure::Lost(reason)) => {
                count("sql_errors");
                return Err(unavailable(reason));
            }
            Err(Failure::Refused(reason)) => {
                *session = Some(open);
                count("sql_errors");
                return Err(unavailable(reason));
            }
        }
    }
}

fn denied(log: String) -> Refused {
    Refused(BAD_USER_NAME_OR_PASSWORD, log)
}

fn unavailable(reason: String) -> Refused {
    Refused(SERVER_UNAVAILABLE, format!("the database did not decide: {reason}"))
}

fn count(counter: &str) {
    // Without a figure nothing else goes wrong.
    let _ = metrics::add(counter, 1);
}

lotmq_guest::export_auth!(Sql);
