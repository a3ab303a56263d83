//! The rules of a tenant and the decision that they make together, LoT reference §10.4.
//!
//! Path of a question: the rules of its scope whose pattern covers its topic are asked by ascending
//! priority, the built-in ones at theirs. At one priority DENY wins. If no rule answers, the next
//! priority decides. The default is DENY.
//!
//! If the user has [grants](crate::GrantList), they decide about topics in place of rules. Below
//! `$SYS` both must allow, so that a grant gives nothing that only administrators have.
//!
//! Rules are guests behind [`Ask`]. [`Verdicts`] caches their answers, keyed by exactly their
//! inputs, so that a repeated question costs no call. Invariants: `root` is never refused; a rule
//! that fails denies; nothing here depends on the code of a rule. Not here: running rules
//! (`server`, `host`), storing them, and the built-in ones (`table`).

mod explanation;
mod patterns;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use lot_facts::{RuleFacts, RuleInputs};
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::account::Account;
use crate::decide::{Authorization, Decide, Decision, Denier, Question};
use crate::directory::Directory;
use crate::opinion::{Ask, Opinion, Validity};
use crate::pattern::inner_filter;
use crate::principal::{GrantActions, GrantList, GrantNames};
use crate::scope::{Scope, is_under_sys};
use crate::table::PermissionTable;
use crate::verdicts::Verdicts;
pub use explanation::DecisionStep;
use explanation::StepObserver;
use patterns::Patterns;

/// A rule as it takes part in decisions.
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// When it is asked and on what its verdict depends. `None` of a rule that could not be
    /// restored, of which not even this is known: it is asked first, always.
    pub facts: Option<RuleFacts>,
    /// Implementation that answers.
    pub ask: Arc<dyn Ask>,
}

/// A rule among the others.
struct Entry {
    name: Arc<str>,
    /// Distinguishes versions of a rule in the cache.
    id: u64,
    priority: u64,
    /// `None` = all of them.
    scope: Option<Scope>,
    /// Pattern of its topics; `None` if it applies to every topic.
    pattern: Option<Box<str>>,
    inputs: RuleInputs,
    /// Cached answer of a rule without inputs.
    constant: OnceLock<Opinion>,
    ask: Arc<dyn Ask>,
}

/// The rules of one scope.
#[derive(Default)]
struct OfScope {
    /// By ascending priority.
    rules: Vec<Arc<Entry>>,
    /// Rules with a pattern; the numbers are places in `rules`.
    patterns: Patterns,
    /// Rules without a pattern.
    everywhere: Vec<u32>,
}

/// Places in [`OfScope::rules`], in the memory of the stack unless there are many.
type Places = SmallVec<[u32; 16]>;

struct Rules {
    /// By ascending priority.
    all: Vec<Arc<Entry>>,
    scopes: Arc<[OfScope]>,
}

/// Account of the asking user, looked up by the first rule that needs it.
type Asker = OnceCell<Option<Arc<Account>>>;

/// See the module's documentation.
pub struct Rulebook {
    table: PermissionTable,
    directory: Arc<Directory>,
    rules: RwLock<Rules>,
    verdicts: Verdicts,
    next_id: AtomicU64,
    generation: AtomicU64,
    is_delivery_decided: bool,
}

impl Rulebook {
    /// No rules but the built-in ones, over these users.
    pub fn new(directory: Arc<Directory>) -> Rulebook {
        let rules = Rules { all: Vec::new(), scopes: scopes(&[]) };
        Rulebook {
            table: PermissionTable::new(Arc::clone(&directory)),
            directory,
            rules: RwLock::new(rules),
            verdicts: Verdicts::default(),
            next_id: AtomicU64::new(1),
            generation: AtomicU64::new(1),
            is_delivery_decided: true,
        }
    }

    /// Rules decide about filters when they are subscribed to and not about each message again, as
    /// the original does (LoT reference OD-48); topics below `$SYS` apart.
    pub fn without_delivery(self) -> Rulebook {
        Rulebook { is_delivery_decided: false, ..self }
    }

    /// Whether rules decide about each message again.
    pub fn decides_delivery(&self) -> bool {
        self.is_delivery_decided
    }

