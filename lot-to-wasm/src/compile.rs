//! The front door: a text with any number of entities in, one result per entity out.
//!
//! Each entity is compiled on its own, so that a bad one does not prevent the others (LoT reference
//! §1.4).

mod misspelt;
mod stray;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use lot_facts::{Facts, Kind, Signature};
use lot_nearest::nearest;
use lot_route_catalogue::RouteType;

use crate::check::{Callee, Known, PatternsOfText, RouteEvent, Whole};
use crate::compat::Compat;
use crate::diagnostic::{Diagnostic, Draft, Label, Severity, Sink, TextSpan, codes};
use crate::limits::{ENTITIES_MAX, SOURCE_BYTES_MAX};
use crate::lower::TooLarge;
use crate::source::{Position, Source, Span};
use crate::split::{Slices, split};
use crate::syntax;
use misspelt::with_keywords_meant;
use stray::{Stray, declared, without_consequences};

/// How to compile.
pub struct CompileOptions<'a> {
    /// Shape of the component.
    pub form: Form,
    /// Definitions outside the text, for the check of arguments; those in the text are known
    /// anyway.
    pub known: &'a dyn Known,
    /// How the language is read.
    pub compat: Compat,
    /// Names of the texts, in their order, for places in another one than that of the diagnostic;
    /// empty where they have none.
    pub files: &'a [String],
    /// Whether to report words and forms that are extensions of this compiler (LOT240).
    pub portable: bool,
    /// Whether this or an earlier version has accepted the text: rules that are newer than that
    /// only give warnings.
    pub is_stored: bool,
    /// The one kind that is wanted: entities of others are read, so that those of the kind know
    /// them, but neither checked nor compiled. `None` for all kinds.
    pub only: Option<Kind>,
    /// Called before each entity is compiled, so that a watchdog of the thread sees progress.
    pub goes_on: &'a dyn Fn(),
}

impl std::fmt::Debug for CompileOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompileOptions")
            .field("form", &self.form)
            .field("compat", &self.compat)
            .field("portable", &self.portable)
            .field("is_stored", &self.is_stored)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

impl Default for CompileOptions<'_> {
    fn default() -> Self {
        CompileOptions {
            form: Form::Linked,
            known: &crate::check::KnownNothing,
            compat: Compat::default(),
            files: &[],
            portable: false,
            is_stored: false,
            only: None,
            goes_on: &|| (),
        }
    }
}

/// Shape of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Only the core module: for the broker, which has the LoT runtime and the
    /// [shell](crate::lower::shell) compiled already.
    Linked,
    /// Embeds the LoT runtime: runs in any host of the WIT world.
    Standalone,
}

/// Result of compiling a text.
#[derive(Debug)]
pub struct Compilation {
    /// Its entities in source order.
    pub entities: Vec<Entity>,
    /// Diagnostics outside of entities; lines count from the text's start.
    pub diagnostics: Vec<Diagnostic>,
    /// Names that text outside of entities declares.
    strays: Vec<Stray>,
}

impl Compilation {
    /// Whether every entity was compiled and nothing else was wrong.
    pub fn succeeded(&self) -> bool {
        !has_errors(&self.diagnostics) && self.entities.iter().all(|entity| entity.output.is_some())
    }

    /// All diagnostics with lines counted from the start of the text, in source order, without
    /// those that only follow from text outside of entities.
    pub fn all_diagnostics(&self) -> Vec<Diagnostic> {
        let inside = self.entities.iter().flat_map(|entity| {
            entity.diagnostics.iter().map(|found| found.clone().moved_down(entity.lines_before))
        });
        let mut all: Vec<Diagnostic> = self.diagnostics.iter().cloned().chain(inside).collect();
        all.sort_by_key(|diagnostic| diagnostic.span.start);
        without_consequences(&self.strays, all)
    }
}

/// Result of compiling one entity.
#[derive(Debug)]
pub struct Entity {
    /// Its kind; `None` when the word after `DEFINE` is none.
    pub kind: Option<Kind>,
    /// Its name; empty when there is none.
    pub name: String,
    /// Bytes of its slice of the text: its published source.
    pub range: Range<usize>,
    /// Lines of the text before the slice: add them to the lines of `diagnostics` to count from the
    /// text's start.
    pub lines_before: u32,
    /// Diagnostics; lines count from the start of the slice.
    pub diagnostics: Vec<Diagnostic>,
    /// The component, unless there is an error.
    pub output: Option<Output>,
}

