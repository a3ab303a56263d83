//! Routes in the syntax tree (LoT reference §3, §11; routes reference §1).

use super::expression::{Expression, Text};
use super::{Name, Span};

/// `DEFINE ROUTE`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefineRoute {
    /// Its name.
    pub name: Name,
    /// `WITH TYPE`, as written; `None` only after an error.
    pub kind: Option<Name>,
    /// Blocks and stores in source order.
    pub items: Vec<RouteItem>,
}

/// A member of a route's body or of a block.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteItem {
    /// `ADD KIND [name]` with its lines.
    Block(AddBlock),
    /// `WITH KEY value`.
    Setting(Setting),
    /// `WITH EVERY n UNIT`, in milliseconds.
    Every(u64, Span),
    /// `STORE Route WITH TABLE_NAME "t"` (OD-52).
    Store {
        /// The storage route.
        route: Name,
        /// `TABLE_NAME` or `INDEX_NAME`.
        key: Name,
        /// Table or index.
        target: Text,
    },
}

/// `ADD KIND [name]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AddBlock {
    /// `SQL_CONFIG`, `EVENT`, `MAPPING`, `TAG`, … as written.
    pub kind: Name,
    /// Its name.
    pub name: Option<Name>,
    /// Its lines.
    pub items: Vec<RouteItem>,
}

/// `WITH KEY [value]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The key as written.
    pub key: Name,
    /// The value; a bare word is [`ExpressionKind::Name`](super::ExpressionKind::Name) and means
    /// text.
    pub value: Option<Expression>,
}
