//! Requests that read tags, and what comes of them.

use crate::Value;

/// A request that reads some tags at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned<R> {
    /// Positions of the tags.
    pub tags: Vec<usize>,
    /// Request to the device.
    pub request: R,
}

/// Position of a tag with its value, or the device's reason to refuse it.
pub type Reading = (usize, Result<Value, String>);
