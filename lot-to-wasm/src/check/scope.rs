//! Variables of an Action: their names, and where they can and must have been set.
//!
//! Variables are function-scoped: a SET in a branch is visible after it (§8.1). Two facts are
//! followed through the statements: whether a variable *may* have been set before a place (else a
//! read is reported), and whether it *must* have been (else a read may give Empty).

use super::kind::KindSet;
use super::model::Fields;
use super::tree::{RESULT, VariableId};
use crate::limits::VARIABLES_MAX;
use crate::source::Span;
use crate::statement::{Part, Statement};
use crate::syntax::{ActionBody, DefineAction};

/// A variable while it is checked.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Place of the first assignment.
    pub(crate) span: Span,
    /// Kinds assigned so far; an input begins with its declared kind.
    pub(crate) kinds: KindSet,
    /// How often statements assign it.
    assignments: usize,
    /// How many of the assignments so far were constants of the program.
    constants: usize,
    /// The text of the program that was assigned, if the last assignment so far had one.
    text: Option<String>,
    /// The last assignment so far was a cast of a value that may be Empty, and leaves Empty as it
    /// is.
    stays_empty: bool,
    /// The assigned value comes from a topic that may never have been written.
    is_unset_topic: bool,
    /// Some read may give Empty.
    pub(crate) may_be_unset: bool,
    pub(crate) is_read: bool,
    /// `INPUT`, or the hidden variable of RESULT: not reported when unused.
    pub(crate) is_given: bool,
}

/// Variables that may, and those that must, have been set at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flow {
    may: Vec<bool>,
    must: Vec<bool>,
}

/// All variables of an Action with the flow at the current place.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) entries: Vec<Entry>,
    flow: Flow,
    /// Names beyond the bound.
    pub(crate) overflow: Option<Span>,
    /// Meaning of names in a Model; `None` in an Action.
    pub(crate) fields: Option<Fields>,
}

impl Scope {
    /// Finds every variable of an Action. Inputs come first and are set.
    pub(crate) fn new(action: &DefineAction) -> Scope {
        let flow = Flow { may: Vec::new(), must: Vec::new() };
        let mut scope = Scope { entries: Vec::new(), flow, overflow: None, fields: None };
        if let ActionBody::Callable { inputs, .. } = &action.entry {
            for input in inputs {
                if scope.find(&input.name.text).is_none() {
                    scope.declare(&input.name.text, input.name.span);
                    if let Some(entry) = scope.entries.last_mut() {
                        entry.is_given = true;
                    }
                }
            }
        }
        let inputs = scope.entries.len();
        each_assignment(&action.body, &mut |name, span| scope.declare(name, span));
        scope.flow.may = (0..scope.entries.len()).map(|index| index < inputs).collect();
        scope.flow.must = scope.flow.may.clone();
        scope
    }

    /// No variables at all.
    pub(crate) fn empty() -> Scope {
        let flow = Flow { may: Vec::new(), must: Vec::new() };
        Scope { entries: Vec::new(), flow, overflow: None, fields: None }
    }

    /// The variables of a Model, which are [added](Self::add) one by one.
    pub(crate) fn of_model(fields: Fields) -> Scope {
        let flow = Flow { may: Vec::new(), must: Vec::new() };
        Scope { entries: Vec::new(), flow, overflow: None, fields: Some(fields) }
    }

