//! The command line as a whole: the list of subcommands. Their options are beside their code.

use clap::{Parser, Subcommand};

use crate::backup::BackupArgs;
use crate::bench::BenchArgs;
use crate::check::CheckArgs;
use crate::cmd::CmdArgs;
use crate::cmd::import::TakeOverArgs;
use crate::cmd::why::WhyArgs;
use crate::compile::CompileArgs;
use crate::completion::CompletionArgs;
use crate::config_show::ConfigArgs;
use crate::context::ContextArgs;
use crate::demo::DemoArgs;
use crate::deploy::DeployArgs;
use crate::doctor::DoctorArgs;
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
use crate::service::ServiceArgs;
use crate::status::StatusArgs;
use crate::store::StoreArgs;
use crate::subscribe::SubArgs;
use crate::test::TestArgs;
use crate::top::TopArgs;
use crate::topics::TopicsArgs;
use crate::undeploy::UndeployArgs;
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
    Undeploy(UndeployArgs),
    Guest(GuestArgs),
    Status(StatusArgs),
    Watch(WatchArgs),
    Why(WhyArgs),
    Top(TopArgs),
    Topics(TopicsArgs),
    Routes(RoutesArgs),
    Cmd(CmdArgs),
    #[command(alias = "publish")]
    Pub(PubArgs),
    #[command(alias = "subscribe")]
    Sub(SubArgs),
    Request(RequestArgs),
    Bench(BenchArgs),
    Context(ContextArgs),
    Config(ConfigArgs),
    Doctor(DoctorArgs),
    Passwd(PasswdArgs),
    Store(StoreArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Import(TakeOverArgs),
    #[command(alias = "completions")]
    Completion(CompletionArgs),
    Man(ManArgs),
    Service(ServiceArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The sentence about exit codes in the help of a command.
    fn exit_codes(command: &clap::Command) -> Option<String> {
        let help = command.get_long_about()?.to_string();
        let (_, codes) = help.split_once("Exit codes: ")?;
        codes.lines().next().map(str::to_owned)
    }

    /// The commands that do something, each with the help of itself, and with that and the help of
    /// what it belongs to.
    fn leaves(command: &clap::Command, name: &str, above: &str) -> Vec<(String, String, String)> {
        let help =
            command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
        let all = format!("{above}\n{help}");
        let mut below: Vec<&clap::Command> =
            command.get_subcommands().filter(|it| !it.is_hide_set()).collect();
        below.retain(|it| it.get_name() != "help");
        // The demonstration does something by itself, too.
        let own =
            (below.is_empty() || command.get_name() == "demo").then(|| (name.to_owned(), help, all.clone()));
        let of_below = below.iter().flat_map(|it| leaves(it, &format!("{name} {}", it.get_name()), &all));
        own.into_iter().chain(of_below).collect()
    }

    #[test]
    fn every_command_has_an_example_and_says_its_exit_codes() {
        for subcommand in Cli::command().get_subcommands() {
            for (name, help, all) in leaves(subcommand, subcommand.get_name(), "") {
                assert!(help.contains("Exit codes: 0 "), "{name} says what its exit codes mean");
                let is_example = |text: &str| all.contains(&format!("lotmq {text}"));
                let first = name.split(' ').next().unwrap();
                assert!(is_example(&name) || is_example(first), "{name} has an example");
            }
        }
    }

    /// `UPDATE=1` writes the table.
    #[test]
    fn the_table_of_exit_codes_is_that_of_the_help() {
        const BEGIN: &str = "<!-- exit codes, from --help -->\n";
        const END: &str = "<!-- end of exit codes -->";
        let mut table = String::from("| command | exit codes |\n|---|---|\n");
        for subcommand in Cli::command().get_subcommands() {
            let codes = exit_codes(subcommand).unwrap_or_else(|| panic!("{}", subcommand.get_name()));
            table.push_str(&format!(
                "| `lotmq {}` | {} |\n",
                subcommand.get_name(),
                codes.trim_end_matches('.')
            ));
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tools.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (written, behind) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{table}{END}{behind}")).unwrap();
        } else {
            assert_eq!(written, table, "UPDATE=1 writes it");
        }
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
