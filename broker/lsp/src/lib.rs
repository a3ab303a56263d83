//! A language server for LoT, which editors start and speak to through standard input and output.
//!
//! [`server`] takes messages and keeps [`workspace`] up to date; one module answers each kind of
//! request. The compiler (`lot_to_wasm::editor`) knows the language. This crate converts positions
//! to those of editors and speaks the protocol.

mod analysis;
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

use lotmq_connect::Url;
use lotmq_terminal::{Exit, output::note};
use lsp_server::Message;

use inbox::InboxError;
use live::Live;
use outbox::Outbox;
use server::Server;

/// Messages that are read ahead; behind them the editor waits.
const READ_AHEAD: usize = 64;

/// Answers an editor on standard input and output until it leaves; with a broker also about last
/// values and topics of that.
///
/// # Errors
/// When the system gives no thread.
pub fn serve(broker: Option<Url>) -> anyhow::Result<Exit> {
    let outbox = Outbox;
    let live = broker.map(|url| Live::start(url, outbox)).transpose()?;
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
