//! Templates of routes: texts with fields to fill, for editors, made from the tables of the types
//! (routes reference §9).
//!
//! A template has the keys that a route of its type must have, and those that most have. A field is
//! `#NAME,type,description,validation,env#`, where `env` is whether the value may come from the
//! environment. `ADD METADATA` at the end is for people and is left out when the rest is deployed.

use lot_nearest::nearest;

use super::key::{Key, KeyPurpose, Need, ValueKind};
use super::{Mapping, RouteType, all, find};

/// Module of a route that one runs.
const MODULE: Key = Key::new(super::PLACE_OF_MODULE[1], ValueKind::Text);

/// Address of the other side, for types of which no more is known.
const HOST: Key = Key::new("HOST", ValueKind::Text);

/// Keys that may be left out and stand in a template all the same.
const USUAL: &[&str] = &[
    "PORT",
    "BROKER_PORT",
    "USERNAME",
    "PASSWORD",
    "USE_TLS",
    "USE_SSL",
    "SLAVE_ID",
    "BAUD_RATE",
    "PARITY",
    "CPU_TYPE",
    "RACK",
    "SLOT",
    "DEVICE_FAMILY",
    "DEVICE_ID",
    "TARGET_PORT",
    "LISTEN_PORT",
    "EDGE_NODE_ID",
    "SUPPORTED_FORMATS",
    "MODE",
    "PROTOCOL",
    "FORMAT",
    "APPEND",
    "FROM",
    "SECURITY_POLICY",
    "SECURITY_MODE",
    "SECURITY_PROTOCOL",
    "SASL_MECHANISM",
    "GROUP_ID",
    "WAREHOUSE",
    "DATABASE",
    "MEASUREMENT",
    "TAGS",
    "FIELDS",
    "BASE_URL",
    "MODEL",
    "API_KEY",
    "SERVER_COMMAND",
    "PROVIDER",
    "MAX_ROWS",
    "QUERY",
    "TABLE",
    "METHOD",
    "ENDPOINT",
    "SUBJECT",
    "BODY",
    "DESTINATION_TOPIC",
    "DIRECTION",
    "ADDRESS_TYPE",
    "MEMORY_TYPE",
];

