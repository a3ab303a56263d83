//! Who gets a message: the routes of topics.
//!
//! Not here: what matches what (`lotmq_router`), subscriptions (`tenant`), and how the messages
//! leave (`turn`).

pub mod route;
