//! `lotmq guest`: makes, builds, tests and deploys guests in other languages than LoT.

mod browser_crates;
mod build;
mod config;
mod create;
mod deploy;
mod download;
mod earlier_lines;
mod examples;
mod folder;
mod in_time;
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
/// As in: lotmq guest new heater, cd heater, lotmq guest test, lotmq guest deploy.
/// docs/sdk/tutorial.md goes through it.
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
    Download(download::DownloadArgs),
    List(installed::ListArgs),
    /// Put the version before in the place of a module
    ///
    /// It runs again as it was deployed, with the grants of then. The version that ran until now
    /// becomes the one before, so the same command undoes the rollback.
    ///
    /// Exit codes: 0 done, 1 the broker says no, 2 wrong usage, 3 no broker or no reply.
    Rollback(installed::ForcedModuleArgs),
    /// Let a module run again that was disabled or has failed too often
    ///
    /// Exit codes: 0 done, 1 the broker says no, 2 wrong usage, 3 no broker or no reply.
    Enable(installed::ForcedModuleArgs),
    /// Keep a module from running, and keep it
    ///
    /// Exit codes: 0 done, 1 the broker says no, 2 wrong usage, 3 no broker or no reply.
    Disable(installed::ForcedModuleArgs),
    /// Remove a module from a broker; one that a definition uses is refused without --force
    ///
    /// Asks before, unless --yes is given; where nobody can be asked, it removes nothing.
    ///
    /// Exit codes: 0 done, 1 the broker says no, 2 wrong usage, 3 no broker or no reply.
    Remove(installed::RemoveModuleArgs),
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
        GuestCommand::Download(args) => download::download(args),
        GuestCommand::Rollback(args) => installed::command("-rollbackModule", args, deploy::show_grants),
        GuestCommand::Enable(args) => installed::command("-enableModule", args, installed::message),
        GuestCommand::Disable(args) => installed::command("-disableModule", args, installed::message),
        GuestCommand::Remove(args) => installed::remove(args),
        GuestCommand::Logs(args) => installed::logs(args),
    }
}
