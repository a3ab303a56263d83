//! Commands in texts of the broker, rewritten as one gives them in a shell.
//!
//! The broker names a command by its verb alone, as it is published. All such text that this
//! program prints for people goes through [`pasteable`], so that it can be pasted.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// How a shell gives a command.
const LOTMQ_CMD: &str = "lotmq cmd ";

/// Verbs of commands, without their dash.
static VERBS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| lotmq_server::verb_names().collect());

/// A text in which each verb of a command has `lotmq cmd` in front of it; lines of programs stay as
/// they are.
pub(crate) fn pasteable(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| if is_of_program(line) { line.to_owned() } else { of_line(line) })
        .collect()
}

/// Whether a line of a diagnostic quotes a program, as `12 | SET "x" WITH 1`.
fn is_of_program(line: &str) -> bool {
    let behind = line.trim_start_matches(|letter: char| letter == ' ' || letter.is_ascii_digit());
    behind.len() < line.len() && behind.starts_with('|')
}

fn of_line(line: &str) -> String {
    let (mut written, mut done) = (String::with_capacity(line.len()), 0);
    for (at, _) in line.match_indices('-') {
        let is_begin = line[..at].chars().next_back().is_none_or(|before| " ('\"`".contains(before));
        let behind = &line[at + 1..];
        let end = behind.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(behind.len());
        if !is_begin || behind[end..].starts_with(['-', '_']) || !VERBS.contains(&behind[..end]) {
            continue;
        }
        let before = &line[done..at];
        written.push_str(before);
        if !is_given(before) {
            written.push_str(LOTMQ_CMD);
        }
        written.push_str(&line[at..=at + end]);
        done = at + 1 + end;
    }
    written.push_str(&line[done..]);
    written
}

/// Whether what stands between two verbs gives the second one, be it with options, as in
/// `lotmq cmd --json -listRoutes`.
fn is_given(before: &str) -> bool {
    before.rfind(LOTMQ_CMD).is_some_and(|at| !before[at..].contains([';', ',', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_verbs_become_complete_lotmq_commands() {
        for (said, shown) in [
            ("-grantModule m -grant state grants it", "lotmq cmd -grantModule m -grant state grants it"),
            ("Set it with -setEnv or -setSecret.", "Set it with lotmq cmd -setEnv or lotmq cmd -setSecret."),
            ("it waits (`-listDeadLetters R`)", "it waits (`lotmq cmd -listDeadLetters R`)"),
            ("`lotmq cmd --json -listRoutes` tells", "`lotmq cmd --json -listRoutes` tells"),
            ("lotmq cmd -setEnv A=1, -listEnv", "lotmq cmd -setEnv A=1, lotmq cmd -listEnv"),
            ("a-help, --help, -helper, -help-me", "a-help, --help, -helper, -help-me"),
            (
                "12 | x -listRoutes\n   = help: -listRoutes",
                "12 | x -listRoutes\n   = help: lotmq cmd -listRoutes",
            ),
        ] {
            assert_eq!(pasteable(said), shown);
            assert_eq!(pasteable(shown), shown, "a second time");
        }
    }

    #[test]
    fn explanations_are_written_so_and_no_option_is_called_like_a_verb() {
        for code in lotmq_codes::all() {
            assert_eq!(pasteable(code.explanation), code.explanation, "{}", code.name);
        }
        let commands = lotmq_server::commands_markdown();
        let usages = commands.lines().filter(|line| line.starts_with('-') && !line.starts_with("-help"));
        for option in usages.flat_map(|usage| usage.split([' ', '[', ']', '|']).skip(1)) {
            let name = option.strip_prefix('-').unwrap_or_default();
            assert!(!VERBS.contains(name), "{option}");
        }
    }
}