/// A compiled entity.
#[derive(Debug, Clone)]
pub struct Output {
    /// A valid component of the entity's world, or the core module of one, with the facts in the
    /// section [`lot_facts::SECTION`]. Empty for a Route, which the guest of its type runs with the
    /// facts as its configuration, for Panels and Themes, which never run, and for an entity that
    /// was only [checked](check_project).
    pub component: Vec<u8>,
    /// The facts.
    pub facts: Facts,
}

/// A parsed entity.
#[derive(Debug)]
pub struct ParsedEntity {
    /// Bytes of its slice of the text.
    pub range: Range<usize>,
    /// Lines of the text before the slice.
    pub lines_before: u32,
    /// The tree; `None` when not even kind and name could be read.
    pub tree: Option<syntax::Entity>,
    /// Diagnostics of the parser; lines count from the start of the slice.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses every entity of a text. The diagnostics beside them are about text outside of entities.
pub fn parse(text: &str) -> (Vec<ParsedEntity>, Vec<Diagnostic>) {
    let (slices, diagnostics) = slices(text);
    let whole = Source::new(text);
    let entities = slices.entities.into_iter().map(|range| parse_entity(&whole, range)).collect();
    (entities, diagnostics)
}

fn parse_entity(whole: &Source<'_>, range: Range<usize>) -> ParsedEntity {
    let source = Source::new(whole.text().get(range.clone()).unwrap_or(""));
    let mut sink = Sink::new(&source);
    let tree = tree(&mut sink);
    let lines_before = lines_before(whole, range.start);
    ParsedEntity { range, lines_before, tree, diagnostics: with_keywords_meant(sink.finish()) }
}

/// Compiles every entity of a text, each on its own. Callable Actions and Models of the text are
/// known to each other.
///
/// ```
/// let text = "DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n";
/// let compilation = lot_to_wasm::compile(text, &lot_to_wasm::CompileOptions::default());
/// assert!(compilation.succeeded());
/// assert_eq!(compilation.entities[0].name, "Echo");
/// ```
pub fn compile(text: &str, options: &CompileOptions<'_>) -> Compilation {
    let slices = slices(text);
    let mut compilations = compile_slices(vec![(text, slices)], options, Some(options.form), Whole::Text);
    compilations.pop().unwrap_or(Compilation {
        entities: Vec::new(),
        diagnostics: Vec::new(),
        strays: Vec::new(),
    })
}

/// Compiles the texts of a project: as [`compile`] each of them, but all are known to each other,
/// and a text may have nothing in it. The answers come in the order of the texts.
///
/// ```
/// let model = "DEFINE MODEL Reading COLLAPSED\n    ADD DOUBLE \"v\"\n";
/// let action = "DEFINE ACTION Send\nON TOPIC \"in\" DO\n    \
///     PUBLISH MODEL Reading TO \"out\" WITH w = PAYLOAD\n";
/// let compiled = lot_to_wasm::compile_project(&[action, model], &Default::default());
/// assert!(!compiled[0].succeeded() && compiled[1].succeeded(), "the model has no field w");
/// ```
pub fn compile_project(texts: &[&str], options: &CompileOptions<'_>) -> Vec<Compilation> {
    compile_slices(slices_of(texts), options, Some(options.form), Whole::Project)
}

/// As [`compile_project`], but without components: for callers that only want the diagnostics.
pub fn check_project(texts: &[&str], options: &CompileOptions<'_>) -> Vec<Compilation> {
    compile_slices(slices_of(texts), options, None, Whole::Project)
}

/// The slices of texts of which each may have nothing in it.
fn slices_of<'t>(texts: &[&'t str]) -> Vec<(&'t str, (Slices, Vec<Diagnostic>))> {
    let slices = |text: &&'t str| {
        let is_empty = split(text) == Slices::default();
        (*text, if is_empty { Default::default() } else { slices(text) })
    };
    texts.iter().map(slices).collect()
}

