//! Rules of lotmq that grant and deny what the files of another broker do.
//!
//! A rule stands for a topic filter, a direction and a rank; users who share them share the rule.
//! `%u` and `%c` become a `+` in the filter, and a comparison of that level. The last rules deny
//! the rest.
//!
//! Invariant: a grant that cannot be said exactly is refused and never widened.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lotmq_router::topic_filter_valid;

/// Direction of a message, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AclDirection {
    /// The client publishes it.
    Publish,
    /// The client receives it.
    Read,
}

/// Clients whom a grant is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AclSubject {
    /// All clients.
    Everybody,
    /// Clients without a user.
    Anonymous,
    /// A user.
    User(String),
    /// Members of a group.
    Group(String),
}

/// Priority of the first rules.
pub(crate) const RANK_OF_FIRST: u32 = 200;

/// Order of the lines of an ACL file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AclRank {
    DeniedToUser,
    OfUser,
    DeniedPattern,
    Pattern,
}

impl AclRank {
    /// Priority of its rules. Numbers below 100 are for built-in rules.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::DeniedToUser => RANK_OF_FIRST,
            Self::OfUser => RANK_OF_FIRST + 10,
            Self::DeniedPattern => RANK_OF_FIRST + 20,
            Self::Pattern => RANK_OF_FIRST + 30,
        }
    }
}

/// Priority of the rules that deny the rest, before the rules of a new broker that allow it.
pub(crate) const RANK_OF_REST: u32 = 990_000;

/// Permission of a subject, or its denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AclGrant {
    pub(crate) subject: AclSubject,
    pub(crate) direction: AclDirection,
    /// Topic filter, with `%u` and `%c`.
    pub(crate) topic: String,
    pub(crate) allows: bool,
    /// Priority of the rule; lower ones are asked first.
    pub(crate) rank: u32,
}

/// Reason why a grant has no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AclRefusal {
    #[error("the topic is no valid filter")]
    Filter,
    #[error("`%u` and `%c` must be whole levels of the topic")]
    PartOfLevel,
    #[error(
        "the topic belongs to the broker; in lotmq each user reads `$SYS/broker/#`, and administrators the rest"
    )]
    System,
    #[error("a user with this name cannot be here")]
    Name,
}

/// Answer to a subscription with wildcards that no grant covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wildcards {
    /// It is taken, and each message is asked about, as with an ACL file.
    Taken,
    /// It is refused, as by `dynamic_security`.
    Refused,
}

/// Key of a rule: all that its grants share.
type RuleKey = (u32, AclDirection, bool, String, Vec<String>);

/// Permissions of an import.
#[derive(Debug, Default)]
pub(crate) struct AclGrants {
    rules: BTreeMap<RuleKey, Vec<AclSubject>>,
    /// Directions in which all that no grant allows is denied.
    restricted: BTreeMap<AclDirection, Wildcards>,
    /// Users with the only Client Identifier that each may have.
    identifiers: Vec<(String, String)>,
}

impl AclGrants {
    /// Denies what no grant allows.
    pub(crate) fn restrict(&mut self, direction: AclDirection, wildcards: Wildcards) {
        self.restricted.entry(direction).or_insert(wildcards);
    }

    /// Lets a user connect with one Client Identifier only.
    pub(crate) fn bind(&mut self, user: &str, client_id: &str) {
        self.identifiers.push((user.to_owned(), client_id.to_owned()));
    }

    /// Adds a grant.
    ///
    /// # Errors
    /// [`AclRefusal`], and nothing is added.
    pub(crate) fn add(&mut self, grant: AclGrant) -> Result<(), AclRefusal> {
        let AclGrant { subject, direction, topic, allows, rank } = grant;
        let is_name_valid = match &subject {
            AclSubject::User(name) => lotmq_auth::check_user_name(name).is_ok(),
            AclSubject::Group(name) => lotmq_auth::check_group_name(name).is_ok(),
            AclSubject::Everybody | AclSubject::Anonymous => true,
        };
        if !is_name_valid {
            return Err(AclRefusal::Name);
        }
        if topic == "$SYS" || topic.starts_with("$SYS/") || topic.starts_with("$CONTROL") {
            return Err(AclRefusal::System);
        }
        let (filter, conditions) = placeholders(&topic)?;
        if topic_filter_valid(&filter).is_err() || filter.contains(char::is_control) {
            return Err(AclRefusal::Filter);
        }
        let subjects = self.rules.entry((rank, direction, allows, filter, conditions)).or_default();
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
        Ok(())
    }

