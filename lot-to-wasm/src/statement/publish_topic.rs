//! `PUBLISH TOPIC t WITH v`: publishes a message (LoT reference §8.2).
//!
//! ```text
//! publish = "PUBLISH" "TOPIC" topicExpr "WITH" value { pubOpt } ;
//! pubOpt  = [ "WITH" | "AND" ] ( "RETAIN" | "QOS" [ "=" ] number | "QOS0" | "QOS1" | "QOS2" ) ;
//!
//! PUBLISH TOPIC "alarm/" + {id} WITH "hot" AND RETAIN
//! ```

use crate::source::Span;
use crate::syntax::{Expression, TopicOperand};

/// `PUBLISH TOPIC topic WITH value …`.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishTopic {
    /// Where to.
    pub topic: TopicOperand,
    /// What.
    pub value: Expression,
    /// `QOS n`, default 0.
    pub qos: u8,
    /// `RETAIN`.
    pub retain: bool,
    /// Where the options stand, if there are any: they are not portable (OD-11).
    pub options: Option<Span>,
}
