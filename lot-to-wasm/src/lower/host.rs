//! The functions of the host that compiled Actions import, as `wit/guest/host.wit` declares them.

use wasm_encoder::ValType;

use super::interface::Shape;

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

/// A function of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Host {
    Publish,
    PublishWith,
    Keep,
    Forget,
    GetUser,
    GetUserProperty,
    GetUserProperties,
    GetExpirySeconds,
    GetContentType,
    GetResponseTopic,
    GetCorrelationData,
    GetTopic,
    Topics,
    RetainedExists,
    GetEnvironment,
    SetEnvironment,
    RemoveEnvironment,
    GetSecret,
    SetSecret,
    RemoveSecret,
    NowMs,
    UtcOffsetSeconds,
    Random,
    CallAction,
    CallPython,
    CallModule,
    AskModule,
    Select,
    Find,
    Report,
    Property,
    InGroup,
    PublishModel,
}

/// Declaration of a function in WIT, and its lowering by the canonical ABI.
#[derive(Debug)]
pub(super) struct Declaration {
    /// Interface of the package `lotmq:guest`.
    pub(super) interface: &'static str,
    /// Name in the interface.
    pub(super) name: &'static str,
    /// Names and shapes of the parameters.
    pub(super) parameters: &'static [(&'static str, Shape)],
    /// Shape of the result.
    pub(super) result: Option<Shape>,
    /// Core parameters, with the address for the result where it does not fit one value.
    pub(super) core_parameters: &'static [ValType],
    /// Core results.
    pub(super) core_results: &'static [ValType],
}

impl Host {
    /// Those of the world `rule`.
    pub(super) const OF_RULES: [Host; 12] = [
        Host::GetUserProperty,
        Host::GetExpirySeconds,
        Host::GetContentType,
        Host::GetResponseTopic,
        Host::GetCorrelationData,
        Host::GetTopic,
        Host::RetainedExists,
        Host::Find,
        Host::Report,
        Host::Property,
        Host::InGroup,
        Host::AskModule,
    ];

    /// Those of the world `model`.
    pub(super) const OF_MODELS: [Host; 23] = [
        Host::Publish,
        Host::Keep,
        Host::Forget,
        Host::GetUser,
        Host::GetUserProperty,
        Host::GetExpirySeconds,
        Host::GetContentType,
        Host::GetResponseTopic,
        Host::GetCorrelationData,
        Host::GetTopic,
        Host::RetainedExists,
        Host::GetEnvironment,
        Host::SetEnvironment,
        Host::RemoveEnvironment,
        Host::GetSecret,
        Host::SetSecret,
        Host::RemoveSecret,
        Host::NowMs,
        Host::UtcOffsetSeconds,
        Host::Random,
        Host::Select,
        Host::Find,
        Host::Report,
    ];

    /// Those of the world `action`.
    pub(super) const OF_ACTIONS: [Host; 30] = [
        Host::Publish,
        Host::PublishWith,
        Host::Keep,
        Host::Forget,
        Host::GetUser,
        Host::Topics,
        Host::GetUserProperty,
        Host::GetUserProperties,
        Host::GetExpirySeconds,
        Host::GetContentType,
        Host::GetResponseTopic,
        Host::GetCorrelationData,
        Host::GetTopic,
        Host::RetainedExists,
        Host::GetEnvironment,
        Host::SetEnvironment,
        Host::RemoveEnvironment,
        Host::GetSecret,
        Host::SetSecret,
        Host::RemoveSecret,
        Host::NowMs,
        Host::UtcOffsetSeconds,
        Host::Random,
        Host::CallAction,
        Host::CallPython,
        Host::CallModule,
        Host::Select,
        Host::PublishModel,
        Host::Find,
        Host::Report,
    ];

    /// The declaration.
    pub(super) fn declaration(self) -> &'static Declaration {
        match self {
            Host::Publish => &PUBLISH,
            Host::PublishWith => &PUBLISH_WITH,
            Host::Keep => &KEEP,
            Host::Forget => &FORGET,
            Host::GetUser => &GET_USER,
            Host::GetUserProperty => &GET_USER_PROPERTY,
            Host::GetUserProperties => &GET_USER_PROPERTIES,
            Host::GetExpirySeconds => &GET_EXPIRY_SECONDS,
            Host::GetContentType => &GET_CONTENT_TYPE,
            Host::GetResponseTopic => &GET_RESPONSE_TOPIC,
            Host::GetCorrelationData => &GET_CORRELATION_DATA,
            Host::GetTopic => &GET_TOPIC,
            Host::Topics => &TOPICS,
            Host::RetainedExists => &RETAINED_EXISTS,
            Host::GetEnvironment => &GET_ENVIRONMENT,
            Host::SetEnvironment => &SET_ENVIRONMENT,
            Host::RemoveEnvironment => &REMOVE_ENVIRONMENT,
            Host::GetSecret => &GET_SECRET,
            Host::SetSecret => &SET_SECRET,
            Host::RemoveSecret => &REMOVE_SECRET,
            Host::NowMs => &NOW_MS,
            Host::UtcOffsetSeconds => &UTC_OFFSET_SECONDS,
            Host::Random => &RANDOM,
            Host::CallAction => &CALL_ACTION,
            Host::CallPython => &CALL_PYTHON,
            Host::CallModule => &CALL_MODULE,
            Host::AskModule => &ASK_MODULE,
            Host::Select => &SELECT,
            Host::Find => &FIND,
            Host::Report => &REPORT,
            Host::Property => &PROPERTY,
            Host::InGroup => &IN_GROUP,
            Host::PublishModel => &PUBLISH_MODEL,
        }
    }
}

