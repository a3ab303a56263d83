//! `lotmq lsp`: a language server for LoT, which editors start and speak to through standard input and output.
//!
//! [`server`] takes messages and keeps [`workspace`] up to date; one module answers each kind of question. What the language means is the
//! compiler's (`lot_to_wasm::editor`); here are places as editors count them, and the protocol.

mod answer;
mod completion;
mod definition;
mod diagnostics;
mod formatting;
mod hover;
mod inbox;
mod lines;
mod live;
mod outbox;
mod scripts;
mod server;
mod source;
mod symbols;
mod uri;
mod workspace;

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use clap::Args;
use lsp_server::Message;

use crate::connect::Url;
use crate::exit::Exit;
use crate::output::note;
use inbox::InboxError;
use live::Live;
use outbox::Outbox;
use server::Server;

/// Messages that are read ahead; behind them the editor waits.
const READ_AHEAD: usize = 64;

/// Answer an editor about LoT programs: a language server on standard input and output.
///
/// Diagnostics with fixes, hover, completion, definitions, symbols and formatting for .lot files. How editors are set up:
/// docs/lot/editors.md.
///
/// Exit codes: 0 the editor said goodbye, 1 it went without, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct LspArgs {
    /// Show last values and propose topics of this broker: mqtt://[user[:password]@]host[:port][/filter]; without a filter of all topics
    #[arg(long, value_name = "URL", value_parser = Url::parse)]
    broker: Option<Url>,
    /// The only way there is, and accepted because some editors name it
    #[arg(long)]
    stdio: bool,
}

pub(crate) fn lsp(args: &LspArgs) -> anyhow::Result<Exit> {
    let outbox = Outbox;
    let live = args.broker.clone().map(|url| Live::start(url, outbox)).transpose()?;
    Ok(Server::new(outbox, live).run(&messages()?))
}

/// The messages of the editor, until it closes its end.
fn messages() -> io::Result<Receiver<Message>> {
    let (sender, receiver) = sync_channel(READ_AHEAD);
    thread::Builder::new().name("editor".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            match inbox::read(&mut stdin) {
                Ok(Some(message)) => {
                    if sender.send(message).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error @ InboxError::NoMessage(_)) => note(&format!("warning: {error}")),
                Err(error) => {
                    note(&format!("error: cannot read standard input: {error}"));
                    return;
                }
            }
        }
    })?;
    Ok(receiver)
}
