//! Types of routes that this build runs, with the guests that run them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use lotmq_host::route::RouteGuest;
use lotmq_host::{ComponentSource, Engine, LoadError, unpack};
use parking_lot::Mutex;

use super::route_modules::WASM;

/// Type without another side.
const LOOPBACK: &str = "LOOPBACK";

/// Type whose other side is the disk.
const FILE_STORAGE: &str = "FILE_STORAGE";

/// Type of the routes between brokers.
const MQTT_BRIDGE: &str = "MQTT_BRIDGE";

/// Type of routes that this build runs.
pub(crate) struct RouteType {
    /// Canonical name.
    pub(crate) name: &'static str,
    /// Component of its guest, packed.
    component: &'static [u8],
    /// Sections whose settings name the places to connect to.
    pub(crate) places: &'static [SectionPlace],
}

/// Section of a type that says a place of the network, in the words of the type.
#[derive(Debug)]
pub(crate) struct SectionPlace {
    pub(crate) section: &'static str,
    pub(crate) far: Far,
    /// Port where none is said, and with TLS, where that is another one.
    pub(crate) port: u16,
    pub(crate) secure_port: Option<u16>,
    pub(crate) tls: TlsOf,
    /// Settings by which the same section serves HTTP as well.
    pub(crate) served: Option<ServedPlace>,
}

/// Settings by which a section serves HTTP, beside those with its certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServedPlace {
    pub(crate) port: &'static str,
    /// Address of this machine: all of them where none is said.
    pub(crate) bind: &'static str,
    /// Setting that switches it off.
    pub(crate) switch: &'static str,
}

/// Settings that say where the other side is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Far {
    Host {
        host: &'static str,
        port: &'static str,
    },
    /// The same of an MQTT broker, which may be this one: `BROKER SELF`.
    Broker {
        host: &'static str,
        port: &'static str,
    },
    Url {
        url: &'static str,
    },
    UrlOrHost {
        url: &'static str,
        host: &'static str,
        port: &'static str,
    },
    HostOrConnectionString {
        host: &'static str,
        port: &'static str,
        string: &'static str,
    },
    /// Servers of a cluster, `host:port` with commas between. Further ones are those that they
    /// name.
    Servers {
        servers: &'static str,
    },
    /// An address with the servers of a cluster in it. Further ones are those that they name.
    ClusterUrl {
        url: &'static str,
    },
}

/// When a type begins with TLS, where `USE_TLS` or `USE_SSL` asks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TlsOf {
    Never,
    AtOnce,
    /// When its guest asks for it.
    OnDemand,
    /// At once at this port, whether asked for or not, and at others on demand.
    AtOnceAt(u16),
}

/// Returns a few words about the systems that a type connects to. They are the row of its table in
/// the documentation, not a copy; empty if there is no row.
pub(crate) fn connects_with(name: &str) -> &'static str {
    static TABLE: &str = include_str!("../../../../docs/routes/README.md");
    let named = format!("`{name}`");
    let cells = |line: &'static str| {
        let mut cells = line.split('|').map(str::trim);
        (cells.nth(1).unwrap_or_default(), cells.next().unwrap_or_default())
    };
    let mut rows = TABLE.lines().filter(|line| line.starts_with('|')).map(cells);
    let row = rows.find(|(types, _)| types.split(", ").any(|type_name| type_name == named));
    row.map_or("", |(_, with)| with)
}

/// Component of a guest, packed by the build script.
macro_rules! packed {
    ($guest:literal) => {
        include_bytes!(concat!(env!("packed_guests"), "/", $guest, ".wasm.zst"))
    };
}

