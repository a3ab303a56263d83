//! Writer of whole messages to the editor on standard output, shared by all threads.

use std::io;

use lsp_server::{Message, Notification, Response};
use lsp_types::notification::{LogMessage, Notification as _, PublishDiagnostics};
use lsp_types::{LogMessageParams, MessageType, PublishDiagnosticsParams};

/// Writes messages. Once the editor does not read any more nothing is written; that it has gone
/// shows on standard input.
#[derive(Clone, Copy)]
pub(crate) struct Outbox;

impl Outbox {
    fn send(self, message: &Message) {
        // The lock keeps messages of several threads apart; the error shows as the end of standard
        // input.
        let _ = message.write(&mut io::stdout().lock());
    }

    pub(crate) fn respond(self, response: Response) {
        self.send(&Message::Response(response));
    }

    pub(crate) fn request(self, request: lsp_server::Request) {
        self.send(&Message::Request(request));
    }

    pub(crate) fn publish(self, params: PublishDiagnosticsParams) {
        self.send(&Message::Notification(Notification::new(PublishDiagnostics::METHOD.to_owned(), params)));
    }

    /// A line in the editor's log of this server.
    pub(crate) fn log(self, typ: MessageType, message: &str) {
        let params = LogMessageParams { typ, message: message.to_owned() };
        self.send(&Message::Notification(Notification::new(LogMessage::METHOD.to_owned(), params)));
    }
}
