//! Statements as text.

use super::expression::{text, topic};
use super::{Writer, quoted};
use crate::check::tree::SettingStore;
use crate::statement::{
    Assignment, DeleteTarget, IfElse, KeepTarget, PublishTopic, Statement, StatementKind, Switch,
};
use crate::syntax::{Expression, Name};

/// A statement, blocks on lines of their own.
pub(super) fn write(writer: &mut Writer, statement: &Statement) {
    match &statement.kind {
        StatementKind::IfElse(node) => if_else(writer, node),
        StatementKind::Switch(node) => switch(writer, node),
        StatementKind::LoopUntil(node) => {
            writer.push("(loop");
            block(writer, &node.body);
            writer.nested(|writer| {
                writer.line();
                writer.push(&format!("(until {}))", text(&node.until)));
            });
        }
        StatementKind::Set(node) => writer.push(&format!("(set {} {})", node.name.text, text(&node.value))),
        StatementKind::PublishTopic(node) => writer.push(&publish(node)),
        StatementKind::PublishModel(node) => {
            let head = format!("(publish-model {} {}", node.model.text, topic(&node.topic));
            writer.push(&format!("{head}{})", assignments(&node.assignments)));
        }
        StatementKind::Keep(node) => {
            let target = match &node.target {
                KeepTarget::Topic(operand) => topic(operand),
                KeepTarget::Setting(store, name) => setting(*store, &name.value),
            };
            writer.push(&format!("(keep {target} {})", text(&node.value)));
        }
        StatementKind::Delete(node) => {
            let target = match &node.target {
                DeleteTarget::Topic(operand) => topic(operand),
                DeleteTarget::Setting(store, name) => setting(*store, &name.value),
            };
            writer.push(&format!("(delete {target})"));
        }
        StatementKind::CallAction(node) => {
            let head = format!("(call {}{}", node.name.text, assignments(&node.arguments));
            writer.push(&format!("{head}{})", returns(&node.returns)));
        }
        StatementKind::CallPython(node) => {
            let arguments: String = node.arguments.iter().map(|value| format!(" {}", text(value))).collect();
            let head = format!("(python {}{arguments}", quoted(&node.function.value));
            writer.push(&format!("{head}{})", returns(node.returns.as_slice())));
        }
        StatementKind::CallRoute(node) => {
            let service = node.service.keyword().to_lowercase();
            let method =
                node.method.as_ref().map_or(String::new(), |text| format!(" method {}", quoted(&text.value)));
            let head =
                format!("({service} {}{method}{}", quoted(&node.target.value), assignments(&node.arguments));
            writer.push(&format!("{head}{})", returns(node.returns.as_slice())));
        }
        StatementKind::TriggerEvent(node) => {
            let value = node.value.as_ref().map_or(String::new(), |value| format!(" {}", text(value)));
            writer.push(&format!("(trigger {} {}{value})", node.event.text, node.route.text));
        }
        StatementKind::Navigate(node) => writer.push(&format!("(navigate {})", quoted(&node.target.value))),
    }
}

/// Statements, each on a line, one level deeper.
pub(super) fn block(writer: &mut Writer, statements: &[Statement]) {
    writer.nested(|writer| {
        for statement in statements {
            writer.line();
            write(writer, statement);
        }
    });
}

fn publish(node: &PublishTopic) -> String {
    let qos = if node.qos > 0 { format!(" qos{}", node.qos) } else { String::new() };
    let retain = if node.retain { " retain" } else { "" };
    format!("(publish {} {}{qos}{retain})", topic(&node.topic), text(&node.value))
}

fn if_else(writer: &mut Writer, node: &IfElse) {
    for (index, branch) in node.branches.iter().enumerate() {
        if index > 0 {
            writer.line();
            writer.push(" ");
        }
        writer.push(&format!("({} {}", if index == 0 { "if" } else { "elif" }, text(&branch.condition)));
        block(writer, &branch.body);
        if index > 0 {
            writer.push(")");
        }
    }
    if let Some(body) = &node.otherwise {
        writer.line();
        writer.push(" (else");
        block(writer, body);
        writer.push(")");
    }
    writer.push(")");
}

fn switch(writer: &mut Writer, node: &Switch) {
    writer.push(&format!("(switch {}", text(&node.subject)));
    writer.nested(|writer| {
        for case in &node.cases {
            writer.line();
            let values: Vec<String> = case.values.iter().map(|value: &Expression| text(value)).collect();
            writer.push(&format!("(case ({})", values.join(" ")));
            block(writer, &case.body);
            writer.push(")");
        }
        if let Some(body) = &node.otherwise {
            writer.line();
            writer.push("(default");
            block(writer, body);
            writer.push(")");
        }
    });
    writer.push(")");
}

fn setting(store: SettingStore, name: &str) -> String {
    match store {
        SettingStore::Environment => format!("(env {})", quoted(name)),
        SettingStore::Secret => format!("(secret {})", quoted(name)),
    }
}

fn assignments(assignments: &[Assignment]) -> String {
    assignments.iter().map(|item| format!(" ({} {})", item.target, text(&item.value))).collect()
}

fn returns(names: impl AsRef<[Name]>) -> String {
    let names = names.as_ref();
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = names.iter().map(|name| name.text.as_str()).collect();
    format!(" returns {}", names.join(" "))
}
