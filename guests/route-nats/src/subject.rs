//! Subjects: levels of a topic with dots between them.

/// Target of messages: a subject, or one in which `>` stands for the message's topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SubjectPattern(String);

impl SubjectPattern {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn new(text: &str) -> Result<SubjectPattern, &'static str> {
        let tokens: Vec<&str> = text.split('.').collect();
        let (last, before) = tokens.split_last().unwrap_or((&"", &[]));
        if before.iter().any(|token| !is_token(token)) || !(*last == ">" || is_token(last)) {
            return Err("is no subject with at most one wildcard, a `>` at its end");
        }
        Ok(SubjectPattern(text.to_owned()))
    }

    /// The subject for a message of a topic.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn filled(&self, topic: &str) -> Result<String, String> {
        let Some(prefix) = self.0.strip_suffix('>') else { return Ok(self.0.clone()) };
        match topic.split('/').find(|level| !is_token(level)) {
            Some(level) => {
                Err(format!("the level '{}' of its topic is no part of a subject", level.escape_debug()))
            }
            None => Ok(format!("{prefix}{}", topic.replace('/', "."))),
        }
    }
}

/// The topic that a subject is here: its tokens as levels.
pub(crate) fn topic_of(subject: &str) -> String {
    subject.replace('.', "/")
}

/// Whether a subject may be subscribed to.
pub(crate) fn is_filter(subject: &str) -> bool {
    let tokens: Vec<&str> = subject.split('.').collect();
    let is_part = |(index, token): (usize, &&str)| {
        *token == "*" || (*token == ">" && index + 1 == tokens.len()) || is_token(token)
    };
    tokens.iter().enumerate().all(is_part)
}

fn is_token(token: &str) -> bool {
    !token.is_empty() && !token.contains(['.', '*', '>', ' ', '\t', '\r', '\n', '\0', '\x0c'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_subjects_become_each_other() {
        for (pattern, topic, expected) in [
            ("plant", "a/b", Ok("plant")),
            (">", "a/b", Ok("a.b")),
            ("mqtt.>", "a", Ok("mqtt.a")),
            ("mqtt.>", "a.b/c", Err("the level 'a.b' of its topic is no part of a subject")),
            (">", "/a", Err("the level '' of its topic is no part of a subject")),
            (">", "a b", Err("the level 'a b' of its topic is no part of a subject")),
        ] {
            let found = SubjectPattern::new(pattern).unwrap().filled(topic);
            assert_eq!(found.as_deref().map_err(|reason| &**reason), expected, "{pattern} {topic}");
        }
        for wrong in ["", "a.", "*.a", "a.>.b", "a b"] {
            assert!(SubjectPattern::new(wrong).is_err(), "{wrong}");
        }
        assert!(
            is_filter("a.*.>")
                && is_filter("a")
                && !is_filter("a.>.b")
                && !is_filter("a b")
                && !is_filter("")
        );
        assert_eq!(topic_of("a.b"), "a/b");
    }
}
