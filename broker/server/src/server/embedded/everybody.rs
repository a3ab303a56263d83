//! A rule for each scope that lets the one Client do everything.

use std::sync::Arc;

use lot_facts::{RuleFacts, RuleInputs};
use lotmq_auth::{Account, Answer, Ask, Opinion, Question, Rule, Scope, Validity};

/// A rule that lets the Client do everything.
pub(super) struct Everybody;

impl Everybody {
    /// For all scopes.
    pub(super) fn rules() -> Vec<Rule> {
        let rule = |scope: &Scope| {
            let (scope, inputs) = (scope.name().to_owned(), RuleInputs::default());
            let facts = RuleFacts { priority: 1, scope: scope.clone(), topic: None, inputs };
            Rule { name: scope.into(), facts: Some(facts), ask: Arc::new(Self) }
        };
        Scope::ALL.iter().map(rule).collect()
    }
}

impl Ask for Everybody {
    fn ask(&self, _: &Question<'_>, _: Option<&Arc<Account>>) -> Answer {
        Answer { opinion: Opinion::Allow, validity: Validity::Lasting }
    }
}
