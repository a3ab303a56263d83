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

/// What zsh completes beyond options, as functions that the script of clap is made to call.
const NAMES_IN_ZSH: &str = r#"
_lotmq_verbs() {
    local -a verbs=(
VERBS
    )
    [[ $PREFIX == -* ]] && _describe -o -t verbs 'verb' verbs || _default
}

_lotmq_contexts() {
    local -a contexts=(${(f)"$(lotmq context list 2>/dev/null | cut -c3- | cut -d' ' -f1)"})
    compadd -a contexts
}
"#;

/// What fish completes beyond options.
const NAMES_IN_FISH: &str = r#"
function __fish_lotmq_contexts
    lotmq context list 2>/dev/null | cut -c3- | cut -d' ' -f1
end

complete -c lotmq -l context -x -a "(__fish_lotmq_contexts)"
complete -c lotmq -n "__fish_lotmq_using_subcommand context; and __fish_seen_subcommand_from use remove" -f -a "(__fish_lotmq_contexts)"
"#;

/// Print what a shell completes commands and options with, also verbs behind `lotmq cmd -` and contexts behind `--context`.
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
    let mut script = String::from_utf8(script)?;
    let verbs = || verb_names().map(|name| format!("-{name}"));
    if args.shell == Shell::Bash {
        script.push_str(&NAMES_IN_BASH.replace("VERBS", &verbs().collect::<Vec<_>>().join(" ")));
    } else if args.shell == Shell::Zsh {
        script = in_zsh(&script, &verbs().collect::<Vec<_>>().join("\n"));
    } else {
        script.push_str(NAMES_IN_FISH);
        for name in verb_names() {
            let line = format!("complete -c lotmq -n \"__fish_lotmq_using_subcommand cmd\" -o {name}\n");
            script.push_str(&line);
        }
    }
    std::io::stdout().lock().write_all(script.as_bytes())?;
    Ok(Exit::Success)
}

/// The script with our functions, which stand before its end: that calls or registers what is before it.
fn in_zsh(script: &str, verbs: &str) -> String {
    let called = script.lines().map(|line| {
        let named = |what: &str, function: &str| {
            line.contains(what).then(|| line.replacen(":_default'", &format!(":{function}'"), 1))
        };
        named("'*::words --", "_lotmq_verbs")
            .or_else(|| named("--context=[", "_lotmq_contexts"))
            .or_else(|| named("name -- The context:", "_lotmq_contexts"))
            .unwrap_or_else(|| line.to_owned())
    });
    let called: Vec<String> = called.collect();
    let called = called.join("\n");
    let end = called.rfind("\nif [ \"$funcstack[1]\"").unwrap_or(called.len());
    let (before, end) = called.split_at(end);
    format!("{before}{}{end}\n", NAMES_IN_ZSH.replace("VERBS", verbs))
}
