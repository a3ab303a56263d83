//! Settings of guests for logins: members of their configuration, texts with placeholders, grants
//! of an access control list, and the common name of a certificate.
//!
//! Errors of a configuration name the member and the values that it may have. Errors of a login
//! name the placeholder, and never contain its value.

pub mod escape;
mod grants;
mod settings;
mod subject;
mod template;

pub use grants::{all_topics, grants};
pub use settings::{Settings, parse};
pub use subject::common_name;
pub use template::{Placeholder, Template, TemplatePart, Unfit, VALUE_BYTES_MAX};
