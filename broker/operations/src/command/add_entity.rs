//! Adding entities: a body of LoT text, compiled entity by entity, deployed where it is good.
//! Commands reference §4.

use std::sync::Arc;
use std::time::Instant;

use lot_to_wasm::diagnostic::json::{Entry, reply_message};
use lot_to_wasm::editor::references;
use lot_to_wasm::project::warn_of_calls;
use lot_to_wasm::{Compilation, CompileOptions, Diagnostic, Entity, Form, Output, Severity};
use lotmq_changes::Batch;
use lotmq_definitions::{DefinitionKind, InstallError, Installed, NewDefinition, OnExisting, Origin};
use lotmq_pulse::goes_on;
use serde_json::{Value, json};

use super::deploy_warnings::{Before, Deployed, WARNINGS};
use super::reply::{Done, EntityType, Refusal, missing_argument, problem};
use super::verb::Call;
use crate::command_queue::reply::ReplyData;
use crate::command_text::{EntityBody, entity_body, without_request_id};
use crate::projects::replacement_fingerprint;
use crate::sys;
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::{CompiledDefinition, DeployError};

/// Outcome of one entity.
struct Outcome {
    kind: DefinitionKind,
    name: String,
    message: String,
    errors: Vec<Value>,
    warnings: Vec<Value>,
}

/// Adds the entities of the command's body, all of which must be of `kind`.
///
/// # Errors
/// When one of them was not added; the others are.
pub(super) fn add(call: &mut Call<'_>, kind: DefinitionKind) -> Result<Done, Refusal> {
    add_text(call, kind, call.text("LoT text"))
}

/// Adds the entities of a text that came in another form; see [`add`].
///
/// # Errors
/// As [`add`].
pub(super) fn add_text(call: &mut Call<'_>, kind: DefinitionKind, body: &str) -> Result<Done, Refusal> {
    let EntityBody { text, existing: told, agreed } = entity_body(body);
    // Of all kinds rules alone are not replaced without being told so (commands reference §4).
    let unless_told = if kind == DefinitionKind::Rule { OnExisting::Refuse } else { OnExisting::ReplaceOwn };
    let existing = told.unwrap_or(unless_told);
    if text.trim().is_empty() {
        return Err(missing_argument(call.verb, "LoT text"));
    }
    without_request_id(text)?;
    // Lines in front are counted, as those of the file that the text is of; blank ones need not be
    // kept.
    let blank = text.len() - text.trim_start_matches(['\n', '\r']).len();
    let (blank, text) = text.split_at(blank);
    let lines = u32::try_from(blank.matches('\n').count()).unwrap_or(u32::MAX);
    let compat = call.hosting.compat();
    let options = CompileOptions {
        form: Form::Linked,
        known: &*call.tenant.programs().guests,
        compat,
        only: kind.of_text(),
        goes_on: &|| goes_on(Instant::now()),
        ..CompileOptions::default()
    };
    let mut compilation = lot_to_wasm::compile(text, &options);
    warn_of_calls(&mut [(text, &mut compilation)]);
    let Compilation { entities, diagnostics, .. } = compilation;
    let diagnostics: Vec<Diagnostic> =
        diagnostics.into_iter().map(|diagnostic| diagnostic.moved_down(lines)).collect();
    let (outside, outside_warnings) = split(&diagnostics);
    // With text beside it, the reply must tell that the one entity was added all the same.
    let is_alone = entities.len() == 1 && outside.is_empty();
    let mut outcomes = Vec::with_capacity(entities.len());
    for mut entity in entities {
        entity.lines_before = entity.lines_before.saturating_add(lines);
        let source = if is_alone { text } else { text.get(entity.range.clone()).unwrap_or_default() };
        goes_on(Instant::now());
        outcomes.push(add_one(call, (kind, existing, agreed), entity, source));
    }
    let Some(first) = outcomes.first() else {
        let message = diagnostics.first().map(reply_message).unwrap_or_default();
        return Err(Refusal {
            message,
            errors: outside,
            warnings: outside_warnings,
            data: ReplyData::Nothing,
        });
    };
    call.about(entity_type(first.kind), &first.name);
    let message = match diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
        Some(diagnostic) if first.errors.is_empty() => reply_message(diagnostic),
        _ => first.message.clone(),
    };
    let data = match is_alone {
        true => ReplyData::Nothing,
        false => json!({ "entities": outcomes.iter().map(row).collect::<Vec<_>>() }).into(),
    };
    let errors: Vec<Value> =
        outside.into_iter().chain(outcomes.iter().flat_map(|outcome| outcome.errors.clone())).collect();
    let warnings = outcomes.into_iter().flat_map(|outcome| outcome.warnings);
    let warnings: Vec<Value> = outside_warnings.into_iter().chain(warnings).collect();
    if !errors.is_empty() {
        return Err(Refusal { message, errors, warnings, data });
    }
    Ok(Done { message, data, warnings, is_silent: false })
}

