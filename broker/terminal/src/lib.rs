//! Code that all subcommands share: exit codes, standard output and standard error, colours, texts
//! from elsewhere, values of options.
//!
//! Not here: the work of a subcommand, and options about the connection to a broker
//! (`lotmq-connect`).

mod exit;
mod option;
pub mod output;
mod paint;
pub mod text;

pub use exit::{Exit, Misuse, OrMisuse};
pub use option::seconds;
pub use paint::{Colour, Paint};
