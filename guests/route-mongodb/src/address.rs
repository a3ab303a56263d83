//! Connection string: `mongodb://[user:password@]host[:port][,…][/[database][?option=value&…]]`, as
//! specified by MongoDB.
//!
//! With `mongodb+srv://` the host of the guest looks up the servers and the options of the TXT
//! record.
//!
//! Unknown options are rejected, because a misspelt one such as `tsl=true` would have no effect. No
//! error contains a part of the login.

use lotmq_guest::route::Peer;

use crate::limits::{ANSWER_MS, CONNECT_MS, PATIENCE_MS_MAX, SELECTION_MS};
use crate::login::{Login, Mechanism};

/// Port of a server that names none.
const PORT: u16 = 27_017;

/// Options that concern what this route does otherwise, or not at all, and need not be heard.
const WITHOUT_EFFECT: &[&str] = &[
    "compressors",
    "heartbeatfrequencyms",
    "localthresholdms",
    "maxconnecting",
    "maxidletimems",
    "maxpoolsize",
    "maxstalenessseconds",
    "minpoolsize",
    "retryreads",
    "retrywrites",
    "servermonitoringmode",
    "serverselectiontryonce",
    "uuidrepresentation",
    "waitqueuetimeoutms",
    "zlibcompressionlevel",
];

/// Parsed connection string.
#[derive(Debug)]
pub(crate) struct Address {
    /// In the order in which they are tried. The first one is the endpoint itself.
    pub(crate) servers: Vec<Peer>,
    pub(crate) login: Option<Login>,
    /// The server alone, whatever it is of a replica set.
    pub(crate) is_direct: bool,
    /// Whether a load balancer stands in front of the servers.
    pub(crate) is_load_balanced: bool,
    pub(crate) replica_set: Option<String>,
    pub(crate) app_name: Option<String>,
    pub(crate) connect_ms: u32,
    /// Milliseconds after which a server that has not answered is away.
    pub(crate) answer_ms: u32,
    /// Milliseconds for which a primary is looked for.
    pub(crate) selection_ms: u32,
    pub(crate) concern: Concern,
    pub(crate) read_concern: Option<String>,
}

/// When a write is done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Concern {
    pub(crate) acknowledged_by: By,
    pub(crate) is_journaled: Option<bool>,
    /// Milliseconds until the server reports that members lag behind. By default a little less than
    /// its answer may take.
    pub(crate) timeout_ms: Option<u32>,
}

/// Members that must have a write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum By {
    /// So many members.
    Members(i32),
    /// `majority`, or a name of the set's own.
    Mode(String),
}

/// DNS records of an address that begins with `mongodb+srv://`.
#[derive(Debug, Default)]
pub(crate) struct ServiceRecords {
    /// Servers, as `host:port`.
    pub(crate) servers: Vec<String>,
    /// Options of the TXT record, before which those of the address count.
    pub(crate) options: String,
}

/// Parsed options, before the login is derived from them.
struct Options {
    address: Address,
    /// Whether the servers come from SRV records.
    is_service: bool,
    has_servers_max: bool,
    auth_source: Option<String>,
    mechanism: Option<Mechanism>,
}

impl Address {
    /// Reads a connection string, with the records of its service if it names one.
    ///
    /// # Errors
    /// Why it is none, to be read behind the name of the setting.
    pub(crate) fn parse(text: &str, records: Option<&ServiceRecords>) -> Result<Address, String> {
        let text = text.trim();
        let service = text.strip_prefix("mongodb+srv://");
        let rest = service.or_else(|| text.strip_prefix("mongodb://"));
        let rest = rest.ok_or("does not begin with mongodb:// or mongodb+srv://")?;
        if service.is_some() && records.is_none() {
            return Err("begins with mongodb+srv://, and its SRV records were not looked up".to_owned());
        }
        let records = records.filter(|_| service.is_some());
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let servers = match records {
            Some(records) => {
                records.servers.iter().map(|text| server(text)).collect::<Result<Vec<_>, _>>()?
            }
            None => hosts.split(',').map(server).collect::<Result<Vec<_>, _>>()?,
        };
        let mut read = Options::new(servers, service.is_some());
        let of_records = records.map_or("", |records| &records.options).split('&');
        for option in of_records.filter(|option| !option.is_empty()) {
            let (name, value) =
                option.split_once('=').ok_or("has a TXT record with an option without '='")?;
            read.take(name, &decoded(value)?)?;
        }
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or("has an option without '='")?;
            read.take(name, &decoded(value)?)?;
        }
        read.finish(login, &decoded(database)?)
    }
}

