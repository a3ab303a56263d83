//! Filters with wildcards: a trie over topic levels.
//!
//! Nodes are 24 bytes in one list. A node's literal children are found in one hash table for the
//! whole trie, keyed by parent and level; its `+` child has a field; `#` is no node but a second
//! slot of its parent, because `a/#` matches `a` and ends every filter.
//!
//! Invariants: every node but the root has a slot or a child; walks are loops with an explicit
//! stack whose depth is that of the deepest filter, whatever the topic.

use super::level::{LevelId, Levels};
use super::slots::{SlotId, Slots};
use crate::parted_table::PartedTable;
use crate::topic::{MULTI_LEVEL, SEPARATOR, SINGLE_LEVEL};
use hashbrown::DefaultHashBuilder;
use smallvec::SmallVec;
use std::hash::BuildHasher;

/// Number of a node.
type NodeId = SlotId;

#[derive(Debug)]
struct Node {
    /// The root is its own parent.
    parent: NodeId,
    /// `None` for the root and for the `+` child of a node.
    level: Option<LevelId>,
    plus: Option<NodeId>,
    /// Number of literal children, which only the table of edges knows.
    children: u32,
    /// Subscribers of the filter that ends at this node.
    exact: Option<SlotId>,
    /// Subscribers of the filter that ends in `#` below this node.
    multi: Option<SlotId>,
}

impl Node {
    fn new(parent: NodeId, level: Option<LevelId>) -> Self {
        Self { parent, level, plus: None, children: 0, exact: None, multi: None }
    }

    fn is_unused(&self) -> bool {
        self.plus.is_none() && self.children == 0 && self.exact.is_none() && self.multi.is_none()
    }
}

/// End of a filter: its node, and whether it ends in a `#` below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FilterEnd {
    node: NodeId,
    is_multi: bool,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Slots<Node>,
    /// Literal children, by their parent and level.
    edges: PartedTable<NodeId>,
    levels: Levels,
    hasher: DefaultHashBuilder,
}

const ROOT: NodeId = SlotId::FIRST;

