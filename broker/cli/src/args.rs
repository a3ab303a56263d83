//! The command line as a whole: the list of subcommands. Their options are beside their code.

use clap::{Parser, Subcommand};

use crate::backup::BackupArgs;
use crate::bench::BenchArgs;
use crate::check::CheckArgs;
use crate::cmd::CmdArgs;
use crate::compile::CompileArgs;
use crate::completion::CompletionArgs;
use crate::config_show::ConfigArgs;
use crate::context::ContextArgs;
use crate::demo::DemoArgs;
use crate::deploy::DeployArgs;
use crate::explain::ExplainArgs;
use crate::fmt::FmtArgs;
use crate::guest::GuestArgs;
use crate::lsp::LspArgs;
use crate::man::ManArgs;
use crate::passwd::PasswdArgs;
use crate::publish::PubArgs;
use crate::request::RequestArgs;
use crate::restore::RestoreArgs;
use crate::rollback::RollbackArgs;
use crate::routes::RoutesArgs;
use crate::run::RunArgs;
use crate::serve::ServeArgs;
use crate::status::StatusArgs;
use crate::store::StoreArgs;
use crate::subscribe::SubArgs;
use crate::test::TestArgs;
use crate::top::TopArgs;
use crate::topics::TopicsArgs;
use crate::watch::WatchArgs;

/// An MQTT broker that runs your logic, written in LoT, inside it.
///
/// `lotmq demo` shows what it does. `lotmq serve` starts the broker; it needs no configuration.
#[derive(Debug, Parser)]
#[command(name = "lotmq", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeArgs),
    Demo(DemoArgs),
    Check(CheckArgs),
    Fmt(FmtArgs),
    Explain(ExplainArgs),
    Compile(CompileArgs),
    Run(RunArgs),
    Test(TestArgs),
    Lsp(LspArgs),
    Deploy(DeployArgs),
    Rollback(RollbackArgs),
    Guest(GuestArgs),
    Status(StatusArgs),
    Watch(WatchArgs),
    Top(TopArgs),
    Topics(TopicsArgs),
    Routes(RoutesArgs),
    Cmd(CmdArgs),
    Pub(PubArgs),
    Sub(SubArgs),
    Request(RequestArgs),
    Bench(BenchArgs),
    Context(ContextArgs),
    Config(ConfigArgs),
    Store(StoreArgs),
    Backup(BackupArgs),
    Passwd(PasswdArgs),
    Restore(RestoreArgs),
    Completion(CompletionArgs),
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_and_option_has_help() {
        for subcommand in Cli::command().get_subcommands() {
            assert!(subcommand.get_about().is_some(), "{}", subcommand.get_name());
            for argument in subcommand.get_arguments() {
                let name = argument.get_id();
                assert!(argument.get_help().is_some(), "{} {name}", subcommand.get_name());
            }
        }
    }
}