/// Compiles split texts that all know each other; without a form they are only checked. `whole` is
/// the unit that they form together.
fn compile_slices(
    texts: Vec<(&str, (Slices, Vec<Diagnostic>))>,
    options: &CompileOptions<'_>,
    form: Option<Form>,
    whole: Whole,
) -> Vec<Compilation> {
    let mut compilations = Vec::with_capacity(texts.len());
    // Of each entity: which text it is in, and where.
    let mut places = Vec::new();
    let mut sources = Vec::new();
    for (number, (text, (slices, diagnostics))) in texts.into_iter().enumerate() {
        let lines = Source::new(text);
        for range in slices.entities {
            sources.push(Source::new(text.get(range.clone()).unwrap_or("")));
            places.push((number, lines_before(&lines, range.start), range));
        }
        compilations.push(Compilation { entities: Vec::new(), diagnostics, strays: declared(text) });
    }
    let patterns = PatternsOfText::new(whole);
    let sink = |source| {
        let sink = Sink::new(source).telling_of_extensions(options.portable).of_stored(options.is_stored);
        // A stored text has passed the limit of its patterns before.
        if options.is_stored { sink } else { sink.among(&patterns) }
    };
    let mut sinks: Vec<Sink<'_>> = sources.iter().map(sink).collect();
    let trees: Vec<Option<syntax::Entity>> = sinks.iter_mut().map(tree).collect();
    let were_read = sinks.iter().map(|sink| !sink.has_errors()).collect();
    let mut known = InText::new(&trees, sources.iter().map(Source::text), options.known);
    known.forget(&trees, were_read);
    let mut seen = BTreeMap::new();
    for ((tree, mut sink), (number, lines_before, range)) in trees.iter().zip(sinks).zip(places) {
        if let Some(tree) = tree {
            let file = options.files.get(number).cloned().unwrap_or_default();
            warn_repeated(tree, (file, lines_before), &mut seen, whole.word(), &mut sink);
        }
        (options.goes_on)();
        let wanted = tree.as_ref().filter(|tree| options.only.is_none_or(|only| only == tree.kind()));
        let output = wanted.and_then(|tree| output(tree, &known, options.compat, form, &mut sink));
        if let (Some(syntax::Entity::Rule(rule)), Some(_)) = (tree, &output) {
            crate::check::warn_of_gaps(rule, &trees, &mut sink);
        }
        compilations[number].entities.push(Entity {
            kind: tree.as_ref().map(syntax::Entity::kind),
            name: tree.as_ref().map_or(String::new(), |tree| tree.name().text.clone()),
            range,
            lines_before,
            diagnostics: with_keywords_meant(sink.finish()),
            output,
        });
    }
    compilations
}

/// Calls `ask` with the entities of these texts as other entities see them.
pub(crate) fn with_known<R>(texts: &[&str], ask: impl FnOnce(&dyn Known) -> R) -> R {
    let slices: Vec<&str> = texts
        .iter()
        .flat_map(|text| split(text).entities.into_iter().map(|range| text.get(range).unwrap_or("")))
        .collect();
    let trees: Vec<Option<syntax::Entity>> = slices
        .iter()
        .map(|slice| {
            let source = Source::new(slice);
            tree(&mut Sink::new(&source))
        })
        .collect();
    ask(&InText::new(&trees, slices.into_iter(), &crate::check::KnownNothing))
}

/// Checks one entity, and lowers it where there is a form; `None` when there is an error.
fn output(
    tree: &syntax::Entity,
    known: &dyn Known,
    compat: Compat,
    form: Option<Form>,
    sink: &mut Sink<'_>,
) -> Option<Output> {
    match tree {
        syntax::Entity::Action(action) => {
            let checked = crate::check::action(action, known, compat, sink)?;
            let component = lowered(|form| crate::lower::action(&checked, form), form, tree, sink)?;
            Some(Output { component, facts: checked.facts })
        }
        syntax::Entity::Model(model) => {
            let checked = crate::check::model(model, known, compat, sink)?;
            let component = lowered(|form| crate::lower::model(&checked, form), form, tree, sink)?;
            Some(Output { component, facts: checked.run.facts })
        }
        syntax::Entity::Rule(rule) => {
            let checked = crate::check::rule(rule, known, compat, sink)?;
            let component = lowered(|form| crate::lower::rule(&checked, form), form, tree, sink)?;
            Some(Output { component, facts: checked.facts })
        }
        syntax::Entity::Route(route) => {
            let facts = crate::check::route(route, known, sink)?;
            Some(Output { component: Vec::new(), facts })
        }
        syntax::Entity::Panel(panel) => {
            let facts = crate::check::panel(panel, known, sink)?;
            Some(Output { component: Vec::new(), facts })
        }
        syntax::Entity::Theme(theme) => {
            let facts = crate::check::theme(theme, sink)?;
            Some(Output { component: Vec::new(), facts })
        }
    }
}

