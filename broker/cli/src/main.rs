//! The `lotmq` binary: the broker and the tools around it, one subcommand per file.
//!
//! Arguments in, rendering and exit codes out. Not here: anything that is worth testing without a
//! command line.

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "lotmq needs a processor with 64 bits: the store and the compiler of programs map more than 32 bits can address"
);

mod args;
mod arriving;
mod backup;
mod bench;
mod check;
mod cmd;
mod coloured;
mod columns;
mod compile;
mod completion;
mod config_show;
mod confirmation;
mod context;
mod demo;
mod deploy;
mod doctor;
#[cfg(test)]
mod documented;
mod explain;
mod fmt;
mod foreign;
mod guest;
mod hint;
mod interruption;
mod lasting_connection;
mod log;
mod lsp;
mod man;
mod open_files;
mod passwd;
mod pasteable;
mod publish;
mod request;
mod restore;
mod rollback;
mod routes;
mod run;
mod serve;
mod service;
mod status;
mod store;
mod subscribe;
mod system_topics;
mod test;
mod top;
mod topics;
mod undeploy;
mod watch;

use std::borrow::Cow;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory as _, Parser as _};
use lotmq_client::{Client, ClientError};
use lotmq_terminal::text::escaped;
use lotmq_terminal::{Exit, Misuse, output};

use args::{Cli, Command};

#[global_allocator]
static ALLOCATOR: lotmq_allocator::SlabAllocator = lotmq_allocator::SlabAllocator::new();

fn main() -> ExitCode {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A panic that the store contains becomes an error, or a line of the log.
        if !lotmq_store::takes_panic(panic) {
            print(panic);
        }
    }));
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == lotmq_host::WORKER_COMMAND) {
        return lotmq_host::worker_main(arguments);
    }
    let cli = match Cli::try_parse_from(cmd::separate_command(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => return refused(error),
    };
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
        Command::Rollback(args) => rollback::rollback(&args),
        Command::Undeploy(args) => undeploy::undeploy(&args),
        Command::Guest(args) => guest::guest(&args),
        Command::Status(args) => status::status(&args),
        Command::Watch(args) => watch::watch(&args),
        Command::Why(args) => cmd::why::why(&args),
        Command::Top(args) => top::top(&args),
        Command::Topics(args) => topics::topics(&args),
        Command::Routes(args) => routes::routes(&args),
        Command::Run(args) => run::run(&args),
        Command::Cmd(args) => cmd::cmd(&args, agreed_command),
        Command::Pub(args) => publish::publish(&args),
        Command::Request(args) => request::request(&args),
        Command::Sub(args) => subscribe::subscribe(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Context(args) => context::context(&args),
        Command::Config(args) => config_show::config(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Passwd(args) => passwd::passwd(&args),
        Command::Store(args) => store::store(&args),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => restore::restore(&args),
        Command::Import(args) => cmd::import::import(&args),
        Command::Completion(args) => completion::completion(&args, &mut Cli::command()),
        Command::Man(args) => man::man(&args, Cli::command()),
        Command::Service(args) => service::service(&args),
    };
    match outcome {
        Ok(exit) => exit.into(),
        // The reader of our output has seen enough, as in `lotmq sub … | head`.
        Err(error) if output::is_broken_pipe(&error) => Exit::Success.into(),
        Err(error) => {
            output::error(&render_error(&error));
            exit_of(&error).into()
        }
    }
}

/// A command of `lotmq cmd` as it may be sent: it takes no protection away, or somebody has agreed;
/// `None` where nobody has.
fn agreed_command(client: &mut Client, command: String, timeout: Duration) -> anyhow::Result<Option<String>> {
    match rollback::agreed_command(client, command, timeout)? {
        Some(command) => undeploy::agreed_command(client, command, timeout),
        None => Ok(None),
    }
}

/// Prints an error of the command line. The text of our own checks, such as the name of a context,
/// is complete without the usage behind it.
fn refused(mut error: clap::Error) -> ExitCode {
    let is_unreadable = error.kind() == ErrorKind::Io;
    let is_ours =
        (error.kind() == ErrorKind::ValueValidation && error.context().next().is_none()) || is_unreadable;
    if !is_ours {
        let arguments: Vec<String> =
            std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).collect();
        let Some(hint) = hint::of(&error, &arguments) else { return print_usage_error(&error) };
        // clap's own suggestions go by spelling alone.
        for guessed in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::Suggested] {
            error.remove(guessed);
        }
        let code = print_usage_error(&error);
        output::note(&format!("\n  tip: {hint}"));
        return code;
    }
    let text = error.to_string();
    output::note(text.split("\n\nUsage:").next().unwrap_or(&text).trim_end());
    // The command line names a file that is missing, or one that is of no use.
    if is_unreadable { Exit::Failure.into() } else { Exit::Usage.into() }
}

/// Prints the message of the command line parser. A file name in a foreign folder may have become
/// an argument. So where an argument has control characters, the message is that about the escaped
/// arguments: the parser takes escape sequences out of a text that it renders without colours.
fn print_usage_error(error: &clap::Error) -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|it| it.to_string_lossy().into_owned()).collect();
    if arguments.iter().all(|argument| matches!(escaped(argument), Cow::Borrowed(_))) {
        // There is nobody to tell if this fails.
        let _ = error.print();
    } else {
        let arguments = arguments.iter().map(|argument| escaped(argument).into_owned().into()).collect();
        let again = Cli::try_parse_from(cmd::separate_command(arguments)).err();
        output::note(again.as_ref().unwrap_or(error).render().to_string().trim_end());
    }
    u8::try_from(error.exit_code()).map_or(Exit::Usage.into(), ExitCode::from)
}

/// The error in one line; where nothing listens, or no MQTT, with the way out.
fn render_error(error: &anyhow::Error) -> String {
    let text = output::chain(error);
    match error.downcast_ref::<ClientError>() {
        Some(error) if is_nobody_there(error) => format!("{text}; is it running? `lotmq serve`"),
        Some(ClientError::Http) => format!("{text}; --ws is for MQTT over WebSocket"),
        Some(ClientError::Tls) => {
            format!("{text}; --tls-use-os-certs, --cafile FILE or -L mqtts://… asks for it")
        }
        _ => text,
    }
}

/// Whether nothing listens where a broker was looked for: at an address, or at the path of a Unix
/// socket.
fn is_nobody_there(error: &ClientError) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    let ClientError::Unreachable { source, .. } = error else { return false };
    [ConnectionRefused, NotFound].contains(&source.kind())
}

/// Exit code for an error that ends the program.
fn exit_of(error: &anyhow::Error) -> Exit {
    if error.is::<Misuse>() {
        return Exit::Usage;
    }
    if error.is::<foreign::NotLotmq>() {
        return Exit::NoBroker;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Encode(_) | ClientError::TooLarge { .. }) => Exit::Usage,
        Some(_) => Exit::NoBroker,
        None => Exit::Failure,
    }
}
