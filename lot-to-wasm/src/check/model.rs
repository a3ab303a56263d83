//! Checking a Model: from its text, with everything it inherits, to the code of its two functions
//! (LoT reference §9).
//!
//! A Model is checked into the same tree as an Action: its fields are variables, computed in the
//! order in which they need each other; an instance is a JSON literal of them. [`resolve`] finds
//! all fields, [`field`] resolves names, [`topic`] resolves wildcards, [`instance`] writes the
//! statements.

mod field;
mod instance;
mod order;
pub(crate) mod resolve;
mod topic;

use lot_facts::{Dependency, Facts, Kind, RouteStore, Trigger};

use super::tree::{self, Entry};
use super::{Known, entity, facts, infer};
use crate::compat::{Compat, ModelOutput};
use crate::diagnostic::{Draft, Sink, codes};
use crate::source::Span;
use crate::syntax;
use crate::syntax::model::{Fetch, FieldSource, ModelFormat, Store};
pub(crate) use field::Fields;
use instance::{Builder, Purpose};
pub(crate) use resolve::find;
use resolve::{Header, Node, Resolved};

/// A whole Model, ready to be turned into code.
pub(super) struct Plan<'a> {
    name: &'a str,
    header: Header,
    fields: Vec<Node>,
    /// `WITH TOPIC`, as written.
    base: Option<&'a syntax::Text>,
    /// Topics of the fields that trigger, as written, each once; none without a base topic.
    triggers: Vec<String>,
    /// There is no base topic, and some Model inherits from it.
    is_inherited: bool,
    /// `STORE IN`, its own ones: a parent stores only its own instances.
    stores: &'a [Store],
    /// `FETCH FROM`, its own ones.
    fetches: &'a [Fetch],
    compat: Compat,
}

impl Plan<'_> {
    /// Whether a run publishes each field on a topic of its own.
    fn publishes_fields(&self) -> bool {
        !self.header.is_collapsed && self.compat.model_output != ModelOutput::Json
    }

    /// Whether a run publishes a JSON object.
    fn publishes_object(&self) -> bool {
        self.header.is_collapsed || self.compat.model_output != ModelOutput::Fields
    }

    /// Route and table of a `STORE IN`; the default name of the table is that of the Model.
    fn stored(&self, store: &Store) -> RouteStore {
        let table = store.table.as_ref().map_or(self.name, |table| &table.value);
        RouteStore { route: store.route.text.clone(), table: table.to_owned() }
    }

    /// Topics whose messages start an instance.
    fn filters(&self) -> Vec<String> {
        self.triggers.iter().map(|trigger| topic::filter_of(trigger)).collect()
    }

    /// The filter of received JSON: the base topic of a Model that is not COLLAPSED.
    fn reception(&self) -> Option<String> {
        self.base.filter(|_| !self.header.is_collapsed).map(|base| topic::filter_of(&base.value))
    }
}

/// Checks a Model. `None` when anything is wrong with it, also by the parser; the sink then has an
/// error.
pub(crate) fn model(
    model: &syntax::DefineModel,
    known: &dyn Known,
    compat: Compat,
    sink: &mut Sink<'_>,
) -> Option<tree::Model> {
    entity::model(model, known, sink);
    refuse_what_needs_more(model, sink);
    let was_read = !sink.has_errors();
    let Resolved { header, fields, depends_on } = resolve::resolve(model, known, sink)?;
    let triggers = if model.options.topic.is_some() { triggers(&fields) } else { Vec::new() };
    let base = model.options.topic.as_ref();
    let plan = Plan {
        name: &model.name.text,
        header,
        fields,
        base,
        triggers,
        is_inherited: base.is_none() && known.is_parent(&model.name.text),
        stores: &model.stores,
        fetches: &model.fetches,
        compat,
    };
    if was_read {
        judge(&plan, model.name.span, sink);
    }
    let run = run(&plan, known, sink);
    // If a message starts the Model, errors in the fields have been reported already.
    let mut quiet = Sink::new(sink.source());
    let reporting = if plan.triggers.is_empty() { &mut *sink } else { &mut quiet };
    let built = Builder::new(&plan, Purpose::Build, known, reporting).build();
    let (mut build, mut value) = built?;
    let mut run = run?;
    if sink.has_errors() {
        return None;
    }
    infer::kinds(&mut run);
    infer::kinds(&mut build);
    infer::of_value(&mut value, &build.variables);
    facts::collect(&mut run);
    facts::collect(&mut build);
    run.facts = whole_facts(&plan, run.facts, build.facts.clone());
    let needed = depends_on.into_iter().map(|name| Dependency { kind: Kind::Model, name });
    run.facts.depends_on = needed.collect();
    Some(tree::Model {
        run,
        build,
        value,
        fields: assignable(&plan.fields),
        qos: plan.header.qos.unwrap_or(0),
        retain: plan.header.retain,
    })
}

