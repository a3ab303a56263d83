//! Makes a program that fails smaller, as long as it fails.

use super::tree::{Event, Expression, FieldSource, Program, Statement, StatementKind, Topic};

/// Rounds at most; each tries every reduction once.
const ROUNDS_MAX: usize = 12;

/// The smallest program found for which `fails` holds, as it does for the given one.
pub(super) fn smallest(mut program: Program, mut fails: impl FnMut(&mut Program) -> bool) -> Program {
    for _ in 0..ROUNDS_MAX {
        let mut shrank = false;
        for reduce in [drop_event, drop_definition, drop_statement, drop_field, reduce_expression] {
            let mut at = 0;
            loop {
                let mut smaller = program.clone();
                if !reduce(&mut smaller, at) {
                    break;
                }
                if fails(&mut smaller) {
                    program = smaller;
                    shrank = true;
                } else {
                    at += 1;
                }
            }
        }
        if !shrank {
            break;
        }
    }
    program
}

/// Drops what happens at number `at`; false when there is nothing of that number, as for all
/// reductions.
fn drop_event(program: &mut Program, at: usize) -> bool {
    let events = program.events.len();
    if at < events {
        program.events.remove(at);
        return !program.events.is_empty();
    }
    if at == events && !(program.topics.is_empty() && program.retained.is_empty()) {
        program.topics.clear();
        program.retained.clear();
        return true;
    }
    if at == events || at == events + 1 {
        let Some(Event::Message { payload, .. }) = program.events.first_mut() else { return false };
        if payload == b"1" {
            return false;
        }
        *payload = b"1".to_vec();
        return true;
    }
    false
}

fn drop_definition(program: &mut Program, at: usize) -> bool {
    if at + 1 < program.actions.len() {
        program.actions.remove(at + 1);
        return true;
    }
    false
}

fn drop_field(program: &mut Program, at: usize) -> bool {
    let Some(model) = program.models.last_mut() else { return false };
    if at + 1 < model.fields.len() {
        model.fields.remove(at + 1);
        return true;
    }
    false
}

fn drop_statement(program: &mut Program, mut at: usize) -> bool {
    program.actions.iter_mut().any(|action| drop_in(&mut action.body, &mut at))
}

/// Drops a statement, or puts what is inside of it in its place.
fn drop_in(block: &mut Vec<Statement>, at: &mut usize) -> bool {
    for index in 0..block.len() {
        if block.len() > 1 {
            if *at == 0 {
                block.remove(index);
                return true;
            }
            *at -= 1;
        }
        let inner: Vec<&mut Vec<Statement>> = match &mut block[index].kind {
            StatementKind::If { branches, otherwise } => {
                branches.iter_mut().map(|(_, block)| block).chain(otherwise).collect()
            }
            StatementKind::Switch { cases, default, .. } => {
                cases.iter_mut().map(|(_, block)| block).chain(default).collect()
            }
            StatementKind::Loop { body, .. } => vec![body],
            _ => Vec::new(),
        };
        for inner in inner {
            if *at == 0 {
                let lifted = std::mem::take(inner);
                block.splice(index..=index, lifted);
                return true;
            }
            *at -= 1;
            if drop_in(inner, at) {
                return true;
            }
        }
    }
    false
}

/// Puts an operand, or a number, in the place of an expression.
fn reduce_expression(program: &mut Program, mut at: usize) -> bool {
    let fields = program.models.iter_mut().flat_map(|model| &mut model.fields);
    for field in fields {
        if let FieldSource::Value(value) = &mut field.source
            && reduce(value, &mut at)
        {
            return true;
        }
    }
    program.actions.iter_mut().any(|action| reduce_block(&mut action.body, &mut at))
}

fn reduce_block(block: &mut [Statement], at: &mut usize) -> bool {
    block.iter_mut().any(|statement| match &mut statement.kind {
        StatementKind::Set { value, .. } | StatementKind::KeepEnv { value, .. } => reduce(value, at),
        StatementKind::Publish { topic, value, .. } | StatementKind::Keep { topic, value } => {
            reduce_topic(topic, at) || reduce(value, at)
        }
        StatementKind::If { branches, otherwise } => {
            branches.iter_mut().any(|(condition, block)| reduce(condition, at) || reduce_block(block, at))
                || otherwise.as_mut().is_some_and(|block| reduce_block(block, at))
        }
        StatementKind::Switch { value, cases, default } => {
            reduce(value, at)
                || cases.iter_mut().any(|(values, block)| {
                    values.iter_mut().any(|value| reduce(value, at)) || reduce_block(block, at)
                })
                || default.as_mut().is_some_and(|block| reduce_block(block, at))
        }
        StatementKind::Loop { body, until } => reduce_block(body, at) || reduce(until, at),
        StatementKind::Call { arguments, .. } => arguments.iter_mut().any(|(_, value)| reduce(value, at)),
        StatementKind::PublishModel { assignments, .. } => {
            assignments.iter_mut().any(|(_, value)| reduce(value, at))
        }
        StatementKind::DeleteEnv { .. } | StatementKind::DeleteTopic { .. } => false,
    })
}

fn reduce_topic(topic: &mut Topic, at: &mut usize) -> bool {
    match topic {
        Topic::Value(value) => reduce(value, at),
        Topic::Literal(_) | Topic::Parts(_) => false,
    }
}

fn reduce(value: &mut Expression, at: &mut usize) -> bool {
    let candidates = value.operands_mut().len();
    if *at < candidates {
        let operand = value.operands_mut()[*at].clone();
        *value = operand;
        return true;
    }
    *at -= candidates;
    value.operands_mut().into_iter().any(|operand| reduce(operand, at))
}
