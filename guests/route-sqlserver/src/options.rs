//! Options of a SQL Server connection string besides server, database, user and password, and those
//! that are unsupported.

use lotmq_guest::route::Failure;
use route_sql::Server;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Protection {
    #[default]
    None,
    /// By TLS that begins within packets of TDS 7.
    InTds,
    /// By TLS from the beginning, with TDS 8 within.
    Strict,
}

/// Options of a connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) protection: Protection,
    pub(crate) application: String,
    pub(crate) workstation: String,
    pub(crate) language: String,
    /// Whether a replica that only reads will do (`ApplicationIntent=ReadOnly`).
    pub(crate) only_reads: bool,
    /// Seconds to connect and log in, if set.
    pub(crate) connect_s: Option<u64>,
}

/// Keys that others read: the host, or the library for SQL databases.
const READ_ELSEWHERE: [&str; 33] = [
    "server",
    "data source",
    "address",
    "addr",
    "network address",
    "host",
    "port",
    "database",
    "initial catalog",
    "db",
    "dbname",
    "user",
    "user id",
    "userid",
    "username",
    "user name",
    "uid",
    "password",
    "pwd",
    "trustservercertificate",
    "trust server certificate",
    "trust_server_certificate",
    "command timeout",
    "commandtimeout",
    "default command timeout",
    "hostnameincertificate",
    "host name in certificate",
    "usessl",
    "use ssl",
    "sslmode",
    "ssl mode",
    "ssl-mode",
    "search path",
];

/// Keys about what this client does in its own way, or has not.
const IGNORED: [&str; 41] = [
    "pooling",
    "max pool size",
    "min pool size",
    "maxpoolsize",
    "minpoolsize",
    "load balance timeout",
    "connection lifetime",
    "connection reset",
    "poolblockingperiod",
    "pool blocking period",
    "enlist",
    "persist security info",
    "persistsecurityinfo",
    "multipleactiveresultsets",
    "multiple active result sets",
    "mars connection",
    "connectretrycount",
    "connect retry count",
    "connectretryinterval",
    "connect retry interval",
    "multisubnetfailover",
    "multi subnet failover",
    "packet size",
    "packetsize",
    "replication",
    "type system version",
    "transaction binding",
    "asynchronous processing",
    "async",
    "ipaddresspreference",
    "integrated security",
    "integratedsecurity",
    "trusted_connection",
    "trusted connection",
    "authentication",
    "column encryption setting",
    "user instance",
    "context connection",
    "network library",
    "network",
    "net",
];

impl Options {
    /// Reads the pairs of a connection string and the TLS settings. `is_trusting`: a setting trusts
    /// any certificate.
    pub(crate) fn read(
        pairs: &[(String, String)],
        server: &Server,
        is_trusting: bool,
    ) -> Result<Options, Failure> {
        let mut options = Options {
            protection: if server.is_secure { Protection::InTds } else { Protection::None },
            application: "lotmq".to_owned(),
            workstation: "lotmq".to_owned(),
            ..Options::default()
        };
        let mut before = "";
        for (key, value) in pairs {
            options.take(key, value.trim(), before)?;
            before = key;
        }
        // A setting of its own counts before the string.
        if !server.is_secure {
            options.protection = Protection::None;
        }
        let trusting = ["trustservercertificate", "trust server certificate", "trust_server_certificate"];
        let is_trusting = is_trusting
            || pairs.iter().any(|(key, value)| trusting.contains(&key.as_str()) && is_true(value.trim()));
        if options.protection == Protection::Strict && is_trusting {
            return Err(wrong(
                "Encrypt=Strict checks the certificate always: leave TrustServerCertificate and TRUST_SERVER_CERTIFICATE out",
            ));
        }
        Ok(options)
    }

    fn take(&mut self, key: &str, value: &str, before: &str) -> Result<(), Failure> {
        let word = value.to_ascii_lowercase();
        if let Some(reason) = refusal(key, &word) {
            return Err(wrong(reason));
        }
        match key {
            "encrypt" => match word.as_str() {
                "strict" => self.protection = Protection::Strict,
                "true" | "yes" | "mandatory" | "false" | "no" | "optional" => {}
                _ => return Err(wrong("Encrypt is true, false or strict")),
            },
            "application name" | "app" | "applicationname" => value.clone_into(&mut self.application),
            "workstation id" | "wsid" | "workstationid" => value.clone_into(&mut self.workstation),
            "current language" | "language" => value.clone_into(&mut self.language),
            "applicationintent" | "application intent" => match word.as_str() {
                "readonly" => self.only_reads = true,
                "readwrite" => {}
                _ => return Err(wrong("ApplicationIntent is ReadWrite or ReadOnly")),
            },
            "connect timeout" | "connection timeout" | "timeout" | "login timeout" | "logintimeout" => {
                let seconds = value.parse().map_err(|_| wrong("Connect Timeout is a number of seconds"))?;
                // 0 is without end, of which there is none here.
                self.connect_s = Some(seconds).filter(|seconds| *seconds > 0);
            }
            known if READ_ELSEWHERE.contains(&known) || IGNORED.contains(&known) => {}
            // It may be a part of a password that wants quotes, and is not shown.
            _ if before.is_empty() => return Err(wrong("its first key is not known")),
            _ => {
                let reason = format!(
                    "the key behind '{before}' is not known; a value that has ; in it stands in quotes"
                );
                return Err(wrong(&reason));
            }
        }
        Ok(())
    }
}

