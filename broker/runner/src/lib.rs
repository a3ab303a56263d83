//! LoT programs at work without a broker: fed by hand, from a recording or beside a broker, and
//! tested in virtual time.
//!
//! [`Program`] is what was compiled, [`Player`] feeds one and prints what it does, [`test_file`]
//! runs the cases of a file. Below both is the broker itself, without listeners
//! ([`lotmq_server::embedded`]). Not here: the arguments of `lotmq run` and `lotmq test`.
//!
//! Further invariants, with the tests that guard them:
//!
//! - A program does the same in `lotmq run` and `lotmq test` as in a broker, byte for byte and in
//!   order. Repeated runs give the same result. Tests
//!   `the_same_traffic_gives_the_same_in_lotmq_run_and_in_a_broker`,
//!   `rules_decide_the_same_in_lotmq_run_and_in_a_broker`,
//!   `replay_gives_programs_deterministic_time_and_random_values`.

mod case;
mod cases;
mod encoding;
mod far;
mod judge;
mod keys;
mod logins;
mod modules;
mod payload;
mod player;
mod program;
mod properties;
mod report;
mod show;
mod test_folder;
mod told;
mod traffic;
mod visit;

pub use cases::{SUFFIX, test_file, test_module};
pub use lotmq_server::embedded::{
    ClientIdentity, ComponentOutline, ComponentRequest, EmbeddedModule, Embedding,
};
pub use modules::{COMPONENT_BYTES_MAX, NamedModule, read_component};
pub use player::{HandSent, Player};
pub use program::{Program, Start};
pub use properties::StatedProperties;
pub use report::{ReportForm, TestReport};
pub use test_folder::TestFolder;
pub use told::{at_place, told as told_toml};
pub use traffic::{Recorded, read as read_recording};
