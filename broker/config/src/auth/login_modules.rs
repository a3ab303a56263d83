//! Values that list the members of a login chain.

use serde_json::Value;

use crate::setting::Setting;
use crate::value_error::ValueError;
use crate::web::texts;

/// Name of the local user store as a login module.
pub const BUILT_IN_MODULE: &str = "builtin";

/// Name of the login module of `[auth.jwt]`, which is configured when it has keys.
pub const JWT_MODULE: &str = "jwt";

/// Login modules that are parts of the broker. Every other name is that of a module of world
/// `auth`.
pub(crate) const OWN_MODULES: [&str; 2] = [BUILT_IN_MODULE, JWT_MODULE];

/// Login modules of a listener, in the order in which they are asked. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginModules(Vec<Box<str>>);

impl LoginModules {
    /// Modules of these names, in this order.
    pub fn of<const N: usize>(names: [&str; N]) -> Self {
        Self(names.map(Box::from).into())
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> &[Box<str>] {
        &self.0
    }
}

impl Default for LoginModules {
    fn default() -> Self {
        Self(vec![BUILT_IN_MODULE.into()])
    }
}

impl Setting for LoginModules {
    const TYPE: &'static str = "names of login modules, each once: one, a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let wrong = ValueError::WrongType { expected: Self::TYPE };
        let names = texts(value).filter(|names| !names.is_empty()).ok_or(wrong)?;
        let mut numbered = names.iter().enumerate();
        if numbered.any(|(at, name)| names[..at].contains(name) || !is_name(name)) {
            Err(wrong)
        } else {
            Ok(Self(names))
        }
    }

    fn show(&self) -> Value {
        self.0.iter().map(|name| Value::from(&**name)).collect()
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Config, ConfigFile, Sources};

    #[test]
    fn login_modules_are_names_each_once() {
        for (value, expected) in [
            (json!("builtin"), Some(vec!["builtin"])),
            (json!(["jwt", "builtin"]), Some(vec!["jwt", "builtin"])),
            (json!("jwt, builtin"), Some(vec!["jwt", "builtin"])),
            (json!([]), None),
            (json!(""), None),
            (json!(["jwt", "jwt"]), None),
            (json!("JWT"), None),
            (json!(1), None),
        ] {
            let names = LoginModules::parse(&value).ok();
            let names = names.as_ref().map(|it| it.names().iter().map(|name| &**name).collect::<Vec<_>>());
            assert_eq!(names, expected, "{value}");
        }
    }

    #[test]
    fn own_module_that_is_not_configured_is_refused_with_the_names_that_are() {
        for (section, key) in [("auth", "modules"), ("listener.mqtt", "auth_modules")] {
            let text = format!("[{section}]\n{key} = [\"builtin\", \"jwt\"]\n");
            let file = Some(ConfigFile { path: "lotmq.toml".into(), text });
            let refused = Config::load(Sources { file, ..Sources::default() }).unwrap_err();
            let words = "lists `jwt` (file lotmq.toml:2), which is no login module; configured are `builtin`";
            assert_eq!(refused.to_string(), format!("`{section}.{key}` {words}"));
        }
    }

    #[test]
    fn names_that_are_no_own_modules_are_guests() {
        let mut config = Config::default();
        assert!(config.login_guest_names().is_empty());
        config.auth.modules = LoginModules::of(["door", "builtin"]);
        config.listener.mqtt.auth_modules = Some(LoginModules::of(["jwt", "lock"]));
        assert_eq!(config.login_guest_names(), ["door", "lock"]);
    }

    #[test]
    fn listener_has_the_modules_of_auth_unless_it_sets_its_own() {
        let mut config = Config::default();
        config.auth.modules = LoginModules::of(["jwt"]);
        config.listener.mqtt.auth_modules = Some(LoginModules::default());
        let of = |name: &str, listeners: &[crate::ListenerPlan]| {
            let plan = listeners.iter().find(|plan| plan.name == name);
            plan.map(|plan| plan.login_modules.names().to_vec())
        };
        let listeners = config.listeners();
        assert_eq!(of("mqtt", &listeners), Some(vec![BUILT_IN_MODULE.into()]));
        assert!(of("ws", &listeners).is_none_or(|names| names == ["jwt".into()]));
    }
}
