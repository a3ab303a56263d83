//! Type of values that say for single tenants where their routes may connect to and listen, and
//! which serial ports they may open.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::networks::Networks;
use super::serial_ports::SerialPorts;
use super::setting::Setting;
use crate::value_error::ValueError;

/// Characters of the name of a tenant. Commands reference §7.5.
const NAME_CHARACTERS_MAX: usize = 63;

/// Own settings of single tenants, by tenant name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantPlaces(BTreeMap<Box<str>, PlacesOfTenant>);

/// Own settings of a tenant. Section `[routes]` holds for those that are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlacesOfTenant {
    pub(crate) denied_networks: Option<Networks>,
    pub(crate) allow_loopback: Option<bool>,
    pub(crate) listen_networks: Option<Networks>,
    pub(crate) serial_ports: Option<SerialPorts>,
}

impl TenantPlaces {
    /// Names of the tenants.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    pub(crate) fn of(&self, tenant: &str) -> Option<&PlacesOfTenant> {
        self.0.get(tenant)
    }
}

impl PlacesOfTenant {
    fn parse(members: &Map<String, Value>) -> Option<Self> {
        let mut own = Self::default();
        for (name, value) in members {
            match name.as_str() {
                "denied_networks" => own.denied_networks = Some(Networks::parse(value).ok()?),
                "allow_loopback" => own.allow_loopback = Some(value.as_bool()?),
                "listen_networks" => own.listen_networks = Some(Networks::parse(value).ok()?),
                "serial_ports" => own.serial_ports = Some(SerialPorts::parse(value).ok()?),
                _ => return None,
            }
        }
        Some(own)
    }

    fn show(&self) -> Value {
        let members = [
            ("denied_networks", self.denied_networks.as_ref().map(Setting::show)),
            ("allow_loopback", self.allow_loopback.as_ref().map(Setting::show)),
            ("listen_networks", self.listen_networks.as_ref().map(Setting::show)),
            ("serial_ports", self.serial_ports.as_ref().map(Setting::show)),
        ];
        let set = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(set.collect())
    }
}

impl Setting for TenantPlaces {
    const TYPE: &'static str = "a table for each tenant, by its name, with `denied_networks`, `allow_loopback`, `listen_networks` and `serial_ports` or some of them; in the environment as JSON";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let parsed = match value {
            Value::Object(tenants) => Some(tenants.clone()),
            Value::String(text) if text.trim().is_empty() => Some(Map::new()),
            Value::String(text) => serde_json::from_str(text).ok(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        };
        let tenants = parsed.and_then(|tenants| {
            let tenants = tenants.iter().map(|(name, members)| {
                let own = PlacesOfTenant::parse(members.as_object()?)?;
                is_name(name).then(|| (Box::from(&**name), own))
            });
            tenants.collect()
        });
        tenants.map(Self).ok_or(ValueError::WrongType { expected: Self::TYPE })
    }

    fn show(&self) -> Value {
        Value::Object(self.0.iter().map(|(name, own)| (name.to_string(), own.show())).collect())
    }
}

/// Whether a tenant may have this name. Commands reference §7.5.
fn is_name(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(is_of_name)
        && text.len() <= NAME_CHARACTERS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tenants_are_parsed_from_tables_and_render_unchanged() {
        let acme = json!({ "allow_loopback": true, "listen_networks": ["127.0.0.0/8"], "serial_ports": ["/dev/ttyUSB*"] });
        let value = json!({ "acme": acme, "b-2": {} });
        let places = TenantPlaces::parse(&value).unwrap();
        assert_eq!(places.show(), value);
        assert_eq!(places.names().collect::<Vec<_>>(), ["acme", "b-2"]);
        assert_eq!(TenantPlaces::parse(&json!(value.to_string())).unwrap(), places);
        assert_eq!(places.of("acme").unwrap().denied_networks, None);
        assert_eq!(places.of("other"), None);
        for empty in [json!({}), json!(""), json!("{}")] {
            assert_eq!(TenantPlaces::parse(&empty).unwrap(), TenantPlaces::default());
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for value in [
            json!({ "acme": true }),
            json!({ "acme": { "alow_loopback": true } }),
            json!({ "acme": { "allow_loopback": "perhaps" } }),
            json!({ "acme": { "denied_networks": ["10.0.0.0/33"] } }),
            json!({ "acme": { "serial_ports": ["ttyUSB0"] } }),
            json!({ "Acme": {} }),
            json!({ "": {} }),
            json!({ "a".repeat(NAME_CHARACTERS_MAX + 1): {} }),
            json!("acme"),
            json!(["acme"]),
        ] {
            let error = TenantPlaces::parse(&value).unwrap_err();
            assert_eq!(error, ValueError::WrongType { expected: TenantPlaces::TYPE }, "{value}");
        }
    }
}
