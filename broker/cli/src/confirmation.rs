//! A question at the terminal before something is replaced or goes.

use std::io::IsTerminal as _;

use lotmq_terminal::output;

/// Asks the user at the terminal for consent. Returns false if there is no terminal.
pub(crate) fn is_confirmed(question: &str) -> anyhow::Result<bool> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Ok(false);
    }
    output::note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}
