//! Section `[broker]`: what the broker says about itself.

use super::key::section;

section! {
    /// What the broker says about itself.
    Broker at "broker", |config| config.broker => {
        /// Name of this broker, shown in `$SYS/Coreflux/Config` and in log lines.
        name: String = "lotmq".to_owned(), json "Name";
    }
}
