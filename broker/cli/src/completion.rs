//! `lotmq completion`: what a shell needs to complete commands and options.

use std::io::Write as _;

use clap::{Args, Command};
use clap_complete::Shell;
use lotmq_server::verb_names;
use lotmq_terminal::Exit;

/// What bash completes beyond options: verbs of commands, and names of contexts.
const NAMES_IN_BASH: &str = r#"
_lotmq_names() {
    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
    case "${COMP_WORDS[1]} $before" in
        *" --context" | "context use" | "context remove")
            COMPREPLY=($(compgen -W "$(lotmq context list 2>/dev/null | cut -c3- | cut -d' ' -f1)" -- "$current"))
            return 0
            ;;
    esac
    _lotmq "$@"
    if [[ ${COMP_WORDS[1]} == cmd && $current == -* ]]; then
        COMPREPLY+=($(compgen -W "VERBS" -- "$current"))
    fi
}

complete -F _lotmq_names -o bashdefault -o default lotmq
"#;

/// Print what a shell completes commands and options with; bash also verbs behind `lotmq cmd -` and contexts behind `--context`.
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
    if args.shell == Shell::Bash {
        let verbs: Vec<String> = verb_names().map(|name| format!("-{name}")).collect();
        script.extend(NAMES_IN_BASH.replace("VERBS", &verbs.join(" ")).into_bytes());
    }
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::Success)
}
