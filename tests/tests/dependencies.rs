//! Promise: dependencies between the crates run one way, and the write side and the read side never meet.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tests::cargo;

/// Who may depend on whom. `tools`, `tests` and `benches` stand on top and may use everything.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("eventstore", &[]),
    ("domain", &[]),
    ("http-kit", &[]),
    ("archive-s3", &["eventstore"]),
    ("command-api", &["archive-s3", "eventstore", "domain", "http-kit"]),
    ("projector", &["archive-s3", "eventstore", "domain"]),
    ("query-api", &["archive-s3", "projector", "eventstore", "domain", "http-kit"]),
];
const ON_TOP: [&str; 3] = ["tools", "tests", "benches"];

fn workspace() -> BTreeMap<String, BTreeSet<String>> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    packages
        .iter()
        .map(|package| {
            // Of every kind: a test that needs the other side is in the wrong crate.
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ours = dependencies.map(|dependency| dependency["name"].as_str().unwrap());
            let ours = ours.filter(|name| names.contains(name)).map(str::to_owned);
            (package["name"].as_str().unwrap().to_owned(), ours.collect())
        })
        .collect()
}

#[test]
fn dependencies_run_one_way() {
    let workspace = workspace();
    for (name, dependencies) in &workspace {
        if ON_TOP.contains(&name.as_str()) {
            continue;
        }
        let allowed = ALLOWED.iter().find(|(allowed, _)| allowed == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} is new: say here what it may depend on"));
        let wrong: Vec<_> = dependencies.iter().filter(|one| !allowed.contains(&one.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
    for (name, _) in ALLOWED {
        assert!(workspace.contains_key(name), "there is no crate {name} any more");
    }
}

#[test]
fn nobody_depends_on_what_stands_on_top() {
    for (name, dependencies) in workspace() {
        // Benches measure the very functions that the command calls.
        let allowed: &[&str] = if name == "benches" { &["tools"] } else { &[] };
        let wrong: Vec<_> = ON_TOP
            .iter()
            .filter(|one| dependencies.contains(**one) && !allowed.contains(one) && **one != name)
            .collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
}