impl Options {
    fn new(servers: Vec<Peer>, is_service: bool) -> Options {
        let concern = Concern {
            acknowledged_by: By::Mode("majority".to_owned()),
            is_journaled: None,
            timeout_ms: None,
        };
        let address = Address {
            servers,
            login: None,
            is_direct: false,
            is_load_balanced: false,
            replica_set: None,
            app_name: None,
            connect_ms: CONNECT_MS,
            answer_ms: ANSWER_MS,
            selection_ms: SELECTION_MS,
            concern,
            read_concern: None,
        };
        Options { address, is_service, has_servers_max: false, auth_source: None, mechanism: None }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let address = &mut self.address;
        match name.to_ascii_lowercase().as_str() {
            "appname" => address.app_name = Some(value.to_owned()),
            "authsource" => self.auth_source = Some(value.to_owned()),
            "authmechanism" => self.mechanism = Some(Mechanism::of(value)?),
            "connecttimeoutms" => address.connect_ms = milliseconds(name, value)?,
            "directconnection" => address.is_direct = truth(name, value)?,
            "loadbalanced" => address.is_load_balanced = truth(name, value)?,
            // The host has looked up the service, and chosen so many of its servers.
            "srvservicename" if self.is_service => {}
            "srvmaxhosts" if self.is_service => self.has_servers_max = value.parse() != Ok(0),
            "journal" => address.concern.is_journaled = Some(truth(name, value)?),
            "readconcernlevel" => address.read_concern = Some(value.to_owned()),
            "replicaset" => address.replica_set = Some(value.to_owned()),
            "serverselectiontimeoutms" => address.selection_ms = milliseconds(name, value)?,
            "sockettimeoutms" | "timeoutms" => address.answer_ms = milliseconds(name, value)?,
            "w" => address.concern.acknowledged_by = acknowledged_by(value)?,
            "wtimeoutms" | "wtimeout" => address.concern.timeout_ms = Some(milliseconds(name, value)?),
            // The host has read them, as TLS is its matter.
            "tls" | "ssl" | "tlsallowinvalidcertificates" | "tlsinsecure" => truth(name, value).map(drop)?,
            "readpreference" if matches!(value, "primary" | "primaryPreferred") => {}
            other if WITHOUT_EFFECT.contains(&other) => {}
            other => return Err(refused(name, other)),
        }
        Ok(())
    }

    fn finish(mut self, login: Option<&str>, database: &str) -> Result<Address, String> {
        if self.address.is_direct && self.address.servers.len() > 1 {
            return Err("has directConnection=true, which is for one server, and names several".to_owned());
        }
        self.check_load_balancer()?;
        if self.has_servers_max && self.address.replica_set.is_some() {
            return Err("has srvMaxHosts and replicaSet: a set is used whole".to_owned());
        }
        let source = self.auth_source.filter(|source| !source.is_empty());
        let source =
            source.unwrap_or_else(|| if database.is_empty() { "admin" } else { database }.to_owned());
        self.address.login = match login {
            None if self.mechanism.is_some() => {
                return Err(
                    "has authMechanism and no user: 'mongodb://user:password@host' is meant".to_owned()
                );
            }
            None => None,
            Some(login) => {
                let (user, password) = login
                    .split_once(':')
                    .ok_or("names a user without a password: 'user:password@' is meant")?;
                if user.is_empty() || login.contains(['/', '@']) || password.contains(':') {
                    return Err("has a user or a password with ':', '/', '@' or '%' in it: these are written as %3A, %2F, %40 and %25".to_owned());
                }
                Some(Login {
                    user: decoded(user)?,
                    password: decoded(password)?,
                    source,
                    mechanism: self.mechanism,
                })
            }
        };
        Ok(self.address)
    }
}

impl Options {
    /// A load balancer chooses the server by itself, so nothing else may.
    fn check_load_balancer(&self) -> Result<(), String> {
        let address = &self.address;
        if !address.is_load_balanced {
            return Ok(());
        }
        let other = match () {
            () if address.servers.len() > 1 => "several servers",
            () if address.replica_set.is_some() => "replicaSet",
            () if address.is_direct => "directConnection=true",
            () if self.has_servers_max => "srvMaxHosts",
            () => return Ok(()),
        };
        Err(format!("has loadBalanced=true and {other}: the load balancer alone chooses a server"))
    }
}

