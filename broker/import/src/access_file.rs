//! ACL files: `user`, `topic` and `pattern`.
//!
//! mosquitto looks at the topics of a user first, then at the patterns. In each of the two, a
//! denial wins. Lines before the first `user` are for clients without one. All that
//! no line allows is denied.

use std::path::Path;

use crate::Gathered;
use crate::line::{ConfLine, lines, split_word};
use crate::rule_text::{AclDirection, AclGrant, AclRank, AclSubject, Wildcards};

pub(crate) fn read(path: &Path, text: &str, collected: &mut Gathered) {
    for direction in [AclDirection::Publish, AclDirection::Read] {
        collected.grants.restrict(direction, Wildcards::Taken);
    }
    let mut subject = AclSubject::Anonymous;
    for line in lines(text) {
        match line.word {
            "user" if line.rest.is_empty() => collected.remark(path, line.number, "`user` needs a name"),
            "user" => subject = AclSubject::User(line.rest.to_owned()),
            "topic" => add(path, line, &subject, collected),
            "pattern" => add(path, line, &AclSubject::Everybody, collected),
            other => collected.remark(path, line.number, format!("`{other}` is no word of an ACL file")),
        }
    }
}

fn add(path: &Path, line: ConfLine<'_>, subject: &AclSubject, collected: &mut Gathered) {
    let (word, rest) = split_word(line.rest);
    let (directions, topic): (&[AclDirection], &str) = match word {
        "read" if !rest.is_empty() => (&[AclDirection::Read], rest),
        "write" if !rest.is_empty() => (&[AclDirection::Publish], rest),
        "readwrite" | "deny" if !rest.is_empty() => (&[AclDirection::Read, AclDirection::Publish], rest),
        // Without an access it is both, and blanks belong to the topic.
        _ => (&[AclDirection::Read, AclDirection::Publish], line.rest),
    };
    let allows = word != "deny" || rest.is_empty();
    let rank = match (*subject == AclSubject::Everybody, allows) {
        (false, false) => AclRank::DeniedToUser,
        (false, true) => AclRank::OfUser,
        (true, false) => AclRank::DeniedPattern,
        (true, true) => AclRank::Pattern,
    };
    for &direction in directions {
        let grant = AclGrant {
            subject: subject.clone(),
            direction,
            topic: topic.to_owned(),
            allows,
            rank: rank.number(),
        };
        if let Err(reason) = collected.grants.add(grant) {
            collected.remark(path, line.number, format!("`{} {}`: {reason}", line.word, line.rest));
            return;
        }
    }
}
