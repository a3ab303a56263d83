//! Industrial routes: mappings that are polled, with tags, routes reference §5.

use super::key::{self, Key, QOS, QOS_0, RETAIN, Section, ValueKind};
use super::{Mapping, RouteType};

/// Tag types with their synonyms (§5.4).
const DATA_TYPES: ValueKind = ValueKind::Words(&[
    "BOOL", "BIT", "BOOLEAN", "INT8", "SINT", "CHAR", "UINT8", "USINT", "BYTE", "INT16", "INT", "SHORT",
    "UINT16", "UINT", "WORD", "INT32", "DINT", "LONG", "UINT32", "UDINT", "DWORD", "INT64", "LINT", "UINT64",
    "ULINT", "LWORD", "FLOAT32", "FLOAT", "REAL", "FLOAT64", "DOUBLE", "LREAL", "STRING", "WSTRING", "TEXT",
]);

const BYTE_ORDERS: ValueKind = ValueKind::Words(&["ABCD", "CDAB", "BADC", "DCBA"]);

/// Area of a Modbus unit that an address is in.
const MODBUS_AREA: Key = Key::new(
    "ADDRESS_TYPE",
    ValueKind::Words(&["COIL", "DISCRETE_INPUT", "INPUT_REGISTER", "HOLDING_REGISTER"]),
);

/// The same of protocols whose addresses have it in them.
const AREA_OF_ADDRESS: Key = Key::new("ADDRESS_TYPE", ValueKind::Text)
    .idle("ADDRESS says the area itself; ADDRESS_TYPE is for Modbus");

/// Direction of a mapping with tags.
const DIRECTION: Key = Key::new("DIRECTION", ValueKind::Words(&["in", "out", "both"]))
    .idle("a tag is read, and written as well where it has a DESTINATION_TOPIC");

/// How a tag's value is published and written (§5.2); the numbered places are for the type's own
/// keys.
macro_rules! tag_keys {
    ($address_type:expr $(, $own:expr)* $(,)?) => {
        &[
            Key::new("ADDRESS", ValueKind::Text).required(),
            $address_type,
            Key::new("DATA_TYPE", DATA_TYPES).required(),
            Key::new("SOURCE_TOPIC", ValueKind::Topic),
            Key::new("DESTINATION_TOPIC", ValueKind::Filter),
            Key::new("WRITABLE", ValueKind::Bool),
            Key::new("SCALING", ValueKind::Number).by_default("1"),
            Key::new("OFFSET", ValueKind::Number).by_default("0"),
            Key::new("DEADBAND", ValueKind::Number).by_default("0"),
            Key::new("PUBLISH_MODE", ValueKind::Words(&["ALWAYS", "ON_CHANGE"])).by_default("ALWAYS"),
            Key::new("UNIT", ValueKind::Text).telling(),
            Key::new("DECIMAL_PLACES", ValueKind::Int(0, 15)),
            QOS_0,
            RETAIN,
            Key::new("LENGTH", ValueKind::Int(1, 65_535)),
            $($own,)*
        ]
    };
}

/// Keys of a mapping (§5.1). Its QOS and RETAIN are the defaults of its tags.
const POLLED: &[Key] = &[
    Key::new("SOURCE_TOPIC", ValueKind::Topic),
    Key::new("DESTINATION_TOPIC", ValueKind::Filter),
    DIRECTION,
    QOS,
    RETAIN,
];

/// The same of Modbus, where a mapping may be of another unit behind the same connection.
const MODBUS_POLLED: &[Key] = &[
    Key::new("SOURCE_TOPIC", ValueKind::Topic),
    Key::new("DESTINATION_TOPIC", ValueKind::Filter),
    DIRECTION,
    QOS,
    RETAIN,
    SLAVE_ID,
];

/// The same over a serial line.
const SERIAL_POLLED: &[Key] = &[
    Key::new("SOURCE_TOPIC", ValueKind::Topic),
    Key::new("DESTINATION_TOPIC", ValueKind::Filter),
    DIRECTION,
    QOS,
    RETAIN,
    SERIAL_SLAVE_ID,
];

const fn polled(tag: &'static [Key]) -> Option<Mapping> {
    Some(Mapping { keys: POLLED, tag: Some(tag), rewrites: false })
}

const MODBUS_TAG: &[Key] = tag_keys!(MODBUS_AREA, Key::new("BYTE_ORDER", BYTE_ORDERS), SLAVE_ID);