/// Why a key, or this value of it in small letters, cannot be; `None` where it can.
fn refusal(key: &str, word: &str) -> Option<&'static str> {
    let is_on = !["false", "no", "0", ""].contains(&word);
    match key {
        "integrated security" | "trusted_connection" | "trusted connection" | "integratedsecurity" => is_on
            .then_some(
                "a login of Windows (Integrated Security) cannot be done: write User Id and Password of a login of SQL Server",
            ),
        "authentication" => (!["sqlpassword", "sql password", ""].contains(&word)).then_some(
            "Authentication is SqlPassword, or left out: logins of Microsoft Entra (Azure AD) and Windows cannot be done; write User Id and Password of a login of SQL Server",
        ),
        "column encryption setting" => (word == "enabled").then_some(
            "Column Encryption Setting cannot be Enabled: columns of Always Encrypted are not read",
        ),
        "failover partner" | "failoverpartner" => Some(
            "Failover Partner cannot be used: name the listener of the availability group, or a DNS name that moves, as Server",
        ),
        "servercertificate" | "server certificate" => Some(
            "ServerCertificate names a file of a client of Microsoft: set SERVER_CA_CERT_PATH in SQL_CONFIG",
        ),
        "attachdbfilename" | "extended properties" | "initial file name" => {
            Some("a file of a database cannot be attached: write Database")
        }
        "user instance" | "context connection" => {
            is_on.then_some("User Instance and Context Connection are of the server's own machine")
        }
        "driver" | "provider" | "dsn" | "filedsn" => Some(
            "Driver, Provider and DSN are of ODBC and OLE DB: leave them out, and write a value that has ; in it in quotes",
        ),
        "network library" | "network" | "net" => (!["dbmssocn", "tcp"].contains(&word))
            .then_some("Network Library is dbmssocn, which is TCP, or left out"),
        _ => None,
    }
}

fn is_true(value: &str) -> bool {
    ["true", "yes"].iter().any(|word| word.eq_ignore_ascii_case(value))
}

fn wrong(reason: &str) -> Failure {
    Failure::Fatal(format!("SQL_CONFIG: CONNECTION_STRING: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, is_secure: bool) -> Result<Options, String> {
        let server = Server { is_secure, ..Server::default() };
        Options::read(&route_sql::pairs_of(text), &server, false).map_err(|failure| match failure {
            Failure::Fatal(reason) => reason,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn connection_strings_say_how_to_connect() {
        let text = "Server=tcp:db,1433;Database=plant;User Id=a;Password='x;y';Encrypt=Strict;Connect Timeout=5;Application Name=line 4;ApplicationIntent=ReadOnly;MultipleActiveResultSets=False;Integrated Security=False";
        let expected = Options {
            protection: Protection::Strict,
            application: "line 4".to_owned(),
            workstation: "lotmq".to_owned(),
            language: String::new(),
            only_reads: true,
            connect_s: Some(5),
        };
        assert_eq!(read(text, true), Ok(expected));
        assert_eq!(read("Server=db;Encrypt=true", true).unwrap().protection, Protection::InTds);
        assert_eq!(read("Server=db;Encrypt=strict", false).unwrap().protection, Protection::None);
        assert_eq!(
            read("sqlserver://a:b@db/plant?encrypt=strict", true).unwrap().protection,
            Protection::Strict
        );
        assert_eq!(read("", true).unwrap().protection, Protection::InTds);
    }

    #[test]
    fn what_cannot_be_done_is_told() {
        for (text, told) in [
            ("Server=db;Integrated Security=SSPI", "a login of Windows"),
            ("Server=db;Trusted_Connection=yes", "a login of Windows"),
            ("Server=db;Authentication=ActiveDirectoryPassword", "Microsoft Entra"),
            ("Server=db;Encrypt=perhaps", "Encrypt is true, false or strict"),
            ("Server=db;Encrypt=strict;TrustServerCertificate=true", "leave TrustServerCertificate and"),
            ("Server=db;Failover Partner=other", "Failover Partner cannot be used"),
            ("Server=db;Column Encryption Setting=Enabled", "Always Encrypted"),
            ("Server=db;AttachDbFilename=x", "cannot be attached"),
            ("Driver={ODBC Driver 18};Server=db", "are of ODBC"),
            ("Server=db;Network Library=dbnmpntw", "Network Library is dbmssocn"),
            ("Server=db;Connect Timeout=soon", "a number of seconds"),
            ("Server=db;Password=a;secret=b", "the key behind 'password' is not known"),
            ("secret=b", "its first key is not known"),
        ] {
            let reason = read(text, true).unwrap_err();
            assert!(reason.contains(told) && !reason.contains("secret"), "{text}: {reason}");
        }
    }
}
