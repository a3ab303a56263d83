//! Models in the syntax tree (LoT reference §3, §9).

use super::expression::{CastType, Expression, Text};
use super::{Name, Span};

/// `DEFINE MODEL`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefineModel {
    /// Its name.
    pub name: Name,
    /// Options on the header line.
    pub options: ModelOptions,
    /// Fields in source order.
    pub fields: Vec<Field>,
    /// `STORE IN` lines.
    pub stores: Vec<Store>,
    /// `FETCH FROM` lines.
    pub fetches: Vec<Fetch>,
}

/// Options of a model's header.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelOptions {
    /// `COLLAPSED`: one JSON message instead of one message per field.
    pub collapsed: bool,
    /// `RETAIN` or `KEEP`: the messages are retained.
    pub retain: bool,
    /// `QOS0`, `QOS1`, `QOS2`.
    pub qos: Option<u8>,
    /// `FROM Parent`.
    pub parent: Option<Name>,
    /// `WITH TOPIC "base"`.
    pub topic: Option<Text>,
    /// `WITH FORMAT`.
    pub format: Option<ModelFormat>,
}

/// `WITH FORMAT …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFormat {
    /// `JSON`.
    Json,
    /// `PROTOBUF`.
    Protobuf,
    /// `BOTH`.
    Both,
}

/// `ADD …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Declared type; `None` = v1 style, inferred.
    pub kind: Option<FieldType>,
    /// Its name.
    pub name: Text,
    /// Source of its value.
    pub source: Option<FieldSource>,
    /// `AS TRIGGER`.
    pub is_trigger: bool,
    /// Nested fields of an OBJECT or ARRAY.
    pub children: Vec<Field>,
    /// The first line of the field.
    pub span: Span,
}

/// Type of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldType {
    /// A scalar, ARRAY or OBJECT.
    Cast(CastType),
    /// `COLLECTION … OF Model`.
    Collection(Name),
}

/// Source of a field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldSource {
    /// `TOPIC "t" [AS type]`: the live value of a topic.
    Topic(Text, Option<CastType>),
    /// Any value; bare names are fields.
    Value(Expression),
}

/// `STORE IN "Route" [WITH TABLE "t"] [WHEN cond]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// The Route.
    pub route: Name,
    /// The table; `None` = the model's name.
    pub table: Option<Text>,
    /// The condition.
    pub when: Option<Expression>,
}

/// `FETCH FROM "Route" [WITH TABLE "t"] [WHEN …] [LIMIT n]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetch {
    /// The Route.
    pub route: Name,
    /// The table; `None` = the model's name.
    pub table: Option<Text>,
    /// The filter; columns are bare names.
    pub when: Option<Expression>,
    /// At most so many rows.
    pub limit: Option<u32>,
}