    /// Adds rules, each in place of one of its name. Cost: O(rules).
    pub fn put(&self, added: Vec<Rule>) {
        self.change(|all| {
            let mut places: HashMap<Arc<str>, usize> =
                all.iter().enumerate().map(|(at, known)| (Arc::clone(&known.name), at)).collect();
            for rule in added {
                let entry = Arc::new(Entry::new(rule, self.next_id.fetch_add(1, Ordering::Relaxed)));
                let at = *places.entry(Arc::clone(&entry.name)).or_insert(all.len());
                match all.get_mut(at) {
                    Some(known) => *known = entry,
                    None => all.push(entry),
                }
            }
        });
    }

    /// Removes a rule; nothing happens when there is none. Cost: O(rules).
    pub fn remove(&self, name: &str) {
        self.change(|all| all.retain(|known| *known.name != *name));
    }

    /// Whether every session may get messages of `topic`; `None` when that depends on whose it is.
    /// `root` always may. Grants of users make it depend on whose it is.
    pub fn delivers_to_all(&self, topic: &str) -> Option<bool> {
        if is_under_sys(topic) || self.directory.has_grants() {
            return None;
        }
        if !self.is_delivery_decided {
            return Some(true);
        }
        let scopes = Arc::clone(&self.rules.read().scopes);
        let scope = &scopes[Scope::Subscribe as usize];
        let mut allowed_at = None;
        for place in scope.matching(Some(topic)) {
            let entry = &scope.rules[place as usize];
            if allowed_at.is_some_and(|priority| priority < entry.priority) {
                break;
            }
            match entry.constant.get()? {
                Opinion::Deny => return Some(false),
                Opinion::Allow => allowed_at = Some(entry.priority),
                Opinion::Nothing => {}
            }
        }
        Some(allowed_at.is_some())
    }

    /// Returns the rule that denies a question, if it is denied.
    pub fn denier(&self, question: &Question<'_>) -> Option<Denier> {
        self.weigh(question).1
    }

    /// Whether a rule looks at the membership of this group, or may: the inputs of a module are
    /// unknown.
    pub fn names_group(&self, group: &str) -> bool {
        self.has_inputs(|inputs| inputs.modules || inputs.groups.iter().any(|named| named == group))
    }

    /// Whether a rule looks at this property of users, or may, by a module.
    pub fn names_property(&self, property: &str) -> bool {
        self.has_inputs(|inputs| inputs.modules || inputs.properties.iter().any(|named| named == property))
    }

    /// Whether a rule compares user names with names that its text does not contain, or may, by a
    /// module.
    pub fn names_any_user(&self) -> bool {
        self.has_inputs(|inputs| inputs.modules || inputs.any_user)
    }