/// Why an option is not taken, with what is written instead where there is something.
fn refused(name: &str, lower: &str) -> String {
    let instead = match lower {
        "tlscafile" => "the file is named by the setting SERVER_CA_CERT_PATH",
        "tlscertificatekeyfile" => "the file is named by the setting CLIENT_CERT_PATH",
        "tlscertificatekeyfilepassword" => {
            "files with a password are not read, `openssl pkcs12 -in FILE -out NEW.pem -nodes` makes one without"
        }
        "tlsallowinvalidhostnames" => "the name in the certificate is told by the setting TLS_SERVER_NAME",
        "readpreference" => "what is read comes of the primary here",
        "srvservicename" | "srvmaxhosts" => "it is for addresses that begin with mongodb+srv://",
        "proxyhost" | "proxyport" => "it is not there in this connector",
        _ => return format!("has the option '{name}', which is not known"),
    };
    format!("has the option '{name}': {instead}")
}

fn server(text: &str) -> Result<Peer, String> {
    let wrong = || "has a server that is none such as 'host:27017'".to_owned();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?)
        }
        Some(_) | None => (text, PORT),
    };
    let host = decoded(host)?;
    if host.contains('/') {
        return Err("names a Unix socket, and a route connects over TCP".to_owned());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() { Err(wrong()) } else { Ok(Peer { host, port }) }
}

/// A place as a server names it in its answer, `host:port`; `None` where it is none.
pub(crate) fn place(text: &str) -> Option<Peer> {
    server(text).ok()
}

fn truth(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("has '{name}={value}', which is neither true nor false")),
    }
}

fn milliseconds(name: &str, value: &str) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| (1..=PATIENCE_MS_MAX).contains(number));
    number.ok_or_else(|| {
        format!("has '{name}={value}', which is no number of milliseconds from 1 to {PATIENCE_MS_MAX}")
    })
}

fn acknowledged_by(value: &str) -> Result<By, String> {
    match value.parse::<i32>() {
        Ok(0) => {
            Err("has 'w=0', with which nobody learns what became of a document: 1 or more, or 'majority'"
                .to_owned())
        }
        Ok(members) if members > 0 => Ok(By::Members(members)),
        Ok(_) => Err(format!("has 'w={value}', which is no number of members")),
        Err(_) if value.is_empty() => Err("has 'w=' without a value".to_owned()),
        Err(_) => Ok(By::Mode(value.to_owned())),
    }
}

