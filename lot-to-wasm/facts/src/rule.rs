//! Rule facts: when a Rule is asked, and everything that its verdict depends on.
//!
//! A Rule is pure (LoT reference §10.5): the same inputs and the same answers to its reads give the
//! same verdict, so that verdicts can be remembered (§17).

use serde::{Deserialize, Serialize};

/// Facts that only a Rule has, LoT reference §10.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleFacts {
    /// `WITH PRIORITY n`; the lowest is asked first.
    pub priority: u64,
    /// `FOR scope`, one of the table of §10.2, spelt as there.
    pub scope: String,
    /// `TO TOPIC "pattern"`; `None` covers all topics of the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Inputs that the verdict depends on.
    #[serde(default)]
    pub inputs: RuleInputs,
}

/// Inputs that the verdict of a Rule depends on. Without any, the verdict is always the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RuleInputs {
    /// Whether a user is logged in.
    pub login: bool,
    /// Name of the user.
    pub user: bool,
    /// Whether that is compared with something that is no text in the rule, such as a level of the
    /// topic: then any user may be meant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_user: bool,
    /// Groups of which the user is a member or not, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Properties of the user, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
    /// Client Identifier.
    pub client_id: bool,
    /// Remote address.
    pub endpoint: bool,
    /// The whole topic or filter.
    pub topic: bool,
    /// Levels of the topic or filter, from 1, ascending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topic_levels: Vec<u32>,
    /// The payload of the message: such a verdict is good for that message only.
    pub payload: bool,
    /// Properties of MQTT 5.0 of the message: such a verdict is good for that message only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub message_properties: bool,
    /// The answer of a module, which may depend on anything. The verdict is valid for that question
    /// only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub modules: bool,
    /// Last values or retained messages: a verdict is good as long as they stay.
    pub reads: bool,
}