/// The same over a serial line.
const SERIAL_TAG: &[Key] = tag_keys!(MODBUS_AREA, Key::new("BYTE_ORDER", BYTE_ORDERS), SERIAL_SLAVE_ID);

const PLAIN_TAG: &[Key] = tag_keys!(AREA_OF_ADDRESS);

/// Tag of a server, whose clients read the values published here.
const SERVED_TAG: &[Key] = &[
    Key::new("SOURCE_TOPIC", ValueKind::Filter).required(),
    Key::new("ADDRESS", ValueKind::Text).required(),
    Key::new("DATA_TYPE", DATA_TYPES).required(),
    Key::new("DESTINATION_TOPIC", ValueKind::Topic),
];

/// A server of a protocol of machines, of which only the name is public (§5.9); its keys are ours.
const fn server(name: &'static str, sections: &'static [Section]) -> RouteType {
    let mapping = Mapping { keys: &[], tag: Some(SERVED_TAG), rewrites: false };
    RouteType { sections, mapping: Some(mapping), ..RouteType::named(name) }
}

const FINS_TAG: &[Key] = tag_keys!(AREA_OF_ADDRESS, Key::new("MEMORY_TYPE", ValueKind::Text));

/// Unit of a serial line: 1 to 247, and 0 for all of them.
const SERIAL_SLAVE_ID: Key = Key::new("SLAVE_ID", ValueKind::Int(0, 247)).or(&["UNIT_ID"]);

/// Unit over TCP. A device that has no units behind it is asked as 255 or 0 (guide of the Modbus
/// organisation, 4.4.1.2).
const SLAVE_ID: Key = Key::new("SLAVE_ID", ValueKind::Int(0, 255)).or(&["UNIT_ID"]);

/// Default unit of a serial line: one that answers.
const SERIAL_DEFAULT_ID: Key = Key::new("SLAVE_ID", ValueKind::Int(1, 247)).or(&["UNIT_ID"]);

