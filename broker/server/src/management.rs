//! Management of the broker: commands and the `$SYS` tree, and what they are about: accounts,
//! logins, audit, log lines, modules, projects, backups.
//!
//! Above `net` and `guests`, which know nothing of it: what the core and guests call of it comes
//! through [`hooks`]. [`broker::Broker`] is what all of it shares, [`managed::Managed`] what it
//! keeps of a tenant. Not here: when any of it starts and stops (`server`).

pub(crate) mod accounts;
pub(crate) mod apply;
pub(crate) mod asset_catalog;
pub(crate) mod assets;
pub(crate) mod audit;
pub mod backup;
pub(crate) mod ban_rows;
pub(crate) mod broker;
pub(crate) mod command;
pub(crate) mod command_queue;
mod command_text;
pub(crate) mod components;
pub(crate) mod denials;
pub(crate) mod exposure;
mod hooks;
pub(crate) mod limits;
pub(crate) mod login_places;
pub(crate) mod logins;
pub(crate) mod logs;
pub(crate) mod managed;
pub(crate) mod module_catalog;
pub(crate) mod modules;
pub mod projects;
pub(crate) mod refused_logins;
mod removed_names;
pub(crate) mod sys;
pub(crate) mod system_state;
pub(crate) mod tenant_projects;
pub(crate) mod uploads;
mod zip_members;
