//! Shared library of routes to SQL databases.
//!
//! A message becomes a [`Filled`] statement, whose values are bound beside its text, or a row of a
//! [table](rows). [`Opened::deliver`] combines the messages of a batch. Pure writes go to a
//! [`Database`] in one transaction, and rows of the same statement in one statement.
//! Not here: the protocols of the databases, which are in the guests.

mod answer;
mod condition;
mod config;
mod connection_string;
mod delivery;
mod dialect;
mod insert;
mod known_tables;
pub mod limits;
mod number;
mod opened;
mod pace;
mod piece;
mod request;
pub mod rows;
mod scanner;
mod statement;
mod target;
mod task;
pub mod time;

pub use answer::{Answer, affected};
pub use config::{SCHEMA, Server};
pub use delivery::{Block, Database, UnknownName, Write};
pub use dialect::{ColumnKind, Dialect};
pub use insert::Insert;
pub use known_tables::{KnownTable, KnownTables};
pub use lotmq_connection_string::pairs as pairs_of;
pub use opened::Opened;
pub use request::UNPREPARED;
pub use statement::{Filled, Parameter, Statement};
pub use target::Target;
pub use task::Tasks;
