//! The environment: `LOTMQ_` and a key's path in upper case.

use lot_nearest::nearest_name;
use serde_json::Value;

use super::origin::Assignment;
use super::unknown::{meant_by_variable, path_in_section, unknown_key};
use super::{ConfigError, KEYS, Key, Secret, ValueOrigin};

const PREFIX: &str = "LOTMQ_";

/// Prefix of the original's variables, of which those are known that are short names of our keys;
/// others may be what programs read.
const FOREIGN_PREFIX: &str = "COREFLUX_";

/// Variables with our prefix that are not keys of the configuration.
const OTHERS: [&str; 4] = ["LOTMQ_ROOT_PASSWORD", "LOTMQ_SECRET_KEY", "LOTMQ_LOG", "LOTMQ_CONTEXT"];

/// Variable of a broker that is built for tests, whose store fails as it says.
const OF_TESTS: &str = "LOTMQ_STORE_FAULT";

/// Names of the password of `root`, the newer one first.
const ROOT_PASSWORD: [&str; 2] = ["LOTMQ_ROOT_PASSWORD", "BROKER_ROOT_PASSWORD"];

/// Returns an environment variable of the process for `GET ENV` in programs. Hides the variables
/// that configure the broker, such as its password and the key of its secrets.
pub fn process_variable(name: &str) -> Option<String> {
    if is_of_broker(name) { None } else { std::env::var(name).ok() }
}

/// Whether a variable configures the broker itself. Upper and lower case are one, as on systems
/// where they are.
#[must_use]
pub fn is_of_broker(name: &str) -> bool {
    let has_prefix = name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    has_prefix || ROOT_PASSWORD.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Returns the settings from environment variables. Ignores empty variables.
pub(crate) fn assignments(environment: &[(String, String)]) -> Vec<Assignment> {
    environment
        .iter()
        // As those who set the environment from a file take it: a service manager cannot leave a
        // line out.
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| {
            let key = key(name)?;
            Some(Assignment {
                key,
                value: Value::String(value.clone()),
                origin: ValueOrigin::Environment(name.clone()),
            })
        })
        .collect()
}

fn key(variable: &str) -> Option<&'static Key> {
    if !variable.starts_with(PREFIX) && !variable.starts_with(FOREIGN_PREFIX) {
        return None;
    }
    KEYS.iter().find(|key| key.short_variable == Some(variable) || key.variable() == variable).copied()
}

/// Password for `root` when it is created.
pub(crate) fn root_password(environment: &[(String, String)]) -> Option<Secret> {
    ROOT_PASSWORD.iter().find_map(|wanted| {
        let (_, value) = environment.iter().find(|(name, value)| name == wanted && !value.is_empty())?;
        Some(Secret::new(value.clone()))
    })
}

/// The errors of variables that are none of our keys, though a section of ours has the name with
/// which they begin: what they were to say would not hold. Those that a cluster sets for a service
/// of such a name are not meant.
pub(crate) fn slips(environment: &[(String, String)]) -> Vec<ConfigError> {
    let of_section =
        unknown_names(environment).filter(|(name, value)| !value.is_empty() && !is_of_service(name, value));
    of_section
        .filter_map(|(name, _)| {
            let path = path_in_section(&name.strip_prefix(PREFIX)?.to_ascii_lowercase())?;
            Some(unknown_key(&path, &ValueOrigin::Environment(name.clone())))
        })
        .collect()
}

/// Whether a variable is one of those that Kubernetes, and links of containers, set for each
/// service: `LOTMQ_ADMIN_SERVICE_HOST` for one that is called `lotmq-admin`.
fn is_of_service(name: &str, value: &str) -> bool {
    let has_scheme = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_of_port = name.split_once("_PORT_").is_some_and(|(_, port)| {
        let number = port.split('_').next().unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    has_scheme || is_of_port || name.contains("_SERVICE_HOST") || name.contains("_SERVICE_PORT")
}

/// Variables with our prefix that are no keys and nothing else of ours.
fn unknown_names(environment: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    environment.iter().filter(|(name, _)| {
        let is_ours = key(name).is_some() || OTHERS.contains(&name.as_str()) || name == OF_TESTS;
        name.starts_with(PREFIX) && !is_ours
    })
}

/// Variables with our prefix that mean nothing and are no [slips](slips), each with the nearest
/// that does.
pub(crate) fn unknown(environment: &[(String, String)]) -> Vec<(String, String)> {
    let slips = slips(environment);
    let is_slip = |name: &str| {
        slips.iter().any(|slip| {
            matches!(slip, ConfigError::KeyUnknown { origin: ValueOrigin::Environment(of), .. }
                | ConfigError::NotOfListener { origin: ValueOrigin::Environment(of), .. }
                | ConfigError::KeyNotYet { origin: ValueOrigin::Environment(of), .. } if of == name)
        })
    };
    let known = || KEYS.iter().map(|key| key.variable()).chain(OTHERS.map(str::to_owned));
    let meant = |name: &str| {
        let path = meant_by_variable(&name.strip_prefix(PREFIX)?.to_ascii_lowercase())?;
        Key::find(path).map(Key::variable)
    };
    unknown_names(environment)
        .filter(|(name, _)| !is_slip(name))
        .map(|(name, _)| {
            let near = meant(name).or_else(|| nearest_name(name, known()));
            (name.clone(), near.unwrap_or_default())
        })
        .collect()
}
