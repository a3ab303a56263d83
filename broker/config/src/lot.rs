//! Section `[lot]`: how LoT programs see topics.

use super::key::section;
use super::setting::{VariableNames, words};

section! {
    /// How LoT programs see topics.
    Lot at "lot", |config| config.lot => {
        /// Topics that keep their last value for `GET TOPIC`: those that a definition reads, or
        /// every topic.
        cache: LotCache = LotCache::ReadTopics, json "LotCache";
        /// Most topics with a last value, for each tenant; the one written longest ago goes first.
        cache_topics: u64 = 1_000_000, json "LotCacheTopics", range 1..=1_000_000_000;
        /// Most bytes of last values, for each tenant; the one written longest ago goes first.
        cache_bytes: u64 = 268_435_456, json "LotCacheBytes", range 65_536..=1_099_511_627_776;
        /// Whether a message of QoS 1 or 2 is kept until its runs have ended. The broker repeats
        /// these runs after a crash: at least once, instead of at most once. It acknowledges the
        /// message when it is stored. Messages for routes are kept until the other system has taken
        /// them.
        durable_triggers: bool = false, json "DurableTriggers";
        /// Permissions of definitions: those of their owner by the rules, or everything, as in the
        /// original. The latter opens every topic, secret and environment value to everybody who
        /// may deploy, past all rules. It also lets them call definitions of others. Use it only
        /// for a broker with one administrator.
        authority: Authority = Authority::Owner;
        /// Variables of the broker's own process that `GET ENV` sees, beside those that are stored
        /// and those of `.env`. None of those that configure the broker.
        process_env: VariableNames = VariableNames::NONE;
    }
}

words! {
    /// Permissions of definitions.
    Authority {
        /// Those that the rules grant to their owner.
        Owner = "owner",
        /// Everything.
        Broker = "broker",
    }
}

words! {
    /// Topics that keep their last value.
    LotCache {
        /// Topics that a loaded definition reads.
        ReadTopics = "read-topics",
        /// Every topic.
        All = "all",
    }
}
