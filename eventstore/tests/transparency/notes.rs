//! Notes, checkpoints, cosignatures and rotations, against the crate `signed_note` and the examples of the specifications.

use crate::support::Random;
use eventstore::transparency::{
    Checkpoint, EMPTY_ROOT, KeyError, KeyName, NoteError, NoteSignature, Rotation, RotationError,
    SignatureKind, SignedNote, SigningKey, TreeHead, VerifierKey, cosign,
};
use eventstore::{Digest, TreeSize};
use signed_note::{Note, Signer, StandardSigner, StandardVerifier, VerifierList};

fn key(name: &str, kind: SignatureKind) -> SigningKey {
    SigningKey::generate(KeyName::new(name).unwrap(), kind).unwrap()
}

fn judge_of(key: &VerifierKey) -> VerifierList {
    VerifierList::new(vec![Box::new(StandardVerifier::new(&key.to_string()).unwrap())])
}

#[test]
fn the_specifications_example_is_verified() {
    let key: VerifierKey =
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse().unwrap();
    let note = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let note = SignedNote::parse(note.as_bytes()).unwrap();
    assert_eq!(note.verify(&[&key]).unwrap()[0].key, &key);
    assert_eq!(note.text(), "This is an example message.\n");
}

#[test]
fn thousands_of_notes_pass_on_either_side() {
    let mut random = Random::seeded();
    for turn in 0..1_000 {
        let name = format!("example.com/log{turn}");
        let ours = key(&name, SignatureKind::Note);
        let mut root = [0; 32];
        root.fill_with(|| random.next() as u8);
        let head = TreeHead { size: TreeSize::new(random.next() >> random.below(64)), root: Digest(root) };
        let note = Checkpoint::signed(head, &ours).unwrap();
        let theirs = Note::from_bytes(note.to_string().as_bytes()).unwrap();
        let (verified, _) = theirs.verify(&judge_of(ours.verifier())).unwrap();
        assert_eq!(verified.len(), 1);
        let back = Checkpoint::parse(note.text()).unwrap();
        assert_eq!((back.origin, back.head), (name, head));

        // The same secret key, read by the judge, signs what we accept.
        let signer = StandardSigner::new(&ours.to_secret_text()).unwrap();
        assert_eq!(signer.key_id(), ours.verifier().id());
        let mut theirs = Note::new(note.text().as_bytes(), &[]).unwrap();
        theirs.add_sigs(&[&signer]).unwrap();
        let read = SignedNote::parse(&theirs.to_bytes()).unwrap();
        assert_eq!(read.verify(&[ours.verifier()]).unwrap().len(), 1);
        assert_eq!(read, note, "Ed25519 has one signature of a text");
    }
}

#[test]
fn every_altered_byte_of_a_note_is_noticed() {
    let log = key("example.com/log", SignatureKind::Note);
    let head = TreeHead { size: TreeSize::new(7), root: EMPTY_ROOT };
    let note = Checkpoint::signed(head, &log).unwrap().to_string().into_bytes();
    let judge = judge_of(log.verifier());
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut other = note.clone();
            other[at] ^= 1 << bit;
            let ours = SignedNote::parse(&other).is_ok_and(|note| note.verify(&[log.verifier()]).is_ok());
            let theirs = Note::from_bytes(&other).is_ok_and(|note| note.verify(&judge).is_ok());
            assert!(!ours && !theirs, "byte {at} bit {bit}: {ours} {theirs}");
        }
    }
    for len in 0..note.len() {
        assert!(SignedNote::parse(&note[..len]).is_err(), "cut to {len}");
    }
}