impl Declaration {
    /// Whether it has types of the interface `message-properties`.
    pub(super) fn needs_properties(&self) -> bool {
        let is_one = |shape: Shape| matches!(shape, Shape::Properties | Shape::UserProperties);
        self.result.is_some_and(is_one) || self.parameters.iter().any(|(_, shape)| is_one(*shape))
    }

    /// Whether the host takes memory of the guest for the result.
    pub(super) fn needs_realloc(&self) -> bool {
        matches!(
            self.result,
            Some(
                Shape::OptionBytes
                    | Shape::OptionText
                    | Shape::TopicsResult
                    | Shape::UserProperties
                    | Shape::CallResult
                    | Shape::RunResult
                    | Shape::OpinionResult
            )
        )
    }
}

const PUBLISH: Declaration = Declaration {
    interface: "messages",
    name: "publish",
    parameters: &[
        ("topic", Shape::Text),
        ("payload", Shape::Bytes),
        ("qos", Shape::Qos),
        ("retain", Shape::Bool),
    ],
    result: Some(Shape::WriteResult),
    core_parameters: &[I32, I32, I32, I32, I32, I32, I32],
    core_results: &[],
};
const PUBLISH_WITH: Declaration = Declaration {
    interface: "messages",
    name: "publish-with",
    parameters: &[
        ("topic", Shape::Text),
        ("payload", Shape::Bytes),
        ("qos", Shape::Qos),
        ("retain", Shape::Bool),
        ("properties", Shape::Properties),
    ],
    result: Some(Shape::WriteResult),
    // More than 16 numbers are passed in memory.
    core_parameters: &[I32, I32],
    core_results: &[],
};
const KEEP: Declaration = Declaration {
    interface: "messages",
    name: "keep",
    parameters: &[("topic", Shape::Text), ("payload", Shape::Bytes)],
    result: Some(Shape::WriteResult),
    core_parameters: &[I32, I32, I32, I32, I32],
    core_results: &[],
};
const FORGET: Declaration = Declaration {
    interface: "messages",
    name: "forget",
    parameters: &[("topic", Shape::Text)],
    result: Some(Shape::WriteResult),
    core_parameters: &[I32, I32, I32],
    core_results: &[],
};
const GET_USER: Declaration = of_message("get-user", Shape::OptionText);
const GET_USER_PROPERTY: Declaration = Declaration {
    interface: "current-message",
    name: "get-user-property",
    parameters: &[("name", Shape::Text)],
    result: Some(Shape::OptionText),
    core_parameters: &[I32, I32, I32],
    core_results: &[],
};
const GET_USER_PROPERTIES: Declaration = of_message("get-user-properties", Shape::UserProperties);
const GET_EXPIRY_SECONDS: Declaration = of_message("get-expiry-seconds", Shape::OptionU32);
const GET_CONTENT_TYPE: Declaration = of_message("get-content-type", Shape::OptionText);
const GET_RESPONSE_TOPIC: Declaration = of_message("get-response-topic", Shape::OptionText);
const GET_CORRELATION_DATA: Declaration = of_message("get-correlation-data", Shape::OptionBytes);
const GET_TOPIC: Declaration = Declaration {
    interface: "topic-store",
    name: "get",
    parameters: &[("topic", Shape::Text)],
    result: Some(Shape::OptionBytes),
    core_parameters: &[I32, I32, I32],
    core_results: &[],
};
const TOPICS: Declaration = Declaration {
    interface: "topic-store",
    name: "topics",
    parameters: &[("filter", Shape::Text)],
    result: Some(Shape::TopicsResult),
    core_parameters: &[I32, I32, I32],
    core_results: &[],
};
const RETAINED_EXISTS: Declaration = Declaration {
    interface: "topic-store",
    name: "retained-exists",
    parameters: &[("topic", Shape::Text)],
    result: Some(Shape::Bool),
    core_parameters: &[I32, I32],
    core_results: &[I32],
};
const GET_ENVIRONMENT: Declaration = getter("get");
const GET_SECRET: Declaration = getter("get-secret");
const SET_ENVIRONMENT: Declaration = setter("set");
const SET_SECRET: Declaration = setter("set-secret");
const REMOVE_ENVIRONMENT: Declaration = remover("remove");
const REMOVE_SECRET: Declaration = remover("remove-secret");
const NOW_MS: Declaration = Declaration {
    interface: "ambient",
    name: "now-ms",
    parameters: &[],
    result: Some(Shape::S64),
    core_parameters: &[],
    core_results: &[I64],
};
const UTC_OFFSET_SECONDS: Declaration = Declaration {
    interface: "ambient",
    name: "utc-offset-seconds",
    parameters: &[("at-ms", Shape::S64)],
    result: Some(Shape::S32),
    core_parameters: &[I64],
    core_results: &[I32],
};
const RANDOM: Declaration = Declaration {
    interface: "ambient",
    name: "random",
    parameters: &[],
    result: Some(Shape::U64),
    core_parameters: &[],
    core_results: &[I64],
};
const CALL_ACTION: Declaration = Declaration {
    interface: "actions",
    name: "call",
    parameters: &[("name", Shape::Text), ("inputs", Shape::Arguments)],
    result: Some(Shape::CallResult),
    core_parameters: &[I32, I32, I32, I32, I32],
    core_results: &[],
};
const CALL_PYTHON: Declaration = Declaration {
    interface: "python",
    name: "call",
    parameters: &[
        ("function", Shape::Text),
        ("arguments", Shape::Values),
        ("line", Shape::U32),
        ("column", Shape::U32),
    ],
    result: Some(Shape::CallResult),
    core_parameters: &[I32, I32, I32, I32, I32, I32, I32],
    core_results: &[],
};
const CALL_MODULE: Declaration = Declaration {
    interface: "modules",
    name: "call",
    parameters: &[("function", Shape::Text), ("inputs", Shape::Arguments)],
    result: Some(Shape::CallResult),
    core_parameters: &[I32, I32, I32, I32, I32],
    core_results: &[],
};
const ASK_MODULE: Declaration = Declaration {
    interface: "rule-modules",
    name: "ask",
    parameters: &[("name", Shape::Text)],
    result: Some(Shape::OpinionResult),
    core_parameters: &[I32, I32, I32],
    core_results: &[],
};
const SELECT: Declaration = Declaration {
    interface: "rows",
    name: "select",
    parameters: &[
        ("route", Shape::Text),
        ("query", Shape::Text),
        ("parameters", Shape::Values),
        ("line", Shape::U32),
        ("column", Shape::U32),
    ],
    result: Some(Shape::CallResult),
    core_parameters: &[I32, I32, I32, I32, I32, I32, I32, I32, I32],
    core_results: &[],
};
const FIND: Declaration = Declaration {
    interface: "backtracking",
    name: "find",
    parameters: &[
        ("pattern", Shape::Text),
        ("text", Shape::Text),
        ("line", Shape::U32),
        ("column", Shape::U32),
    ],
    result: Some(Shape::OptionSpan),
    core_parameters: &[I32, I32, I32, I32, I32, I32, I32],
    core_results: &[],
};
const REPORT: Declaration = Declaration {
    interface: "diagnostics",
    name: "report",
    parameters: &[
        ("severity", Shape::Severity),
        ("code", Shape::Text),
        ("message", Shape::Text),
        ("line", Shape::U32),
        ("column", Shape::U32),
    ],
    result: None,
    core_parameters: &[I32, I32, I32, I32, I32, I32, I32],
    core_results: &[],
};

