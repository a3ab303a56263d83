//! Flaws of the connection string of a SQL database that its route would ignore: unknown keys,
//! values without a meaning, the address of another database.
//!
//! Both the compiler and the broker use this check: the compiler for the text of a definition, the
//! broker when it opens the route. Not here: parsing the string, which `lotmq-connection-string`
//! does for the host and for the guests.

use lot_nearest::nearest;
use lot_route_catalogue::{RouteCheck, RouteType, all, find};
use lotmq_connection_string::{is_address, pairs};

/// Stands in a text for a part that is not known before the route is opened.
pub(crate) const UNKNOWN: char = '\u{1}';

/// Something in a connection string that its route would not follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStringFlaw {
    /// Description of the flaw, for a message in which it follows the name of the setting. It
    /// contains no part of a value that may be a secret.
    pub text: String,
    /// Suggested fix, if one is known.
    pub help: Option<String>,
    /// Whether without it something else would be done: another server, database, login or
    /// protection. Otherwise it means nothing, and is left out.
    pub is_grave: bool,
}

/// Keys for the server, the database, the login and the protection of the connection.
const FOLLOWED: [&str; 32] = [
    "host",
    "server",
    "data source",
    "address",
    "addr",
    "network address",
    "port",
    "database",
    "initial catalog",
    "db",
    "dbname",
    "username",
    "user",
    "user id",
    "userid",
    "uid",
    "user name",
    "password",
    "pwd",
    "sslmode",
    "ssl mode",
    "ssl-mode",
    "encrypt",
    "usessl",
    "use ssl",
    "trust server certificate",
    "trustservercertificate",
    "trust_server_certificate",
    "hostnameincertificate",
    "host name in certificate",
    "search path",
    "command timeout",
];

/// Further keys that are followed, and slips in which change no more than how names are looked up
/// and how long is waited.
const FOLLOWED_TOO: [&str; 5] =
    ["searchpath", "currentschema", "search_path", "default command timeout", "commandtimeout"];

/// Keys of drivers for features that routes have in their own way, or lack. The guest of SQL Server
/// reads its keys itself, or refuses them.
const OF_DRIVERS: &str = "\
    pooling;max pool size;min pool size;maxpoolsize;minpoolsize;maximum pool size;minimum pool size;\
    load balance timeout;connection lifetime;connection idle lifetime;connection pruning interval;\
    connection reset;connectionreset;no reset on close;poolblockingperiod;pool blocking period;enlist;\
    persist security info;persistsecurityinfo;multipleactiveresultsets;multiple active result sets;\
    mars connection;connectretrycount;connect retry count;connectretryinterval;connect retry interval;\
    multisubnetfailover;multi subnet failover;packet size;packetsize;replication;type system version;\
    transaction binding;asynchronous processing;async;ipaddresspreference;integrated security;\
    integratedsecurity;trusted_connection;trusted connection;authentication;column encryption setting;\
    user instance;context connection;network library;network;net;application name;app;applicationname;\
    application_name;workstation id;wsid;workstationid;current language;language;applicationintent;\
    application intent;connect timeout;connection timeout;connect_timeout;timeout;login timeout;\
    logintimeout;failover partner;failoverpartner;servercertificate;server certificate;attachdbfilename;\
    extended properties;initial file name;driver;provider;dsn;filedsn;keepalive;keep alive;keepalives;\
    keepalives_idle;keepalives_interval;keepalives_count;tcp keepalive;tcp keepalive time;\
    tcp keepalive interval;tcp_user_timeout;include error detail;include failed batched command;\
    max auto prepare;auto prepare min usages;read buffer size;write buffer size;socket receive buffer size;\
    socket send buffer size;internal command timeout;cancellation timeout;target session attributes;\
    target_session_attrs;load balance hosts;load_balance_hosts;host recheck seconds;hostaddr;options;\
    client encoding;client_encoding;encoding;charset;character set;characterset;timezone;time zone;\
    passfile;passfile path;service;multiplexing;server compatibility mode;array nullability mode;\
    entity template database;entity admin database;channel binding;channel_binding;gssencmode;\
    kerberos service name;krbsrvname;include realm;ssl certificate;ssl key;ssl password;\
    root certificate;check certificate revocation;sslcert;sslkey;sslrootcert;sslpassword;sslcrl;\
    ssl_min_protocol_version;ssl ca;sslca;ssl cert;ssl-ca;ssl-cert;ssl-key;cacertificatefile;\
    ca certificate file;certificatefile;certificate file;certificatepassword;certificate password;\
    tls version;tlsversion;sslnegotiation;ssl negotiation;protocol;connection protocol;pipe;pipe name;\
    allow user variables;allowuservariables;allow zero datetime;convert zero datetime;allow batch;\
    allowloadlocalinfile;allow load local infile;allowpublickeyretrieval;allow public key retrieval;\
    autoenlist;auto enlist;compress;compression;use compression;usecompression;use affected rows;\
    useaffectedrows;treat tiny as boolean;treattinyasboolean;old guids;guid format;date time kind;\
    default auth;server rsa public key file;serverredirectionmode;ignore prepare;ignoreprepare;\
    persistsecurity;logging;prepare threshold;preparethreshold;binarytransfer;stringtype;\
    rewritebatchedstatements;reWriteBatchedInserts;autoreconnect;servertimezone;useunicode;\
    characterencoding;zerodatetimebehavior;sockettimeout;tcpkeepalive;schema;role";