impl Trie {
    pub(crate) fn new() -> Self {
        let mut nodes = Slots::new();
        nodes.insert(Node::new(ROOT, None));
        Self {
            nodes,
            edges: PartedTable::new(),
            levels: Levels::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// The subscribers of exactly this filter.
    pub(crate) fn find(&self, filter: &str) -> Option<SlotId> {
        self.slot(self.place(filter)?)
    }

    /// Adds a filter that is not there yet.
    pub(crate) fn insert(&mut self, filter: &str, subscribers: SlotId) {
        let (levels, is_multi) = split_filter(filter);
        let mut node = ROOT;
        for level in levels.into_iter().flat_map(|levels| levels.split(SEPARATOR)) {
            node = if level == SINGLE_LEVEL { self.make_plus(node) } else { self.make_child(node, level) };
        }
        let place = FilterEnd { node, is_multi };
        debug_assert!(self.slot(place).is_none(), "a filter is there once");
        self.set_slot(place, Some(subscribers));
    }

    /// Forgets a filter and the nodes that only it needed.
    pub(crate) fn remove(&mut self, filter: &str) {
        if let Some(place) = self.place(filter) {
            self.set_slot(place, None);
            self.prune(place.node);
        }
    }

    /// Calls `each` with the slot of every filter that matches `topic`.
    pub(crate) fn each_slot(&self, topic: &str, mut each: impl FnMut(SlotId)) {
        let mut levels = TopicLevels::new(topic);
        let hides_from_wildcards = topic.starts_with('$');
        let mut open: SmallVec<[(NodeId, usize); 16]> = SmallVec::new();
        open.push((ROOT, 0));
        while let Some((id, depth)) = open.pop() {
            let node = self.node(id);
            let wildcards_apply = depth > 0 || !hides_from_wildcards;
            if wildcards_apply {
                node.multi.into_iter().for_each(&mut each);
            }
            match levels.at(depth, &self.levels) {
                TopicLevel::End => node.exact.into_iter().for_each(&mut each),
                TopicLevel::Level(level) => {
                    let plus = node.plus.filter(|_| wildcards_apply);
                    let level = level.filter(|_| node.children > 0);
                    let child = level.and_then(|level| self.child(id, level));
                    open.extend(plus.into_iter().chain(child).map(|next| (next, depth + 1)));
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes
            .iter()
            .map(|node| usize::from(node.exact.is_some()) + usize::from(node.multi.is_some()))
            .sum()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.nodes.memory_bytes() + self.edges.allocation_size() + self.levels.memory_bytes()
    }

    pub(crate) fn check_invariants(&self) -> Result<(), &'static str> {
        let unused = self.nodes.iter().filter(|node| node.is_unused()).count();
        if unused > usize::from(self.node(ROOT).is_unused()) {
            return Err("every node but the root has a slot or a child");
        }
        let children: usize = self.nodes.iter().map(|node| node.children as usize).sum();
        if children != self.edges.len() {
            return Err("every literal child has exactly one edge");
        }
        let plus = self.nodes.iter().filter(|node| node.plus.is_some()).count();
        if 1 + plus + children != self.nodes.len() {
            return Err("every node but the root is the child of one node");
        }
        if self.levels.nodes() == children {
            Ok(())
        } else {
            Err("a level is kept for as long as a node bears it")
        }
    }

    fn place(&self, filter: &str) -> Option<FilterEnd> {
        let (levels, is_multi) = split_filter(filter);
        let mut node = ROOT;
        for level in levels.into_iter().flat_map(|levels| levels.split(SEPARATOR)) {
            node = if level == SINGLE_LEVEL {
                self.node(node).plus?
            } else {
                self.child(node, self.levels.find(level)?)?
            };
        }
        Some(FilterEnd { node, is_multi })
    }

    fn slot(&self, place: FilterEnd) -> Option<SlotId> {
        let node = self.node(place.node);
        if place.is_multi { node.multi } else { node.exact }
    }

    fn set_slot(&mut self, place: FilterEnd, slot: Option<SlotId>) {
        let node = self.nodes.get_mut(place.node);
        *(if place.is_multi { &mut node.multi } else { &mut node.exact }) = slot;
    }

    /// Frees `id` if nothing needs it any more, and then those above it.
    fn prune(&mut self, mut id: NodeId) {
        while id != ROOT && self.node(id).is_unused() {
            let Node { parent, level, .. } = *self.node(id);
            match level {
                Some(level) => self.unlink_child(id, parent, level),
                None => self.nodes.get_mut(parent).plus = None,
            }
            self.nodes.remove(id);
            id = parent;
        }
    }

    fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id)
    }

    fn child(&self, parent: NodeId, level: LevelId) -> Option<NodeId> {
        let is_same = |&child: &NodeId| {
            let child = self.node(child);
            child.parent == parent && child.level == Some(level)
        };
        self.edges.find(self.hasher.hash_one((parent, Some(level))), is_same).copied()
    }

    fn unlink_child(&mut self, id: NodeId, parent: NodeId, level: LevelId) {
        let hash = self.hasher.hash_one((parent, Some(level)));
        self.edges.remove(hash, |&child| child == id);
        self.nodes.get_mut(parent).children -= 1;
        self.levels.release(level);
    }

    fn make_plus(&mut self, parent: NodeId) -> NodeId {
        if let Some(known) = self.node(parent).plus {
            return known;
        }
        let made = self.nodes.insert(Node::new(parent, None));
        self.nodes.get_mut(parent).plus = Some(made);
        made
    }

    fn make_child(&mut self, parent: NodeId, level: &str) -> NodeId {
        let known = self.levels.find(level).and_then(|level| self.child(parent, level));
        if let Some(known) = known {
            return known;
        }
        let level = Some(self.levels.acquire(level));
        let made = self.nodes.insert(Node::new(parent, level));
        self.nodes.get_mut(parent).children += 1;
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        let rehash = |&child: &NodeId| {
            let child = nodes.get(child);
            hasher.hash_one((child.parent, child.level))
        };
        self.edges.insert_unique(hasher.hash_one((parent, level)), made, rehash);
        made
    }
}

/// The levels of a filter without a last `#`, and whether there was one. `#` alone has no other
/// levels.
fn split_filter(filter: &str) -> (Option<&str>, bool) {
    if filter == MULTI_LEVEL {
        return (None, true);
    }
    match filter.strip_suffix(MULTI_LEVEL).and_then(|parent| parent.strip_suffix(SEPARATOR)) {
        Some(parent) => (Some(parent), true),
        None => (Some(filter), false),
    }
}

enum TopicLevel {
    /// A level of the topic; `None` if no filter has it.
    Level(Option<LevelId>),
    /// The topic has fewer levels.
    End,
}

/// The levels of a topic, looked up at most once each and only as deep as the walk comes.
struct TopicLevels<'a> {
    seen: SmallVec<[Option<LevelId>; 16]>,
    rest: Option<&'a str>,
}

impl<'a> TopicLevels<'a> {
    fn new(topic: &'a str) -> Self {
        Self { seen: SmallVec::new(), rest: Some(topic) }
    }

    fn at(&mut self, depth: usize, known: &Levels) -> TopicLevel {
        while self.seen.len() <= depth {
            let Some(rest) = self.rest else { return TopicLevel::End };
            let (level, rest) = match rest.split_once(SEPARATOR) {
                Some((level, rest)) => (level, Some(rest)),
                None => (rest, None),
            };
            self.seen.push(known.find(level));
            self.rest = rest;
        }
        TopicLevel::Level(self.seen[depth])
    }
}
