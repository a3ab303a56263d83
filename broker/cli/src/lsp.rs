//! `lotmq lsp`: the language server, as editors start it.

use clap::Args;
use lotmq_connect::{Unquoted, Url};
use lotmq_terminal::Exit;

/// Answer an editor about LoT programs: a language server on standard input and output.
///
/// As in: lotmq lsp, or with last values of a broker in hovers: lotmq lsp --broker
/// mqtt://127.0.0.1.
///
/// Diagnostics with fixes, hover, completion, definitions, symbols and formatting for .lot files.
/// How editors are set up: docs/lot/editors.md.
///
/// Exit codes: 0 the editor said goodbye, 1 it went without, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct LspArgs {
    /// Show last values and propose topics of this broker:
    /// mqtt://[user[:password]@]host[:port][/filter]; without a filter of all topics
    #[arg(long, value_name = "URL", value_parser = Unquoted(Url::parse))]
    broker: Option<Url>,
    /// The only way there is, and accepted because some editors name it
    #[arg(long)]
    stdio: bool,
}

pub(crate) fn lsp(args: &LspArgs) -> anyhow::Result<Exit> {
    lotmq_lsp::serve(args.broker.clone())
}
