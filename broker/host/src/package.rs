//! The WIT package `lotmq:guest`, as components name its interfaces.

/// Versions that fit each other: those of one minor version, as long as the major one is 0.
pub(crate) const TRACK: &str = "0.2";

/// Qualified name of an interface of the package, as host functions are linked by.
macro_rules! interface {
    ($name:literal) => {
        concat!("lotmq:guest/", $name, "@0.2.0")
    };
}

/// Qualified name of an interface of the package.
pub(crate) fn qualified(interface: &str) -> String {
    format!("lotmq:guest/{interface}@{TRACK}.0")
}
