//! The `lotmq` binary: the broker and the tools around it, one subcommand per file.
//!
//! Arguments in, rendering and exit codes out. Not here: anything that is worth testing without a command line.

mod args;
mod backup;
mod bench;
mod check;
mod cmd;
mod compile;
mod config_show;
mod demo;
mod deploy;
mod explain;
mod fmt;
mod guest;
mod log;
mod lsp;
mod open_files;
mod publish;
mod restore;
mod run;
mod serve;
mod store;
mod subscribe;
mod test;

use std::process::ExitCode;

use clap::Parser as _;
use lotmq_client::ClientError;
use lotmq_terminal::{Exit, Misuse, output};

use args::{Cli, Command};

fn main() -> ExitCode {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // What the store contains is an error, or a line of the log.
        if !lotmq_store::takes_panic(panic) {
            print(panic);
        }
    }));
    let cli = Cli::parse_from(cmd::separate_command(std::env::args_os().collect()));
    let outcome = match cli.command {
        Command::Serve(args) => serve::serve(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Check(args) => check::check(&args),
        Command::Fmt(args) => fmt::fmt(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Compile(args) => compile::compile(&args),
        Command::Test(args) => test::test(&args),
        Command::Lsp(args) => lsp::lsp(&args),
        Command::Deploy(args) => deploy::deploy(&args),
        Command::Guest(args) => guest::guest(&args),
        Command::Run(args) => run::run(&args),
        Command::Cmd(args) => cmd::cmd(&args),
        Command::Pub(args) => publish::publish(&args),
        Command::Sub(args) => subscribe::subscribe(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Config(args) => config_show::config(&args),
        Command::Store(args) => store::store(&args),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => restore::restore(&args),
    };
    match outcome {
        Ok(exit) => exit.into(),
        // Whoever reads our output has seen enough, as in `lotmq sub … | head`.
        Err(error) if output::is_broken_pipe(&error) => Exit::Success.into(),
        Err(error) => {
            output::error(&output::chain(&error));
            exit_of(&error).into()
        }
    }
}

/// Exit code for an error that ends the program.
fn exit_of(error: &anyhow::Error) -> Exit {
    if error.is::<Misuse>() {
        return Exit::Usage;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Encode(_) | ClientError::TooLarge { .. }) => Exit::Usage,
        Some(_) => Exit::NoBroker,
        None => Exit::Failure,
    }
}
