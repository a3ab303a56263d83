//! Texts that stay within a level of a topic: those that can hold no `/`. A topic made of them is
//! known level by level before the run.

use super::infer;
use super::kind::KindSet;
use super::tree::walk::{Assignment, assigned};
use super::tree::{Action, Constant, Entry, Expression, ExpressionKind, Input, VariableId};
use crate::limits::INFERENCE_PASSES_MAX;

/// The variables of an Action that never hold a text with `/`.
#[derive(Debug, Default)]
pub(super) struct Levels(Vec<bool>);

impl Levels {
    /// Finds the variables to which only such texts are assigned, also from each other. An input of
    /// a callable Action may hold anything.
    pub(super) fn of(action: &Action) -> Levels {
        let mut levels = Levels(vec![false; action.variables.len()]);
        let assigned = assigned(&action.body);
        assigned.iter().for_each(|assignment| levels.set(assignment.variable, true));
        if let Entry::Callable { inputs, .. } = &action.entry {
            inputs.iter().for_each(|Input { variable, .. }| levels.set(*variable, false));
        }
        for _ in 0..INFERENCE_PASSES_MAX {
            let mut is_stable = true;
            for Assignment { variable, value, .. } in &assigned {
                let stays = value.is_some_and(|value| levels.hold(value));
                if !stays && levels.has(*variable) {
                    levels.set(*variable, false);
                    is_stable = false;
                }
            }
            if is_stable {
                return levels;
            }
        }
        Levels::default()
    }

    fn has(&self, variable: VariableId) -> bool {
        self.0.get(variable.0 as usize).copied().unwrap_or(false)
    }

    fn set(&mut self, variable: VariableId, is_level: bool) {
        if let Some(known) = self.0.get_mut(variable.0 as usize) {
            *known = is_level;
        }
    }

    /// Whether the text of a value can have no `/` in it.
    #[allow(clippy::wildcard_enum_match_arm, reason = "of nothing else it is known")]
    pub(super) fn hold(&self, value: &Expression) -> bool {
        match &value.kind {
            ExpressionKind::TopicLevel(_) | ExpressionKind::TopicLevelAt(_) => true,
            ExpressionKind::Variable(id) if self.has(*id) => true,
            ExpressionKind::Constant(Constant::Text(text)) => !text.contains('/'),
            ExpressionKind::Concat(parts) => parts.iter().all(|part| self.hold(part)),
            _ => {
                value.kinds.is(KindSet::NUMBER | KindSet::BOOL | KindSet::NULL | KindSet::EMPTY)
                    || infer::is_uuid(&value.kind)
            }
        }
    }
}
