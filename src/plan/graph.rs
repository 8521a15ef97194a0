//! What only code can compute: a graph of nodes in which equal things without a call are one node.

use std::rc::Rc;

use foldhash::{HashMap, HashSet};

use crate::edits::SymbolRef;
use crate::session_map::Returns;

/// The index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

/// A computation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// An address that the linker knows.
    Address(SymbolRef, i64),
    /// A number; a floating-point one by its bits.
    Int(u64),
    /// A text, as an argument of a call.
    Text(Rc<str>),
    /// The word at node + offset; null fails unless allowed.
    Load(NodeId, i64, bool),
    /// A function, its arguments and which of them are floating-point, what it returns; null fails unless allowed.
    Call(NodeId, Vec<NodeId>, u16, Returns, bool),
    /// Node + number.
    Add(NodeId, i64),
    /// Node >> number.
    Shr(NodeId, u8),
    /// Node << number.
    Shl(NodeId, u8),
    /// Node - the base of the global offset table, which code adds that was compiled so.
    FromTable(NodeId),
    /// -node.
    Neg(NodeId),
    /// ~node.
    Not(NodeId),
    /// Node - node.
    Difference(NodeId, NodeId),
    /// The lowest address of the loaded program or library with that build-id; not to be found fails.
    Library(Vec<u8>),
    /// A result of `before`, by its place on the stack.
    Result(u32),
    /// The word at a symbol that all objects of a link share: whoever comes first computes the node for it, and says so
    /// in the word behind it.
    Shared(SymbolRef, NodeId),
    /// A block that all objects of a link share: whoever comes first stores, at each offset, a node plus a number, and
    /// says so in the word at the last offset. The value is the block's address.
    SharedBlock(SymbolRef, Vec<(i64, NodeId, i64)>, i64),
}

impl Node {
    /// The nodes that it needs.
    pub(crate) fn operands(&self) -> Vec<NodeId> {
        match self {
            Node::Address(..) | Node::Int(_) | Node::Text(_) | Node::Library(_) | Node::Result(_) => {
                Vec::new()
            }
            Node::Load(n, ..)
            | Node::Add(n, _)
            | Node::Shr(n, _)
            | Node::Shl(n, _)
            | Node::FromTable(n)
            | Node::Neg(n)
            | Node::Not(n)
            | Node::Shared(_, n) => {
                vec![*n]
            }
            Node::Difference(to, from) => vec![*to, *from],
            Node::SharedBlock(_, words, _) => words.iter().map(|(_, node, _)| *node).collect(),
            Node::Call(function, arguments, ..) => {
                std::iter::once(*function).chain(arguments.iter().copied()).collect()
            }
        }
    }

    /// Whether recomputing it costs nothing worth a variable.
    pub(crate) fn is_trivial(&self) -> bool {
        matches!(self, Node::Address(..) | Node::Int(_) | Node::Text(_) | Node::Result(_))
    }
}

/// All nodes.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<(Node, String)>,
    index: HashMap<Node, NodeId>,
    /// What is added is computed at each use.
    fresh: bool,
    /// Those that are.
    unshared: HashSet<NodeId>,
}

impl Graph {
    /// The node, made if there is no equal one. `text` is what messages call it.
    pub(crate) fn add(&mut self, node: Node, text: impl FnOnce() -> String) -> NodeId {
        if !self.fresh
            && let Some(&id) = self.index.get(&node)
        {
            return id;
        }
        let id = NodeId(self.nodes.len() as u32);
        if self.fresh {
            self.unshared.insert(id);
            self.nodes.push((node, text()));
            return id;
        }
        // A call can return something else every time. What depends on one has a unique operand already.
        if !matches!(node, Node::Call(..)) {
            self.index.insert(node.clone(), id);
        }
        self.nodes.push((node, text()));
        id
    }

    /// Whether the nodes that are added from here on are computed at each use, whatever equals them; returns what
    /// was the case.
    pub(crate) fn set_fresh(&mut self, fresh: bool) -> bool {
        std::mem::replace(&mut self.fresh, fresh)
    }

    /// Whether it is computed at each use.
    pub(crate) fn is_fresh(&self, id: NodeId) -> bool {
        self.unshared.contains(&id)
    }

    /// All nodes, each before those that it needs.
    pub(crate) fn backwards(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).rev().map(NodeId)
    }

    /// A node.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize].0
    }

    /// What messages call it.
    pub(crate) fn text(&self, id: NodeId) -> &str {
        &self.nodes[id.0 as usize].1
    }
}
