//! Fact record of LoT reference §17, in which the compiler describes a program to the broker.
//!
//! The compiler writes one [`Facts`] per entity, as JSON, into the custom section [`SECTION`] of
//! the component. The broker reads it to arm triggers, to decide which topics need a last value,
//! and to choose how a guest is scheduled.
//!
//! Invariants: facts steer the broker only when its own compiler made them; in an uploaded
//! component they are hints, and every capability is checked at the host call. Not here: how facts
//! are found (`lot-to-wasm`) and what is done with them.

mod bridge;
mod cycle;
mod route;
mod rule;
mod topic;
mod trigger;
mod view;

use serde::{Deserialize, Serialize};

pub use bridge::{BridgeLeg, BridgeSide};
pub use cycle::{Cycle, MessagePath, shortest_cycle};
pub use route::{
    RouteBlock, RouteFacts, RoutePart, RouteStore, RouteValue, Taker, TemplatePart, is_loopback,
};
pub use rule::{RuleFacts, RuleInputs};
pub use topic::{TopicFact, overlaps};
pub use trigger::{
    CalendarDate, CalendarDays, Days, Interval, MonthDays, OnceAt, TimeOfDay, Trigger, WindowExtent,
};
pub use view::{ViewFacts, ViewState};

/// Name of the component's custom section that holds the facts as JSON.
pub const SECTION: &str = "lotmq:facts";

/// Version of this record. A reader refuses a higher one.
pub const VERSION: u32 = 1;

/// Kind of the entity that the facts describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `DEFINE ACTION`.
    Action,
    /// `DEFINE MODEL`.
    Model,
    /// `DEFINE RULE`.
    Rule,
    /// `DEFINE ROUTE`.
    Route,
    /// `DEFINE PANEL`, also written `DEFINE VISU`.
    Panel,
    /// `DEFINE THEME`.
    Theme,
}

impl Kind {
    /// All kinds in the order in which a bundle is loaded, LoT reference §1.6.
    pub const LOAD_ORDER: [Kind; 6] =
        [Kind::Model, Kind::Action, Kind::Route, Kind::Rule, Kind::Theme, Kind::Panel];

    /// The kind as the replies of the broker spell it: `Action`, `Model`, …
    pub fn title(self) -> &'static str {
        match self {
            Kind::Action => "Action",
            Kind::Model => "Model",
            Kind::Rule => "Rule",
            Kind::Route => "Route",
            Kind::Panel => "Panel",
            Kind::Theme => "Theme",
        }
    }
}

/// Everything the compiler found out about one entity without running it.
///
/// ```
/// use lot_facts::{Facts, Kind, TopicFact, Trigger};
/// let mut facts = Facts::new(Kind::Action, "Hot");
/// facts.trigger = Some(Trigger::Topic { filters: vec!["s/+/t".into()] });
/// facts.writes.push(TopicFact::Pattern("alarm/+".into()));
/// let text = serde_json::to_string(&facts).unwrap();
/// assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// [`VERSION`] of the record's writer.
    pub version: u32,
    /// Kind of the entity.
    pub kind: Kind,
    /// Name of the entity, case-sensitive; one name space per kind.
    pub name: String,
    /// Text of `DESCRIPTION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Trigger that starts a run; `None` for a callable Action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Filter of the messages of clients that a Model splits, beside those that its trigger names
    /// (§9.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reception: Option<String>,
    /// Inputs and outputs of a callable Action; `None` when a trigger starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callable: Option<Signature>,
    /// Topics whose last value a run may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<TopicFact>,
    /// Topics of which a run only reads retained messages: for `TOPIC EXISTS`, or for a bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retained_reads: Vec<TopicFact>,
    /// Topics a run may publish to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<TopicFact>,
    /// Topics whose kept value a run may set or remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeps: Vec<TopicFact>,
    /// Environment values read, set or removed, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Secrets read, set or removed, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Actions called by name, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// Programs called by name that are not written in LoT.
    #[serde(flatten)]
    pub programs: CalledPrograms,
    /// Routes and tables in which `STORE IN` puts instances of a Model, in source order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<RouteStore>,
    /// Effects of a run other than access to topics.
    #[serde(default)]
    pub effects: Effects,
    /// No `LOOP`, no `CALL ACTION` and no pattern with look-around: the number of steps has a
    /// static bound.
    #[serde(default)]
    pub bounded: bool,
    /// Definitions that must be there before this one is armed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// Facts about when a Rule is asked, and the inputs of its verdict; `None` for all other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleFacts>,
    /// Content of a Route; `None` for all other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Box<RouteFacts>>,
    /// Content of a Panel or Theme; `None` for all other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<Box<ViewFacts>>,
}

impl Facts {
    /// The facts of an entity that does nothing.
    pub fn new(kind: Kind, name: impl Into<String>) -> Facts {
        Facts {
            version: VERSION,
            kind,
            name: name.into(),
            description: None,
            trigger: None,
            reception: None,
            callable: None,
            reads: Vec::new(),
            retained_reads: Vec::new(),
            writes: Vec::new(),
            keeps: Vec::new(),
            env: Vec::new(),
            secrets: Vec::new(),
            calls: Vec::new(),
            programs: CalledPrograms::default(),
            stores: Vec::new(),
            effects: Effects::default(),
            bounded: false,
            depends_on: Vec::new(),
            rule: None,
            route: None,
            view: None,
        }
    }

    /// Whether a run of this Action depends on nothing but topic and payload of its message, the
    /// clock and chance, so that other runs do not affect it.
    pub fn is_pure(&self) -> bool {
        let Effects { clock: _, random: _, env, secret, call, suspend, route: _, python, properties } =
            self.effects;
        let reads = !(self.reads.is_empty() && self.retained_reads.is_empty());
        self.kind == Kind::Action
            && self.bounded
            && !(reads || env || secret || call || suspend || python || properties)
    }
}

/// Programs called by name that are not written in LoT.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CalledPrograms {
    /// Python scripts, sorted; they must be there before the caller is armed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<String>,
    /// Modules called or asked, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
}

/// Effects of a run other than access to topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Effects {
    /// Reads the wall clock.
    pub clock: bool,
    /// Draws random numbers.
    pub random: bool,
    /// Reads or writes environment values.
    pub env: bool,
    /// Reads or writes secrets.
    pub secret: bool,
    /// Calls other Actions.
    pub call: bool,
    /// May be suspended while it waits; gets instances of its own (§7.8).
    pub suspend: bool,
    /// Triggers, asks or calls routes.
    pub route: bool,
    /// Calls Python.
    pub python: bool,
    /// Reads properties of MQTT 5.0 of its message, or publishes with some.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub properties: bool,
}

/// Inputs and outputs of a callable Action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Inputs in order of declaration.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// Names of the outputs in order of declaration; callers receive them in this order.
    #[serde(default)]
    pub outputs: Vec<String>,
}

/// One `INPUT` line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Name, unique within the Action, case-sensitive.
    pub name: String,
    /// Type to which an argument is cast; `None` leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<InputKind>,
}

/// Declared type of an input, LoT reference §3 `inType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// `AS STRING`.
    String,
    /// `AS INT`, 64-bit signed.
    Int,
    /// `AS DOUBLE`, binary64.
    Double,
    /// `AS BOOL`.
    Bool,
    /// `AS JSON`: text is parsed.
    Json,
}

/// Another definition without which this one is pending (§1.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// Kind of the definition that must be there.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}
