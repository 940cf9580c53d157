//! Which members belong together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Acceptance, RequestId};
use crate::srt::stream_id::StreamId;
use crate::srt::wire::{GroupId, GroupType};

/// A group is known by what it calls itself and what it asks for; that a member has its passphrase is seen when its keys
/// are opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    pub peer: GroupId,
    pub stream_id: StreamId,
}

/// Most members of one group.
pub(super) const MOST_MEMBERS: usize = 16;

#[derive(Clone, Debug)]
pub(super) enum Group {
    /// The first member waits for a decision, and the others for the first.
    Deciding { first: RequestId, others: Vec<RequestId> },
    /// Members join by themselves.
    Open(Open),
}

/// What all members of a group have in common.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub local: GroupId,
    pub group_type: GroupType,
    pub acceptance: Acceptance,
    pub receive_latency: Duration,
    pub send_latency: Duration,
    pub start: Instant,
    pub members: usize,
}

/// All of them. Bounded by the callers that wait and are connected, and by sessions whose members are all away.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupKey, Group>,
    locals: BTreeMap<GroupId, GroupKey>,
}

impl Groups {
    pub(super) fn get_mut(&mut self, key: &GroupKey) -> Option<&mut Group> {
        self.groups.get_mut(key)
    }

    pub(super) fn begin(&mut self, key: GroupKey, first: RequestId) {
        self.groups.insert(key, Group::Deciding { first, others: Vec::new() });
    }

    /// Another member waits for the first.
    pub(super) fn wait(&mut self, key: &GroupKey, id: RequestId) {
        if let Some(Group::Deciding { others, .. }) = self.groups.get_mut(key) {
            others.push(id);
        }
    }

    /// Whether an id of ours is in use.
    pub(super) fn has_local(&self, local: GroupId) -> bool {
        self.locals.contains_key(&local)
    }

    /// The first member is in. Returns those that waited for it.
    pub(super) fn open(&mut self, key: GroupKey, open: Open) -> Vec<RequestId> {
        self.locals.insert(open.local, key.clone());
        match self.groups.insert(key, Group::Open(open)) {
            Some(Group::Deciding { others, .. }) => others,
            Some(Group::Open(_)) | None => Vec::new(),
        }
    }

    /// A member that waited is refused. Returns the one that is the first now, if the first was refused.
    pub(super) fn waiting_left(&mut self, key: &GroupKey, id: RequestId) -> Option<RequestId> {
        let Some(Group::Deciding { first, others }) = self.groups.get_mut(key) else { return None };
        if *first != id {
            others.retain(|other| *other != id);
            return None;
        }
        if others.is_empty() {
            self.groups.remove(key);
            return None;
        }
        *first = others.remove(0);
        Some(*first)
    }

    pub(super) fn member_left(&mut self, local: GroupId) {
        if let Some(Group::Open(open)) = self.locals.get(&local).and_then(|key| self.groups.get_mut(key)) {
            open.members = open.members.saturating_sub(1);
        }
    }

    pub(super) fn close(&mut self, local: GroupId) {
        if let Some(key) = self.locals.remove(&local) {
            self.groups.remove(&key);
        }
    }
}
