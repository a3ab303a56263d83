//! `lotmq completion`: what a shell needs to complete commands and options.

use std::io::Write as _;

use clap::{Args, Command};
use clap_complete::Shell;
use lotmq_terminal::Exit;

/// Print what a shell completes commands and options with.
///
/// For bash: `source <(lotmq completion bash)`. For zsh: a file `_lotmq` in a folder of `$fpath`. For fish: a file
/// `~/.config/fish/completions/lotmq.fish`. Packages bring all three.
///
/// Exit codes: 0 printed, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// The shell: bash, zsh or fish
    #[arg(value_parser = shell)]
    shell: Shell,
}

/// Shells that we have tried it with; clap knows others.
fn shell(name: &str) -> Result<Shell, String> {
    match name {
        "bash" => Ok(Shell::Bash),
        "zsh" => Ok(Shell::Zsh),
        "fish" => Ok(Shell::Fish),
        _ => Err("expected bash, zsh or fish".to_owned()),
    }
}

pub(crate) fn completion(args: &CompletionArgs, definition: &mut Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, definition, "lotmq", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::Success)
}