fn row(outcome: &Outcome) -> Value {
    let Outcome { kind, name, errors, .. } = outcome;
    json!({ "type": kind.title(), "name": name, "success": errors.is_empty(), "errors": errors })
}

fn add_one(
    call: &mut Call<'_>,
    (wanted, existing, agreed): (DefinitionKind, OnExisting, Option<&str>),
    entity: Entity,
    source: &str,
) -> Outcome {
    let kind = entity.kind.map_or(wanted, DefinitionKind::from);
    let name = entity.name.clone();
    let of_text: Vec<Diagnostic> =
        entity.diagnostics.iter().map(|found| found.clone().moved_down(entity.lines_before)).collect();
    let (errors, mut warnings) = split(&of_text);
    // A user who fixes the errors fixes these warnings as well.
    let of_compiler = warnings.clone();
    let failed = |message: String, errors| Outcome {
        kind,
        name: name.clone(),
        message,
        errors,
        warnings: of_compiler.clone(),
    };
    if entity.kind.is_some() && kind != wanted {
        let title = kind.title();
        let article = if kind == DefinitionKind::Action { "an" } else { "a" };
        let message = format!("'{name}' is {article} {}. Use -add{title}.", title.to_lowercase());
        let errors = vec![problem(Code::KindMismatch, &message)];
        return failed(message, errors);
    }
    let first_error = of_text.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
    if let Some(first) = first_error {
        return failed(reply_message(first), errors);
    }
    let Some(output) = entity.output else {
        let message = format!("{} '{name}' was not compiled.", kind.title());
        return failed(message.clone(), vec![problem(Code::CompileFailed, &message)]);
    };
    // Before its drivers go over to the new text.
    let before = Before::of(call, &output, kind, &name);
    let place = place_of_name(source.get(entity.range).unwrap_or(source), entity.lines_before);
    match deploy(call, output, (source, entity.lines_before), (existing, agreed)) {
        Ok(installed) => {
            let deployed = Deployed { call, installed: &installed, before: &before, place };
            warnings.extend(deployed.warnings(WARNINGS));
            // Clients look for these words, also where something was there.
            let message = format!("{} '{name}' added successfully!", kind.title());
            Outcome { kind, name, message, errors: Vec::new(), warnings }
        }
        Err(refusal) => failed(refusal.message, refusal.errors),
    }
}

/// Line and column of the name of a definition, whose text follows so many lines.
fn place_of_name(text: &str, lines_before: u32) -> Option<(u32, u32)> {
    let references = references(text);
    let name = references.iter().find(|reference| reference.is_definition)?;
    let before = text.get(..name.range.start)?;
    let line = u32::try_from(before.matches('\n').count()).ok()?.saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((lines_before.saturating_add(line), u32::try_from(column).ok()?))
}

fn deploy(
    call: &mut Call<'_>,
    output: Output,
    (source, lines_before): (&str, u32),
    (existing, agreed): (OnExisting, Option<&str>),
) -> Result<Installed, Refusal> {
    let new = NewDefinition {
        kind: output.facts.kind.into(),
        name: output.facts.name.as_str().into(),
        source: source.into(),
        origin: Origin::AdHoc,
        lines_before,
        owner: call.owner(),
        facts: Arc::new(output.facts),
        installed_at: call.hosting.definitions_now().wall,
        order: None,
    };
    let compiled = CompiledDefinition::of_entity(call.loader(), &output.component, new, existing);
    let compiled = compiled.map_err(refused)?;
    compiled.check_settings(&call.tenant.programs().guests, &call.hosting.config).map_err(refused)?;
    let mut batch = Batch::new();
    let _changes = call.commands.changes.lock();
    call.check_current()?;
    check_agreed(call, &compiled.new, agreed)?;
    let installed =
        lotmq_programs::install(call.tenant, call.hosting, compiled, &mut batch).map_err(refused)?;
    if installed.definition.kind() == DefinitionKind::Rule {
        super::rules::count_changed(call);
    }
    call.changed_topics.extend(sys::installed_topics(&installed));
    call.commit(batch)?;
    Ok(installed)
}