/// Descriptions of fields, by key.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("ADDRESS", "Address of the value in the device"),
    ("ADDRESS_TYPE", "Area of the device that the address is in"),
    ("API_KEY", "Key of the service"),
    ("APPEND", "Whether files go on when the route starts"),
    ("BASE_ADDRESS", "Address of the service with http:// or https://"),
    ("BASE_URL", "Address of the server with http:// or https://"),
    ("BAUD_RATE", "Speed of the line in bits per second"),
    ("BODY", "Body with placeholders such as {payload}"),
    ("BOOTSTRAP_SERVERS", "Brokers of the cluster as host:port"),
    ("BROKER_ADDRESS", "Name or address of the other broker"),
    ("BROKER_PORT", "Port of the other broker"),
    ("CLIENT_ID", "Client identifier at the other broker"),
    ("COMMAND", "Command with placeholders such as {payload}"),
    ("COM_PORT", "Serial device such as /dev/ttyUSB0"),
    ("CONNECTION_STRING", "Address and login of the database in one"),
    ("CPU_TYPE", "Type of the PLC"),
    ("DATABASE", "Name of the database"),
    ("DATA_TYPE", "Type of the value in the device"),
    ("DESTINATION_TOPIC", "Topic on the other side or of the answer"),
    ("DEVICE_FAMILY", "Family of the PLC by number"),
    ("DEVICE_ID", "Number of the device"),
    ("DIRECTION", "Way that messages take"),
    ("EDGE_NODE_ID", "Name of the edge node"),
    ("ENDPOINT", "Path behind the address of the service"),
    ("ENDPOINT_URL", "Address of the server with opc.tcp://"),
    ("FIELDS", "Fields of a point such as t={payload.json.t}"),
    ("FORMAT", "Format of the files"),
    ("FROM", "Address of the sender"),
    ("GROUP_ID", "Group that the route belongs to"),
    ("HOST", "Name or address of the device or server"),
    ("IP", "Address of the device"),
    ("LISTEN_PORT", "Port that clients connect to"),
    ("LOCAL_NET_ID", "AMS Net ID of this broker"),
    ("LOCAL_ROUTE_TO_TARGET", "Name of the route from here to the PLC"),
    ("MAX_ROWS", "Rows that each table keeps"),
    ("MEASUREMENT", "Measurement that the points are of"),
    ("MEMORY_TYPE", "Memory area of the PLC"),
    ("METHOD", "Method of the request"),
    ("MODE", "Whether codes are made or read"),
    ("MODEL", "Name of the language model"),
    ("MODULE", "Name of the module that runs the route"),
    ("PARITY", "Parity of the line"),
    ("PASSWORD", "Password"),
    ("PORT", "Port of the device or server"),
    ("PROTOCOL", "Transport protocol"),
    ("PROVIDER", "Who runs the language model"),
    ("QUERY", "Query with placeholders such as {payload.json.value}"),
    ("RACK", "Number of the rack"),
    ("READ_TOPIC", "Topic or filter whose last values are read"),
    ("RECIPIENT", "Address of the recipient"),
    ("SASL_MECHANISM", "How the password is proved"),
    ("SECURITY_MODE", "How messages are protected"),
    ("SECURITY_POLICY", "Algorithms that protect messages"),
    ("SECURITY_PROTOCOL", "How the brokers are spoken to"),
    ("SERVER", "Name or address of the server"),
    ("SERVER_COMMAND", "Program that is started as server"),
    ("SLAVE_ID", "Unit identifier of the device"),
    ("SLOT", "Number of the slot"),
    ("SOURCE_TOPIC", "Topic or filter that messages come from"),
    ("STORAGE_DIR", "Folder of the files"),
    ("SUBJECT", "Subject of the mail"),
    ("SUPPORTED_FORMATS", "Kinds of codes such as QR_CODE"),
    ("TABLE", "Table or index that takes the rows"),
    ("TAGS", "Tags of a point such as line={topic.2}"),
    ("TARGET_IP", "Address of the PLC"),
    ("TARGET_NET_ID", "AMS Net ID of the PLC"),
    ("TARGET_PORT", "ADS port of the PLC"),
    ("TARGET_ROUTE_TO_LOCAL", "Name of the route from the PLC to here"),
    ("USERNAME", "User name"),
    ("USE_SSL", "Whether the connection is encrypted"),
    ("USE_TLS", "Whether the connection is encrypted"),
    ("WAREHOUSE", "Name of the warehouse"),
];

/// The type whose name or alias is nearest to a name that none has.
#[must_use]
pub fn nearest_route_type(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    nearest(&name, all().flat_map(|kind| kind.aliases.iter().copied().chain([kind.name])))
}

/// The template of a type of route by name or alias, in any case, behind the canonical name of the
/// type. `None` for a type that does not exist.
#[must_use]
pub fn route_template(name: &str) -> Option<(&'static str, String)> {
    let kind = find(name)?;
    let mut template = Template::default();
    template.line(0, &format!("DEFINE ROUTE {} WITH TYPE {}", example_name(kind.name), kind.name));
    // Of which nothing but the name is known.
    let is_bare = kind.is_open && kind.sections.is_empty();
    if is_bare {
        template.open(kind);
    }
    for section in kind.sections {
        template.section(section.name, section.keys);
    }
    if is_bare {
    } else if let Some(keys) = kind.event {
        template.line(4, "ADD EVENT Example");
        template.fields(8, keys, false);
    } else if let Some(mapping) = &kind.mapping {
        template.mapping(mapping);
    }
    template.metadata(kind);
    Some((kind.name, template.0))
}

/// `MQTT_BRIDGE` as `MqttBridge`.
fn example_name(kind: &str) -> String {
    let capitalised = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_owned() + &rest.to_ascii_lowercase()
    };
    kind.split('_').map(capitalised).collect()
}

