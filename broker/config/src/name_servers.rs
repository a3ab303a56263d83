//! Type of values that are addresses of name servers.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::setting::Setting;
use super::web::texts;
use crate::value_error::ValueError;

/// Port of a name server that names none.
const PORT: u16 = 53;

/// Addresses of name servers, each with its port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameServers(Vec<SocketAddr>);

impl NameServers {
    /// The servers in the order in which they are asked.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    let alone = || text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT));
    text.parse::<SocketAddr>().ok().filter(|address| address.port() > 0).or_else(alone)
}

impl Setting for NameServers {
    const TYPE: &'static str = "addresses such as `10.0.0.7` and `10.0.0.7:5353`, IPv6 with a port in brackets: one, a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let texts = texts(value);
        let servers = texts.and_then(|texts| texts.iter().map(|text| address(text)).collect());
        servers.map(Self).ok_or(ValueError::WrongType { expected: Self::TYPE })
    }

    fn show(&self) -> Value {
        let shown = self.0.iter().map(|server| match server.port() {
            PORT => server.ip().to_string(),
            _ => server.to_string(),
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_have_port_53_unless_they_name_another_one() {
        let servers = NameServers::parse(&json!("10.0.0.7, 10.0.0.8:5353,::1,[::1]:54")).unwrap();
        let texts: Vec<String> = servers.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.7:53", "10.0.0.8:5353", "[::1]:53", "[::1]:54"]);
        assert_eq!(servers.show(), json!(["10.0.0.7", "10.0.0.8:5353", "::1", "[::1]:54"]));
        assert_eq!(NameServers::parse(&servers.show()), Ok(servers));
        assert!(NameServers::parse(&json!([])).unwrap().addresses().is_empty());
        for wrong in [json!("ns.example"), json!("10.0.0.7:0"), json!("10.0.0.7:x"), json!("[::1]"), json!(5)]
        {
            assert!(NameServers::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
