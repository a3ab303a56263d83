//! Resources of routes that have nothing to do:
//! `lotmq-bench idle-routes [target/release/lotmq] [seconds]`.
//!
//! Each kind gets a fresh broker. It adds a hundred routes after one of the same kind, which pays
//! for what they share. Memory is the process's own (`Pss_Anon` and `Pss_Shmem`). Time is CPU time
//! within the seconds (60), less that of an idle broker. Connectors are connected: a bridge to
//! another broker, `POSTGRESQL` to a server, if that is installed; `MODBUS_TCP` reads one register
//! an hour.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_test_support::{Broker, BrokerOptions, PostgresServer};

use crate::load::cpu_time;

const COUNT: usize = 100;

/// A module of world `route`: the guest of the type `LOOPBACK`.
const MODULE: &[u8] = include_bytes!("../../../guests/route-loopback/prebuilt/route-loopback.wasm");

/// Kind of route, with its name, its type, and its text behind that.
struct Kind {
    name: &'static str,
    route_type: &'static str,
    text: String,
    instances: usize,
}

pub(crate) fn figures(binary: &str, seconds: u64) {
    let far = BrokerOptions::new(binary).start();
    let database = PostgresServer::start_with(&["max_connections=200"], None);
    for kind in kinds(&far, database.as_ref()) {
        let broker = BrokerOptions::new(binary)
            .variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
            .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true")
            .start();
        broker.command_ok(&format!("-addModule m -world route wasm64:{}", STANDARD.encode(MODULE)));
        let route = |number: usize| {
            let text = format!(
                "-addRoute DEFINE ROUTE R{number} WITH TYPE {}\n{}",
                kind.route_type,
                kind.text.replace("NUMBER", &number.to_string())
            );
            broker.command_ok(&text);
        };
        route(0);
        wait_connected(&broker, kind.instances);
        let (before, idle) = (private_kib(&broker), cpu_ms_within(&broker, seconds));
        (1..=COUNT).for_each(route);
        wait_connected(&broker, kind.instances * (COUNT + 1));
        std::thread::sleep(Duration::from_secs(5));
        let each_kib = (private_kib(&broker) - before) / COUNT as f64;
        let used_ms = cpu_ms_within(&broker, seconds) - idle;
        let each_ms_an_hour = used_ms * 3600.0 / seconds as f64 / COUNT as f64;
        println!(
            "{}: {each_kib:.1} KiB and {each_ms_an_hour:.1} ms of CPU an hour for each idle route",
            kind.name
        );
    }
}

fn kinds(far: &Broker, database: Option<&PostgresServer>) -> Vec<Kind> {
    let event = "    ADD EVENT E\n        WITH SOURCE_TOPIC \"in/NUMBER\"\n";
    let module = "    ADD WASM_CONFIG\n        WITH MODULE \"m\"\n";
    let kind = |name, route_type, text: String| Kind { name, route_type, text, instances: 1 };
    let mut kinds = vec![
        kind("LOOPBACK", "LOOPBACK", event.to_owned()),
        kind("a module", "WASM", format!("{module}{event}")),
        Kind {
            instances: 4,
            ..kind(
                "a module, 4 instances",
                "WASM",
                format!("{module}    ADD ROUTE_CONFIG\n        WITH INSTANCES 4\n{event}"),
            )
        },
        kind(
            "MQTT_BRIDGE",
            "MQTT_BRIDGE",
            format!(
                "    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_ADDRESS \"127.0.0.1\"\n        WITH BROKER_PORT {}\n    ADD MAPPING M\n        WITH SOURCE_TOPIC \"in/NUMBER\"\n",
                far.address().port()
            ),
        ),
        kind(
            "MODBUS_TCP",
            "MODBUS_TCP",
            format!(
                "    ADD MODBUS_CONFIG\n        WITH HOST \"127.0.0.1\"\n        WITH PORT {}\n    ADD MAPPING M\n        WITH EVERY 3600 SECONDS\n        ADD TAG t\n            WITH ADDRESS \"40001\"\n            WITH DATA_TYPE \"INT16\"\n",
                crate::connectors::device().port()
            ),
        ),
        kind(
            "REST_API",
            "REST_API",
            format!(
                "    ADD REST_API_CONFIG\n        WITH BASE_ADDRESS \"http://{}\"\n{event}",
                far.address()
            ),
        ),
    ];
    if let Some(database) = database {
        let login = format!(
            "    ADD SQL_CONFIG\n        WITH SERVER \"127.0.0.1\"\n        WITH PORT {}\n        WITH DATABASE \"postgres\"\n        WITH USERNAME \"{}\"\n        WITH PASSWORD \"{}\"\n        WITH POOL_SIZE 1\n",
            database.port,
            PostgresServer::USER,
            PostgresServer::PASSWORD
        );
        let query = "        WITH QUERY \"SELECT 1\"\n";
        kinds.push(kind("POSTGRESQL", "POSTGRESQL", format!("{login}{event}{query}")));
    }
    kinds
}

/// Waits until so many instances of all routes are connected.
pub(crate) fn wait_connected(broker: &Broker, instances: usize) {
    loop {
        let text = broker.http("/metrics").body;
        let of_instances = text.lines().filter(|line| {
            line.starts_with("lotmq_route_instances{") && line.contains("state=\"Connected\"")
        });
        let connected: usize =
            of_instances.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
        if connected >= instances {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Memory that only the broker has, in KiB. Not `Private_Dirty`: that has pages of the program's
/// file as long as the file is not on the disk, as behind a build.
pub(crate) fn private_kib(broker: &Broker) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", broker.process_id())).unwrap();
    let kib = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    kib("Pss_Anon:") + kib("Pss_Shmem:")
}

/// CPU time that the broker uses within so many seconds, in milliseconds.
pub(crate) fn cpu_ms_within(broker: &Broker, seconds: u64) -> f64 {
    let before = cpu_time(broker);
    std::thread::sleep(Duration::from_secs(seconds));
    (cpu_time(broker) - before).as_secs_f64() * 1e3
}