/// Builds the run that a message starts; an empty callable if no message starts one.
fn run(plan: &Plan<'_>, known: &dyn Known, sink: &mut Sink<'_>) -> Option<tree::Action> {
    if !plan.triggers.is_empty() {
        return Builder::new(plan, Purpose::Run, known, sink).run();
    }
    let reception = plan.reception();
    let filters: Vec<String> = reception.iter().cloned().collect();
    let body = reception.map(|_| instance::split(plan, Vec::new())).into_iter().collect();
    let entry = match filters.as_slice() {
        [] => Entry::Callable { inputs: Vec::new(), outputs: Vec::new() },
        _ => Entry::Triggered(Trigger::Topic { filters }),
    };
    let name = plan.name.to_owned();
    let facts = Facts::new(Kind::Model, name.clone());
    Some(tree::Action { name, entry, variables: Vec::new(), regexes: Vec::new(), body, facts })
}

/// The facts of the Model: those of a run, with the reads of building an instance.
fn whole_facts(plan: &Plan<'_>, run: Facts, build: Facts) -> Facts {
    let mut facts = Facts { kind: Kind::Model, callable: None, ..run };
    if !plan.triggers.is_empty() {
        facts.reception = plan.reception();
    }
    union(&mut facts.reads, build.reads);
    union(&mut facts.retained_reads, build.retained_reads);
    union(&mut facts.keeps, build.keeps);
    union(&mut facts.env, build.env);
    union(&mut facts.secrets, build.secrets);
    let (of_run, of_build) = (&mut facts.effects, build.effects);
    of_run.clock |= of_build.clock;
    of_run.random |= of_build.random;
    of_run.env |= of_build.env;
    of_run.secret |= of_build.secret;
    of_run.route |= of_build.route;
    of_run.suspend |= of_build.suspend;
    facts.stores = plan.stores.iter().map(|store| plan.stored(store)).collect();
    union(&mut facts.writes, build.writes);
    if let Some(reception) = plan.reception() {
        let below = format!("{}/#", reception.trim_end_matches("/#"));
        union(&mut facts.writes, vec![lot_facts::TopicFact::Pattern(below)]);
    }
    facts
}

fn union<T: Ord>(all: &mut Vec<T>, more: Vec<T>) {
    all.extend(more);
    all.sort();
    all.dedup();
}

fn triggers(fields: &[Node]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for field in fields {
        match &field.source {
            Some(FieldSource::Topic(topic, _)) if field.is_trigger && !found.contains(&topic.value) => {
                found.push(topic.value.clone());
            }
            _ => {}
        }
        for of_child in triggers(&field.children) {
            if !found.contains(&of_child) {
                found.push(of_child);
            }
        }
    }
    found
}

