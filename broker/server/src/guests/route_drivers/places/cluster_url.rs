//! Addresses with the servers of a cluster in them: `mongodb://user:password@a:27017,b:27017/database?tls=true`. Their guest reads the rest (`guests/route-mongodb`).

use super::{Server, lower};

/// The servers of an address, the first as the endpoint; `None` where it names none.
pub(super) fn server(text: &str, default_port: u16) -> Option<Server> {
    let rest = text.trim().strip_prefix("mongodb://")?;
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let mut servers = hosts.split(',').map(|text| host_and_port(text, default_port));
    let (host, port) = servers.next()??;
    let mut server = Server::new(host, Some(port));
    for other in servers {
        let (host, port) = other?;
        server.others.push(if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        });
    }
    let pairs = options.split('&').filter_map(|pair| pair.split_once('='));
    let pairs: Vec<(String, &str)> = pairs.map(|(key, value)| (lower(key), value)).collect();
    let is = |names: &[&str]| {
        let said = pairs.iter().find(|(key, _)| names.contains(&key.as_str()));
        said.map(|(_, value)| value.eq_ignore_ascii_case("true"))
    };
    server.is_secure = is(&["tls", "ssl"]);
    server.is_trusting = is(&["tlsallowinvalidcertificates", "tlsinsecure"]) == Some(true);
    if is(&["directconnection"]) != Some(true) {
        // Members of a replica set are named by the set; which addresses are open to routes at all says the operator.
        server.others.push("*:*".to_owned());
    }
    Some(server)
}

fn host_and_port(text: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port > 0)?)
        }
        Some(_) | None => (text, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // A name with a percent sign in it is that of a Unix socket.
    (!host.is_empty() && !host.contains(['%', '/'])).then(|| (host.to_owned(), port))
}