    fn has_inputs(&self, are_such: impl Fn(&RuleInputs) -> bool) -> bool {
        self.rules.read().all.iter().any(|entry| are_such(&entry.inputs))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Entry>>)) {
        let mut rules = self.rules.write();
        change(&mut rules.all);
        rules.all.sort_by_key(|entry| entry.priority);
        rules.scopes = scopes(&rules.all);
        drop(rules);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns the answer of one rule, from the cache if allowed. The second part is false if the
    /// answer is for this question only.
    fn opinion(&self, entry: &Entry, question: &Question<'_>, asker: &Asker) -> (Opinion, bool) {
        if let Some(known) = entry.constant.get() {
            return (*known, true);
        }
        let account = asker.get_or_init(|| self.directory.account_of(question.identity)).as_ref();
        if entry.inputs.payload || entry.inputs.message_properties || entry.inputs.modules {
            return (entry.ask.ask(question, account).opinion, false);
        }
        // A payload of megabytes is not carried to a rule that does not look at it.
        let question = &Question { payload: None, ..*question };
        if entry.inputs == RuleInputs::default() {
            let answer = entry.ask.ask(question, account);
            let is_lasting = matches!(answer.validity, Validity::Lasting);
            if is_lasting {
                let _ = entry.constant.set(answer.opinion);
            }
            return (answer.opinion, is_lasting);
        }
        self.verdicts.get_or_ask(entry.id, &entry.inputs, question, account, &*entry.ask)
    }

    /// The decision about a question, and of a no who said it. Rules are asked as by
    /// [`Decide::decision`], once: some of them run modules.
    pub fn weigh(&self, question: &Question<'_>) -> (Decision, Option<Denier>) {
        self.weigh_before(question, &mut ())
    }

    /// The decision about a question, and the steps on its path. Rules are asked as for a decision.
    pub fn explain(&self, question: &Question<'_>) -> (Decision, Vec<DecisionStep>) {
        let mut steps = Vec::new();
        let (decision, _) = self.weigh_before(question, &mut steps);
        (decision, steps)
    }

    fn weigh_before(
        &self,
        question: &Question<'_>,
        observer: &mut impl StepObserver,
    ) -> (Decision, Option<Denier>) {
        if question.identity.is_root() {
            observer.record(|| DecisionStep::Root);
            return (Decision { authorization: Authorization::Allow, is_stable: true }, None);
        }
        let question = &settled(question);
        let denied = |by, is_stable| (Decision { authorization: Authorization::Deny, is_stable }, Some(by));
        let mut is_stable = true;
        if let Some(grants) = question.identity.principal.grants() {
            match of_grants(grants, question, observer) {
                Granting::Other => {}
                Granting::Denied { by, lasts } => return denied(by, lasts),
                Granting::Allowed { lasts } if !is_tree_scope(question.scope) => {
                    return (Decision { authorization: Authorization::Allow, is_stable: lasts }, None);
                }
                Granting::Allowed { lasts } => is_stable = lasts,
            }
        }
        let opinions = self.table.opinions(question);
        let mut built_in = opinions.into_iter().filter_map(|(at, said)| Some((at, said?))).peekable();
        let scopes = Arc::clone(&self.rules.read().scopes);
        let scope = &scopes[question.scope as usize];
        let places = scope.matching(question.topic);
        let mut rules = places.iter().map(|place| &scope.rules[*place as usize]).peekable();
        let asker = Asker::new();
        loop {
            let next = [rules.peek().map(|rule| rule.priority), built_in.peek().map(|(at, _)| *at)];
            let Some(priority) = next.into_iter().flatten().min() else {
                observer.record(|| DecisionStep::Default);
                return denied(Denier::Nobody, is_stable);
            };
            let mut said = None;
            if let Some((_, authorization)) = built_in.next_if(|(at, _)| *at == priority) {
                observer.record(|| DecisionStep::BuiltIn { priority, authorization });
                if authorization == Authorization::Deny {
                    return denied(Denier::BuiltIn, is_stable);
                }
                said = Some(authorization);
            }
            while let Some(rule) = rules.next_if(|rule| rule.priority == priority) {
                let (opinion, lasts) = self.opinion(rule, question, &asker);
                is_stable &= lasts;
                let name = || Arc::clone(&rule.name);
                observer.record(|| DecisionStep::Rule { name: name(), priority, opinion });
                match opinion {
                    Opinion::Deny => return denied(Denier::Rule(Arc::clone(&rule.name)), is_stable),
                    // A limited grant, which only a built-in rule gives, is not widened by another
                    // rule's ALLOW.
                    Opinion::Allow => said = said.or(Some(Authorization::Allow)),
                    Opinion::Nothing => {}
                }
            }
            if let Some(authorization) = said {
                return (Decision { authorization, is_stable }, None);
            }
        }
    }
}

impl Decide for Rulebook {
    fn decision(&self, question: &Question<'_>) -> Decision {
        self.weigh(question).0
    }

    fn generation(&self) -> u64 {
        // Both only ascend, so that the sum changes with either.
        self.generation.load(Ordering::Acquire).wrapping_add(self.directory.generation())
    }
}

/// Answer of the grants of a user to a question.
enum Granting {
    /// Nothing: the question is not about a topic.
    Other,
    /// A grant allows it; `lasts` if the topic alone decides that.
    Allowed { lasts: bool },
    /// A grant denies it, or none is about it.
    Denied { by: Denier, lasts: bool },
}