    /// LoT text of all rules; empty where nothing is restricted.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (number, ((rank, direction, allows, filter, levels), subjects)) in self.rules.iter().enumerate() {
            let (scope, verdict) = (scope(*direction), if *allows { "ALLOW" } else { "DENY" });
            let _ = write!(
                text,
                "DEFINE RULE Mosquitto{scope}{} WITH PRIORITY {rank} FOR {scope} TO TOPIC {}\n{}\n",
                number + 1,
                quoted(filter),
                body(&condition(subjects, levels), verdict)
            );
        }
        for (number, (user, client_id)) in self.identifiers.iter().enumerate() {
            let condition = format!("USER IS {} AND NOT CLIENTID IS {}", quoted(user), quoted(client_id));
            let number = number + 1;
            let _ = write!(
                text,
                "DEFINE RULE MosquittoConnect{number} WITH PRIORITY {RANK_OF_FIRST} FOR Connect\n{}\n",
                body(&condition, "DENY")
            );
        }
        for (direction, wildcards) in &self.restricted {
            text.push_str(&rest(*direction, *wildcards));
        }
        text
    }
}

/// Topic filter and comparisons of a topic with `%u` and `%c`.
fn placeholders(topic: &str) -> Result<(String, Vec<String>), AclRefusal> {
    let (mut levels, mut conditions) = (Vec::new(), Vec::new());
    for (index, level) in topic.split('/').enumerate() {
        let subject = match level {
            "%u" => Some("USER"),
            "%c" => Some("CLIENTID"),
            other if other.contains("%u") || other.contains("%c") => return Err(AclRefusal::PartOfLevel),
            _ => None,
        };
        if let Some(subject) = subject {
            conditions.push(format!("{subject} IS TOPIC POSITION {}", index + 1));
        }
        levels.push(if subject.is_some() { "+" } else { level });
    }
    Ok((levels.join("/"), conditions))
}

fn scope(direction: AclDirection) -> &'static str {
    match direction {
        AclDirection::Publish => "Publish",
        AclDirection::Read => "Subscribe",
    }
}

/// Condition for these subjects and levels; empty for everybody.
fn condition(subjects: &[AclSubject], levels: &[String]) -> String {
    let mut parts: Vec<String> = levels.to_vec();
    if !subjects.contains(&AclSubject::Everybody) {
        let all: Vec<String> = subjects.iter().map(is_subject).collect();
        let subjects = all.join(" OR ");
        parts.insert(0, if all.len() > 1 && !levels.is_empty() { format!("({subjects})") } else { subjects });
    }
    parts.join(" AND ")
}

fn is_subject(subject: &AclSubject) -> String {
    match subject {
        AclSubject::Everybody => String::new(),
        AclSubject::Anonymous => "NOT USER IS NOT \"\"".to_owned(),
        AclSubject::User(name) => format!("USER IS {}", quoted(name)),
        AclSubject::Group(name) => format!("USER IN GROUP {}", quoted(name)),
    }
}

fn body(condition: &str, verdict: &str) -> String {
    if condition.is_empty() {
        return format!("    {verdict}\n");
    }
    format!("    IF {condition} THEN\n        {verdict}\n")
}

/// Rule that denies the rest of a direction.
fn rest(direction: AclDirection, wildcards: Wildcards) -> String {
    let scope = scope(direction);
    let head = format!("DEFINE RULE Mosquitto{scope}Rest WITH PRIORITY {RANK_OF_REST} FOR {scope}\n");
    match (direction, wildcards) {
        (AclDirection::Publish, _) | (AclDirection::Read, Wildcards::Refused) => head + "    DENY\n\n",
        (AclDirection::Read, Wildcards::Taken) => {
            head + "    IF TOPIC CONTAINS \"#\" OR TOPIC CONTAINS \"+\" THEN\n        ALLOW\n    ELSE\n        DENY\n\n"
        }
    }
}

/// Text of LoT in quotation marks.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
