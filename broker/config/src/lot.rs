//! Section `[lot]`: how LoT programs see topics.

use super::key::section;
use super::setting::{VariableNames, words};

section! {
    /// How LoT programs see topics.
    Lot at "lot", |config| config.lot => {
        /// Which topics keep their last value for `GET TOPIC`: those that a definition reads, or
        /// every topic.
        cache: LotCache = LotCache::ReadTopics, json "LotCache";
        /// Most topics with a last value, for each tenant; the one written longest ago goes first.
        cache_topics: u64 = 1_000_000, json "LotCacheTopics", range 1..=1_000_000_000;
        /// Most bytes of last values, for each tenant; the one written longest ago goes first.
        cache_bytes: u64 = 268_435_456, json "LotCacheBytes", range 65_536..=1_099_511_627_776;
        /// Whether a message of QoS 1 or 2 is kept until the runs that it starts have ended, and
        /// starts them again after a crash: at least once, in place of at most once. It is
        /// acknowledged when it is stored. What is for routes is kept until the other system has
        /// taken it.
        durable_triggers: bool = false, json "DurableTriggers";
        /// What definitions may do: what the rules allow their owner, or everything, as in the
        /// original. The latter opens every topic, secret and environment value to whoever may
        /// deploy, past all rules, and lets him call what others have deployed: only for a broker
        /// with one administrator.
        authority: Authority = Authority::Owner;
        /// Variables of the broker's own process that `GET ENV` sees, beside those that are stored
        /// and those of `.env`. None of those that configure the broker.
        process_env: VariableNames = VariableNames::NONE;
    }
}

words! {
    /// What definitions may do.
    Authority {
        /// What the rules allow their owner.
        Owner = "owner",
        /// Everything.
        Broker = "broker",
    }
}

words! {
    /// Which topics keep their last value.
    LotCache {
        /// Topics that a loaded definition reads.
        ReadTopics = "read-topics",
        /// Every topic.
        All = "all",
    }
}
