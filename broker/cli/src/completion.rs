//! `lotmq completion`: what a shell needs to complete commands and options.

mod names;

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use lotmq_server::verb_names;
use lotmq_terminal::{Exit, Misuse, output};

use names::NameKind;

/// Completion in bash beyond options: verbs of commands, and names of contexts, projects and
/// definitions.
const NAMES_IN_BASH: &str = r#"
# Fills COMPREPLY with the names of a kind that begin with the current word. They come from a folder, so bash must not expand them: no compgen -W.
_lotmq_reply_with() {
    local name
    COMPREPLY=()
    while IFS= read -r name; do
        [[ $name == "$2"* ]] && COMPREPLY+=("$name")
    done < <(lotmq completion names "$1" 2>/dev/null)
}

_lotmq_names() {
    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" kind="" reply
    # Between an option and its value it is a word.
    if [[ $current == "=" ]]; then
        current=""
    elif [[ $before == "=" ]]; then
        before="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    case "${COMP_WORDS[1]} $before" in
        *" --context" | "context use" | "context remove") kind=contexts ;;
        "undeploy undeploy" | "rollback rollback" | "cmd -"*Project) kind=projects ;;
        "cmd --"* | "cmd -?") ;;
        "watch watch" | "cmd -"*) kind=definitions ;;
    esac
    if [[ -n $kind && $current != -* ]]; then
        _lotmq_reply_with "$kind" "$current"
        return 0
    fi
    if [[ "${COMP_WORDS[1]} $before" == "cmd cmd" && -z $current ]]; then
        COMPREPLY=($(compgen -W "VERBS"))
        return 0
    fi
    _lotmq "$@"
    if [[ ${COMP_WORDS[1]} == cmd && $current == -* ]]; then
        COMPREPLY+=($(compgen -W "VERBS" -- "$current"))
    elif [[ ${COMP_WORDS[1]} == deploy && $current != -* ]]; then
        _lotmq_reply_with projects "$current"
        compopt -o filenames 2>/dev/null
    elif [[ $current != -* ]]; then
        # Options are for who has begun one; where nothing else is left, bash takes files.
        local replies=("${COMPREPLY[@]}")
        COMPREPLY=()
        for reply in "${replies[@]}"; do
            [[ $reply == -* ]] || COMPREPLY+=("$reply")
        done
    fi
}

complete -F _lotmq_names -o bashdefault -o default lotmq
"#;

/// Completion in zsh beyond options, as functions that the script of clap is made to call.
const NAMES_IN_ZSH: &str = r#"
_lotmq_verbs() {
    local -a verbs=(
VERBS
    )
    if [[ $PREFIX == -* || $CURRENT -eq 1 ]]; then
        _describe -o -t verbs 'verb' verbs
    elif [[ ${words[CURRENT-1]} == -*Project ]]; then
        _lotmq_projects
    else
        _lotmq_definitions
    fi
}

_lotmq_of() {
    local -a names=(${(f)"$(lotmq completion names $1 2>/dev/null)"})
    compadd -a names
}

_lotmq_contexts() { _lotmq_of contexts }
_lotmq_projects() { _lotmq_of projects }
_lotmq_definitions() { _lotmq_of definitions || _default }
"#;

/// Completion in fish beyond options.
const NAMES_IN_FISH: &str = r#"
function __fish_lotmq_names
    lotmq completion names $argv[1] 2>/dev/null
end

complete -c lotmq -n "__fish_lotmq_using_subcommand completion" -f -a "bash zsh fish"
complete -c lotmq -l context -x -a "(__fish_lotmq_names contexts)"
complete -c lotmq -n "__fish_lotmq_using_subcommand context; and __fish_seen_subcommand_from use remove" -f -a "(__fish_lotmq_names contexts)"
complete -c lotmq -n "__fish_lotmq_using_subcommand undeploy; or __fish_lotmq_using_subcommand rollback" -f -a "(__fish_lotmq_names projects)"
complete -c lotmq -n "__fish_lotmq_using_subcommand watch" -f -a "(__fish_lotmq_names definitions)"

