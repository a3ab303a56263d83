//! Templates of routes: texts with fields to fill, for editors, made from the descriptions of the
//! types (routes reference §9).
//!
//! A template has the keys that a route of its type must have, and those that most have. A field is
//! `#NAME,type,description,validation,env#`, where `env` is whether the value may come from the
//! environment. `ADD METADATA` at the end is for people and is left out when the rest is deployed.

use lot_nearest::nearest;

use super::{Key, Mapping, OF_MODULE, PLACE_OF_MODULE, RouteType, Section, ValueKind, all, find};

/// The type whose name or alias is nearest to a name that none has.
#[must_use]
pub fn nearest_route_type(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    nearest(&name, all().flat_map(RouteType::names))
}

/// The template of a type of route by name or alias, in any case, behind the canonical name of the
/// type. `None` for a type that does not exist.
#[must_use]
pub fn route_template(name: &str) -> Option<(&'static str, String)> {
    let kind = find(name)?;
    Some((&kind.name, template_of(kind)))
}

/// Returns the template of a type, which may be that of a module.
#[must_use]
pub fn template_of(kind: &RouteType) -> String {
    let mut template = Template::default();
    let written = if kind.module.is_some() { OF_MODULE } else { &kind.name };
    template.line(0, &format!("DEFINE ROUTE {} WITH TYPE {written}", example_name(&kind.name)));
    // Of which nothing but the name is known.
    let is_bare = kind.is_open && kind.sections.is_empty();
    if is_bare {
        template.open(kind);
    }
    for section in &kind.sections {
        template.section(section);
    }
    if is_bare {
    } else if let Some(keys) = &kind.event {
        template.line(4, "ADD EVENT Example");
        template.fields(8, keys, false);
    } else if let Some(mapping) = &kind.mapping {
        template.mapping(mapping);
    }
    template.metadata(kind);
    template.0
}

/// `MQTT_BRIDGE` as `MqttBridge`.
fn example_name(kind: &str) -> String {
    let capitalised = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_owned() + &rest.to_ascii_lowercase()
    };
    kind.split('_').map(capitalised).collect()
}

/// Text of a template.
#[derive(Default)]
struct Template(String);

impl Template {
    fn line(&mut self, indentation: usize, text: &str) {
        self.0.extend(std::iter::repeat_n(' ', indentation));
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// Writes the lines that every route of an open type has: the module that runs it, or the
    /// address of the other side.
    fn open(&mut self, kind: &RouteType) {
        self.line(4, &format!("ADD {}_CONFIG", kind.name));
        if kind.name != OF_MODULE {
            return self.field(8, "HOST", &ValueKind::Text, "Name or address of the device or server", true);
        }
        self.field(8, PLACE_OF_MODULE[1], &ValueKind::Text, "Name of the module that runs the route", false);
        if let Some(keys) = &kind.event {
            self.line(4, "ADD EVENT Example");
            self.fields(8, keys, false);
        }
    }

    fn section(&mut self, section: &Section) {
        self.line(4, &format!("ADD {}", section.name));
        for line in &section.template {
            self.line(8, line);
        }
        if section.template.is_empty() {
            self.fields(8, &section.keys, true);
        }
    }

    fn mapping(&mut self, mapping: &Mapping) {
        self.line(4, "ADD MAPPING Example");
        self.fields(8, &mapping.keys, false);
        let Some(tag) = &mapping.tag else { return };
        // Beside tags that are polled stand those of servers.
        if !mapping.keys.is_empty() {
            self.line(8, "WITH EVERY 1 SECONDS");
        }
        self.line(8, "ADD TAG Value");
        self.fields(12, tag, false);
    }

    fn fields(&mut self, indentation: usize, keys: &[Key], may_come_from_environment: bool) {
        for key in keys.iter().filter(|key| key.is_in_template) {
            self.field(indentation, &key.name, &key.value, &key.hint, may_come_from_environment);
        }
    }

    fn field(
        &mut self,
        indentation: usize,
        name: &str,
        value: &ValueKind,
        hint: &str,
        may_come_from_environment: bool,
    ) {
        let (kind, validation) = (type_of(value), validation(value));
        let field = format!("#{name},{kind},{hint},{validation},{may_come_from_environment}#");
        self.line(indentation, &format!("WITH {name} {field}"));
    }

    fn metadata(&mut self, kind: &RouteType) {
        self.line(4, "ADD METADATA");
        self.line(8, &format!("WITH DESCRIPTION \"Route of type {}\"", kind.name));
        self.line(8, "WITH VERSION \"1\"");
    }
}

fn type_of(value: &ValueKind) -> &'static str {
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
fn validation(value: &ValueKind) -> String {
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
            let (name, template) = route_template(&kind.name).expect("each type has a template");
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
