//! Commands of the program that the broker runs in.

use std::io::{self, Write};

use super::Server;
use lotmq_operations::command::command_in_process;
pub use lotmq_operations::command_queue::reply::{CommandReply, ReplyData};

/// User of a tenant, whose rights a command has.
#[derive(Debug, Clone, Copy)]
pub struct CommandUser<'a> {
    /// Name of the tenant, such as `default`.
    pub tenant: &'a str,
    /// Name of the user.
    pub user: &'a str,
}

/// Executes a command of the commands reference with the rights of a user. Writes the bytes of its
/// download to `file`, and returns the reply. Blocks until the command has ended.
///
/// # Errors
/// Those of `file`, and `NotFound` for a tenant that does not exist.
pub fn execute_command(
    server: &Server,
    of: CommandUser<'_>,
    text: &str,
    file: &mut dyn Write,
) -> io::Result<CommandReply> {
    let tenants = server.broker.hosting.tenants.all();
    let tenant = tenants.iter().find(|tenant| &*tenant.name == of.tenant);
    let tenant = tenant.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such tenant"))?;
    command_in_process(&server.broker, tenant, of.user, text, file)
}