/// A text without its percent encoding (RFC 3986 §2.1).
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err(
                "has a '%' that is not followed by two hexadecimal digits: '%' itself is written as %25"
                    .to_owned(),
            );
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    String::from_utf8(bytes).map_err(|_| "has a percent-encoded part that is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Address, String> {
        Address::parse(text, None)
    }

    fn places(address: &Address) -> Vec<String> {
        address.servers.iter().map(|peer| format!("{}:{}", peer.host, peer.port)).collect()
    }

    #[test]
    fn every_part_of_a_connection_string_is_read() {
        let address = parsed("mongodb://localhost").unwrap();
        assert_eq!(places(&address), ["localhost:27017"]);
        assert_eq!((&address.login, address.is_direct, address.answer_ms), (&None, false, ANSWER_MS));
        assert_eq!(address.concern.acknowledged_by, By::Mode("majority".to_owned()));
        let address = parsed(
            "mongodb://ap%40p:p%3A%2f%25@a:1,b,[::1]:3/plant?replicaSet=rs&connectTimeoutMS=5&socketTimeoutMS=7&w=2&journal=true&wtimeoutMS=9&appName=line&readConcernLevel=majority&retryWrites=true&tls=true",
        )
        .unwrap();
        assert_eq!(places(&address), ["a:1", "b:27017", "::1:3"]);
        let login = address.login.unwrap();
        assert_eq!((&*login.user, &*login.password, &*login.source), ("ap@p", "p:/%", "plant"));
        assert_eq!(login.mechanism, None);
        assert_eq!((address.replica_set.as_deref(), address.app_name.as_deref()), (Some("rs"), Some("line")));
        assert_eq!((address.connect_ms, address.answer_ms), (5, 7));
        let concern =
            Concern { acknowledged_by: By::Members(2), is_journaled: Some(true), timeout_ms: Some(9) };
        assert_eq!((address.concern, address.read_concern.as_deref()), (concern, Some("majority")));
        let address =
            parsed("mongodb://u:p@h/d?authSource=admin&authMechanism=SCRAM-SHA-1&directConnection=true")
                .unwrap();
        let login = address.login.unwrap();
        assert_eq!(
            (&*login.source, login.mechanism, address.is_direct),
            ("admin", Some(Mechanism::Sha1), true)
        );
    }

    #[test]
    fn what_is_none_is_told_without_the_login() {
        for (text, told) in [
            ("postgres://h", "does not begin with mongodb://"),
            ("mongodb+srv://u:hidden@h", "SRV records were not looked up"),
            ("mongodb://h/?srvMaxHosts=2", "is for addresses that begin with mongodb+srv://"),
            ("mongodb://a,b/?loadBalanced=true", "has loadBalanced=true and several servers"),
            ("mongodb://a/?loadBalanced=true&replicaSet=rs", "has loadBalanced=true and replicaSet"),
            ("mongodb://a/?loadBalanced=true&directConnection=true", "and directConnection=true"),
            ("mongodb://", "has a server that is none such as 'host:27017'"),
            ("mongodb://h:0", "has a server that is none"),
            ("mongodb://a,,b", "has a server that is none"),
            ("mongodb://%2Ftmp%2Fmongodb.sock", "names a Unix socket"),
            ("mongodb://u@h", "names a user without a password"),
            ("mongodb://u:hid:den@h", "are written as %3A"),
            ("mongodb://u:hid@den@h", "are written as %3A"),
            ("mongodb://u:hid%zzden@h", "not followed by two hexadecimal digits"),
            ("mongodb://h/?tsl=true", "has the option 'tsl', which is not known"),
            ("mongodb://h/?tls=yes", "has 'tls=yes', which is neither true nor false"),
            ("mongodb://h/?tlsCAFile=/a", "is named by the setting SERVER_CA_CERT_PATH"),
            ("mongodb://h/?readPreference=secondary", "comes of the primary here"),
            ("mongodb://h/?connectTimeoutMS=x", "no number of milliseconds"),
            ("mongodb://h/?w=0", "has 'w=0'"),
            ("mongodb://h/?w", "has an option without '='"),
            ("mongodb://h/?authMechanism=SCRAM-SHA-1", "has authMechanism and no user"),
            (
                "mongodb://u:hidden@h/?authMechanism=MONGODB-X509",
                "SCRAM-SHA-256 and SCRAM-SHA-1 are spoken here",
            ),
            ("mongodb://a,b/?directConnection=true", "which is for one server"),
        ] {
            let refused = parsed(text).unwrap_err();
            assert!(refused.contains(told) && !refused.contains("hid"), "{text}: {refused}");
        }
    }

    #[test]
    fn records_of_a_service_say_the_servers_and_the_options_that_the_address_leaves_open() {
        let records = |options: &str| ServiceRecords {
            servers: vec!["a.plant.example:27017".to_owned(), "b.plant.example:27018".to_owned()],
            options: options.to_owned(),
        };
        let found = records("authSource=users&replicaSet=rs");
        let address = Address::parse("mongodb+srv://u:p@c.plant.example/d", Some(&found)).unwrap();
        assert_eq!(places(&address), ["a.plant.example:27017", "b.plant.example:27018"]);
        assert_eq!(address.login.unwrap().source, "users");
        assert_eq!(address.replica_set.as_deref(), Some("rs"));
        let own = "mongodb+srv://u:p@c.plant.example/?AUTHSOURCE=own&replicaSet=mine";
        let address = Address::parse(own, Some(&found)).unwrap();
        assert_eq!((&*address.login.unwrap().source, address.replica_set.as_deref()), ("own", Some("mine")));
        // They are those of another address.
        assert_eq!(places(&Address::parse("mongodb://h", Some(&found)).unwrap()), ["h:27017"]);
        for (options, of_records, told) in [
            ("", "loadBalanced=true", "has loadBalanced=true and several servers"),
            ("srvMaxHosts=1", "replicaSet=rs", "has srvMaxHosts and replicaSet"),
            ("loadBalanced=perhaps", "", "neither true nor false"),
        ] {
            let text = format!("mongodb+srv://c.plant.example/?{options}");
            let refused = Address::parse(&text, Some(&records(of_records))).unwrap_err();
            assert!(refused.contains(told), "{options}, {of_records}: {refused}");
        }
        let alone = ServiceRecords {
            servers: vec!["a.plant.example:1".to_owned()],
            options: "loadBalanced=true".to_owned(),
        };
        let address = Address::parse("mongodb+srv://c.plant.example/?srvMaxHosts=0", Some(&alone)).unwrap();
        assert!(address.is_load_balanced);
    }
}
