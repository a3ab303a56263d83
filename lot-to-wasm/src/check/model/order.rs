//! In which order the fields of an instance are computed: each after those that it names (LoT
//! reference §9.2), and those without a source after the rows that fill them (§9.8).

use std::collections::{BTreeMap, BTreeSet};

use super::field;
use super::resolve::Node;
use crate::check::names;
use crate::check::tree::VariableId;
use crate::syntax::Path;
use crate::syntax::model::{Fetch, FieldSource};

/// A field without nested ones.
pub(super) struct Leaf<'a> {
    /// With dots between levels: `m.want`.
    pub(super) path: String,
    pub(super) node: &'a Node,
    /// Fields around it: their path, and the way from there to this one as GET JSON takes it.
    pub(super) around: Vec<(String, String)>,
}

/// The leaves in source order. `prefix` is the path of the field around them, with a dot at its
/// end.
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
        names::each(value, &mut |path| found.extend(meant(path, &leaf.path, variables)));
    }
    found
}

/// The leaves that the condition of a `FETCH FROM` names.
pub(super) fn needs_of_fetch(fetch: &Fetch, variables: &BTreeMap<String, VariableId>) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(condition) = &fetch.when {
        names::each_in_filter(condition, &mut |path| found.extend(meant(path, "", variables)));
    }
    found
}

/// The leaves that a name means where the field `current` is computed.
fn meant(path: &Path, current: &str, variables: &BTreeMap<String, VariableId>) -> Vec<String> {
    let Some((name, _)) = field::resolve(variables, current, path) else { return Vec::new() };
    let below = format!("{name}.");
    variables.keys().filter(|other| **other == name || other.starts_with(&below)).cloned().collect()
}

/// Steps that compute an instance: the leaves by position, and behind them the rows that are
/// fetched.
pub(super) struct Steps {
    /// For each step those that come before it.
    after: Vec<BTreeSet<usize>>,
    /// For each leaf the fetches whose row fills it.
    filled_by: Vec<Vec<usize>>,
}

impl Steps {
    pub(super) fn of(
        leaves: &[Leaf<'_>],
        fetches: &[Fetch],
        variables: &BTreeMap<String, VariableId>,
    ) -> Steps {
        let positions: BTreeMap<&str, usize> =
            leaves.iter().enumerate().map(|(index, leaf)| (leaf.path.as_str(), index)).collect();
        let found = |names: Vec<String>| -> BTreeSet<usize> {
            names.iter().filter_map(|name| positions.get(name.as_str()).copied()).collect()
        };
        let mut after: Vec<BTreeSet<usize>> =
            leaves.iter().map(|leaf| found(needs(leaf, variables))).collect();
        (0..leaves.len()).for_each(|index| {
            after[index].remove(&index);
        });
        let mut filled_by = vec![Vec::new(); leaves.len()];
        // A field that the query of a row needs is not filled from that row, nor from later rows.
        let mut asked_by = BTreeSet::new();
        for (number, fetch) in fetches.iter().enumerate() {
            let step = leaves.len() + number;
            let mut before = found(needs_of_fetch(fetch, variables));
            before.iter().for_each(|leaf| add_with_needs(*leaf, &after[..leaves.len()], &mut asked_by));
            if number > 0 {
                before.insert(step - 1);
            }
            for (index, leaf) in leaves.iter().enumerate() {
                if leaf.node.source.is_none() && !asked_by.contains(&index) {
                    after[index].insert(step);
                    filled_by[index].push(number);
                }
            }
            after.push(before);
        }
        Steps { after, filled_by }
    }

    /// The fetches whose row fills a leaf.
    pub(super) fn fillers(&self, leaf: usize) -> &[usize] {
        self.filled_by.get(leaf).map_or(&[], Vec::as_slice)
    }

    /// The steps in order: each after those that it needs, else as they came; `Err` with a leaf
    /// that is part of a cycle.
    pub(super) fn sorted(&self) -> Result<Vec<usize>, usize> {
        let after = &self.after;
        let mut left: Vec<usize> = after.iter().map(BTreeSet::len).collect();
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); after.len()];
        for (index, before) in after.iter().enumerate() {
            before.iter().for_each(|needed| users[*needed].push(index));
        }
        let mut order = Vec::with_capacity(after.len());
        let mut ready: BTreeSet<usize> = (0..after.len()).filter(|index| left[*index] == 0).collect();
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
}

/// Adds a leaf and all its direct and indirect needs; steps behind the leaves are left out.
fn add_with_needs(leaf: usize, after: &[BTreeSet<usize>], all: &mut BTreeSet<usize>) {
    let mut open = vec![leaf];
    while let Some(leaf) = open.pop() {
        if all.insert(leaf) {
            open.extend(after.get(leaf).into_iter().flatten().filter(|needed| **needed < after.len()));
        }
    }
}
