//! Which requests are answered, and by what.

use lsp_types::request::{
    CodeActionRequest, Completion, DocumentSymbolRequest, Formatting, GotoDefinition, HoverRequest, Request,
    WorkspaceSymbolRequest,
};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionProviderCapability, CompletionOptions,
    HoverProviderCapability, OneOf, PositionEncodingKind, ServerCapabilities, TextDocumentSyncCapability,
    TextDocumentSyncKind, TextDocumentSyncOptions, TextDocumentSyncSaveOptions,
};
use serde_json::{Value, json};

use crate::server::Server;
use crate::{completion, definition, diagnostics, formatting, hover, symbols};

/// What the editor may ask for.
pub(crate) fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        position_encoding: Some(PositionEncodingKind::UTF16),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::FULL),
            save: Some(TextDocumentSyncSaveOptions::Supported(true)),
            ..TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(["\"", "/", "{"].map(str::to_owned).into()),
            ..CompletionOptions::default()
        }),
        definition_provider: Some(OneOf::Left(true)),
        document_symbol_provider: Some(OneOf::Left(true)),
        workspace_symbol_provider: Some(OneOf::Left(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            ..CodeActionOptions::default()
        })),
        ..ServerCapabilities::default()
    }
}

/// The answer to a request; `None` for a method that is not there.
pub(crate) fn answer(server: &Server, method: &str, params: Value) -> Option<serde_json::Result<Value>> {
    Some(match method {
        HoverRequest::METHOD => ask::<HoverRequest>(server, params, hover::hover),
        Completion::METHOD => ask::<Completion>(server, params, completion::completion),
        GotoDefinition::METHOD => ask::<GotoDefinition>(server, params, definition::definition),
        DocumentSymbolRequest::METHOD => ask::<DocumentSymbolRequest>(server, params, symbols::of_file),
        WorkspaceSymbolRequest::METHOD => {
            ask::<WorkspaceSymbolRequest>(server, params, symbols::of_workspace)
        }
        Formatting::METHOD => ask::<Formatting>(server, params, formatting::formatting),
        CodeActionRequest::METHOD => ask::<CodeActionRequest>(server, params, diagnostics::code_actions),
        _ => return None,
    })
}

fn ask<R: Request>(
    server: &Server,
    params: Value,
    answer: impl FnOnce(&Server, &R::Params) -> R::Result,
) -> serde_json::Result<Value> {
    let params = serde_json::from_value(params)?;
    Ok(json!(answer(server, &params)))
}
