//! What a witness cosigns, and what it answers instead.

use crate::grown::Grown;
use eventstore::transparency::{
    AddCheckpoint, Checkpoint, EMPTY_ROOT, KeyName, SignatureKind, SignedNote, SigningKey, TreeHead, judge,
    leaf_hash,
};
use eventstore::{Digest, TreeSize};

fn log() -> SigningKey {
    SigningKey::generate(KeyName::new("example.com/log").unwrap(), SignatureKind::Note).unwrap()
}

fn tree() -> Grown {
    let mut tree = Grown::default();
    (0..300_u64).for_each(|index| tree.append(leaf_hash(&index.to_le_bytes())));
    tree
}

fn request(tree: &Grown, log: &SigningKey, old: u64, new: u64) -> AddCheckpoint {
    let proof =
        if old <= new { tree.prover(new).consistency(TreeSize::new(old)).unwrap() } else { Vec::new() };
    AddCheckpoint { old: TreeSize::new(old), proof, note: Checkpoint::signed(tree.head(new), log).unwrap() }
}

fn status(request: &AddCheckpoint, log: &SigningKey, latest: Option<TreeHead>) -> u16 {
    // Over the wire, so that the form is tried too.
    let request = match AddCheckpoint::parse(request.to_string().as_bytes()) {
        Ok(request) => request,
        Err(error) => return error.status(),
    };
    let keys = |origin: &str| if origin == "example.com/log" { vec![log.verifier()] } else { Vec::new() };
    judge(&request, keys, |_| latest).map_or_else(|error| error.status(), |_| 200)
}

#[test]
fn a_log_that_only_grows_is_cosigned() {
    let (tree, log) = (tree(), log());
    assert_eq!(status(&request(&tree, &log, 0, 0), &log, None), 200);
    assert_eq!(status(&request(&tree, &log, 0, 255), &log, None), 200);
    assert_eq!(status(&request(&tree, &log, 255, 300), &log, Some(tree.head(255))), 200);
    assert_eq!(status(&request(&tree, &log, 300, 300), &log, Some(tree.head(300))), 200);
}

#[test]
fn everything_else_gets_the_status_of_the_protocol() {
    let (tree, log) = (tree(), log());
    let latest = Some(tree.head(255));
    assert_eq!(status(&request(&tree, &log, 0, 300), &log, latest), 409);
    assert_eq!(status(&request(&tree, &log, 254, 300), &log, latest), 409);
    assert_eq!(status(&request(&tree, &log, 300, 255), &log, latest), 400);
    let mut bad = request(&tree, &log, 255, 300);
    bad.proof[0].0[0] ^= 1;
    assert_eq!(status(&bad, &log, latest), 422);
    bad.proof.clear();
    assert_eq!(status(&bad, &log, latest), 422);
    bad.proof = vec![Digest::default(); 64];
    assert_eq!(status(&bad, &log, latest), 400);
    // A root that is another one at the same size, a root for nothing, and a proof from nothing.
    let forged = |size, root| AddCheckpoint {
        old: TreeSize::new(size),
        proof: Vec::new(),
        note: Checkpoint::signed(TreeHead { size: TreeSize::new(size), root }, &log).unwrap(),
    };
    assert_eq!(status(&forged(255, EMPTY_ROOT), &log, latest), 422);
    assert_eq!(status(&forged(0, Digest::default()), &log, None), 422);
    let mut proven = request(&tree, &log, 0, 300);
    proven.proof = vec![Digest::default()];
    assert_eq!(status(&proven, &log, None), 422);
    // Another log, another key.
    let stranger =
        SigningKey::generate(KeyName::new("example.com/other").unwrap(), SignatureKind::Note).unwrap();
    assert_eq!(status(&request(&tree, &stranger, 0, 300), &log, None), 404);
    let namesake = self::log();
    assert_eq!(status(&request(&tree, &namesake, 0, 300), &log, None), 403);
    let unsigned = SignedNote::sign("example.com/log\nnonsense\n", &[&log]).unwrap();
    let nonsense = AddCheckpoint { old: TreeSize::ZERO, proof: Vec::new(), note: unsigned };
    assert_eq!(status(&nonsense, &log, None), 400);
}

#[test]
fn bodies_that_are_no_requests_are_refused() {
    let (tree, log) = (tree(), log());
    let good = request(&tree, &log, 255, 300).to_string();
    assert!(AddCheckpoint::parse(good.as_bytes()).is_ok());
    for bad in [
        good.replacen("old 255", "old 0255", 1),
        good.replacen("old 255", "old -1", 1),
        good.replacen("old 255", "new 255", 1),
        good.replacen("old 255", "old  255", 1),
        good.replacen('=', "", 1),
        good.replacen("\n\n", "\n", 1),
        String::new(),
    ] {
        assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}