#[test]
fn notes_that_are_none_are_refused() {
    let log = key("example.com/log", SignatureKind::Note);
    let good = SignedNote::sign("text\n", &[&log]).unwrap().to_string();
    let line = good.lines().last().unwrap();
    for bad in [
        String::new(),
        "text\n\n".to_owned(),
        format!("text\n{line}\n"),
        format!("text\n\n{line}"),
        format!("text\n\n{line}\n\n"),
        format!("te\rxt\n\n{line}\n"),
        format!("text\n\n{line}\nnot a signature\n"),
        format!("text\n\n{}\n", line.replace('\u{2014}', "-")),
        format!("text\n\n{line} \n"),
        "text\n\n\u{2014} a+b AAAAAAA=\n".to_owned(),
        "text\n\n\u{2014} name AAAAAA==\n".to_owned(),
        "text\n\n\u{2014} name !!!\n".to_owned(),
        format!("text\n\n{}", format!("{line}\n").repeat(129)),
    ] {
        assert!(SignedNote::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(SignedNote::parse(&vec![b'\n'; 300 << 10]).is_err());
    assert!(SignedNote::sign("no end", &[&log]).is_err());
    assert!(SignedNote::sign("a tab\t\n", &[&log]).is_err());
}

#[test]
fn unknown_signatures_are_passed_over_and_known_ones_have_to_be_good() {
    let (log, other, stranger) = (
        key("example.com/log", SignatureKind::Note),
        key("example.com/log", SignatureKind::Note),
        key("example.com/stranger", SignatureKind::Note),
    );
    let mut note = SignedNote::sign("text\n", &[&stranger, &log]).unwrap();
    assert_eq!(note.verify(&[log.verifier()]).unwrap().len(), 1);
    assert_eq!(note.verify(&[other.verifier()]), Err(NoteError::Unsigned));
    assert_eq!(note.verify(&[]), Err(NoteError::Unsigned));
    // A second signature of the same key does not count twice, but a bad one spoils the note.
    let elsewhere = SignedNote::sign("another text\n", &[&log]).unwrap();
    note.add(elsewhere.signatures()[0].clone());
    assert!(matches!(note.verify(&[log.verifier()]), Err(NoteError::BadSignature { .. })));
    assert!(note.verify(&[stranger.verifier()]).is_ok());
}

#[test]
fn keys_are_read_in_the_one_form_that_they_have() {
    let log = key("example.com/log", SignatureKind::Note);
    let text = log.verifier().to_string();
    assert_eq!(text.parse::<VerifierKey>().as_ref(), Ok(log.verifier()));
    let again = SigningKey::from_secret_text(&(log.to_secret_text() + "\n")).unwrap();
    assert_eq!(again.verifier(), log.verifier());
    assert!(!format!("{log:?}").contains(&log.to_secret_text()[30..]), "a key's secret is not for logs");
    for bad in [
        "",
        "a",
        "a+b",
        "a+00000000+AAAA",
        "a b+00000000+AAAA",
        &text.to_uppercase(),
        &text.replace("log+", "lag+"),
    ] {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    let wrong = text.replacen(&format!("{:08x}", log.verifier().id()), "00000000", 1);
    assert!(matches!(wrong.parse::<VerifierKey>(), Err(KeyError::Id { .. })));
    for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\u{1}b", &"n".repeat(256)] {
        assert!(KeyName::new(name).is_err(), "{name:?}");
    }
}

#[test]
fn checkpoints_that_are_none_are_refused() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let good = format!("example.com/behind-the-sofa\n20852163\n{root}\n");
    let read = Checkpoint::parse(&good).unwrap();
    assert_eq!(read.head.size, TreeSize::new(20_852_163));
    assert_eq!(read.to_string(), good);
    assert!(Checkpoint::parse(&format!("{good}an extension\n")).is_ok());
    for bad in [
        String::new(),
        format!("\n1\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n1\n{root}"),
        format!("o\n1\n{}\n", &root[4..]),
        format!("o\n1\n{}\n", root.trim_end_matches('=')),
        format!("o\n1\n{root}\n\n"),
        "o\n1\n".to_owned(),
    ] {
        assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn cosignatures_are_bound_to_text_time_and_kind() {
    let (log, witness) =
        (key("example.com/log", SignatureKind::Note), key("witness.example/w1", SignatureKind::Cosignature));
    let head = TreeHead { size: TreeSize::new(7), root: EMPTY_ROOT };
    let mut note = Checkpoint::signed(head, &log).unwrap();
    assert!(cosign(&log, note.text(), 1_679_315_147).is_err(), "a log's key does not cosign");
    let line = cosign(&witness, note.text(), 1_679_315_147).unwrap();
    note.add(line.clone());
    let verified = note.verify(&[log.verifier(), witness.verifier()]).unwrap();
    assert_eq!(verified.len(), 2);
    assert_eq!(verified[1].cosigned_at, Some(1_679_315_147));
    // The judge knows no cosignatures, and passes over them, as everybody has to.
    let theirs = Note::from_bytes(note.to_string().as_bytes()).unwrap();
    let (known, unknown) = theirs.verify(&judge_of(log.verifier())).unwrap();
    assert_eq!((known.len(), unknown.len()), (1, 1));
    // What the specification says is signed, signed by the judge as a plain text, is our signature.
    let message = format!("cosignature/v1\ntime 1679315147\n{}", note.text());
    let secret = witness.to_secret_text();
    let plain =
        SigningKey::from_seed(witness.verifier().name().clone(), SignatureKind::Note, seed_of(&secret))
            .unwrap();
    let signer = StandardSigner::new(&plain.to_secret_text()).unwrap();
    let signature = signer.sign(message.as_bytes()).unwrap();
    let text = line.to_string();
    let encoded = text.rsplit(' ').next().unwrap();
    let bytes = decode(encoded);
    assert_eq!(bytes[4..12], 1_679_315_147_u64.to_be_bytes());
    assert_eq!(bytes[12..], signature[..]);
    for at in 4..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1;
        let line = format!("\u{2014} witness.example/w1 {}", encode(&other));
        let mut note = Checkpoint::signed(head, &log).unwrap();
        note.add(NoteSignature::parse(&line).unwrap());
        assert!(note.verify(&[log.verifier(), witness.verifier()]).is_err(), "byte {at}");
    }
}

#[test]
fn a_key_is_followed_by_the_one_that_both_have_signed_for() {
    let (old, new, stranger) = (
        key("example.com/log", SignatureKind::Note),
        key("example.com/log", SignatureKind::Note),
        key("example.com/log", SignatureKind::Note),
    );
    let note = Rotation::signed(&old, &new).unwrap();
    let note = SignedNote::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(Rotation::verified(&note, old.verifier()).unwrap().new, *new.verifier());
    assert!(matches!(Rotation::verified(&note, stranger.verifier()), Err(RotationError::OtherKey(_))));
    for half in [&old, &new] {
        let half = SignedNote::sign(note.text(), &[half]).unwrap();
        assert!(Rotation::verified(&half, old.verifier()).is_err(), "both have to sign");
    }
    let other = SignedNote::sign(note.text(), &[&old, &stranger]).unwrap();
    assert!(Rotation::verified(&other, old.verifier()).is_err());
    assert!(Rotation::signed(&old, &old).is_err());
    assert!(Rotation::signed(&old, &key("example.com/other", SignatureKind::Note)).is_err());
    let longer = SignedNote::sign(&format!("{}more\n", note.text()), &[&old, &new]).unwrap();
    assert!(Rotation::verified(&longer, old.verifier()).is_err());
}

fn seed_of(secret: &str) -> [u8; 32] {
    decode(secret.rsplit('+').next().unwrap_or_default())
        .get(1..)
        .and_then(|seed| seed.try_into().ok())
        .unwrap_or_else(|| {
            // A plus sign is a letter of Base 64, too.
            let material = secret.splitn(5, '+').last().unwrap();
            decode(material)[1..].try_into().unwrap()
        })
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