/// Keys that ask for TLS in other drivers, and are not read here.
const TLS_WORDS: [&str; 9] = [
    "ssl",
    "tls",
    "use tls",
    "usetls",
    "require ssl",
    "requiressl",
    "encryption",
    "use encryption",
    "ssl protocol",
];

const MODES: &str = "disable, prefer, require, verify-ca or verify-full";

/// Schemes of addresses of other systems.
const OTHER_SCHEMES: &str = "\
    mongodb redis rediss http https influxdb nats kafka mqtt mqtts amqp amqps oracle snowflake sqlite file \
    ftp ssh clickhouse db2 tcp";

/// Returns the flaws in the connection string of a route of this type; none for types without one.
/// A text may have parts that are not [known](UNKNOWN).
#[must_use]
pub fn connection_string_flaws(kind: &str, text: &str) -> Vec<ConnectionStringFlaw> {
    find(kind).map_or_else(Vec::new, |kind| flaws_of_type(kind, text))
}

/// Returns the flaws in the connection string of a route of a type.
pub(crate) fn flaws_of_type(kind: &RouteType, text: &str) -> Vec<ConnectionStringFlaw> {
    if kind.schemes.is_empty() {
        return Vec::new();
    }
    let address = is_address(text).then(|| scheme_flaw(kind, text)).flatten();
    let pairs = pairs(text);
    let mut before = "";
    let of_pairs = pairs.iter().filter_map(|(key, value)| {
        let before = std::mem::replace(&mut before, key);
        if key.contains(UNKNOWN) {
            return None;
        }
        key_flaw(kind, key, before).or_else(|| value_flaw(key, value))
    });
    address.into_iter().chain(of_pairs).collect()
}

fn grave(text: String, help: impl Into<Option<String>>) -> ConnectionStringFlaw {
    ConnectionStringFlaw { text, help: help.into(), is_grave: true }
}

/// A flaw in front of `://`: it is the address of another database.
fn scheme_flaw(kind: &RouteType, text: &str) -> Option<ConnectionStringFlaw> {
    let (written, _) = text.trim().split_once("://")?;
    let scheme = written.to_ascii_lowercase();
    let scheme = scheme.split('+').next().unwrap_or_default();
    if kind.schemes.iter().any(|known| known == scheme) {
        return None;
    }
    let other = all().find(|other| other.schemes.iter().any(|known| known == scheme));
    if other.is_none() && !OTHER_SCHEMES.split_ascii_whitespace().any(|known| known == scheme) {
        return None;
    }
    let own = kind.schemes.first()?;
    let text = format!("begins with {}://, which is no address of {}", written.escape_debug(), kind.name);
    let other = other.map(|other| format!(", or WITH TYPE {}", other.name)).unwrap_or_default();
    Some(grave(text, format!("write {own}://user:password@host:port/database{other}")))
}

fn key_flaw(kind: &RouteType, key: &str, before: &str) -> Option<ConnectionStringFlaw> {
    if FOLLOWED.contains(&key) || FOLLOWED_TOO.contains(&key) {
        return None;
    }
    let shown = key.escape_debug();
    if TLS_WORDS.contains(&key) {
        return Some(grave(
            format!("has the key '{shown}', by which no TLS is asked for here"),
            "write sslmode=require, or USE_SSL TRUE in SQL_CONFIG".to_owned(),
        ));
    }
    if is_known(key) {
        let text = format!("has the key '{shown}', which means nothing here");
        return (!kind.has(RouteCheck::SqlServer)).then_some(ConnectionStringFlaw {
            text,
            help: None,
            is_grave: false,
        });
    }
    if let Some(near) = nearest(key, FOLLOWED) {
        let text = format!("has the key '{shown}', which is none");
        return Some(grave(text, format!("did you mean {near}?")));
    }
    // It may be a part of a password, which then is another one; so it is not shown.
    let known = Some(before).filter(|before| !before.is_empty() && is_known(before));
    let place = known.map_or_else(|| "a key".to_owned(), |before| format!("a key behind '{before}'"));
    let text = format!("has {place} that means nothing here");
    let help = Some("a value that has ; in it stands in quotes".to_owned());
    Some(ConnectionStringFlaw { text, help, is_grave: false })
}

/// Whether it is a key of this or another driver.
fn is_known(key: &str) -> bool {
    let of_drivers = || OF_DRIVERS.split(';').any(|known| known.eq_ignore_ascii_case(key));
    FOLLOWED.contains(&key) || FOLLOWED_TOO.contains(&key) || of_drivers()
}

