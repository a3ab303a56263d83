//! Topic Aliases that a Client sets for the topics it publishes to. They hold for one connection
//! \[MQTT-3.3.2-7\].

use std::num::NonZeroU16;

use crate::reason::violation::{AliasTooHigh, Violation};

/// Reason why an alias cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasRefusal {
    /// It is too high.
    #[error(transparent)]
    TooHigh(#[from] AliasTooHigh),
    /// The topics of all aliases are too long.
    #[error("topics of topic aliases take more than {bytes_max} bytes")]
    TooLong {
        /// Bound of their bytes.
        bytes_max: u32,
    },
}

impl From<AliasRefusal> for Violation {
    fn from(refusal: AliasRefusal) -> Self {
        match refusal {
            AliasRefusal::TooHigh(too_high) => Self::AliasTooHigh(too_high),
            AliasRefusal::TooLong { bytes_max } => Self::AliasesTooLong { bytes_max },
        }
    }
}

/// Topic Aliases of one Client. Grows with the highest alias in use, never beyond the maximum.
#[derive(Debug)]
pub struct TopicAliases {
    maximum: u16,
    bytes_max: u32,
    /// Bytes of all topics.
    bytes: usize,
    topics: Vec<Option<Box<str>>>,
}

impl TopicAliases {
    pub(crate) fn new(maximum: u16, bytes_max: u32) -> Self {
        Self { maximum, bytes_max, bytes: 0, topics: Vec::new() }
    }

    /// Bytes of all topics.
    pub fn bytes(&self) -> usize {
        self.bytes + self.topics.len() * size_of::<Option<Box<str>>>()
    }

    /// Maps an alias to a topic, replacing what it stood for.
    pub fn set(&mut self, alias: NonZeroU16, topic: &str) -> Result<(), AliasRefusal> {
        let index = self.index(alias)?;
        let former = self.topics.get(index).and_then(Option::as_deref).map_or(0, str::len);
        let bytes = self.bytes - former + topic.len();
        if bytes > self.bytes_max as usize {
            return Err(AliasRefusal::TooLong { bytes_max: self.bytes_max });
        }
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        self.topics[index] = Some(topic.into());
        self.bytes = bytes;
        Ok(())
    }

    /// Topic of an alias; `None` when it was never set.
    pub fn get(&self, alias: NonZeroU16) -> Result<Option<&str>, AliasTooHigh> {
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
        let mut aliases = TopicAliases::new(3, 5);
        assert_eq!(aliases.get(alias(3)), Ok(None));
        aliases.set(alias(3), "a").unwrap();
        aliases.set(alias(3), "b").unwrap();
        assert_eq!(aliases.get(alias(3)), Ok(Some("b")));
        assert_eq!(aliases.get(alias(1)), Ok(None));
        let refused = Err(AliasTooHigh { alias: 4, maximum: 3 });
        assert_eq!(aliases.get(alias(4)).map(drop), refused);
        assert_eq!(aliases.set(alias(4), "c"), refused.map_err(AliasRefusal::TooHigh));
        let too_long = Err(AliasRefusal::TooLong { bytes_max: 5 });
        aliases.set(alias(1), "1234").unwrap();
        assert_eq!(aliases.set(alias(2), "1"), too_long);
        assert_eq!(aliases.set(alias(1), "12345"), too_long);
        assert_eq!((aliases.get(alias(2)), aliases.get(alias(1))), (Ok(None), Ok(Some("1234"))));
        aliases.set(alias(1), "1").unwrap();
        aliases.set(alias(2), "123").unwrap();
        assert_eq!(aliases.bytes, 5);
    }
}
