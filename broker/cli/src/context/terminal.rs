//! A line from the terminal that does not show while it is typed.

use std::io::Stdin;

use anyhow::Context as _;
use lotmq_terminal::output;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Asks on standard error and reads a line from the terminal on standard input, without its echo.
pub(crate) fn read_hidden(question: &str) -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    let hidden = Hidden::begin(&stdin)?;
    output::ask(question);
    let mut line = String::new();
    let outcome = stdin.read_line(&mut line);
    drop(hidden);
    output::note("");
    outcome.context("cannot read from the terminal")?;
    Ok(line)
}

/// A terminal without echo, until this is dropped.
struct Hidden<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn begin(stdin: &'a Stdin) -> anyhow::Result<Self> {
        let before = tcgetattr(stdin).context("cannot read the state of the terminal")?;
        let mut without_echo = before.clone();
        without_echo.local_modes -= LocalModes::ECHO;
        tcsetattr(stdin, OptionalActions::Flush, &without_echo).context("cannot turn the echo off")?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(self.stdin, OptionalActions::Flush, &self.before);
    }
}