/// Checks that the text in whose place a definition comes, and of a rule those that it opens, are
/// what somebody has agreed to, if anybody was asked. The caller holds the lock of changes.
fn check_agreed(call: &Call<'_>, new: &NewDefinition, agreed: Option<&str>) -> Result<(), Refusal> {
    let Some(agreed) = agreed else { return Ok(()) };
    let registry = call.tenant.programs().guests.registry.read();
    let known = registry.get(new.kind, &new.name);
    let rules = registry.list(DefinitionKind::Rule);
    let rules = rules.map(|rule| (&**rule.name(), &*rule.deployed.source));
    let replaced = known.map(|known| &*known.deployed.source);
    let present = replacement_fingerprint(replaced, (&new.name, &new.source), rules);
    if agreed.eq_ignore_ascii_case(&present) {
        return Ok(());
    }
    let (title, name) = (new.kind.title(), &new.name);
    let of_replaced = |fingerprint: &str| fingerprint.split('+').next().map(str::to_ascii_lowercase);
    let message = if of_replaced(agreed) == of_replaced(&present) {
        format!(
            "The rules that deny what {title} '{name}' may allow were changed meanwhile: they are not those that it was agreed to be asked before. Nothing was changed."
        )
    } else {
        format!(
            "{title} '{name}' was changed meanwhile: it is not what was agreed to be replaced. Nothing was changed."
        )
    };
    Err(Refusal::new(Code::Conflict, message))
}

/// Refusal for an entity that was not deployed.
pub(crate) fn refused(error: DeployError) -> Refusal {
    let text = error.to_string();
    let hint = if let DeployError::Install(InstallError::Exists { kind, name }) = &error {
        let title = kind.title();
        Some(format!(
            "-add{title} -replace takes the place of '{name}'; `lotmq deploy FOLDER` shows what changes, and asks first"
        ))
    } else {
        None
    };
    let code = match error {
        DeployError::Script(error) => return error.into(),
        DeployError::Load(error) => Code::from(&error),
        DeployError::Install(InstallError::Exists { .. }) => Code::Exists,
        DeployError::Install(InstallError::OfAnother { .. }) => Code::OfAnother,
        DeployError::Install(InstallError::TooMany { .. } | InstallError::TooManyOfOwner { .. }) => {
            Code::QuotaExceeded
        }
        DeployError::Install(_) => Code::FilterInvalid,
        DeployError::NoScope => Code::CompileFailed,
        DeployError::RouteType { .. } => Code::RouteTypeUnavailable,
        DeployError::NoModule => Code::RouteModuleUnnamed,
        DeployError::RouteSettings(_) => Code::RouteSettingsInvalid,
        DeployError::Stopping => Code::Stopping,
        DeployError::ComponentUnread(_) => Code::StoreFailed,
    };
    let refusal = Refusal::new(code, text);
    match hint {
        Some(hint) => refusal.with_suggestion(hint),
        None => refusal,
    }
}

/// Errors and warnings among diagnostics, as replies show them.
fn split(diagnostics: &[Diagnostic]) -> (Vec<Value>, Vec<Value>) {
    let value = |found: &Diagnostic| {
        serde_json::to_value(Entry::from(found)).expect("an entry is strings and numbers")
    };
    let (errors, warnings): (Vec<_>, Vec<_>) =
        diagnostics.iter().partition(|found| found.severity == Severity::Error);
    (errors.into_iter().map(value).collect(), warnings.into_iter().map(value).collect())
}

/// Kind as the envelope names it.
pub(super) fn entity_type(kind: DefinitionKind) -> EntityType {
    match kind {
        DefinitionKind::Action => EntityType::Action,
        DefinitionKind::Model => EntityType::Model,
        DefinitionKind::Rule => EntityType::Rule,
        DefinitionKind::Route => EntityType::Route,
        DefinitionKind::Module => EntityType::Module,
        DefinitionKind::Theme => EntityType::Theme,
        DefinitionKind::Panel => EntityType::Panel,
    }
}