/// PROTOBUF needs an encoder: it is read, and refused.
fn refuse_what_needs_more(model: &syntax::DefineModel, sink: &mut Sink<'_>) {
    if matches!(model.options.format, Some(ModelFormat::Protobuf | ModelFormat::Both)) {
        let message = "this build does not compile FORMAT PROTOBUF yet";
        sink.push(
            Draft::error(codes::NOT_YET_COMPILED, model.name.span, message).suggest("write WITH FORMAT JSON"),
        );
    }
}

/// Reports a header that does not fit the fields. A Model that inherits fields AS TRIGGER can have
/// the base topic.
fn judge(plan: &Plan<'_>, name: Span, sink: &mut Sink<'_>) {
    let Some(base) = plan.base else {
        if !plan.is_inherited && !triggers(&plan.fields).is_empty() {
            let message = "the model has no base topic, so AS TRIGGER starts nothing";
            let draft = Draft::warning(codes::MODEL_NEVER_RUNS, name, message);
            let draft = draft.note("a model FROM it that has a base topic is started by them");
            sink.push(draft.suggest("write WITH TOPIC \"base\" in the model's first line"));
        }
        return;
    };
    if plan.publishes_fields() {
        plan.fields.iter().for_each(|field| judge_level(field, sink));
    }
    if plan.triggers.is_empty() {
        let has_topic = plan.fields.iter().any(|field| matches!(field.source, Some(FieldSource::Topic(..))));
        if plan.header.is_collapsed && !has_topic {
            let message = "the model has a base topic but no AS TRIGGER, so it never publishes by itself";
            let draft = Draft::warning(codes::MODEL_NEVER_RUNS, base.span, message);
            sink.push(draft.note("PUBLISH MODEL can use it"));
        }
        return;
    }
    let wanted = topic::wildcards(&base.value);
    let fewest = plan.triggers.iter().map(|trigger| topic::wildcards(trigger)).min().unwrap_or(0);
    let has_rest = plan.triggers.iter().all(|trigger| trigger.ends_with('#'));
    if wanted > fewest || base.value.ends_with('#') && !has_rest {
        let message = format!("the base topic has {wanted} wildcards, a triggering field has {fewest}");
        let draft = Draft::error(codes::MODEL_WILDCARDS, base.span, message);
        sink.push(draft.suggest("give the base topic at most as many wildcards as each field AS TRIGGER"));
    }
}

/// Warns of a field that is published on a topic which its name makes impossible, or deeper than it
/// looks.
fn judge_level(field: &Node, sink: &mut Sink<'_>) {
    let problem = match field.name.as_str() {
        "" => "it is an empty level",
        name if name.contains(['+', '#', '\0']) => "it is never published",
        name if name.contains('/') => "it is more than one level",
        _ => {
            return field.children.iter().for_each(|child| judge_level(child, sink));
        }
    };
    sink.pin(field.pinned);
    let message = format!("field \"{}\" is no level of a topic: {problem}", field.name.escape_debug());
    let draft = Draft::warning(codes::TOPIC_NAME, field.span, message);
    sink.push(draft.suggest("give it a name without / + #, or write COLLAPSED to publish one JSON object"));
    sink.pin(None);
}

/// Fields that may be assigned, see [`tree::Model::fields`]. `None` while a Model that this one is
/// made of is unknown.
pub(crate) fn assignable_of(
    model: &syntax::DefineModel,
    known: &dyn Known,
    sink: &mut Sink<'_>,
) -> Option<Vec<String>> {
    let Resolved { fields, depends_on, .. } = resolve::resolve(model, known, sink)?;
    depends_on.iter().all(|name| known.model_source(name).is_some()).then(|| assignable(&fields))
}

fn assignable(fields: &[Node]) -> Vec<String> {
    let mut names = Vec::new();
    collect_assignable(fields, "", &mut names);
    names
}

fn collect_assignable(fields: &[Node], prefix: &str, names: &mut Vec<String>) {
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        let is_free = !field.is_scalar() && field.children.is_empty();
        collect_assignable(&field.children, &format!("{path}."), names);
        if is_free {
            names.push(format!("{path}."));
        }
        names.push(path);
    }
}
