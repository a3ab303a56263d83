//! Exposure: for each listener its address, encryption, and who may log in.

use lotmq_config::{AnonymousLogin, Carrier, ClientCertificate, Config, ListenerPlan, UserFromCertificate};

use super::finding::Finding;

const CHECK: &str = "open-to";

/// Findings about each listener and the health port.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let gullible = config.gullible_listeners();
    let plans = config.listeners();
    let mut findings: Vec<Finding> = plans.iter().map(|plan| of_listener(config, plan, &gullible)).collect();
    findings.extend(of_health(config));
    findings
}

fn is_public(plan: &ListenerPlan) -> bool {
    plan.addresses.iter().any(|address| !address.ip().to_canonical().is_loopback())
}

fn of_listener(config: &Config, plan: &ListenerPlan, gullible: &[&str]) -> Finding {
    let name = plan.name;
    let has_tls = plan.tls.is_some();
    let message = format!(
        "{name} at {}: {}, {}, {}",
        place(plan),
        if has_tls { "TLS" } else { "no TLS" },
        if is_public(plan) { "other machines" } else { "this machine" },
        logins(config, plan),
    );
    if gullible.contains(&name) {
        let remedy = format!("name the proxies in `listener.{name}.trusted_proxies`");
        return Finding::error(CHECK, format!("{message}; clients may claim any address"), remedy);
    }
    if is_public(plan) && config.anonymous_login() == AnonymousLogin::Everywhere {
        let remedy = "set auth.anonymous = false, or a rule for Publish and Subscribe";
        return Finding::warning(CHECK, message, remedy);
    }
    if is_public(plan) && !has_tls && config.auth.passwords_need_tls {
        return Finding::ok(CHECK, format!("{message}; no passwords of other machines"));
    }
    if is_public(plan) && !has_tls {
        let remedy = format!(
            "use TLS (lotmq serve --lan, or docs/tls.md), and set `listener.{name}.bind` to 127.0.0.1, or auth.passwords_need_tls = true"
        );
        return Finding::warning(CHECK, format!("{message}; passwords cross the network readable"), remedy);
    }
    Finding::ok(CHECK, message)
}

fn place(plan: &ListenerPlan) -> String {
    if let Carrier::Unix(Some(socket)) = &plan.carrier {
        return format!("{} (mode {:o})", socket.path.display(), socket.mode);
    }
    let addresses: Vec<String> = plan.addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

/// Describes the users who may log in at a listener.
fn logins(config: &Config, plan: &ListenerPlan) -> String {
    let names: Vec<&str> = plan.login_modules.names().iter().map(|name| &**name).collect();
    let anonymous = match config.anonymous_login() {
        AnonymousLogin::Off => "nobody without a user",
        AnonymousLogin::LoopbackOnly => "without a user from this machine only",
        AnonymousLogin::Everywhere => "everybody without a user",
    };
    let certificates = match plan.tls {
        Some(ClientCertificate::Required) => ", with a certificate only",
        Some(ClientCertificate::Optional | ClientCertificate::Off) | None => "",
    };
    let of_certificate = plan.user_from_certificate != UserFromCertificate::Off;
    let named = if of_certificate { ", users by certificate" } else { "" };
    format!("users of {}, {anonymous}{certificates}{named}", names.join(" and "))
}

fn of_health(config: &Config) -> Option<Finding> {
    let public = config.health_addresses().into_iter().find(|it| !it.ip().to_canonical().is_loopback())?;
    Some(Finding::warning(
        CHECK,
        format!("health at {public}: no TLS, other machines, metrics without a login"),
        "set `admin.bind` to 127.0.0.1, or let a firewall admit the monitoring alone",
    ))
}

#[cfg(test)]
mod tests {
    use lotmq_config::Sources;

    use super::super::finding::FindingLevel::{self, Error, Ok, Warning};
    use super::*;

    #[test]
    fn what_is_open_to_others_is_found() {
        for (settings, levels) in [
            (&[][..], &[Ok, Ok][..]),
            (&[("listener.mqtt.bind", "0.0.0.0"), ("admin.bind", "127.0.0.1")], &[Warning, Ok]),
            (&[("listener.mqtt.bind", "0.0.0.0")], &[Warning, Ok, Warning]),
            (
                &[
                    ("listener.mqtt.bind", "0.0.0.0"),
                    ("admin.bind", "127.0.0.1"),
                    ("auth.passwords_need_tls", "true"),
                ],
                &[Ok, Ok],
            ),
            (&[("listener.ws.bind", "0.0.0.0"), ("auth.anonymous", "true")], &[Ok, Warning]),
            (&[("listener.ws.bind", "0.0.0.0"), ("listener.ws.proxy_protocol", "true")], &[Ok, Error]),
        ] {
            let flags = settings.iter().map(|(key, value)| ("--test", *key, (*value).to_owned())).collect();
            let config = Config::load(Sources { flags, ..Sources::default() }).unwrap();
            let found: Vec<FindingLevel> = look(&config).into_iter().map(|finding| finding.level).collect();
            assert_eq!(found, levels, "{settings:?}");
        }
    }
}
