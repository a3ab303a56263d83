//! Receivers of messages: the routes of topics.
//!
//! Not here: matching of filters (`lotmq_router`), subscriptions (`tenant`), and the sending of the
//! messages (`turn`).

pub mod route;