fn of_grants(grants: &GrantList, question: &Question<'_>, observer: &mut impl StepObserver) -> Granting {
    let action = if matches!(question.scope, Scope::Publish | Scope::PublishSys) {
        GrantActions::Publish
    } else if matches!(question.scope, Scope::Subscribe | Scope::SubscribeSys) {
        GrantActions::Subscribe
    } else {
        return Granting::Other;
    };
    let Some(topic) = question.topic else { return Granting::Other };
    let identity = question.identity;
    let names = GrantNames { user: identity.user_name().unwrap_or_default(), client_id: &identity.client_id };
    let Some(grant) = grants.first_about(action, topic, names) else {
        observer.record(|| DecisionStep::NoGrant);
        return Granting::Denied { by: Denier::NoGrant, lasts: true };
    };
    let (is_allowed, lasts) = match (action, question.message) {
        (GrantActions::Publish, Some(message)) => {
            (grant.allows_message(message.qos, message.retain), grant.is_about_topics_alone())
        }
        _ => (grant.allows(), true),
    };
    let number = || grants.number_of(grant);
    observer.record(|| DecisionStep::Grant { number: number(), filter: grant.filter().into(), is_allowed });
    match is_allowed {
        true => Granting::Allowed { lasts },
        false => Granting::Denied { by: Denier::Grant(grant.filter().into()), lasts },
    }
}

/// Whether a scope is about topics below `$SYS`.
fn is_tree_scope(scope: Scope) -> bool {
    matches!(scope, Scope::PublishSys | Scope::SubscribeSys)
}

/// The question as rules are asked: of a shared filter the part behind the group; scope and topic
/// agree.
fn settled<'a>(question: &Question<'a>) -> Question<'a> {
    let is_subscribe = matches!(question.scope, Scope::Subscribe | Scope::SubscribeSys);
    let topic = if is_subscribe { question.topic.map(inner_filter) } else { question.topic };
    let is_of_tree = topic.is_some_and(is_under_sys);
    let scope = if is_of_tree && question.scope == Scope::Publish {
        Scope::PublishSys
    } else if is_of_tree && question.scope == Scope::Subscribe {
        Scope::SubscribeSys
    } else {
        question.scope
    };
    Question { scope, topic, ..*question }
}

impl Entry {
    fn new(rule: Rule, id: u64) -> Entry {
        let Rule { name, facts, ask } = rule;
        let known = |facts: RuleFacts| (facts.priority, facts.scope.parse().ok(), facts.topic, facts.inputs);
        let (priority, scope, topic, inputs) = facts.map_or_else(Default::default, known);
        let pattern = match scope {
            // Without a topic a rule covers what `#` does (§10.2), which under $SYS would be
            // nothing.
            Some(Scope::Publish | Scope::Subscribe) => Some(topic.unwrap_or_else(|| "#".to_owned())),
            Some(Scope::PublishSys | Scope::SubscribeSys | Scope::CommandCall) => topic,
            _ => None,
        };
        let pattern = pattern.map(String::into_boxed_str);
        Entry { name, id, priority, scope, pattern, inputs, constant: OnceLock::new(), ask }
    }
}

impl OfScope {
    fn add(&mut self, entry: &Arc<Entry>) {
        let place = u32::try_from(self.rules.len()).expect("rules are bounded by the registry");
        self.rules.push(Arc::clone(entry));
        match &entry.pattern {
            Some(pattern) => self.patterns.insert(pattern, place),
            None => self.everywhere.push(place),
        }
    }

    /// The rules that a question about `topic` is put to, by ascending priority.
    fn matching(&self, topic: Option<&str>) -> Places {
        let mut places = Places::from_slice(&self.everywhere);
        if let Some(topic) = topic {
            self.patterns.covering(topic, &mut places);
        }
        places.sort_unstable();
        places
    }
}

/// Rules, which come by ascending priority, by scope.
fn scopes(rules: &[Arc<Entry>]) -> Arc<[OfScope]> {
    let mut scopes: Vec<OfScope> = Scope::ALL.iter().map(|_| OfScope::default()).collect();
    for entry in rules {
        match entry.scope {
            Some(scope) => scopes[scope as usize].add(entry),
            None => scopes.iter_mut().for_each(|scope| scope.add(entry)),
        }
    }
    scopes.into()
}

#[cfg(test)]
mod principal_tests;
#[cfg(test)]
pub(crate) mod tests;
