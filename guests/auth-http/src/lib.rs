//! Logins that an HTTP server decides. Each login is a request with the values of the login, and
//! the response says who may do what, for how long.
//!
//! Invariant: a client is let in by an answer that says so, and by nothing else. A server that is
//! away, too slow or answers anything else keeps the client out.

mod answer;
mod body;
mod cache;
mod config;
mod limits;
mod request;

use std::cell::RefCell;

use answer::{Allowed, Verdict};
use cache::Cache;
use config::{Config, ENDPOINT};
use lotmq_guest::auth::http::{HttpClient, described};
use lotmq_guest::auth::{
    Answer, Authenticator, BAD_USER_NAME_OR_PASSWORD, Login, Permission, Principal, allow, ambient,
    config as configuration, deny, metrics,
};
use request::Rendered;

/// Reason Code of CONNACK: the server did not decide.
const SERVER_UNAVAILABLE: u8 = 0x88;

struct Http;

struct Open {
    config: Config,
    client: HttpClient,
    cache: Cache,
}

thread_local!(static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) });

impl Authenticator for Http {
    fn open() -> Result<(), String> {
        let config = Config::parse(&configuration::get())?;
        let client = HttpClient::new(ENDPOINT)
            .timeout_ms(config.timeout_ms)
            .response_bytes_max(limits::RESPONSE_BYTES_MAX);
        let cache = Cache::new(config.cache);
        OPEN.set(Some(Open { config, client, cache }));
        Ok(())
    }

    fn authenticate(login: Login) -> Answer {
        let answer = OPEN.with_borrow_mut(|open| open.as_mut().map(|open| open.answer(&login)));
        answer.unwrap_or_else(|| deny(SERVER_UNAVAILABLE, "the guest is not open"))
    }

    fn close() {
        OPEN.take();
    }
}

impl Open {
    fn answer(&mut self, login: &Login) -> Answer {
        let rendered = self.config.request.render(login);
        let user = self.config.user.render_text(login).map_err(|unfit| unfit.text());
        let (request, user) = match rendered.and_then(|request| Ok((request, user?))) {
            Ok(rendered) => rendered,
            Err(reason) => return deny(BAD_USER_NAME_OR_PASSWORD, reason),
        };
        if user.is_empty() {
            return deny(BAD_USER_NAME_OR_PASSWORD, "the name of the user is empty");
        }
        match self.ask(&request, &user, login.password.as_deref().unwrap_or_default()) {
            Err(reason) => deny(SERVER_UNAVAILABLE, format!("the HTTP server did not decide: {reason}")),
            Ok(Verdict::Deny(reason_code)) => deny(reason_code, "the HTTP server denies the login"),
            Ok(Verdict::Ignore) if self.config.passes_unknown => Answer::Continue,
            Ok(Verdict::Ignore) => {
                deny(BAD_USER_NAME_OR_PASSWORD, "the HTTP server answers ignore: it does not know the user")
            }
            Ok(Verdict::Allow(allowed)) => admit(user, *allowed),
        }
    }

    /// Decision of the server, or of the cache.
    fn ask(&mut self, request: &Rendered, user: &str, password: &[u8]) -> Result<Verdict, String> {
        if !self.cache.is_on() {
            return self.send(request);
        }
        let key = self.cache.key(request, user, password);
        if let Some(verdict) = self.cache.get(&key) {
            count("cache_hits");
            return Ok(verdict.clone());
        }
        let verdict = self.send(request)?;
        self.cache.put(key, verdict.clone());
        Ok(verdict)
    }

    fn send(&self, request: &Rendered) -> Result<Verdict, String> {
        count("http_requests");
        let response = request.request(&self.client).send();
        let verdict = response
            .map_err(|error| described(&error))
            .and_then(|response| Verdict::read(response.status, &response.body));
        if verdict.is_err() {
            count("http_errors");
        }
        verdict
    }
}

fn admit(user: String, allowed: Allowed) -> Answer {
    let Allowed { groups, properties, grants, expires_ms } = allowed;
    if expires_ms.is_some_and(|expires_ms| expires_ms <= ambient::now_ms()) {
        return deny(BAD_USER_NAME_OR_PASSWORD, "expire_at of the HTTP server's answer is in the past");
    }
    let permission = grants.map_or(Permission::Rules, Permission::Grants);
    allow(Principal { groups, properties, permission, expires_ms, ..Principal::named(user) })
}

fn count(counter: &str) {
    // Without a figure nothing else goes wrong.
    let _ = metrics::add(counter, 1);
}

lotmq_guest::export_auth!(Http);

#[cfg(test)]
mod tests;