fn value_flaw(key: &str, value: &str) -> Option<ConnectionStringFlaw> {
    let word = value.trim().to_ascii_lowercase();
    if word.contains(UNKNOWN) {
        return None;
    }
    let words: &[&str] = match key {
        "sslmode" | "ssl mode" | "ssl-mode" => &[
            "disable",
            "disabled",
            "none",
            "allow",
            "prefer",
            "preferred",
            "require",
            "required",
            "verify-ca",
            "verifyca",
            "verify_ca",
            "verify-full",
            "verifyfull",
            "verify_full",
            "verify_identity",
            "verify-identity",
            "verifyidentity",
        ],
        "usessl" | "use ssl" => &["true", "yes", "false", "no"],
        "encrypt" => &["true", "yes", "false", "no", "strict", "mandatory", "optional"],
        _ => return None,
    };
    if words.contains(&&*word) {
        return None;
    }
    let meant = match key {
        "encrypt" => "true, false or strict",
        "usessl" | "use ssl" => "true or false",
        _ => MODES,
    };
    let text = format!("says {key}={}, which is none of {meant}", value.trim().escape_debug());
    Some(grave(text, nearest(&word, words.iter().copied()).map(|near| format!("did you mean {near}?"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flaws in one line; those that are grave begin with an exclamation mark.
    fn report(kind: &str, text: &str) -> String {
        let flaws = connection_string_flaws(kind, text);
        let told = flaws.iter().map(|flaw| {
            let mark = if flaw.is_grave { "!" } else { "" };
            format!("{mark}{} ({})", flaw.text, flaw.help.as_deref().unwrap_or_default())
        });
        told.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn unsupported_connection_string_key_or_value_is_reported() {
        for (kind, text, expected) in [
            ("POSTGRESQL", "Host=db;Prot=21910", "!has the key 'prot', which is none (did you mean port?)"),
            (
                "POSTGRESQL",
                "Host=db;Databse=x",
                "!has the key 'databse', which is none (did you mean database?)",
            ),
            (
                "MYSQL",
                "Server=db;Passwrod=x",
                "!has the key 'passwrod', which is none (did you mean password?)",
            ),
            (
                "MYSQL",
                "Server=db;Ssl=true",
                "!has the key 'ssl', by which no TLS is asked for here (write sslmode=require, or USE_SSL TRUE in SQL_CONFIG)",
            ),
            (
                "POSTGRESQL",
                "Host=db;SSL Mdoe=Require",
                "!has the key 'ssl mdoe', which is none (did you mean ssl mode?)",
            ),
            ("CRATEDB", "Host=db;Pooling=true", "has the key 'pooling', which means nothing here ()"),
            (
                "POSTGRESQL",
                "Host=db;Password=a;xyzzy=1",
                "has a key behind 'password' that means nothing here (a value that has ; in it stands in quotes)",
            ),
            (
                "POSTGRESQL",
                "postgres://db/p?sslmode=requir",
                "!says sslmode=requir, which is none of disable, prefer, require, verify-ca or verify-full (did you mean require?)",
            ),
            (
                "MARIADB",
                "Host=db;SSL Mode=nonsense",
                "!says ssl mode=nonsense, which is none of disable, prefer, require, verify-ca or verify-full ()",
            ),
            (
                "SQLSERVER",
                "Server=db;Encrypt=ture",
                "!says encrypt=ture, which is none of true, false or strict (did you mean true?)",
            ),
            (
                "POSTGRESQL",
                "mysql://u:p@db/plant",
                "!begins with mysql://, which is no address of POSTGRESQL (write postgres://user:password@host:port/database, or WITH TYPE MYSQL)",
            ),
            (
                "MARIADB",
                "mongodb+srv://db",
                "!begins with mongodb+srv://, which is no address of MARIADB (write mysql://user:password@host:port/database)",
            ),
        ] {
            assert_eq!(report(kind, text), expected, "{kind} {text}");
        }
    }

    #[test]
    fn supported_and_undecidable_connection_strings_are_accepted() {
        for (kind, text) in [
            (
                "POSTGRESQL",
                "Host=db;Port=5432;Database=plant;Username=app;Password='a;b';SSL Mode=VerifyFull;Search Path=x;Command Timeout=5",
            ),
            ("POSTGRESQL", "postgresql://app:p@db:5432/plant?sslmode=verify-full&currentSchema=x"),
            ("CRATEDB", "crate://db"),
            ("MARIADB", "mysql+x://db"),
            (
                "SQLSERVER",
                "Server=tcp:db,1433;User Id=a;WSID=x;App=y;Encrypt=Strict;TrustServerCertificate=yes;Pooling=no",
            ),
            ("POSTGRESQL", "\u{1}Host=db;\u{1}=x;Ssl Mode=\u{1}"),
            ("MONGODB", "mongodb://db/?anything=goes"),
            ("POSTGRESQL", "rubbish"),
        ] {
            assert_eq!(report(kind, text), "", "{kind} {text}");
        }
    }
}
