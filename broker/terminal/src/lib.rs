//! What all subcommands share with one another: exit codes, standard output and standard error, values of options.
//!
//! Not here: what a subcommand does, and options about the connection to a broker (`lotmq-connect`).

mod exit;
mod option;
pub mod output;

pub use exit::{Exit, Misuse, OrMisuse};
pub use option::seconds;