/// The component. Without a form it is generated all the same, to know whether it keeps within the
/// bounds, and thrown away.
fn lowered(
    lower: impl FnOnce(Form) -> Result<Vec<u8>, TooLarge>,
    form: Option<Form>,
    tree: &syntax::Entity,
    sink: &mut Sink<'_>,
) -> Option<Vec<u8>> {
    match lower(form.unwrap_or(Form::Linked)) {
        Ok(component) => Some(if form.is_some() { component } else { Vec::new() }),
        Err(error) => {
            let message = format!("{} `{}` is too large: {error}", tree.kind().title(), tree.name().text);
            let draft = Draft::error(codes::TOO_MUCH_CODE, tree.name().span, message);
            sink.push(
                draft
                    .suggest("divide it into several that call each other, or ask a database for long lists"),
            );
            None
        }
    }
}

/// The entities of a text or project, in front of those outside of it. The last of a name counts.
struct InText<'a> {
    actions: BTreeMap<&'a str, &'a syntax::DefineAction>,
    /// Their texts.
    models: BTreeMap<&'a str, &'a str>,
    /// Models from which others inherit.
    parents: BTreeSet<&'a str>,
    /// Actions that could not be read to their end.
    unsure: BTreeSet<String>,
    routes: BTreeMap<&'a str, &'a syntax::DefineRoute>,
    outside: &'a dyn Known,
}

impl<'a> InText<'a> {
    fn new(
        trees: &'a [Option<syntax::Entity>],
        texts: impl Iterator<Item = &'a str>,
        outside: &'a dyn Known,
    ) -> InText<'a> {
        let mut known = InText {
            actions: BTreeMap::new(),
            models: BTreeMap::new(),
            parents: BTreeSet::new(),
            unsure: BTreeSet::new(),
            routes: BTreeMap::new(),
            outside,
        };
        for (tree, text) in trees.iter().zip(texts) {
            if let Some(syntax::Entity::Action(action)) = tree {
                known.actions.insert(&action.name.text, action);
            } else if let Some(syntax::Entity::Model(model)) = tree {
                known.models.insert(&model.name.text, text);
                known.parents.extend(model.options.parent.as_ref().map(|parent| parent.text.as_str()));
            } else if let Some(syntax::Entity::Route(route)) = tree {
                known.routes.insert(&route.name.text, route);
            }
        }
        known
    }
}

impl InText<'_> {
    /// Marks Actions with syntax errors as unknown, because their signatures are not reliable.
    fn forget(&mut self, trees: &[Option<syntax::Entity>], were_read: Vec<bool>) {
        for (tree, _) in trees.iter().zip(were_read).filter(|(_, was_read)| !was_read) {
            if let Some(syntax::Entity::Action(action)) = tree {
                self.unsure.insert(action.name.text.clone());
            }
        }
    }
}

impl Known for InText<'_> {
    fn action(&self, name: &str) -> Callee {
        if self.unsure.contains(name) {
            return Callee::Unknown;
        }
        self.actions.get(name).map_or_else(|| self.outside.action(name), |action| callee(action))
    }

    fn model_source(&self, name: &str) -> Option<Arc<str>> {
        let inside = self.models.get(name).map(|text| Arc::from(*text));
        inside.or_else(|| self.outside.model_source(name))
    }

    fn is_parent(&self, name: &str) -> bool {
        self.parents.contains(name) || self.outside.is_parent(name)
    }

    fn route_events(&self, name: &str) -> Option<Vec<RouteEvent>> {
        let inside = self.routes.get(name).map(|route| crate::check::route_events(route));
        inside.or_else(|| self.outside.route_events(name))
    }

    fn route_type(&self, module: &str) -> Option<Arc<RouteType>> {
        self.outside.route_type(module)
    }
}

