//! `lotmq doctor`: one file for each group of checks.

mod certificates;
mod command;
mod configuration;
mod disk;
mod exposure;
mod finding;
mod listeners;
mod machine;
mod permissions;
mod running;

pub(crate) use command::{DoctorArgs, doctor};
