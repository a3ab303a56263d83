//! Types that need more than a connector (routes reference §6.1, §8a), and those of which little
//! more than the name is public (§5.9).

use super::RouteType;
use super::key::{self, DESTINATION, Key, SOURCE, Section, ValueKind};

/// How a node of Sparkplug is called (ours, §5.9).
const NODE: &[Key] = &[Key::new("GROUP_ID", ValueKind::Text), Key::new("EDGE_NODE_ID", ValueKind::Text)];

pub(super) const TYPES: &[RouteType] = &[
    RouteType {
        sections: &[Section::required(
            "CLUSTER_CONFIG",
            &[
                Key::new("BROKER_ADDRESS", ValueKind::Text)
                    .or(&["HOST", "IP", "SERVER", "ADDRESS"])
                    .required(),
                Key::new("BROKER_PORT", key::PORT).required(),
                Key::new("CLIENT_ID", ValueKind::Text).required(),
                Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
                Key::new("PASSWORD", ValueKind::Text),
                Key::new("MESSAGE_VALIDITY_SEC", ValueKind::Int(0, i64::MAX)),
            ],
        )],
        ..RouteType::new("MQTT_CLUSTER")
    },
    RouteType {
        sections: &[Section::optional(
            "LLM_CONFIG",
            &[
                Key::new("BASE_URL", ValueKind::Url),
                Key::new("MODEL", ValueKind::Text),
                Key::new("API_KEY", ValueKind::Text),
                Key::new("TEMPERATURE", ValueKind::Number),
                Key::new("MAX_TOKENS", ValueKind::Int(1, i64::MAX)),
            ],
        )],
        ..RouteType::new("LLM")
    },
    RouteType {
        sections: &[Section::optional(
            "AGENT_CONFIG",
            &[
                Key::new("PROVIDER", ValueKind::Words(&["ollama", "openai", "anthropic", "mistral"])),
                Key::new("MODEL", ValueKind::Text),
                Key::new("BASE_URL", ValueKind::Url),
                Key::new("API_KEY", ValueKind::Text),
                Key::new("SYSTEM_PROMPT", ValueKind::Text),
                Key::new("TEMPERATURE", ValueKind::Number),
                Key::new("MAX_TOKENS", ValueKind::Int(1, i64::MAX)),
                Key::new("MAX_ITERATIONS", ValueKind::Int(1, 1000)),
                Key::new("BROKER_TOOLS", ValueKind::Bool),
                Key::new("MCP_ROUTES", ValueKind::Text),
                Key::new("INTERACTION_TOPIC", ValueKind::Topic),
            ],
        )],
        ..RouteType::new("AGENT")
    },
    RouteType {
        sections: &[Section::optional(
            "MCP_CONFIG",
            &[
                Key::new("SERVER_COMMAND", ValueKind::Text).or(&["COMMAND"]),
                Key::new("SERVER_ARGUMENTS", ValueKind::Text).or(&["ARGS"]),
                Key::new("CLIENT_NAME", ValueKind::Text),
                Key::new("TRANSPORT", ValueKind::Words(&["stdio", "sse"])),
                Key::new("URL", ValueKind::Url),
            ],
        )],
        ..RouteType::new("MCP")
    },
    RouteType::named("MCP_SERVER"),
    RouteType {
        sections: &[Section::optional("SPARKPLUG_B_CONFIG", NODE)],
        ..RouteType::named("SPARKPLUG_B")
    },
    RouteType {
        sections: &[Section::optional("SPARKPLUG_HOST_CONFIG", NODE)],
        ..RouteType::named("SPARKPLUG_HOST")
    },
    RouteType {
        sections: &[Section::optional("BARCODE_CONFIG", &[Key::new("SUPPORTED_FORMATS", ValueKind::Text)])],
        event: Some(&[
            SOURCE,
            DESTINATION,
            Key::new("MODE", ValueKind::Words(&["ENCODE", "DECODE"])),
            Key::new("ENABLE_ANNOTATION", ValueKind::Bool),
            Key::new("ANNOTATED_IMAGE_TOPIC", ValueKind::Topic),
        ]),
        ..RouteType::named("BARCODE")
    },
    RouteType::named("GRPC"),
    RouteType::named("AUDIO_INPUT"),
    RouteType::named("VIDEO_INPUT"),
    RouteType::named("VIDEO_OUTPUT"),
];