fn callee(action: &syntax::DefineAction) -> Callee {
    match &action.entry {
        syntax::ActionBody::Triggered(_) => Callee::Triggered,
        syntax::ActionBody::Callable { inputs, outputs } => Callee::Callable(Signature {
            inputs: inputs
                .iter()
                .map(|input| lot_facts::Input { name: input.name.text.clone(), kind: input.kind })
                .collect(),
            outputs: outputs.iter().map(|output| output.name.text.clone()).collect(),
        }),
    }
}

/// Warns when a kind and name are defined a second time in one text, with the place of the first
/// definition. `place` is the file and how many of its lines stand before the entity.
fn warn_repeated(
    tree: &syntax::Entity,
    (file, lines_before): (String, u32),
    seen: &mut BTreeMap<(&'static str, String), Label>,
    whole: &str,
    sink: &mut Sink<'_>,
) {
    let (kind, name) = (tree.kind().title(), tree.name());
    let down = |position: Position| Position { line: position.line.saturating_add(lines_before), ..position };
    let span = TextSpan {
        start: down(sink.source().position(name.span.start)),
        end: down(sink.source().position(name.span.end)),
    };
    let here =
        Label { file: Some(file), span, text: "the other definition, which this one replaces".to_owned() };
    if let Some(other) = seen.insert((kind, name.text.clone()), here) {
        let message = format!("{kind} `{}` is defined twice in this {whole}", name.text);
        sink.push(Draft::warning(codes::DUPLICATE_ENTITY, name.span, message).elsewhere(other));
    }
}

/// Tokens and syntax tree of the sink's source.
fn tree(sink: &mut Sink<'_>) -> Option<syntax::Entity> {
    let tokens = crate::token::tokenize(sink);
    syntax::parse::entity(tokens, sink)
}

fn lines_before(whole: &Source<'_>, start: usize) -> u32 {
    whole.position(Span::new(start, start).start).line.saturating_sub(1)
}

/// Returns the slices of a text that is not too long, and the errors outside of them.
fn slices(text: &str) -> (Slices, Vec<Diagnostic>) {
    let source = Source::new(if text.len() > SOURCE_BYTES_MAX { "" } else { text });
    let mut sink = Sink::new(&source);
    let mut slices = split(source.text());
    if text.len() > SOURCE_BYTES_MAX {
        let message = format!("the text has {} bytes, more than {SOURCE_BYTES_MAX}", text.len());
        sink.push(Draft::error(codes::TEXT_TOO_LONG, Span::default(), message));
    } else if !slices.outside.is_empty() {
        report_outside(&mut sink, &slices);
    } else if slices.entities.is_empty() {
        let draft = Draft::error(codes::OUTSIDE_ENTITY, Span::default(), "there is no entity in the text");
        sink.push(draft.suggest("begin with DEFINE ACTION name in column 1"));
    }
    slices.entities.retain(|range| !range.is_empty());
    if slices.entities.len() > ENTITIES_MAX {
        let message = format!("the text has {} entities, the limit is {ENTITIES_MAX}", slices.entities.len());
        let draft = Draft::error(codes::TEXT_TOO_LONG, Span::default(), message);
        sink.push(draft.suggest("add them with several commands, or as a project of several files"));
        slices.entities.clear();
    }
    (slices, sink.finish())
}

/// Names the first word outside of an entity.
fn report_outside(sink: &mut Sink<'_>, slices: &Slices) {
    let tokens = crate::token::tokenize_quietly(sink.source());
    let Some(token) = tokens.first().filter(|token| (token.span.start as usize) < slices.outside.end) else {
        return;
    };
    let word = sink.source().slice(token.span).to_owned();
    let near = nearest(&word, ["DEFINE"]);
    let shown: String = word.chars().take(40).collect();
    let message = format!("expected DEFINE, found {shown}");
    let draft = Draft::error(codes::OUTSIDE_ENTITY, token.span, message).expected(&["DEFINE"]);
    sink.push(if word.eq_ignore_ascii_case("DEFINE") {
        draft.suggest("move DEFINE to column 1")
    } else if near.is_some() {
        draft.did_you_mean(near)
    } else if word.starts_with(['#', ';']) {
        draft.suggest("comments begin with --")
    } else {
        draft.suggest("begin with DEFINE ACTION name in column 1")
    });
}

fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