/// All types. To add a type: its guest, in the build script too, and a row here.
pub(crate) static TYPES: &[RouteType] = &[
    RouteType { name: LOOPBACK, component: packed!("route-loopback"), places: &[] },
    RouteType {
        name: MQTT_BRIDGE,
        component: packed!("route-mqtt"),
        places: &[bridge_place("SOURCE_CONFIG"), bridge_place("DESTINATION_CONFIG")],
    },
    RouteType { name: FILE_STORAGE, component: packed!("route-file-storage"), places: &[] },
    RouteType {
        name: "REST_API",
        component: packed!("route-rest"),
        places: &[SectionPlace {
            section: "REST_API_CONFIG",
            far: Far::Url { url: "BASE_ADDRESS" },
            port: 80,
            secure_port: Some(443),
            tls: TlsOf::AtOnce,
            served: Some(ServedPlace { port: "SERVER_PORT", bind: "SERVER_BIND", switch: "ENABLE_SERVER" }),
        }],
    },
    RouteType {
        name: "OPENSEARCH",
        component: packed!("route-opensearch"),
        places: &[SectionPlace {
            section: "OPENSEARCH_CONFIG",
            far: Far::UrlOrHost { url: "BASE_URL", host: "SERVER", port: "PORT" },
            port: 9200,
            secure_port: None,
            tls: TlsOf::AtOnce,
            served: None,
        }],
    },
    RouteType { name: "POSTGRESQL", component: POSTGRES, places: SQL_PLACES },
    RouteType { name: "CRATEDB", component: POSTGRES, places: SQL_PLACES },
    RouteType { name: "MYSQL", component: MYSQL, places: MYSQL_PLACES },
    RouteType { name: "MARIADB", component: MYSQL, places: MYSQL_PLACES },
    RouteType { name: "SQLSERVER", component: packed!("route-sqlserver"), places: &[sql_place(1433)] },
    RouteType {
        name: "EMAIL",
        component: packed!("route-email"),
        places: &[SectionPlace {
            section: "SMTP_CONFIG",
            far: Far::Host { host: "HOST", port: "PORT" },
            port: 587,
            secure_port: None,
            tls: TlsOf::AtOnceAt(465),
            served: None,
        }],
    },
    RouteType {
        name: "KAFKA",
        component: packed!("route-kafka"),
        places: &[SectionPlace {
            section: "KAFKA_CONFIG",
            far: Far::Servers { servers: "BOOTSTRAP_SERVERS" },
            port: 9092,
            secure_port: None,
            tls: TlsOf::AtOnce,
            served: None,
        }],
    },
    RouteType {
        name: "INFLUXDB",
        component: packed!("route-influxdb"),
        places: &[SectionPlace {
            section: "INFLUXDB_CONFIG",
            far: Far::UrlOrHost { url: "BASE_URL", host: "SERVER", port: "PORT" },
            port: 8086,
            secure_port: None,
            tls: TlsOf::AtOnce,
            served: None,
        }],
    },
    RouteType {
        name: "MONGODB",
        component: packed!("route-mongodb"),
        places: &[SectionPlace {
            section: "MONGODB_CONFIG",
            far: Far::ClusterUrl { url: "CONNECTION_STRING" },
            port: 27_017,
            secure_port: None,
            tls: TlsOf::AtOnce,
            served: None,
        }],
    },
    RouteType {
        name: "NATS",
        component: packed!("route-nats"),
        places: &[SectionPlace {
            section: "NATS_CONFIG",
            far: Far::Host { host: "SERVER", port: "PORT" },
            port: 4222,
            secure_port: None,
            tls: TlsOf::OnDemand,
            served: None,
        }],
    },
    RouteType {
        name: "REDIS",
        component: packed!("route-redis"),
        places: &[SectionPlace {
            section: "REDIS_CONFIG",
            far: Far::Host { host: "SERVER", port: "PORT" },
            port: 6379,
            secure_port: None,
            tls: TlsOf::AtOnce,
            served: None,
        }],
    },
    RouteType {
        name: "MODBUS_TCP",
        component: MODBUS,
        places: &[SectionPlace {
            section: "MODBUS_CONFIG",
            far: Far::Host { host: "HOST", port: "PORT" },
            port: 502,
            secure_port: None,
            tls: TlsOf::Never,
            served: None,
        }],
    },
    // This type opens the serial port of its section.
    RouteType { name: "MODBUS_SERIAL", component: MODBUS, places: &[] },
    RouteType {
        name: "SIEMENS_S7",
        component: packed!("route-s7"),
        places: &[SectionPlace {
            section: "S7_CONFIG",
            far: Far::Host { host: "IP", port: "PORT" },
            port: 102,
            secure_port: None,
            tls: TlsOf::Never,
            served: None,
        }],
    },
    RouteType {
        name: "OPCUA",
        component: packed!("route-opcua"),
        places: &[SectionPlace {
            section: "OPCUA_CONFIG",
            far: Far::Url { url: "ENDPOINT_URL" },
            port: 4840,
            secure_port: None,
            tls: TlsOf::Never,
            served: None,
        }],
    },
];

/// Guest of PostgreSQL and of what speaks its protocol.
const POSTGRES: &[u8] = packed!("route-postgres");

/// Place of a database at the port of PostgreSQL.
const SQL_PLACES: &[SectionPlace] = &[sql_place(5432)];

/// Guest of both forms of Modbus.
const MODBUS: &[u8] = packed!("route-modbus");

/// Guest of MySQL and MariaDB.
const MYSQL: &[u8] = packed!("route-mysql");