    /// A variable that is set before it is read.
    pub(crate) fn add(&mut self, name: String) -> VariableId {
        let id = VariableId(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        self.entries.push(Entry {
            name,
            span: Span::default(),
            kinds: KindSet::NONE,
            assignments: 1,
            constants: 0,
            text: None,
            stays_empty: false,
            is_unset_topic: false,
            may_be_unset: false,
            is_read: true,
            is_given: true,
        });
        self.flow.may.push(true);
        self.flow.must.push(true);
        id
    }

    fn declare(&mut self, name: &str, span: Span) {
        if let Some(entry) = self.find(name).and_then(|id| self.entry(id)) {
            entry.assignments += 1;
            return;
        }
        if self.entries.len() >= VARIABLES_MAX {
            self.overflow.get_or_insert(span);
            return;
        }
        self.entries.push(Entry {
            name: name.to_owned(),
            span,
            kinds: KindSet::NONE,
            assignments: 1,
            constants: 0,
            text: None,
            stays_empty: false,
            is_unset_topic: false,
            may_be_unset: false,
            is_read: false,
            is_given: name == RESULT,
        });
    }

    /// The variable of this name, if the Action sets it anywhere.
    pub(crate) fn find(&self, name: &str) -> Option<VariableId> {
        let index = self.entries.iter().position(|entry| entry.name == name)?;
        u32::try_from(index).ok().map(VariableId)
    }

    /// Its entry.
    pub(crate) fn entry(&mut self, id: VariableId) -> Option<&mut Entry> {
        self.entries.get_mut(id.0 as usize)
    }

    /// Whether the variable can have been set before the current place.
    pub(crate) fn may_be_set(&self, id: VariableId) -> bool {
        self.flow.may.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// Notes a read at the current place; whether it may give Empty because nothing was set.
    pub(crate) fn read(&mut self, id: VariableId) -> bool {
        let must = self.flow.must.get(id.0 as usize).copied().unwrap_or(false);
        if let Some(entry) = self.entry(id) {
            entry.is_read = true;
            entry.may_be_unset |= !must;
        }
        !must
    }

    /// Notes an assignment at the current place.
    pub(crate) fn set(&mut self, id: VariableId, kinds: KindSet) {
        let index = id.0 as usize;
        for flags in [&mut self.flow.may, &mut self.flow.must] {
            if let Some(flag) = flags.get_mut(index) {
                *flag = true;
            }
        }
        if let Some(entry) = self.entry(id) {
            entry.kinds |= kinds;
        }
    }

    /// Marks the last assignment as a text of the program.
    pub(crate) fn set_text(&mut self, id: VariableId, text: &str) {
        if let Some(entry) = self.entry(id) {
            entry.text = Some(text.to_owned());
        }
    }

    /// Marks the last assignment as a cast that may give Empty.
    pub(crate) fn set_cast(&mut self, id: VariableId) {
        if let Some(entry) = self.entry(id) {
            entry.stays_empty = true;
        }
    }

    /// Returns the kinds of the cast that is the only assignment of a variable, if Empty may pass
    /// it.
    pub(crate) fn only_cast(&self, id: VariableId) -> Option<KindSet> {
        let entry = self.entries.get(id.0 as usize).filter(|entry| entry.assignments == 1)?;
        entry.stays_empty.then_some(entry.kinds)
    }

    /// Marks the last assignment as the value of a topic that may never have been written.
    pub(crate) fn set_unset(&mut self, id: VariableId) {
        if let Some(entry) = self.entry(id) {
            entry.is_unset_topic = true;
        }
    }

    /// Whether a variable holds the value of such a topic, by its only assignment.
    pub(crate) fn is_unset_topic(&self, id: VariableId) -> bool {
        let entry = self.entries.get(id.0 as usize).filter(|entry| entry.assignments == 1);
        entry.is_some_and(|entry| entry.is_unset_topic)
    }

    /// Marks the last assignment as a constant of the program.
    pub(crate) fn set_constant(&mut self, id: VariableId) {
        if let Some(entry) = self.entry(id) {
            entry.constants += 1;
        }
    }

    /// Whether the variable is a state: set to constants alone, in several places, but not on every
    /// path to the current place.
    pub(crate) fn is_state(&self, id: VariableId) -> bool {
        let index = id.0 as usize;
        let (may, must) = (self.flow.may.get(index), self.flow.must.get(index));
        let is_open = may == Some(&true) && must == Some(&false);
        let of_constants = |entry: &Entry| entry.assignments > 1 && entry.constants == entry.assignments;
        is_open && self.entries.get(index).is_some_and(of_constants)
    }

    /// The text of the program that a variable certainly holds at the current place: its only
    /// assignment.
    pub(crate) fn only_text(&self, id: VariableId) -> Option<&String> {
        let entry = self.entries.get(id.0 as usize).filter(|entry| entry.assignments == 1)?;
        entry.text.as_ref()
    }

    /// Marks the variables that a loop assigns as perhaps set at the start of its body.
    pub(crate) fn enter_loop(&mut self, body: &[Statement]) {
        let mut ids = Vec::new();
        each_assignment(body, &mut |name, _| ids.extend(self.find(name)));
        for id in ids {
            if let Some(flag) = self.flow.may.get_mut(id.0 as usize) {
                *flag = true;
            }
        }
    }

    /// Goes to a place where every variable has been set.
    pub(crate) fn assume_all_set(&mut self) {
        self.flow.may.fill(true);
        self.flow.must.fill(true);
    }

    /// The flow at the current place.
    pub(crate) fn save(&self) -> Flow {
        self.flow.clone()
    }

    /// Goes back to a place.
    pub(crate) fn restore(&mut self, flow: Flow) {
        self.flow = flow;
    }

    /// The current place can be reached from all of `ends`: at least one.
    pub(crate) fn join(&mut self, ends: Vec<Flow>) {
        let mut ends = ends.into_iter();
        let Some(mut joined) = ends.next() else { return };
        for end in ends {
            joined.may.iter_mut().zip(&end.may).for_each(|(all, one)| *all |= one);
            joined.must.iter_mut().zip(&end.must).for_each(|(all, one)| *all &= one);
        }
        self.flow = joined;
    }

    /// Names of the variables, without the hidden one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str()).filter(|name| *name != RESULT)
    }
}

/// Whether the statements assign the variable of this name.
pub(crate) fn assigns(statements: &[Statement], name: &str) -> bool {
    let mut is_assigned = false;
    each_assignment(statements, &mut |assigned, _| is_assigned |= assigned == name);
    is_assigned
}

/// Calls `found` for each name that the statements assign, in source order.
fn each_assignment(statements: &[Statement], found: &mut dyn FnMut(&str, Span)) {
    for statement in statements {
        statement.each_part(&mut |part| match part {
            Part::Assigned(name) => found(&name.text, name.span),
            Part::Result => found(RESULT, statement.span),
            Part::Block(block) => each_assignment(block, found),
            Part::Expression(_) => {}
        });
    }
}
