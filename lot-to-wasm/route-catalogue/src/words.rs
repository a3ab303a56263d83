//! Words of descriptions that the compiler and the broker act on.

use serde::Deserialize;

/// A check of the compiler for the settings of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteCheck {
    /// The sides of a bridge between brokers, and its mappings.
    Bridge,
    /// Files that begin anew, their patterns, and queries of files.
    Files,
    /// Addresses and headers of HTTP.
    Http,
    /// Topics of Kafka.
    KafkaTopics,
    /// A password without a user name.
    Login,
    /// Senders and recipients of mail.
    Mail,
    /// Addresses of tags of Modbus.
    Modbus,
    /// Characters and units of a serial line of Modbus.
    ModbusSerial,
    /// Statements of MongoDB.
    MongodbStatements,
    /// Subjects of NATS.
    NatsSubjects,
    /// Nodes and security of OPC UA.
    Opcua,
    /// Statements of OpenSearch.
    OpensearchStatements,
    /// Commands of Redis.
    RedisCommands,
    /// Addresses of tags of S7.
    S7,
    /// Connection strings and statement times of SQL databases.
    Sql,
    /// Hosts as clients of SQL Server write them.
    SqlServer,
}

/// Other side of the routes of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherSide {
    /// Another system on the network or at a serial line.
    #[default]
    Network,
    /// MQTT brokers, which may be this one.
    Brokers,
    /// The disk of this machine.
    Disk,
    /// Nothing.
    Nothing,
}

/// Unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TimeUnit {
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
}
