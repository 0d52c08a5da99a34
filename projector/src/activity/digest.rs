//! The digest of the lists: a sum over their entries, of SHA-256 over kind, key and position.
//!
//! Entries are only ever added, so the sum only grows and nothing has to be settled. It is begun when it is first asked
//! for, from the lists themselves, and kept from then on: five hashes per event are too dear for what few ask for.

use super::{Activity, Thing};
use crate::models::{DigestSum, EntityDigest, digest_entity};
use domain::{BoardId, ProjectId, WorkspaceId};
use eventstore::{Digest, Position};
use std::fmt;
use uuid::Uuid;

const WORKSPACE: u8 = b'W';
const PROJECT: u8 = b'P';
const BOARD: u8 = b'B';
const ITEM: u8 = b'I';
const PERSON: u8 = b'H';
/// Which project a board is of.
const BELONGS: u8 = b'O';

/// The sum over everything that is there.
pub(super) fn sum(activity: &Activity) -> DigestSum {
    let mut sum = DigestSum::default();
    for (thing, positions) in activity.all() {
        positions.newest(None).for_each(|position| sum.add(&of_thing(thing, position)));
    }
    for (person, tenants) in &activity.people {
        for (workspace, positions) in tenants {
            positions.newest(None).for_each(|position| sum.add(&of_person(person, *workspace, position)));
        }
    }
    for (board, project) in &activity.projects {
        sum.add(&of_board(*board, *project));
    }
    sum
}

/// Tells the sum over each list.
pub(super) fn each(activity: &Activity, told: &mut dyn FnMut(&dyn fmt::Display, Digest)) {
    for (thing, positions) in activity.all() {
        let mut sum = DigestSum::default();
        positions.newest(None).for_each(|position| sum.add(&of_thing(thing, position)));
        told(&name_of(thing), sum.digest());
    }
    for (person, tenants) in &activity.people {
        for (workspace, positions) in tenants {
            let mut sum = DigestSum::default();
            positions.newest(None).for_each(|position| sum.add(&of_person(person, *workspace, position)));
            told(&format_args!("person:{workspace}:{person}"), sum.digest());
        }
    }
    for (board, project) in &activity.projects {
        told(&format_args!("belongs:{board}"), Digest(of_board(*board, *project)));
    }
}

fn name_of(thing: Thing) -> String {
    match thing {
        Thing::Workspace(id) => format!("workspace:{id}"),
        Thing::Project(id) => format!("project:{id}"),
        Thing::Board(id) => format!("board:{id}"),
        Thing::Item(id) => format!("item:{id}"),
    }
}

pub(super) fn of_thing(thing: Thing, position: Position) -> EntityDigest {
    let (kind, id): (u8, Uuid) = match thing {
        Thing::Workspace(id) => (WORKSPACE, id.uuid()),
        Thing::Project(id) => (PROJECT, id.uuid()),
        Thing::Board(id) => (BOARD, id.uuid()),
        Thing::Item(id) => (ITEM, id.uuid()),
    };
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(id.as_bytes());
    bytes[16..].copy_from_slice(&position.get().to_le_bytes());
    digest_entity(kind, &bytes)
}

pub(super) fn of_person(person: &str, workspace: WorkspaceId, position: Position) -> EntityDigest {
    let mut bytes = Vec::with_capacity(24 + person.len());
    bytes.extend_from_slice(workspace.uuid().as_bytes());
    bytes.extend_from_slice(&position.get().to_le_bytes());
    // Last, because it alone has no fixed length.
    bytes.extend_from_slice(person.as_bytes());
    digest_entity(PERSON, &bytes)
}

pub(super) fn of_board(board: BoardId, project: ProjectId) -> EntityDigest {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(board.uuid().as_bytes());
    bytes[16..].copy_from_slice(project.uuid().as_bytes());
    digest_entity(BELONGS, &bytes)
}