/// Place of a database at the port of MySQL.
const MYSQL_PLACES: &[SectionPlace] = &[sql_place(3306)];

/// Place of a database, with the port that it usually has.
const fn sql_place(port: u16) -> SectionPlace {
    SectionPlace {
        section: "SQL_CONFIG",
        far: Far::HostOrConnectionString { host: "SERVER", port: "PORT", string: "CONNECTION_STRING" },
        port,
        secure_port: None,
        tls: TlsOf::OnDemand,
        served: None,
    }
}

/// Place of another MQTT broker.
const fn bridge_place(section: &'static str) -> SectionPlace {
    SectionPlace {
        section,
        far: Far::Broker { host: "BROKER_ADDRESS", port: "BROKER_PORT" },
        port: 1883,
        secure_port: Some(8883),
        tls: TlsOf::AtOnce,
        served: None,
    }
}

/// Places of a type by its canonical name; none of a module's, which has the settings of every
/// section.
pub(crate) fn places(name: &str) -> &'static [SectionPlace] {
    TYPES.iter().find(|known| known.name == name).map_or(&[], |known| known.places)
}

/// Whether routes of a type have another side; a module's is its own affair.
pub(crate) fn has_far(name: &str) -> bool {
    ![LOOPBACK, WASM].contains(&name)
}

/// Whether the other side of a type is the disk.
pub(crate) fn is_of_disk(name: &str) -> bool {
    name == FILE_STORAGE
}

/// Whether routes of a type carry messages between brokers, which may be this one.
pub(crate) fn is_bridge(name: &str) -> bool {
    name == MQTT_BRIDGE
}

/// Whether the guest of a type runs by itself to serve requests, and for nothing else.
pub(crate) fn runs_only_to_serve(name: &str) -> bool {
    places(name).iter().any(|place| place.served.is_some())
}

/// Whether this build runs routes of a type, by its canonical name, with a guest of its own or a
/// module; others it checks and does not deploy.
#[must_use]
pub fn runs_route_type(name: &str) -> bool {
    name == WASM || TYPES.iter().any(|known| known.name == name)
}

/// Guest of a type, for all its routes; it comes later while it is still being compiled.
#[derive(Clone, Default)]
pub(crate) struct TypeGuest(Arc<OnceLock<RouteGuest>>);

impl TypeGuest {
    /// The guest; `None` while it is still being compiled.
    pub(crate) fn get(&self) -> Option<&RouteGuest> {
        self.0.get()
    }
}

/// Guests of the types in use, compiled once.
#[derive(Default)]
pub(crate) struct RouteTypes {
    guests: Mutex<BTreeMap<&'static str, TypeGuest>>,
}

impl RouteTypes {
    /// Guest of a type; `None` when this build has none.
    ///
    /// # Errors
    /// [`LoadError`] when the host refuses our own guest, which is a fault of ours.
    pub(crate) fn guest(&self, engine: &Engine, kind: &str) -> Result<Option<TypeGuest>, LoadError> {
        let Some(found) = TYPES.iter().find(|known| known.name == kind) else { return Ok(None) };
        let mut guests = self.guests.lock();
        let guest = guests.entry(found.name).or_default();
        if guest.get().is_none() {
            let component = unpack(found.component)?;
            let compiled = RouteGuest::compile(engine, &component, ComponentSource::Upload)?;
            // Nobody else sets it: the lock is held.
            let _ = guest.0.set(compiled);
        }
        Ok(Some(guest.clone()))
    }

    /// Guest of a type that a start compiles later, because `defers` says so of its component;
    /// `None` where it is there, or to be compiled now.
    ///
    /// # Errors
    /// [`LoadError`] when our own guest cannot be unpacked, which is a fault of ours.
    pub(crate) fn later(
        &self,
        kind: &str,
        defers: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Option<(&'static str, TypeGuest)>, LoadError> {
        let Some(found) = TYPES.iter().find(|known| known.name == kind) else { return Ok(None) };
        let mut guests = self.guests.lock();
        let is_later = match guests.get(found.name) {
            Some(guest) => guest.get().is_none(),
            None => defers(&unpack(found.component)?),
        };
        Ok(is_later.then(|| (found.name, guests.entry(found.name).or_default().clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_says_what_it_connects_with() {
        for shipped in TYPES {
            assert!(!connects_with(shipped.name).is_empty(), "{}", shipped.name);
        }
        assert_eq!(connects_with("MARIADB"), "MySQL and MariaDB");
        assert_eq!(connects_with("NONE"), "");
    }
}
