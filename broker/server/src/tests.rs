//! The data path in a running broker: real sockets, a real store, and threads that meet.

mod asked;
mod attach;
mod backlog;
mod delayed;
mod follower;
mod full_queue;
mod heartbeat;
mod held;
mod json_front;
mod memory;
mod operations;
mod parts;
mod principals;
mod programs;
mod replies;
mod session_end;
mod shards;
mod subscribe;
mod tenants;
mod verbs;
mod why;
