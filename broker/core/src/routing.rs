//! Who gets a message: subscriptions, routes of topics, fan-out, retained messages.
//!
//! Not here: what matches what (`lotmq_router`), and how the messages leave (`turn`).

pub mod capacity;
pub mod fan_out;
pub mod internal;
pub mod message;
pub mod publication;
pub mod retain;
pub mod route;
pub mod subscription;
pub mod system_topics;
