//! Keys: made once, for their owner only, and changed so that everybody can follow.

use crate::site::{append, check_all, open, signed, start};
use eventstore::Durability;
use eventstore::transparency::{KeyName, Rotation, SignatureKind, SigningKey};
use projector::Projector;
use projector::notary::{NotaryOptions, PublicKeys, RotateError, rotate};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_key_is_made_once_and_only_its_owner_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Fsync);
    let options = NotaryOptions {
        origin: Some(KeyName::new("example.com/sunday").unwrap()),
        ..NotaryOptions::default()
    };
    let begin = || {
        Projector::start_with(
            dir.path(),
            (*store).clone(),
            projector::Connections { notary: options.clone(), ..Default::default() },
        )
        .unwrap()
    };
    let projector = begin();
    append(&store, 1);
    signed(&projector, 1);
    drop(projector);
    let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("keys"), mode("keys/audit.key")), (0o700, 0o600));
    let keys = PublicKeys::read(dir.path()).unwrap();
    assert_eq!(keys.current.name().as_str(), "example.com/sunday");
    let before = fs::read(dir.path().join("keys/audit.key")).unwrap();
    drop(begin());
    assert_eq!(fs::read(dir.path().join("keys/audit.key")).unwrap(), before);
    check_all(dir.path(), &store);
    // A log keeps its name.
    let other = NotaryOptions { origin: Some(KeyName::new("example.com/other").unwrap()), ..options.clone() };
    let projector = Projector::start_with(
        dir.path(),
        (*store).clone(),
        projector::Connections { notary: other, ..Default::default() },
    )
    .unwrap();
    assert!(crate::site::refusal(dir.path(), &projector).contains("keeps its origin for ever"));
}

#[test]
fn a_key_that_is_changed_leads_to_the_next_one_whatever_breaks_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Fsync);
    let projector = start(dir.path(), &store);
    append(&store, 1);
    signed(&projector, 1);
    assert!(matches!(rotate(dir.path()), Err(RotateError::Lock(_))), "not while somebody signs");
    drop(projector);
    let first = PublicKeys::read(dir.path()).unwrap().current;
    let note = rotate(dir.path()).unwrap();
    let keys = PublicKeys::read(dir.path()).unwrap();
    assert_eq!(Rotation::verified(&note, &first).unwrap().new, keys.current);
    assert_eq!(keys.all().len(), 2);

    // A crash before the note is out: the key is not changed.
    let path = |name: &str| dir.path().join("keys").join(name);
    let next = SigningKey::generate(first.name().clone(), SignatureKind::Note).unwrap();
    fs::write(path("audit.key.next"), next.to_secret_text()).unwrap();
    let projector = start(dir.path(), &store);
    append(&store, 1);
    signed(&projector, 2);
    drop(projector);
    assert!(!path("audit.key.next").exists());
    assert_eq!(PublicKeys::read(dir.path()).unwrap().current, keys.current);

    // A crash after the note is out: it is.
    let old = fs::read_to_string(path("audit.key")).unwrap();
    rotate(dir.path()).unwrap();
    let new = PublicKeys::read(dir.path()).unwrap().current;
    fs::rename(path("audit.key"), path("audit.key.next")).unwrap();
    fs::write(path("audit.key"), old).unwrap();
    let projector = start(dir.path(), &store);
    append(&store, 1);
    signed(&projector, 3);
    drop(projector);
    let keys = PublicKeys::read(dir.path()).unwrap();
    assert_eq!((keys.current, keys.rotations.len()), (new, 2));
    check_all(dir.path(), &store);
}
