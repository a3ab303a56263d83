use super::*;

fn server(name: &str, port: u16) -> DnsRecord {
    DnsRecord::Server(name.to_owned(), port)
}

fn text(options: &str) -> DnsRecord {
    DnsRecord::Text(options.to_owned())
}

#[test]
fn servers_are_in_the_domain_of_the_name() {
    for (host, server, expected) in [
        ("cluster.plant.example", "a.plant.example", true),
        ("cluster.plant.example", "a.b.plant.example", true),
        ("cluster.plant.example", "plant.example", false),
        ("cluster.plant.example", ".plant.example", false),
        ("cluster.plant.example", "a.evilplant.example", false),
        ("cluster.plant.example", "a.plant.example.evil", false),
        ("cluster.plant.example", "a/.plant.example", false),
        ("cluster.plant.example", "cluster.plant.example", true),
        // A domain of its own, as it has fewer than three labels.
        ("plant.example", "a.plant.example", true),
        ("plant.example", "plant.example", false),
        ("plant.example", "a.example", false),
        ("plant", "a.plant", true),
        ("plant", "plant", false),
    ] {
        assert_eq!(is_in_domain(server, host), expected, "{server} of {host}");
    }
}

#[test]
fn records_become_servers_and_options() {
    let of = |records| servers_of(records, ("M", "_mongodb._tcp.c.plant.example", "c.plant.example"));
    let found = of(vec![server("B.plant.example", 2), server("a.plant.example", 1)]).unwrap();
    assert_eq!(found, [("b.plant.example".to_owned(), 2), ("a.plant.example".to_owned(), 1)]);
    for (records, expected) in [
        (vec![], "M: '_mongodb._tcp.c.plant.example' has no SRV records"),
        (
            vec![server("a.plant.example", 1), server("\u{1b}[2J", 1)],
            "M: the SRV record of '_mongodb._tcp.c.plant.example' names '\\u{1b}[2j', which is not in the domain of 'c.plant.example'",
        ),
        (
            (0..51).map(|number| server(&format!("s{number}.plant.example"), 1)).collect(),
            "M: '_mongodb._tcp.c.plant.example' has 51 SRV records, limit 50",
        ),
    ] {
        assert_eq!(of(records).unwrap_err().to_string(), expected);
    }
    let options = |records| options_of(records, ("M", "c.plant.example"));
    assert_eq!(options(vec![]), Ok(String::new()));
    let said = "authSource=admin&replicaSet=rs&loadBalanced=false";
    assert_eq!(options(vec![text(said)]), Ok(said.to_owned()));
    for (records, expected) in [
        (vec![text("authSource=a"), text("replicaSet=b")], "M: 'c.plant.example' has 2 TXT records, limit 1"),
        (
            vec![text("authSource=a&tls=false")],
            "M: the TXT record of 'c.plant.example' has the option 'tls'; authSource, replicaSet and loadBalanced are allowed there",
        ),
        (
            vec![text("v=spf1 -all")],
            "M: the TXT record of 'c.plant.example' has the option 'v'; authSource, replicaSet and loadBalanced are allowed there",
        ),
    ] {
        assert_eq!(options(records).unwrap_err().to_string(), expected);
    }
}

#[test]
fn an_address_with_its_servers_is_encrypted_unless_it_says_otherwise() {
    let found = |own_options: &str| ServiceRecords {
        section: "M".to_owned(),
        key: "URL",
        own_options: own_options.to_owned(),
        servers: vec![("a.b.c".to_owned(), 1), ("d.b.c".to_owned(), 2)],
        options: "replicaSet=rs".to_owned(),
    };
    assert_eq!(found("w=1").address(), "mongodb://a.b.c:1,d.b.c:2/?w=1&tls=true");
    assert_eq!(found("SSL=false").address(), "mongodb://a.b.c:1,d.b.c:2/?SSL=false");
    let told = json!({ "M": { "servers": ["a.b.c:1", "d.b.c:2"], "options": "replicaSet=rs" } });
    assert_eq!(to_json(&[found("")]), told);
}

#[test]
fn so_many_servers_are_chosen_as_the_address_says() {
    let all = || (1..=5).map(|port| ("a.b.c".to_owned(), port)).collect::<Vec<_>>();
    for (servers_max, expected) in [(0, 5), (1, 1), (3, 3), (5, 5), (9, 5)] {
        let mut servers = all();
        choose(&mut servers, servers_max);
        servers.sort_unstable();
        servers.dedup();
        assert_eq!(servers.len(), expected, "{servers_max}");
        assert!(servers.iter().all(|server| all().contains(server)));
    }
}

#[test]
fn invalid_service_url_is_rejected_with_a_reason() {
    for (text, expected) in [
        ("mongodb+srv://u:p@Cluster.plant.example/d?w=1", Ok(("cluster.plant.example", "mongodb", 0))),
        ("mongodb+srv://h.a.b./?srvServiceName=line&srvMaxHosts=2", Ok(("h.a.b", "line", 2))),
        ("mongodb+srv://h:27017", Err("one host without a port")),
        ("mongodb+srv://a,b", Err("one host without a port")),
        ("mongodb+srv://", Err("one host without a port")),
        ("mongodb+srv://a..b", Err("one host without a port")),
        ("mongodb+srv://h/?directConnection=true", Err("for one server")),
        ("mongodb+srv://h/?srvServiceName=a.b", Err("no name of a service")),
        ("mongodb+srv://h/?srvMaxHosts=-1", Err("no number")),
    ] {
        let found = ClusterUrl::parse(text).unwrap().service();
        match (found, expected) {
            (Ok(found), Ok((host, service, servers_max))) => {
                assert_eq!((&*found.host, &*found.service, found.servers_max), (host, service, servers_max));
            }
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{text}: {reason}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
    assert!(ClusterUrl::parse("mongodb://h").is_some_and(|url| !url.is_service));
    assert!(ClusterUrl::parse("postgres://h").is_none());
}
