//! Explanation of a CONNECT: bans, waits after failed logins, the login chain of each listener, and
//! the rules about connections. A password is not asked for, so its check is left to the login.

use lotmq_auth::{BUILT_IN_MEMBER, Question, Scope};
use serde_json::{Value, json};

use super::{Asker, answer, decided, ended, step, unknown};
use crate::command::reply::{Done, Refusal};
use crate::command::verb::Call;

pub(super) fn explain(call: &Call<'_>, asker: &Asker) -> Result<Done, Refusal> {
    let listeners = listeners(call, asker);
    let mut steps: Vec<Value> = banned(call, asker).into_iter().chain(must_wait(call, asker)).collect();
    let is_kept_out = !steps.is_empty();
    match &asker.identity {
        _ if is_kept_out => {}
        None => steps.push(unknown(call)),
        Some(identity) => match ended(call, identity) {
            Some(ended) => steps.push(ended),
            None => steps.extend(decided(call.tenant, &Question::operation(identity, Scope::Connect))),
        },
    }
    Ok(answer("connect", asker, None, steps).with_member("listeners", Value::from(listeners)))
}

/// Step about a ban of the address, the user or the client.
fn banned(call: &Call<'_>, asker: &Asker) -> Option<Value> {
    let (bans, now_ms) = (call.tenant.users.bans(), call.core.clock.lifetime_ms());
    if let Some(source) = asker.source {
        let user = Some(&*asker.user).filter(|user| !user.is_empty());
        let cause = bans.of_client(source, user, &asker.client_id, now_ms)?;
        let text = format!("the address, the user or the client is banned ({}); see -listBans", cause.word());
        return Some(step("ban", "deny", &text));
    }
    let bans = bans.list(now_ms);
    let ban = bans.iter().find(|ban| ban.user.as_deref() == Some(&*asker.user) && ban.source.is_none())?;
    Some(step("ban", "deny", &format!("the user is banned ({}); see -listBans", ban.cause.word())))
}

/// Step about a wait after failed logins from the address, or from anywhere.
fn must_wait(call: &Call<'_>, asker: &Asker) -> Option<Value> {
    let now_ms = call.core.clock.now().as_millis();
    let source = asker.source?;
    let left_ms = call.tenant.users.wait_left_ms(&asker.user, source, now_ms);
    let seconds = left_ms.div_ceil(1_000);
    let text = format!(
        "logins as this user from this address have failed; the next one is looked at in {seconds} s"
    );
    (left_ms > 0).then(|| step("login wait", "deny", &text))
}

/// Login chains of the listeners, as a login of this user would go through them.
fn listeners(call: &Call<'_>, asker: &Asker) -> Vec<Value> {
    let is_root = asker.identity.as_ref().is_some_and(|identity| identity.is_root());
    let has_account = call.tenant.users.principal(&asker.user).is_some();
    let config = &call.hosting.config;
    let listeners = config.listeners();
    let row = |plan: &lotmq_config::ListenerPlan| {
        let names = plan.login_modules.names();
        let asked: Vec<&str> =
            if is_root { vec![BUILT_IN_MEMBER] } else { names.iter().map(|name| &**name).collect() };
        json!({ "listener": plan.name, "asks": asked, "hasAccount": has_account })
    };
    listeners.iter().map(row).collect()
}
