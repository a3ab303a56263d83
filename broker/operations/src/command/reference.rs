//! The page of all commands, as `-help` tells them.

use std::fmt::Write as _;

use super::GROUPS;
use super::verb::Permission;

const HEAD: &str = "# Commands

Generated from `broker/operations/src/command`; `lotmq cmd -help` lists the same, `lotmq cmd -help VERB` shows one. A command is a message to
`$SYS/Coreflux/Command`, as `lotmq cmd` sends it; the reply comes on `$SYS/Coreflux/Command/Output`.

Arguments are parted by blanks. One that has blanks, or begins with a quotation mark, stands in quotation marks, and `\\\"` within them is one; `lotmq cmd` puts them
where the shell hands over such an argument. A text (LoT, Python, JSON, the value behind `NAME=`) goes as it is. Verbs are found in any case, with one dash or two, and
with dashes between their words: `-listUsers`, `--list-users`. Behind `--` no word is an option, so that a name may begin with a dash.

Who may give a command: everybody who may give commands at all, unless a permission is named ([docs/security.md](security.md)).
";

/// Writes `docs/commands.md`.
#[must_use]
pub fn commands_markdown() -> String {
    let mut text = HEAD.to_owned();
    for (group, verbs) in GROUPS {
        let _ = write!(text, "\n## {group}\n");
        for verb in *verbs {
            let needs = match verb.permission {
                Permission::CommandCall => String::new(),
                Permission::Root => " For `root` alone.".to_owned(),
                Permission::Scope(scope) => format!(" Needs `{}`.", scope.name()),
                Permission::ScopeOrOwn(scope) => {
                    format!(" Needs `{}`, but for what is one's own.", scope.name())
                }
            };
            let _ = write!(
                text,
                "\n### -{}\n\n{}{needs}\n\n```text\n{}\n\n{}\n```\n",
                verb.name,
                verb.summary,
                verb.full_usage(),
                verb.example
            );
        }
    }
    text
}
