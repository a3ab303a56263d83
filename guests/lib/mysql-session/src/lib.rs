//! Sessions with MySQL and MariaDB over any stream: packets ([`wire`]), the login ([`login`],
//! [`sha2`]), statements ([`session`]) and the columns of their results ([`column`]).

mod column;
mod fault;
mod limits;
mod login;
mod session;
mod sha2;
mod wire;

pub use column::Column;
pub use fault::{Fault, broken};
pub use limits::PACKET_BYTES_MAX;
pub use login::Login;
pub use session::{Done, OnRow, Session};
