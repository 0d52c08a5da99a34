//! A log that was restored from a copy and has gone on differently: what was derived from the other future is still
//! lying about, and must count for nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod support;

use eventstore::storage::Environment;
use eventstore::{Engine, Log};
use std::fs;
use std::path::Path;
use support::history::{Model, World, append};
use support::{Random, copy, small};

const WORLD: World = World { streams: 300, tags: 60, payload: 1500 };

fn engine(dir: &Path) -> Engine {
    Engine::open(&Environment::default(), dir, &small()).unwrap()
}

/// Both futures have the same store, the same segment numbers and the same places at first: only the chain tells them
/// apart.
#[test]
fn an_index_of_another_future_is_not_believed() {
    let mut random = Random::seeded();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = [dirs[0].path(), dirs[1].path()];
    let mut model = Model::default();
    let mut writer = engine(one);
    append(&mut writer, &mut model, &mut random, WORLD, 20);
    writer.close();
    copy(&one.join("log"), &other.join("log"));

    let futures = [one, other].map(|dir| {
        let mut model = model.clone();
        let mut writer = engine(dir);
        append(&mut writer, &mut model, &mut random, WORLD, 400);
        if dir == one {
            while writer.housekeep().unwrap() {}
        }
        writer.close();
        model
    });
    let _ = fs::remove_dir_all(other.join("index"));
    copy(&one.join("index"), &other.join("index"));
    assert!(fs::read_dir(other.join("index")).unwrap().count() > 0, "there is an index to be deceived by");

    let everything = 2_000;
    futures[1].check(&Log::open_offline(other).unwrap(), &mut random, WORLD, everything);
    futures[1].check(&Log::open(other).unwrap(), &mut random, WORLD, everything);
    let mut writer = engine(other);
    futures[1].check(&writer.log(), &mut random, WORLD, everything);
    while writer.housekeep().unwrap() {}
    futures[1].check(&writer.log(), &mut random, WORLD, everything);
    writer.close();
}