const PROPERTY: Declaration = Declaration {
    interface: "subject",
    name: "property",
    parameters: &[("name", Shape::Text)],
    result: Some(Shape::OptionText),
    core_parameters: &[I32, I32, I32],
    core_results: &[],
};
const IN_GROUP: Declaration = Declaration {
    interface: "subject",
    name: "in-group",
    parameters: &[("name", Shape::Text)],
    result: Some(Shape::Bool),
    core_parameters: &[I32, I32],
    core_results: &[I32],
};
const PUBLISH_MODEL: Declaration = Declaration {
    interface: "models",
    name: "publish",
    parameters: &[("model", Shape::Text), ("topic", Shape::Text), ("assignments", Shape::Arguments)],
    result: Some(Shape::RunResult),
    core_parameters: &[I32, I32, I32, I32, I32, I32, I32],
    core_results: &[],
};

const fn of_message(name: &'static str, result: Shape) -> Declaration {
    Declaration {
        interface: "current-message",
        name,
        parameters: &[],
        result: Some(result),
        core_parameters: &[I32],
        core_results: &[],
    }
}

const fn getter(name: &'static str) -> Declaration {
    Declaration {
        interface: "environment",
        name,
        parameters: &[("name", Shape::Text)],
        result: Some(Shape::OptionText),
        core_parameters: &[I32, I32, I32],
        core_results: &[],
    }
}

const fn setter(name: &'static str) -> Declaration {
    Declaration {
        interface: "environment",
        name,
        parameters: &[("name", Shape::Text), ("value", Shape::Text)],
        result: Some(Shape::Bool),
        core_parameters: &[I32, I32, I32, I32],
        core_results: &[I32],
    }
}

const fn remover(name: &'static str) -> Declaration {
    Declaration {
        interface: "environment",
        name,
        parameters: &[("name", Shape::Text)],
        result: Some(Shape::Bool),
        core_parameters: &[I32, I32],
        core_results: &[I32],
    }
}