/// A template on its way: its text, and the names of its fields, each of which is there once.
#[derive(Default)]
struct Template(String, Vec<&'static str>);

impl Template {
    fn line(&mut self, indentation: usize, text: &str) {
        self.0.extend(std::iter::repeat_n(' ', indentation));
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// Writes the lines that every route of an open type has: the module that runs it, or the
    /// address of the other side.
    fn open(&mut self, kind: &'static RouteType) {
        self.line(4, &format!("ADD {}_CONFIG", kind.name));
        let is_module = kind.name == "WASM";
        self.field(8, if is_module { &MODULE } else { &HOST }, !is_module);
        if let Some(keys) = kind.event.filter(|_| is_module) {
            self.line(4, "ADD EVENT Example");
            let wanted = ["SOURCE_TOPIC", "DESTINATION_TOPIC"];
            keys.iter().filter(|key| wanted.contains(&key.name)).for_each(|key| self.field(8, key, false));
        }
    }

    fn section(&mut self, name: &str, keys: &'static [Key]) {
        self.line(4, &format!("ADD {name}"));
        // The near side of a bridge is this broker.
        if name == "SOURCE_CONFIG" && keys.iter().any(|key| key.name == "BROKER") {
            return self.line(8, "WITH BROKER SELF");
        }
        self.fields(8, keys, true);
    }

    fn mapping(&mut self, mapping: &Mapping) {
        self.line(4, "ADD MAPPING Example");
        let keys = mapping.keys.iter();
        let Some(tag) = mapping.tag else { return self.fields(8, mapping.keys, false) };
        // Beside tags that are polled stand those of servers.
        for key in keys.filter(|key| key.name == "SOURCE_TOPIC") {
            self.described(8, key, "Beginning of the topics that values are published to", false);
            self.line(8, "WITH EVERY 1 SECONDS");
        }
        self.line(8, "ADD TAG Value");
        self.fields(12, tag.iter().filter(|key| key.name != "DESTINATION_TOPIC"), false);
    }

    fn fields(&mut self, indentation: usize, keys: impl IntoIterator<Item = &'static Key>, is_setting: bool) {
        let mut has_query = false;
        let mut instead: &[&str] = &[];
        for key in keys {
            if matches!(key.purpose, KeyPurpose::Nothing(_)) {
                continue;
            }
            let is_wanted = match key.need {
                Need::Always | Need::Unless(_) => true,
                // A tag does not repeat the keys of the section.
                Need::Optional => USUAL.contains(&key.name) && !self.1.contains(&key.name),
            };
            // A QUERY replaces the table.
            if !is_wanted || (has_query && key.name == "TABLE") || instead.contains(&key.name) {
                continue;
            }
            // An alternative to this key is not asked for as well.
            if let Need::Unless(others) = key.need {
                instead = others;
            }
            has_query |= key.name == "QUERY";
            self.field(indentation, key, is_setting);
        }
    }

    fn field(&mut self, indentation: usize, key: &Key, may_come_from_environment: bool) {
        let known = DESCRIPTIONS.iter().find(|(known, _)| *known == key.name);
        let description = match (known, key.value) {
            // Redis counts its databases.
            (Some(("DATABASE", _)), ValueKind::Int(..)) => "Number of the database",
            (Some((_, description)), _) => description,
            (None, _) => key.name,
        };
        self.described(indentation, key, description, may_come_from_environment);
    }

    fn described(
        &mut self,
        indentation: usize,
        key: &Key,
        description: &str,
        may_come_from_environment: bool,
    ) {
        let (name, kind, validation) = (key.name, type_of(key.value), validation(key.value));
        self.1.push(name);
        let field = format!("#{name},{kind},{description},{validation},{may_come_from_environment}#");
        self.line(indentation, &format!("WITH {name} {field}"));
    }

    fn metadata(&mut self, kind: &RouteType) {
        self.line(4, "ADD METADATA");
        self.line(8, &format!("WITH DESCRIPTION \"Route of type {}\"", kind.name));
        self.line(8, "WITH VERSION \"1\"");
    }
}

fn type_of(value: ValueKind) -> &'static str {
    match value {
        ValueKind::Int(..) => "int",
        ValueKind::Number => "number",
        ValueKind::Bool => "bool",
        ValueKind::Text
        | ValueKind::Words(_)
        | ValueKind::Character
        | ValueKind::Url
        | ValueKind::Folder
        | ValueKind::MongoAddress
        | ValueKind::Filter
        | ValueKind::Topic
        | ValueKind::Rewritten
        | ValueKind::Template
        | ValueKind::OfTopic => "string",
    }
}

/// Returns the validation rule of a value: words with `|` between them, or the ends of a range with
/// `-`.
fn validation(value: ValueKind) -> String {
    match value {
        ValueKind::Words(words) => words.join("|"),
        ValueKind::Int(least, i64::MAX) => format!("{least}-"),
        ValueKind::Int(least, most) => format!("{least}-{most}"),
        ValueKind::Bool => "TRUE|FALSE".to_owned(),
        ValueKind::Text
        | ValueKind::Number
        | ValueKind::Character
        | ValueKind::Url
        | ValueKind::Folder
        | ValueKind::MongoAddress
        | ValueKind::Filter
        | ValueKind::Topic
        | ValueKind::Rewritten
        | ValueKind::Template
        | ValueKind::OfTopic => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{CompileOptions, compile};

    /// Returns a value as a user may fill it in.
    fn sample(of: &str, name: &str, kind: &str, validation: &str) -> String {
        match (kind, validation.split_once('|')) {
            ("int", _) => validation.split('-').next().unwrap().to_owned(),
            ("number", _) => "1.5".to_owned(),
            ("bool", _) => "TRUE".to_owned(),
            (_, Some((first, _))) => format!("\"{first}\""),
            _ if !validation.is_empty() => format!("\"{validation}\""),
            _ if ["PASSWORD", "API_KEY"].contains(&name) => format!("GET SECRET \"{name}\""),
            _ if name == "ADDRESS" => match of {
                "SIEMENS_S7" => "\"DB1.DBX8.0\"".to_owned(),
                "OPCUA" => "\"ns=2;s=Line.Speed\"".to_owned(),
                _ => "\"40001\"".to_owned(),
            },
            _ if name == "ENDPOINT_URL" => "\"opc.tcp://127.0.0.1:4840\"".to_owned(),
            _ if name == "QUERY" => match of {
                "MONGODB" => "\"FIND readings\"".to_owned(),
                "OPENSEARCH" => "\"SEARCH readings\"".to_owned(),
                _ => "\"CLEAN:{table: t, data: {payload}}\"".to_owned(),
            },
            _ if ["RECIPIENT", "FROM"].contains(&name) => "\"ops@example.com\"".to_owned(),
            _ if name == "CONNECTION_STRING" => "\"mongodb://127.0.0.1\"".to_owned(),
            _ if ["BASE_URL", "BASE_ADDRESS"].contains(&name) => "\"http://127.0.0.1\"".to_owned(),
            _ => format!("\"{}\"", name.to_lowercase()),
        }
    }

    /// A template with its fields filled in, and without the block for people.
    pub(in crate::route) fn filled(template: &str) -> String {
        let (program, metadata) = template.split_once("    ADD METADATA\n").unwrap();
        assert!(metadata.lines().all(|line| line.starts_with("        WITH ")), "{metadata}");
        with_values(program)
    }

    /// A template whose fields are filled in.
    fn with_values(template: &str) -> String {
        let mut names = Vec::new();
        let of = template.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        let lines = template.lines().map(|line| {
            let Some((before, field)) = line.split_once('#') else { return line.to_owned() };
            let field = field.strip_suffix('#').unwrap();
            let [name, kind, description, validation, env]: [&str; 5] =
                field.split(',').collect::<Vec<_>>().try_into().unwrap();
            assert!(description != name, "{name} has no description");
            assert!(["true", "false"].contains(&env) && !names.contains(&name.to_owned()), "{field}");
            names.push(name.to_owned());
            before.to_owned() + &sample(of, name, kind, validation)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_template_compiles_without_a_word_once_it_is_filled() {
        for kind in all() {
            let (name, template) = route_template(kind.name).expect("each type has a template");
            assert_eq!(name, kind.name);
            // A user who fills in the template leaves out the block for people.
            let whole = compile(&with_values(&template), &CompileOptions::default());
            let told: Vec<_> = whole.entities[0].diagnostics.iter().map(|told| told.code.number()).collect();
            assert!(told == [227] && whole.entities[0].output.is_none(), "{template}\n{told:?}");
            let program = filled(&template);
            let compilation = compile(&program, &CompileOptions::default());
            let told: Vec<_> = compilation.entities.iter().flat_map(|entity| &entity.diagnostics).collect();
            assert!(told.is_empty() && compilation.diagnostics.is_empty(), "{program}\n{told:#?}");
            assert!(compilation.entities[0].output.is_some(), "{program}");
        }
    }

    /// Templates of types that are only checked have the required and the public keys of the routes
    /// reference (§5.9, §8a).
    #[test]
    fn types_that_are_only_checked_have_what_is_known_of_them() {
        for (kind, fields) in [
            (
                "ADS",
                "LOCAL_NET_ID LOCAL_ROUTE_TO_TARGET TARGET_NET_ID TARGET_IP TARGET_PORT TARGET_ROUTE_TO_LOCAL ADDRESS DATA_TYPE",
            ),
            ("ALLEN_BRADLEY", "IP DEVICE_FAMILY PORT SLOT ADDRESS DATA_TYPE"),
            ("FINS", "IP PORT PROTOCOL MEMORY_TYPE"),
            ("BACNET", "PORT DEVICE_ID ADDRESS"),
            ("MODBUS_SERVER", "LISTEN_PORT SOURCE_TOPIC ADDRESS DATA_TYPE"),
            ("OPCUA_SERVER", "LISTEN_PORT SOURCE_TOPIC ADDRESS DATA_TYPE"),
            ("SPARKPLUG_B", "GROUP_ID EDGE_NODE_ID"),
            ("SPARKPLUG_HOST", "GROUP_ID EDGE_NODE_ID"),
            ("BARCODE", "SUPPORTED_FORMATS SOURCE_TOPIC DESTINATION_TOPIC MODE"),
            ("MQTT_CLUSTER", "BROKER_ADDRESS BROKER_PORT CLIENT_ID"),
        ] {
            let (_, template) = route_template(kind).unwrap();
            for field in fields.split(' ') {
                assert!(template.contains(&format!("WITH {field} #{field},")), "{field}: {template}");
            }
        }
        let (_, served) = route_template("MODBUS_SERVER").unwrap();
        assert!(!served.contains("EVERY") && !served.contains("HOST"), "{served}");
        // The compiler accepts keys of a type that are not public.
        let further = filled(&route_template("ADS").unwrap().1)
            .replace("    ADD MAPPING", "        WITH DISCOVERY_DEPTH 3\n    ADD MAPPING");
        let compilation = compile(&further, &CompileOptions::default());
        assert!(compilation.entities[0].diagnostics.is_empty(), "{further}");
    }

    #[test]
    fn a_bridge_is_from_here_to_somewhere() {
        let (name, template) = route_template("mqtt_bridge").unwrap();
        assert_eq!(name, "MQTT_BRIDGE");
        assert!(template.starts_with(
            "DEFINE ROUTE MqttBridge WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n"
        ));
        assert!(template.contains(
            "        WITH BROKER_ADDRESS #BROKER_ADDRESS,string,Name or address of the other broker,,true#\n"
        ));
        assert_eq!(route_template("NO_SUCH_TYPE"), None);
        assert_eq!(nearest_route_type("POSTGRE_SQL"), Some("POSTGRESQL"));
        assert_eq!((nearest_route_type("mqt_bridge"), nearest_route_type("x")), (Some("MQTT_BRIDGE"), None));
    }
}