function __fish_lotmq_words_of_commands
    set -l words (commandline -opc)
    switch $words[-1]
        case cmd
            string split ' ' -- 'VERBS'
        case '-*Project'
            __fish_lotmq_names projects
        case '*'
            __fish_lotmq_names definitions
    end
end

complete -c lotmq -n "__fish_lotmq_using_subcommand cmd" -f -a "(__fish_lotmq_words_of_commands)"
"#;

/// Print what a shell completes commands and options with, also verbs behind `lotmq cmd -`,
/// contexts, and projects and definitions of the folder.
///
/// For bash: `source <(lotmq completion bash)`. For zsh: a file `_lotmq` in a folder of `$fpath`.
/// For fish: a file `~/.config/fish/completions/lotmq.fish`. Packages bring all three.
///
/// Exit codes: 0 printed, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Asked,
    /// Kind of names that the scripts request with `names`.
    #[arg(hide = true)]
    kind: Option<NameKind>,
}

/// Output of the subcommand: the script of a shell, or the names that such a script asks for. clap
/// knows more shells; these are tested.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Asked {
    Bash,
    Zsh,
    Fish,
    #[value(hide = true)]
    Names,
}

pub(crate) fn completion(args: &CompletionArgs, definition: &mut Command) -> anyhow::Result<Exit> {
    let shell = match (args.shell, args.kind) {
        (Asked::Bash, None) => Shell::Bash,
        (Asked::Zsh, None) => Shell::Zsh,
        (Asked::Fish, None) => Shell::Fish,
        (Asked::Names, Some(kind)) => {
            names::names(kind).iter().try_for_each(|name| output::line(name))?;
            return Ok(Exit::Success);
        }
        (Asked::Bash | Asked::Zsh | Asked::Fish, Some(_)) | (Asked::Names, None) => {
            return Err(Misuse("expected bash, zsh or fish, and nothing behind it".to_owned()).into());
        }
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, definition, "lotmq", &mut script);
    let mut script = String::from_utf8(script)?;
    let verbs = || verb_names().map(|name| format!("-{name}"));
    if shell == Shell::Bash {
        script.push_str(&NAMES_IN_BASH.replace("VERBS", &verbs().collect::<Vec<_>>().join(" ")));
    } else if shell == Shell::Zsh {
        script = in_zsh(&script, &verbs().collect::<Vec<_>>().join("\n"));
    } else {
        script.push_str(&NAMES_IN_FISH.replace("VERBS", &verbs().collect::<Vec<_>>().join(" ")));
        for name in verb_names() {
            let line = format!("complete -c lotmq -n \"__fish_lotmq_using_subcommand cmd\" -o {name}\n");
            script.push_str(&line);
        }
    }
    output::line(script.trim_end_matches('\n'))?;
    Ok(Exit::Success)
}

/// The script with our functions, which stand before its end: that calls or registers what is
/// before it.
fn in_zsh(script: &str, verbs: &str) -> String {
    let called = script.lines().map(|line| {
        let named = |what: &str, function: &str| {
            line.contains(what).then(|| line.replacen(":_default'", &format!(":{function}'"), 1))
        };
        named("'*::words --", "_lotmq_verbs")
            .or_else(|| named("--context=[", "_lotmq_contexts"))
            .or_else(|| named("name -- The context:", "_lotmq_contexts"))
            .or_else(|| named(":name -- Name of the project:", "_lotmq_projects"))
            .or_else(|| named("'*::names -- Names of definitions", "_lotmq_definitions"))
            .unwrap_or_else(|| line.to_owned())
    });
    let called: Vec<String> = called.collect();
    let called = called.join("\n");
    let end = called.rfind("\nif [ \"$funcstack[1]\"").unwrap_or(called.len());
    let (before, end) = called.split_at(end);
    format!("{before}{}{end}\n", NAMES_IN_ZSH.replace("VERBS", verbs))
}