pub(super) const TYPES: &[RouteType] = &[
    RouteType {
        aliases: &["MODBUS"],
        sections: &[Section::required(
            "MODBUS_CONFIG",
            &[
                Key::new("HOST", ValueKind::Text).or(&["IP", "SERVER", "ADDRESS"]).required(),
                Key::new("PORT", key::PORT),
                SLAVE_ID.by_default("1"),
                Key::new("CONNECTION_TYPE", ValueKind::Words(&["TCP"])).confirming(),
                Key::new("CONNECTION_TIMEOUT", key::TIMEOUT_MS).by_default("5000"),
                Key::new("READ_TIMEOUT", key::TIMEOUT_MS).by_default("1000"),
                Key::new("WRITE_TIMEOUT", key::TIMEOUT_MS).by_default("1000"),
                Key::new("RETRY_COUNT", ValueKind::Int(0, 1000)).by_default("3"),
                Key::new("RETRY_DELAY", key::MILLISECONDS).by_default("100"),
                Key::new("BYTE_ORDER", BYTE_ORDERS).by_default("ABCD"),
                Key::new("REQUEST_PAUSE", key::MILLISECONDS).by_default("0"),
                Key::new("MAX_REGISTERS", ValueKind::Int(1, 125)).by_default("125"),
                Key::new("MAX_GAP", ValueKind::Int(0, 125)).by_default("8"),
            ],
        )],
        mapping: Some(Mapping { keys: MODBUS_POLLED, tag: Some(MODBUS_TAG), rewrites: false }),
        ..RouteType::new("MODBUS_TCP")
    },
    RouteType {
        sections: &[Section::required(
            "MODBUS_CONFIG",
            &[
                Key::new("CONNECTION_TYPE", ValueKind::Words(&["SERIAL"])).confirming(),
                Key::new("COM_PORT", ValueKind::Text).or(&["PORT", "SERIAL_PORT"]).required(),
                Key::new("BAUD_RATE", ValueKind::Int(50, 4_000_000)).by_default("9600"),
                Key::new("PARITY", ValueKind::Words(&["NONE", "ODD", "EVEN", "MARK", "SPACE"]))
                    .by_default("NONE"),
                Key::new("DATA_BITS", ValueKind::Int(7, 8)).by_default("8"),
                Key::new("STOP_BITS", ValueKind::Words(&["ONE", "TWO", "ONEPOINTFIVE", "1", "2"]))
                    .by_default("ONE"),
                Key::new("RS485", ValueKind::Bool).by_default("false"),
                SERIAL_DEFAULT_ID,
                Key::new("CONNECTION_TIMEOUT", key::TIMEOUT_MS).by_default("5000"),
                Key::new("READ_TIMEOUT", key::TIMEOUT_MS).by_default("1000"),
                Key::new("WRITE_TIMEOUT", key::TIMEOUT_MS).by_default("1000"),
                Key::new("RETRY_COUNT", ValueKind::Int(0, 1000)).by_default("3"),
                Key::new("RETRY_DELAY", key::MILLISECONDS).by_default("100"),
                Key::new("BYTE_ORDER", BYTE_ORDERS).by_default("ABCD"),
                Key::new("REQUEST_PAUSE", key::MILLISECONDS).by_default("0"),
                Key::new("MAX_REGISTERS", ValueKind::Int(1, 125)).by_default("125"),
                Key::new("MAX_GAP", ValueKind::Int(0, 125)).by_default("8"),
            ],
        )],
        mapping: Some(Mapping { keys: SERIAL_POLLED, tag: Some(SERIAL_TAG), rewrites: false }),
        ..RouteType::new("MODBUS_SERIAL")
    },
    RouteType {
        aliases: &["S7"],
        sections: &[Section::required(
            "S7_CONFIG",
            &[
                Key::new("IP", ValueKind::Text).or(&["HOST", "SERVER", "ADDRESS"]).required(),
                Key::new(
                    "CPU_TYPE",
                    ValueKind::Words(&["S7200", "S7300", "S7400", "S71200", "S71500", "LOGO"]),
                )
                .by_default("S71500"),
                Key::new("RACK", ValueKind::Int(0, 31)).by_default("0"),
                Key::new("SLOT", ValueKind::Int(0, 31)),
                Key::new("PORT", key::PORT),
                Key::new("CONNECTION_TIMEOUT", key::TIMEOUT_MS).by_default("5000"),
                Key::new("READ_TIMEOUT", key::TIMEOUT_MS).by_default("1000"),
                Key::new("WRITE_TIMEOUT", key::TIMEOUT_MS).by_default("1000"),
                Key::new("RETRY_COUNT", ValueKind::Int(0, 1000)).by_default("3"),
                Key::new("RETRY_DELAY", key::MILLISECONDS).by_default("100"),
            ],
        )],
        mapping: polled(PLAIN_TAG),
        ..RouteType::new("SIEMENS_S7")
    },
    RouteType {
        sections: &[Section::required(
            "OPCUA_CONFIG",
            &[
                Key::new("ENDPOINT_URL", ValueKind::Text).required(),
                Key::new("AUTH_MODE", ValueKind::Int(0, 2)),
                Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
                Key::new("PASSWORD", ValueKind::Text),
                Key::new("USE_SECURITY", ValueKind::Bool).by_default("false"),
                Key::new(
                    "SECURITY_POLICY",
                    ValueKind::Words(&[
                        "0",
                        "3",
                        "4",
                        "5",
                        "None",
                        "Basic256Sha256",
                        "Aes128_Sha256_RsaOaep",
                        "Aes256_Sha256_RsaPss",
                    ]),
                )
                .refusing(&["1", "2", "Basic128Rsa15", "Basic256"], lot_tags::opcua::BROKEN),
                Key::new(
                    "SECURITY_MODE",
                    ValueKind::Words(&["0", "1", "2", "None", "Sign", "SignAndEncrypt"]),
                ),
                Key::new("AUTO_ACCEPT_UNTRUSTED_CERTIFICATES", ValueKind::Bool).by_default("false"),
                Key::new("SUPPRESS_NONCE_VALIDATION_ERRORS", ValueKind::Bool).by_default("false"),
                Key::new("STORAGE_DIR", ValueKind::Folder),
                Key::new("APPLICATION_URI", ValueKind::Text),
                Key::new("TIMEOUT", key::TIMEOUT_MS).or(&["CONNECTION_TIMEOUT"]).by_default("90000"),
                Key::new("REQUEST_TIMEOUT", key::TIMEOUT_MS).by_default("10000"),
                Key::new("USE_SUBSCRIPTIONS", ValueKind::Bool).by_default("true"),
                Key::new("USE_BROWSE_PATH", ValueKind::Bool).by_default("false"),
                Key::new("BROWSE_ROOT", ValueKind::Text).by_default("Objects"),
            ],
        )],
        mapping: polled(PLAIN_TAG),
        ..RouteType::new("OPCUA")
    },
    RouteType {
        sections: &[Section::required(
            "ALLEN_BRADLEY_CONFIG",
            &[
                Key::new("IP", ValueKind::Text).or(&["HOST", "SERVER", "ADDRESS"]).required(),
                Key::new("DEVICE_FAMILY", ValueKind::Int(0, 6)),
                Key::new("PORT", key::PORT),
                Key::new("SLOT", ValueKind::Int(0, 255)),
                Key::new("PATH", ValueKind::Text),
                Key::new("TIMEOUT", key::TIMEOUT_MS),
            ],
        )],
        mapping: polled(PLAIN_TAG),
        ..RouteType::new("ALLEN_BRADLEY")
    },
    RouteType {
        sections: &[Section::required(
            "ETHERNETIP_CONFIG",
            &[
                Key::new("IP", ValueKind::Text).or(&["HOST", "SERVER", "ADDRESS"]).required(),
                Key::new("PORT", key::PORT),
                Key::new("POLLING_MS", key::MILLISECONDS),
                Key::new("CONNECTION_TIMEOUT", key::TIMEOUT_MS).by_default("5000"),
                Key::new("READ_WRITE_TIMEOUT", key::TIMEOUT_MS),
                Key::new("RETRY_ATTEMPTS", ValueKind::Int(0, 1000)),
                Key::new("RETRY_TIME_SECONDS", ValueKind::Int(0, 86_400)),
                Key::new("SLOT", ValueKind::Int(0, 255)),
            ],
        )],
        mapping: polled(PLAIN_TAG),
        ..RouteType::new("ETHERNETIP")
    },
    RouteType {
        sections: &[Section::required(
            "FINS_CONFIG",
            &[
                Key::new("IP", ValueKind::Text).or(&["HOST", "SERVER", "ADDRESS"]).required(),
                Key::new("PORT", key::PORT),
                Key::new("PROTOCOL", ValueKind::Words(&["TCP", "UDP"])),
                Key::new("LOCAL_NODE", ValueKind::Int(0, 255)).or(&["PC_NODE"]),
                Key::new("REMOTE_NODE", ValueKind::Int(0, 255)).or(&["PLC_NODE"]),
                Key::new("TIMEOUT", ValueKind::Int(0, 86_400)),
                Key::new("RETRIES", ValueKind::Int(0, 1000)),
                Key::new("POLLING", key::MILLISECONDS),
            ],
        )],
        mapping: polled(FINS_TAG),
        ..RouteType::new("FINS")
    },
    RouteType {
        sections: &[Section::required(
            "BACNET_CONFIG",
            &[
                Key::new("IP", ValueKind::Text).or(&["HOST", "SERVER", "ADDRESS"]),
                Key::new("PORT", key::PORT),
                Key::new("DEVICE_ID", ValueKind::Int(0, 4_194_303)),
            ],
        )],
        mapping: polled(PLAIN_TAG),
        ..RouteType::new("BACNET")
    },
    // How discovery and time-outs are called is not public.
    RouteType {
        sections: &[Section::required(
            "ADS_CONFIG",
            &[
                Key::new("LOCAL_NET_ID", ValueKind::Text).required(),
                Key::new("LOCAL_ROUTE_TO_TARGET", ValueKind::Text).required(),
                Key::new("LOCAL_HOST_NAME", ValueKind::Text),
                Key::new("TARGET_NET_ID", ValueKind::Text).or(&["AMS_NET_ID"]).required(),
                Key::new("TARGET_IP", ValueKind::Text).required(),
                Key::new("TARGET_PORT", key::PORT).or(&["PORT"]).by_default("851"),
                Key::new("TARGET_ROUTE_TO_LOCAL", ValueKind::Text).required(),
                Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
                Key::new("PASSWORD", ValueKind::Text),
            ],
        )],
        mapping: polled(PLAIN_TAG),
        ..RouteType::named("ADS")
    },
    server(
        "MODBUS_SERVER",
        &[Section::optional("MODBUS_SERVER_CONFIG", &[Key::new("LISTEN_PORT", key::PORT)])],
    ),
    server(
        "OPCUA_SERVER",
        &[Section::optional("OPCUA_SERVER_CONFIG", &[Key::new("LISTEN_PORT", key::PORT)])],
    ),
];
