//! `PUBLISH MODEL M TO t WITH …`: publishes an instance of a Model (LoT reference §8.6).
//!
//! ```text
//! publishModel = "PUBLISH" "MODEL" ( ident | string ) "TO" topicExpr "WITH" assigns ;
//! assigns      = assign { "," assign } [ "," ] | NL IN assign [ "," ] { NL assign [ "," ] } DE ;
//! assign       = ( path | string ) "=" value ;
//!
//! PUBLISH MODEL Reading TO "clean/" + TOPIC POSITION 2 WITH
//!     id = TOPIC POSITION 2
//!     value = PAYLOAD AS DOUBLE
//! ```

use crate::syntax::{Expression, Name, Path, TopicOperand};

/// `PUBLISH MODEL model TO topic WITH assignments`.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishModel {
    /// The Model.
    pub model: Name,
    /// Where to.
    pub topic: TopicOperand,
    /// Fields that get a value.
    pub assignments: Vec<Assignment>,
}

/// `target = value`, of `PUBLISH MODEL` and of calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// A field or input.
    pub target: Path,
    /// Its value.
    pub value: Expression,
}
