//! Section `[broker]`: what the broker says about itself.

use super::key::section;
use super::setting::words;

section! {
    /// Name and thread placement of the broker.
    Broker at "broker", |config| config.broker => {
        /// Name of this broker, shown in `$SYS/Coreflux/Config` and in log lines.
        name: String = "lotmq".to_owned(), json "Name";
        /// Policy that assigns new connections to threads.
        placement: Placement = Placement::Pack, json "Placement";
    }
}

words! {
    /// Policy that assigns new connections to threads.
    Placement {
        /// The first that is not busy: few threads with large batches cost the least per message.
        Pack = "pack",
        /// The one with the fewest connections: all cores work, even where one would do.
        Spread = "spread",
    }
}
