//! Host names to which the health port answers, and signs of a proxy. A web page can make a name of
//! its own lead here (DNS rebinding) and then read the answers; that name stands in `Host`.

use hyper::Request;
use hyper::header::HOST;
use lotmq_config::HostNames;

use lotmq_net::locality::HostName;

/// Answer to a request for another name.
pub(super) const REFUSED: &str =
    "this Host is not a name of this broker: ask for an address or localhost, or name it in admin.hosts\n";

/// Whether a request is for this broker: for an address, for `localhost`, or for one of `names`.
/// Without `Host`, which every browser sends, it is.
pub(super) fn is_ours<B>(request: &Request<B>, names: &HostNames) -> bool {
    let told = request.headers().get_all(HOST).iter().map(|host| host.to_str().ok());
    let of_target = request.uri().authority().map(|authority| Some(authority.as_str()));
    told.chain(of_target).all(|authority| match authority.and_then(HostName::read) {
        Some(HostName::Address(_)) => true,
        Some(HostName::Name(name)) => name.eq_ignore_ascii_case("localhost") || names.contains(name),
        None => false,
    })
}

/// Fields that proxies add, besides all that begin with `X-Forwarded`. Scrapers have fields of
/// their own, so that not all but a few are suspect.
const FIELDS_OF_PROXIES: &[&str] = &[
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

/// Whether a proxy has forwarded the request for somebody who need not be on this machine.
pub(super) fn is_forwarded<B>(request: &Request<B>) -> bool {
    let is_of_proxy = |name: &str| name.starts_with("x-forwarded") || FIELDS_OF_PROXIES.contains(&name);
    request.headers().keys().any(|name| is_of_proxy(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_config::{Config, Sources};

    #[test]
    fn names_are_judged_by_every_place_that_tells_one() {
        let variable = ("LOTMQ_ADMIN_HOSTS".to_owned(), "lotmq,broker.plant.example".to_owned());
        let config = Config::load(Sources { environment: vec![variable], ..Sources::default() }).unwrap();
        let judge = |target: &str, hosts: &[&[u8]]| {
            let request = Request::builder().uri(target);
            let request = hosts.iter().fold(request, |request, host| request.header(HOST, *host));
            is_ours(&request.body(()).unwrap(), &config.admin.hosts)
        };
        for host in [
            "localhost:9100",
            "LOCALHOST",
            "10.0.0.7",
            "[2001:db8::1]:9100",
            "lotmq:9100",
            "Broker.Plant.Example",
        ] {
            assert!(judge("/metrics", &[host.as_bytes()]), "{host}");
        }
        assert!(judge("/metrics", &[]));
        for host in [
            "",
            "evil.example:9100",
            "localhost.evil.example",
            "plant.example",
            "x@localhost",
            "lotmq, localhost",
        ] {
            assert!(!judge("/metrics", &[host.as_bytes()]), "{host}");
        }
        assert!(!judge("/metrics", &[b"\xe9"]));
        assert!(!judge("/metrics", &[b"localhost", b"evil.example"]));
        assert!(!judge("http://evil.example/metrics", &[b"localhost"]));
    }
}
