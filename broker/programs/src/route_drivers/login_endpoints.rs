//! Endpoints of a module for logins: the members of `endpoints` in its configuration, each with the
//! keys that a section of a route has for a place and its TLS.

use std::collections::HashMap;

use lot_facts::{RouteBlock, RouteFacts, RouteValue};
use lotmq_config::Config;
use lotmq_host::fiber::Endpoint;
use serde_json::{Map, Value as Json};

use super::endpoints::{GrantedPlaces, NoEndpoint, PlaceBounds, endpoints};
use super::folders::Site;
use super::template::Names;
use super::tls_profiles::{self, NoTls};

/// Member of the configuration that has them.
const MEMBER: &str = "endpoints";

/// Reason why the configuration makes no endpoints.
#[derive(Debug, thiserror::Error)]
pub enum NoLoginEndpoints {
    #[error("the configuration is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("{MEMBER}: it is {found}, and has to be an object with an object for each endpoint")]
    NotObjects { found: Json },
    #[error("{MEMBER}.{name}: {key} is {found}, which is no text, number or truth value")]
    NotPlain { name: String, key: String, found: Json },
    #[error("{MEMBER}.{name}: none of HOST, ALLOW_HOSTS and LISTEN is set")]
    Nowhere { name: String },
    #[error(transparent)]
    Place(#[from] NoEndpoint),
    #[error(transparent)]
    Tls(#[from] NoTls),
}

/// A configuration names no values of the broker.
struct Nobody;

impl Names for Nobody {
    fn environment(&self, _name: &str) -> Option<String> {
        None
    }

    fn secret(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Makes the endpoints that a configuration names, which the module was granted; asks the disk for
/// certificates.
pub(crate) fn login_endpoints(
    configuration: Option<&str>,
    (module, places): (&str, &[Box<str>]),
    (config, tenant): (&Config, &str),
) -> Result<HashMap<String, Endpoint>, NoLoginEndpoints> {
    let configuration: Json = configuration.map_or(Ok(Json::Null), serde_json::from_str)?;
    let members = match configuration.get(MEMBER) {
        None => return Ok(HashMap::new()),
        Some(Json::Object(members)) => members,
        Some(found) => return Err(NoLoginEndpoints::NotObjects { found: found.clone() }),
    };
    let bounds = PlaceBounds {
        granted: Some(GrantedPlaces { module, places, asked: None }),
        ..PlaceBounds::default()
    };
    let site = Site::of(config, tenant, (None, true));
    let made = members.iter().map(|(name, settings)| {
        let Json::Object(settings) = settings else {
            return Err(NoLoginEndpoints::NotObjects { found: settings.clone() });
        };
        Ok((name.clone(), endpoint(name, settings, bounds, &site)?))
    });
    made.collect()
}

fn endpoint(
    name: &str,
    settings: &Map<String, Json>,
    bounds: PlaceBounds<'_>,
    site: &Site,
) -> Result<Endpoint, NoLoginEndpoints> {
    let settings = settings.iter().map(|(key, value)| {
        let value = plain(value).ok_or_else(|| NoLoginEndpoints::NotPlain {
            name: name.to_owned(),
            key: key.clone(),
            found: value.clone(),
        });
        Ok((key.clone(), value?))
    });
    let settings = settings.collect::<Result<_, NoLoginEndpoints>>()?;
    let section = RouteBlock { name: format!("{MEMBER}.{name}"), settings, ..RouteBlock::default() };
    let (events, mappings, stores) = (Vec::new(), Vec::new(), Vec::new());
    let said = RouteFacts { kind: String::new(), sections: vec![section], events, mappings, stores };
    let tls = tls_profiles::read(tls_profiles::named(&said, &Nobody)?, site)?;
    let made = endpoints(&said, &Nobody, bounds, &tls)?;
    made.into_values().next().ok_or_else(|| NoLoginEndpoints::Nowhere { name: name.to_owned() })
}

fn plain(value: &Json) -> Option<RouteValue> {
    match value {
        Json::String(text) => Some(RouteValue::Text(text.clone())),
        Json::Bool(is) => Some(RouteValue::Bool(*is)),
        Json::Number(number) => {
            number.as_i64().map(RouteValue::Int).or(number.as_f64().map(RouteValue::Double))
        }
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use lotmq_config::Sources;
    use lotmq_host::fiber::EndpointTls;

    use super::*;

    fn of(configuration: &str) -> Result<HashMap<String, Endpoint>, String> {
        let config = Config::load(Sources::default()).unwrap();
        let places: &[Box<str>] = &["idp.example:443".into(), "10.0.0.7:389".into()];
        login_endpoints(Some(configuration), ("door", places), (&config, "default"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn members_are_endpoints_by_their_names_as_they_are_written() {
        assert!(of("{}").unwrap().is_empty());
        let found = of(
            r#"{"endpoints":{"Tokens":{"HOST":"idp.example","PORT":443,"USE_TLS":true},"ldap":{"HOST":"10.0.0.7","PORT":"389"}}}"#,
        );
        let found = found.unwrap();
        assert_eq!((&*found["Tokens"].host, found["Tokens"].port), ("idp.example", 443));
        assert!(matches!(found["Tokens"].tls, EndpointTls::OnConnect(_)));
        assert_eq!((&*found["ldap"].host, found["ldap"].port), ("10.0.0.7", 389));
        assert!(matches!(found["ldap"].tls, EndpointTls::Never));
    }

    #[test]
    fn invalid_login_endpoint_is_reported_with_its_name() {
        for (configuration, told) in [
            (
                r#"{"endpoints":[]}"#,
                "endpoints: it is [], and has to be an object with an object for each endpoint",
            ),
            (
                r#"{"endpoints":{"a":1}}"#,
                "endpoints: it is 1, and has to be an object with an object for each endpoint",
            ),
            (
                r#"{"endpoints":{"a":{"HOST":["x"]}}}"#,
                r#"endpoints.a: HOST is ["x"], which is no text, number or truth value"#,
            ),
            (r#"{"endpoints":{"a":{"PORT":1}}}"#, "endpoints.a: none of HOST, ALLOW_HOSTS and LISTEN is set"),
            (r#"{"endpoints":{"a":{"HOST":"idp.example"}}}"#, "endpoints.a: PORT is not set"),
            (
                r#"{"endpoints":{"a":{"HOST":"idp.example","PORT":80}}}"#,
                "endpoints.a: module 'door' was not granted endpoint:idp.example:80; -grantModule door -grant endpoint:idp.example:80 grants it",
            ),
        ] {
            assert_eq!(of(configuration).unwrap_err(), told);
        }
    }
}
