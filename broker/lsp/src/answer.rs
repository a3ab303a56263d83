//! Capabilities of the server, and the dispatch of requests to their handlers.

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

use crate::analysis::Analysis;
use crate::{completion, definition, diagnostics, formatting, hover, symbols};

/// Returns the capabilities that the server announces to the editor.
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
pub(crate) fn answer(analysis: &Analysis, method: &str, params: Value) -> Option<serde_json::Result<Value>> {
    Some(match method {
        HoverRequest::METHOD => ask::<HoverRequest>(analysis, params, hover::hover),
        Completion::METHOD => ask::<Completion>(analysis, params, completion::completion),
        GotoDefinition::METHOD => ask::<GotoDefinition>(analysis, params, definition::definition),
        DocumentSymbolRequest::METHOD => ask::<DocumentSymbolRequest>(analysis, params, symbols::of_file),
        WorkspaceSymbolRequest::METHOD => {
            ask::<WorkspaceSymbolRequest>(analysis, params, symbols::of_workspace)
        }
        Formatting::METHOD => ask::<Formatting>(analysis, params, formatting::formatting),
        CodeActionRequest::METHOD => ask::<CodeActionRequest>(analysis, params, diagnostics::code_actions),
        _ => return None,
    })
}

fn ask<R: Request>(
    analysis: &Analysis,
    params: Value,
    answer: impl FnOnce(&Analysis, &R::Params) -> R::Result,
) -> serde_json::Result<Value> {
    let params = serde_json::from_value(params)?;
    Ok(json!(answer(analysis, &params)))
}
