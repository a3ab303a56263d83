//! Topic Aliases that a Client sets for the topics it publishes to. They hold for one connection \[MQTT-3.3.2-7\].

use std::num::NonZeroU16;

/// The alias is above the Topic Alias Maximum that we announced \[MQTT-3.3.2-9\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic alias {alias} exceeds the topic alias maximum {maximum}")]
pub(crate) struct AliasTooHigh {
    alias: u16,
    maximum: u16,
}

/// See the module's documentation. Grows with the highest alias in use, never beyond the maximum.
#[derive(Debug)]
pub(crate) struct TopicAliases {
    maximum: u16,
    topics: Vec<Option<Box<str>>>,
}

impl TopicAliases {
    pub(crate) fn new(maximum: u16) -> Self {
        Self { maximum, topics: Vec::new() }
    }

    /// Maps an alias to a topic, replacing what it stood for.
    pub(crate) fn set(&mut self, alias: NonZeroU16, topic: &str) -> Result<(), AliasTooHigh> {
        let index = self.index(alias)?;
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        self.topics[index] = Some(topic.into());
        Ok(())
    }

    /// What an alias stands for; `None` when it was never set.
    pub(crate) fn get(&self, alias: NonZeroU16) -> Result<Option<&str>, AliasTooHigh> {
        let index = self.index(alias)?;
        Ok(self.topics.get(index).and_then(Option::as_deref))
    }

    fn index(&self, alias: NonZeroU16) -> Result<usize, AliasTooHigh> {
        let alias = alias.get();
        if alias > self.maximum {
            return Err(AliasTooHigh { alias, maximum: self.maximum });
        }
        Ok(usize::from(alias) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_set_replaced_and_bounded() {
        let alias = |n| NonZeroU16::new(n).unwrap();
        let mut aliases = TopicAliases::new(3);
        assert_eq!(aliases.get(alias(3)), Ok(None));
        aliases.set(alias(3), "a").unwrap();
        aliases.set(alias(3), "b").unwrap();
        assert_eq!(aliases.get(alias(3)), Ok(Some("b")));
        assert_eq!(aliases.get(alias(1)), Ok(None));
        let refused = Err(AliasTooHigh { alias: 4, maximum: 3 });
        assert_eq!(aliases.set(alias(4), "c"), refused);
    }
}
