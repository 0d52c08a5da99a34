//! Promise: the walk in docs/audit.md, typed as it stands there, tells an auditor what it says it tells.
//!
//! Where there is no Go, its command is written down instead of run, and crates that share no code with ours judge the same files;
//! `.ci/audit-judges` has the Go program itself judge them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use serde_json::Value;
use sha2::{Digest, Sha256};
use signed_note::{Note, StandardVerifier, VerifierList};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tests::{Sunday, history, import, run, workspace_root};

fn walk() -> String {
    fs::read_to_string(workspace_root().join("docs/audit.md")).unwrap()
}

/// The blocks of commands, in order.
fn blocks() -> Vec<String> {
    let walk = walk();
    let blocks = walk.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

/// Runs commands as they stand there, but for the address.
fn typed(commands: &str, dir: &Path, sunday: &Sunday, before: &str) -> Output {
    let script = commands.replace("http://127.0.0.1:7401", &format!("http://{}", sunday.query.addr));
    let path = format!("{}:{}", dir.join("bin").display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-euc", &format!("{before}\n{script}")]).current_dir(dir).env("PATH", path);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Size and root of a checkpoint whose signature is the key's.
fn opened(note: &[u8], key: &str) -> (u64, [u8; 32]) {
    let key = VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())]);
    let note = Note::from_bytes(note).unwrap();
    let (signatures, _) = note.verify(&key).unwrap();
    assert_eq!(signatures.len(), 1);
    let text = String::from_utf8(note.text().to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    (lines[1].parse().unwrap(), STANDARD.decode(lines[2]).unwrap().try_into().unwrap())
}

fn root((size, hash): (u64, [u8; 32])) -> RootHash<Sha256> {
    RootHash::new(hash.into(), size)
}

fn proof_of(answer: &Value) -> Vec<u8> {
    let hashes = answer["proof"].as_array().unwrap().iter();
    hashes.flat_map(|hash| STANDARD.decode(hash.as_str().unwrap()).unwrap()).collect()
}

fn json(dir: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap()
}

/// Waits until so many events have been signed, and more than `than`.
fn signed(sunday: &Sunday, than: u64) -> (u64, Vec<u8>) {
    let began = Instant::now();
    loop {
        // Before the first event there is none.
        let answer = sunday.query.try_get("/checkpoint").unwrap();
        let size = String::from_utf8_lossy(&answer.body).lines().nth(1).and_then(|line| line.parse().ok());
        match size {
            Some(size) if answer.status == 200 && size > than => return (size, answer.body),
            _ => assert!(began.elapsed() < Duration::from_secs(60), "never signed: {answer:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_walk_of_an_auditor_typed_as_it_stands_there() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("!!! SKIPPED: there is no curl on this machine; the auditor's walk was not walked !!!");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = dir.join("data");
    fs::create_dir(&data).unwrap();
    let sunday = Sunday::serve(&data);

    // Last month.
    let blocks = blocks();
    let [save, since_then, one_event, ..] = blocks.as_slice() else {
        panic!("the walk has lost its commands")
    };
    let (old_size, _) = signed(&sunday, 0);
    let _ = typed(save, dir, &sunday, "");
    let old = fs::read(dir.join("old.note")).unwrap();
    fs::copy(data.join("keys/audit.pub"), dir.join("audit.pub")).unwrap();
    // Since then.
    let _ = import(&history("issues-small.jsonl.gz"), &sunday.command_url());
    let position = sunday.settled_position();
    let _ = signed(&sunday, position - 1);

    let has_go = Command::new("go").arg("version").output().is_ok();
    fs::create_dir(dir.join("bin")).unwrap();
    if !has_go {
        let go = "#!/bin/sh\necho \"$@\" >> go.typed\n";
        fs::write(dir.join("bin/go"), go).unwrap();
        fs::set_permissions(dir.join("bin/go"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::copy(workspace_root().join("docs/check.go"), dir.join("check.go")).unwrap();
    // Fetching Go's package takes a network; the program that stands there was judged elsewhere, see above.
    let since_then: String =
        since_then.lines().filter(|line| !line.starts_with("go mod")).fold(String::new(), |text, line| {
            if has_go && line.starts_with("go ") { text } else { text + line + "\n" }
        });
    let _ = typed(&since_then, dir, &sunday, "");
    let key = fs::read_to_string(dir.join("audit.pub")).unwrap();
    let key = key.trim();
    if !has_go {
        let typed = fs::read_to_string(dir.join("go.typed")).unwrap();
        assert_eq!(typed, format!("run check.go {key} old.note new.note proof.json\n"));
    }
    let new = fs::read(dir.join("new.note")).unwrap();
    let (old, new) = (root(opened(&old, key)), root(opened(&new, key)));
    let answer = json(dir, "proof.json");
    let proof = ConsistencyProof::try_from_bytes(proof_of(&answer)).unwrap();
    new.verify_consistency(&old, &proof).expect("the history since then was only appended to");
    // A judge who believes everything would be none.
    let mut forged = proof_of(&answer);
    forged[5] ^= 1;
    let forged = ConsistencyProof::try_from_bytes(forged).unwrap();
    assert!(new.verify_consistency(&old, &forged).is_err());

    // One event: the last one of last month's first, whoever's it is.
    let replay = run(&["replay", "--data-dir", data.to_str().unwrap()]);
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
    let lines = String::from_utf8(replay.stdout).unwrap();
    let event: Value = serde_json::from_str(lines.lines().nth(1_000).unwrap()).unwrap();
    let id = event["eventId"].as_str().or(event["id"].as_str()).unwrap();
    let _ = typed(one_event, dir, &sunday, &format!("id={id}"));
    let answer = json(dir, "event.json");
    let leaf = answer["leaf"].as_str().unwrap_or_else(|| panic!("no proof of event {id}: {answer} {event}"));
    let leaf = STANDARD.decode(leaf).unwrap();
    assert_eq!(leaf.len(), 89);
    let hash = Sha256::new().chain_update([0]).chain_update(&leaf).finalize();
    assert_eq!(STANDARD.encode(hash), answer["leafHash"].as_str().unwrap(), "as the walk says");
    let newest = root(opened(answer["checkpoint"].as_str().unwrap().as_bytes(), key));
    let proof = InclusionProof::try_from_bytes(proof_of(&answer)).unwrap();
    let index = answer["leafIndex"].as_u64().or(answer["position"].as_u64()).unwrap();
    newest.verify_inclusion(&leaf, index, &proof).expect("the event is in the tree");
    sunday.stop();

    // With the data itself.
    let walk = walk();
    let line = walk.split("`sunday verify").nth(1).unwrap().split('`').next().unwrap();
    Command::new("cp").args(["-r", "data", "copy"]).current_dir(dir).status().unwrap();
    let sunday_binary = tests::command("sunday");
    let script = format!("\"{}\" verify{line}", sunday_binary.get_program().to_str().unwrap());
    let output = Command::new("bash").args(["-euc", &script]).current_dir(dir).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    assert!(old_size > 0);
}
