//! Which program computes what: what only one group needs is computed by the group's own, so that it goes whole
//! when another object's copy of the group wins; all else by the object's.

use super::graph::NodeId;
use super::{Destination, Planner};
use foldhash::HashMap;

use crate::object_file::GroupId;

/// The program that computes each node; `None` is the object's own.
pub(super) type Owners = HashMap<NodeId, Option<GroupId>>;

/// Who computes each node, and by how many it is used.
#[derive(Default)]
struct Uses {
    owners: Owners,
    counts: HashMap<NodeId, usize>,
    /// Every node with every program that uses it.
    users: Vec<(NodeId, Option<GroupId>)>,
}

impl Uses {
    fn add(&mut self, node: NodeId, user: Option<GroupId>) {
        let owner = self.owners.entry(node).or_insert(user);
        if *owner != user {
            *owner = None;
        }
        *self.counts.entry(node).or_default() += 1;
        self.users.push((node, user));
    }
}

impl Planner<'_> {
    /// Decides who computes what, gives a slot to what is needed twice, and every filled slot its place.
    pub(super) fn plan_owners(&mut self) -> Owners {
        self.settle_slot_groups();
        let mut uses = Uses::default();
        for store in &self.stores {
            uses.add(store.node, store.group);
        }
        // Around every fill the same is evaluated; what it needs of the values is made once.
        let mut needed_around = Vec::new();
        for node in self.protocol.around() {
            uses.add(node, None);
            if !self.graph.is_fresh(node) {
                needed_around.push(node);
            }
        }
        for node in self.graph.backwards() {
            if let Some(&user) = uses.owners.get(&node) {
                for operand in self.graph.node(node).operands() {
                    uses.add(operand, user);
                    if self.graph.is_fresh(node) && !self.graph.is_fresh(operand) {
                        needed_around.push(operand);
                    }
                }
            }
        }
        let Uses { owners, counts, users } = uses;
        // What a group needs of the object's own program it finds in a slot, too.
        let foreign = users.into_iter().filter(|(node, user)| owners[node] != *user).map(|(node, _)| node);
        let repeated = counts.into_iter().filter(|&(_, count)| count > 1).map(|(node, _)| node);
        let mut shared: Vec<NodeId> = foreign.chain(repeated).chain(needed_around).collect();
        shared.retain(|node| !self.graph.is_fresh(*node));
        shared.sort();
        shared.dedup();
        for node in shared {
            if !self.graph.node(node).is_trivial() && !self.filled_slots.contains_key(&(node, 0)) {
                self.new_filled_slot(node, 0, "value");
            }
        }
        for index in 0..self.stores.len() {
            let store = &mut self.stores[index];
            if let Destination::Slot(slot) = store.destination {
                if store.offset == 0 {
                    store.group = owners[&store.node];
                }
                let group = store.group;
                self.place_filled_slot(slot, group);
            }
        }
        owners
    }

    /// A slot that one group alone uses belongs to it.
    fn settle_slot_groups(&mut self) {
        for store in &mut self.stores {
            if let Destination::Slot(slot) = store.destination {
                let users: Vec<Option<GroupId>> =
                    self.slot_users.get(&slot).into_iter().flatten().copied().collect();
                store.group = if let [user] = users[..] { user } else { None };
            }
        }
    }
}
