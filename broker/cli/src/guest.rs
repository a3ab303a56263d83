//! `lotmq guest`: makes, builds, tests and deploys guests in other languages than LoT.

mod build;
mod create;
mod deploy;
mod folder;
mod installed;
mod last_build;
mod other_tools;
mod sources;
mod test;
mod verify;

use clap::{Args, Subcommand};
use lotmq_terminal::Exit;

/// Write guests in Rust, JavaScript or Python: components that run inside the broker.
///
/// As in: lotmq guest new heater, cd heater, lotmq guest test, lotmq guest deploy. docs/sdk/tutorial.md goes through it.
///
/// Exit codes: 0 done, 1 it failed or the broker says no, 2 wrong usage, 3 no broker or no reply.
#[derive(Args, Debug)]
pub(crate) struct GuestArgs {
    #[command(subcommand)]
    command: GuestCommand,
}

#[derive(Debug, Subcommand)]
enum GuestCommand {
    New(create::NewArgs),
    Build(build::BuildArgs),
    Test(test::TestGuestArgs),
    Verify(verify::VerifyArgs),
    Deploy(deploy::DeployGuestArgs),
    List(installed::ListArgs),
    Rollback(installed::RollbackArgs),
    Logs(installed::LogsArgs),
}

pub(crate) fn guest(args: &GuestArgs) -> anyhow::Result<Exit> {
    match &args.command {
        GuestCommand::New(args) => create::create(args),
        GuestCommand::Build(args) => build::build(args),
        GuestCommand::Test(args) => test::test(args),
        GuestCommand::Verify(args) => verify::verify(args),
        GuestCommand::Deploy(args) => deploy::deploy(args),
        GuestCommand::List(args) => installed::list(args),
        GuestCommand::Rollback(args) => installed::rollback(args),
        GuestCommand::Logs(args) => installed::logs(args),
    }
}
