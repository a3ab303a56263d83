//! Keys of the commands reference (§9.2) whose part of the broker does not exist yet: refused by
//! name, never ignored.

/// Whether `name`, a path or a JSON name, is such a key.
pub(crate) fn is_not_yet(name: &str) -> bool {
    let first = |section: &str| name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
    SECTIONS.iter().any(|section| name == *section || first(section)) || NAMES.contains(&name)
}

const SECTIONS: [&str; 1] = ["tenant"];

const NAMES: [&str; 11] = [
    "listener.mqtt.tenant",
    "listener.mqtt.tenant_from",
    "CertificatePassword",
    "AuthModule",
    "tls.certificate_password",
    "listener.mqtts.tenant",
    "listener.mqtts.tenant_from",
    "listener.ws.tenant",
    "listener.ws.tenant_from",
    "listener.wss.tenant",
    "listener.wss.tenant_from",
];
