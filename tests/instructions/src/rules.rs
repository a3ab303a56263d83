//! Rules of a scenario: they allow all, once for good or anew for each message.

use std::sync::Arc;

use lot_facts::{RuleFacts, RuleInputs};
use lotmq_auth::{Account, Answer, Ask, Opinion, Question, Rule, Validity};

/// How long an answer of the rules is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judge {
    /// Until rules change: the broker asks once per client and topic.
    Once,
    /// For one message: the broker asks each time.
    EachTime,
}

impl Ask for Judge {
    fn ask(&self, _: &Question<'_>, _: Option<&Arc<Account>>) -> Answer {
        let validity = match self {
            Judge::Once => Validity::Lasting,
            Judge::EachTime => Validity::Never,
        };
        Answer { opinion: Opinion::Allow, validity }
    }
}

/// Rules for all that clients do.
pub(crate) fn rules(judge: Judge) -> Vec<Rule> {
    let rule = |scope: &str| {
        let (scope, inputs) = (scope.to_owned(), RuleInputs::default());
        let facts = RuleFacts { priority: 1, scope: scope.clone(), topic: None, inputs };
        Rule { name: scope.into(), facts: Some(facts), ask: Arc::new(judge) }
    };
    ["Connect", "Publish", "Subscribe"].map(rule).into()
}
