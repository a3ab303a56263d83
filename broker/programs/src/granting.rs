//! Words for what a module was not granted: what it has of the kind, and the command that grants
//! it.

use lotmq_host::{Capability, Grants, NameGrant, TopicGrant};

/// Grants of a kind that are named; of further ones the number is told.
const NAMED_MAX: usize = 8;

/// The command that grants these to a module, such as `-grantModule scale -grant read:raw/#`.
pub fn command<'a>(module: &str, grants: impl IntoIterator<Item = &'a str>) -> String {
    let options = grants.into_iter().map(|grant| match grant {
        // In a shell as well, which reads `$` in quotation marks, and some signs without them.
        _ if grant.contains(['$', '*', '?', '[']) && !grant.contains('\'') => format!(" -grant '{grant}'"),
        _ if grant.contains(char::is_whitespace) => format!(" -grant \"{grant}\""),
        _ => format!(" -grant {grant}"),
    });
    format!("-grantModule {module}{}", options.collect::<String>())
}

/// Describes the grants of one kind that a module has, such as `it has read:raw/#`.
pub(crate) fn of_kind(grants: &Grants, capability: Capability) -> String {
    let word = capability.word();
    let listed = |all: &[Box<str>]| {
        let mut texts: Vec<String> = all.iter().take(NAMED_MAX).map(|it| format!("{word}:{it}")).collect();
        if all.len() > NAMED_MAX {
            texts.push(format!("{} more", all.len() - NAMED_MAX));
        }
        if texts.is_empty() {
            format!("it has no {word}: at all")
        } else {
            format!("it has {}", texts.join(", "))
        }
    };
    let topics = |of: &TopicGrant| match of {
        TopicGrant::None => listed(&[]),
        TopicGrant::NotSystem => format!("it has {word}: of all topics outside $SYS"),
        TopicGrant::Filters(filters) => listed(filters),
    };
    let names = |of: &NameGrant| match of {
        NameGrant::None => listed(&[]),
        NameGrant::All => format!("it has {word}:*"),
        NameGrant::Names(names) => listed(names),
    };
    match capability {
        Capability::ReadTopic => topics(&grants.read),
        Capability::WriteTopic => topics(&grants.write),
        Capability::ReadEnvironment => names(&grants.environment.read),
        Capability::WriteEnvironment => names(&grants.environment.write),
        Capability::ReadSecret => names(&grants.secrets.read),
        Capability::WriteSecret => names(&grants.secrets.write),
        Capability::CallAction => names(&grants.actions),
        Capability::PublishModel => names(&grants.models),
        Capability::CallScript => names(&grants.scripts),
        Capability::CallModule => names(&grants.modules),
        Capability::AskRoute => names(&grants.routes),
        Capability::ReadFile => names(&grants.files.read),
        Capability::WriteFile => names(&grants.files.write),
        Capability::OpenSerialPort => names(&grants.serial_ports),
        // These grants are not in this list, or the kind has only one.
        Capability::Connect | Capability::KeepState => format!("it has no {word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grant_hint_lists_existing_grants_and_the_granting_command() {
        let filters = |all: &[&str]| TopicGrant::Filters(all.iter().map(|it| (*it).into()).collect());
        let grants = Grants { read: filters(&["a/#", "b"]), ..Grants::default() };
        assert_eq!(of_kind(&grants, Capability::ReadTopic), "it has read:a/#, read:b");
        assert_eq!(of_kind(&grants, Capability::WriteTopic), "it has no write: at all");
        let many: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let grants = Grants { write: filters(&many), ..Grants::default() };
        assert!(of_kind(&grants, Capability::WriteTopic).ends_with("write:7, 2 more"));
        assert_eq!(command("m", ["endpoint:10.0.0.7:*"]), "-grantModule m -grant 'endpoint:10.0.0.7:*'");
        assert_eq!(command("m", ["read:$SYS/#"]), "-grantModule m -grant 'read:$SYS/#'");
        assert_eq!(command("m", ["read:a b", "state"]), "-grantModule m -grant \"read:a b\" -grant state");
    }
}
