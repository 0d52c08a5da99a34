//! Each fault is planted, found, named and repaired; and where there is none, none is found, whatever goes on meanwhile.

mod documents;
mod meanwhile;
mod models;
mod repairs;

use super::*;
use crate::run::{Projector, Repairs};
use crate::search::Searcher;
use crate::support::*;
use domain::{ItemId, WorkspaceId};
use eventstore::Position;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

const AT_ONCE: Manner<'static> = Manner { share: 1, is_stopped: &|| false };

/// A projector over a history, with nothing left to be taken in.
struct Running {
    projector: Projector,
    world: World,
}

impl Running {
    fn over(world: World) -> Self {
        let projector = Projector::start(world.data_dir(), world.log()).unwrap();
        let searcher = Searcher::open(world.data_dir(), world.log());
        settle(&world, &projector, &searcher);
        Self { projector, world }
    }

    fn check(&self, scope: &Scope) -> Vec<Finding> {
        let subjects = Subjects {
            read_models: Some(self.projector.read_models()),
            index_of: Some(self.world.data_dir()),
        };
        let checked = check(&self.world.log(), &subjects, scope, &AT_ONCE).unwrap();
        assert_eq!(checked.len(), 4);
        checked.into_iter().flat_map(|checked| checked.findings).collect()
    }

    /// That exactly these are found, and that repairs leave nothing to be found.
    #[track_caller]
    fn expect(&self, projection: ProjectionName, expected: &[(Class, Entity)]) {
        let found = self.check(&Scope::All);
        let told: std::collections::BTreeSet<_> =
            found.iter().map(|finding| (finding.class, finding.entity.clone())).collect();
        assert_eq!(told, expected.iter().cloned().collect(), "{found:#?}");
        for (_, entity) in expected {
            self.projector.repairs().repair(projection, entity).unwrap();
        }
        if projection == ProjectionName::Search {
            // It is written anew by a thread of its own.
            for _ in 0..200 {
                if self.check(&Scope::All).is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        assert_eq!(self.check(&Scope::All), [], "after repairs");
        let models = self.projector.read_models();
        assert_eq!(models.models.digest().1, replay(&self.world.log()).digest());
    }
}

fn with_items() -> World {
    let world = World::with_board();
    for number in 0..6 {
        let key = format!("K-{number}");
        let mut payload = created(&key, &format!("title {number}"), &format!("{number}5"), "Open");
        payload["assignees"] = json!(["ann"]);
        world.append(&item(&key).stream_id(), "item.created", payload);
        world.comment(&key, "c", "a comment");
    }
    world.append(&item("K-5").stream_id(), "item.completed", json!({}));
    world
}

#[test]
fn where_nothing_is_wrong_nothing_is_found() {
    let mut random = Random::from_environment();
    for _ in 0..4 {
        let world = World::with_board();
        random_history(&world, &mut random, 300);
        world.append_unchanged("at the end");
        let running = Running::over(world);
        assert_eq!(running.check(&Scope::All), []);
        for one_in in [1, 2, 5, 1_000] {
            let scope = Scope::Sample { one_in, seed: random.0 };
            assert_eq!(running.check(&scope), [], "{scope:?}");
        }
        for entity in [
            Entity::Workspace(workspace()),
            Entity::Project(project()),
            Entity::Board(board()),
            Entity::Item(item("K-1")),
            Entity::Comment(comment("K-1", "c0")),
            Entity::Person("ann".to_owned()),
        ] {
            for projection in [ProjectionName::Models, ProjectionName::Activity, ProjectionName::Analytics] {
                let repaired = running.projector.repairs().repair(projection, &entity).unwrap();
                assert!(!repaired, "{projection:?} {entity}");
            }
        }
        running.projector.stop().unwrap();
        // The same of the files alone.
        let world = running.world;
        for scope in [Scope::All, Scope::Sample { one_in: 3, seed: random.0 }] {
            let checked = check_data_dir(world.data_dir(), &world.log(), &scope, &AT_ONCE).unwrap();
            assert_eq!(checked.len(), 4, "{checked:?}");
            let compared: Vec<_> = checked.iter().map(|checked| checked.compared).collect();
            // A third of a few items may be none.
            assert!(scope != Scope::All || compared.iter().all(|compared| *compared > 0), "{compared:?}");
            assert!(checked.iter().all(|checked| checked.findings.is_empty()), "{checked:#?}");
        }
    }
}

#[test]
fn a_sample_finds_what_is_in_it() {
    let running = Running::over(with_items());
    let one = item("K-1");
    running.projector.models().write().item_to_spoil(one).title = crate::models::Name::new("spoilt");
    let (mut seen, mut passes) = (0, 0);
    for seed in 0..40 {
        let scope = Scope::Sample { one_in: 3, seed };
        let found = running.check(&scope);
        assert_eq!(!found.is_empty(), scope.has_item(one), "{scope:?} {found:?}");
        seen += usize::from(!found.is_empty());
        passes += 1;
    }
    assert!((4..30).contains(&seen), "{seen} of {passes}");
}
