//! In which order the fields of an instance are computed: each after those that it names (LoT reference §9.2).

use std::collections::BTreeMap;

use super::field;
use super::resolve::Node;
use crate::check::names;
use crate::check::tree::VariableId;
use crate::syntax::model::FieldSource;

/// A field without nested ones.
pub(super) struct Leaf<'a> {
    /// With dots between levels: `m.want`.
    pub(super) path: String,
    pub(super) node: &'a Node,
    /// Fields around it: their path, and the way from there to this one as GET JSON takes it.
    pub(super) around: Vec<(String, String)>,
}

/// The leaves in source order. `prefix` is the path of what they are in, with a dot at its end.
pub(super) fn leaves<'a>(fields: &'a [Node], prefix: &str) -> Vec<Leaf<'a>> {
    let mut found = Vec::new();
    for node in fields {
        collect(node, prefix, &[], &mut found);
    }
    found
}

fn collect<'a>(node: &'a Node, prefix: &str, around: &[(String, String)], found: &mut Vec<Leaf<'a>>) {
    let path = format!("{prefix}{}", node.name);
    let deeper = |way: &str, step: &str| match way {
        "" => step.to_owned(),
        way => format!("{way}.{step}"),
    };
    let around: Vec<(String, String)> =
        around.iter().map(|(of, way)| (of.clone(), deeper(way, &node.name))).collect();
    if node.children.is_empty() {
        found.push(Leaf { path, node, around });
        return;
    }
    let first = if node.is_array() { "[0]" } else { "" };
    let mut around: Vec<(String, String)> =
        around.into_iter().map(|(of, way)| (of, format!("{way}{first}"))).collect();
    around.push((path.clone(), first.to_owned()));
    for child in &node.children {
        collect(child, &format!("{path}."), &around, found);
    }
}

/// The leaves that a leaf's own expression names, itself included.
pub(super) fn needs(leaf: &Leaf<'_>, variables: &BTreeMap<String, VariableId>) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(FieldSource::Value(value)) = &leaf.node.source {
        names::each(value, &mut |path| {
            let Some((name, _)) = field::resolve(variables, &leaf.path, path) else { return };
            let below = format!("{name}.");
            found.extend(
                variables.keys().filter(|other| **other == name || other.starts_with(&below)).cloned(),
            );
        });
    }
    found
}

/// Positions of the leaves so that each comes after those that it names; `Err` with one that is part of a cycle.
pub(super) fn sorted(
    leaves: &[Leaf<'_>],
    variables: &BTreeMap<String, VariableId>,
) -> Result<Vec<usize>, usize> {
    let positions: BTreeMap<&str, usize> =
        leaves.iter().enumerate().map(|(index, leaf)| (leaf.path.as_str(), index)).collect();
    let mut left = vec![0usize; leaves.len()];
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); leaves.len()];
    for (index, leaf) in leaves.iter().enumerate() {
        for need in needs(leaf, variables) {
            if let Some(other) = positions.get(need.as_str()).filter(|other| **other != index) {
                left[index] += 1;
                users[*other].push(index);
            }
        }
    }
    let mut order = Vec::with_capacity(leaves.len());
    let mut ready: std::collections::BTreeSet<usize> =
        (0..leaves.len()).filter(|index| left[*index] == 0).collect();
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for user in std::mem::take(&mut users[index]) {
            left[user] -= 1;
            if left[user] == 0 {
                ready.insert(user);
            }
        }
    }
    match left.iter().position(|left| *left > 0) {
        Some(stuck) => Err(stuck),
        None => Ok(order),
    }
}
