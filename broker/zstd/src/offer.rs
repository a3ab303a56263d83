//! User Properties by which CONNECT requests the zstd stream and CONNACK grants it.

use crate::limits::FLUSH_MS_MAX;

/// Name of the User Property that asks for the transport and grants it.
const NAME: &str = "lotmq-zstd";

/// The version of the transport, its value.
const VERSION: &str = "1";

/// Name of the User Property with the time for which the server may collect bytes, in milliseconds.
const FLUSH_NAME: &str = "lotmq-flush-ms";

/// The transport as one side asks for it or the other grants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Milliseconds for which the server may collect what it sends, at most [`FLUSH_MS_MAX`]; 0 for
    /// not at all.
    pub flush_ms: u16,
}

impl Offer {
    /// Reads the User Properties of a CONNECT or CONNACK; `None` where they say nothing of the
    /// transport, or of a version that we do not know.
    pub fn read<'a>(properties: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let (mut is_wanted, mut flush_ms) = (false, 0);
        for (name, value) in properties {
            if name == NAME {
                is_wanted |= value == VERSION;
            } else if name == FLUSH_NAME {
                flush_ms = value.parse().unwrap_or(0).min(FLUSH_MS_MAX);
            }
        }
        is_wanted.then_some(Self { flush_ms })
    }

    /// The User Properties that say it, by name and value.
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, String)> {
        let flush = (self.flush_ms > 0).then(|| (FLUSH_NAME, self.flush_ms.to_string()));
        std::iter::once((NAME, VERSION.to_owned())).chain(flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read_and_said() {
        for (properties, expected) in [
            (vec![("lotmq-zstd", "1")], Some(0)),
            (vec![("lotmq-flush-ms", "50"), ("site", "north"), ("lotmq-zstd", "1")], Some(50)),
            (vec![("lotmq-zstd", "2"), ("lotmq-zstd", "1"), ("lotmq-flush-ms", "65000")], Some(FLUSH_MS_MAX)),
            (vec![("lotmq-zstd", "1"), ("lotmq-flush-ms", "-1")], Some(0)),
            (vec![("lotmq-zstd", "1"), ("lotmq-flush-ms", "70000")], Some(0)),
            (vec![("lotmq-zstd", "2")], None),
            (vec![("lotmq-zstd", "")], None),
            (vec![("LOTMQ-ZSTD", "1")], None),
            (vec![("lotmq-flush-ms", "50")], None),
            (vec![], None),
        ] {
            let read = Offer::read(properties.iter().copied());
            assert_eq!(read, expected.map(|flush_ms| Offer { flush_ms }), "{properties:?}");
            if let Some(offer) = read {
                let said: Vec<_> = offer.properties().collect();
                assert_eq!(Offer::read(said.iter().map(|(name, value)| (*name, value.as_str()))), read);
            }
        }
    }
}
