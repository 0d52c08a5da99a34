//! Policies: who has to have cosigned.

use eventstore::transparency::{KeyName, Policy, SignatureKind, SigningKey};

fn key(name: &str, kind: SignatureKind) -> String {
    SigningKey::generate(KeyName::new(name).unwrap(), kind).unwrap().verifier().to_string()
}

#[test]
fn a_quorum_of_groups_is_met_by_enough_of_each() {
    let mut text = format!("# ours\n\tlog {} http://127.0.0.1:1\n\n", key("log", SignatureKind::Note));
    for name in ["X1", "X2", "X3", "Y1", "Y2"] {
        text += &format!("witness {name} {} http://{name}/\n", key(name, SignatureKind::Cosignature));
    }
    text += "group X 2 X1 X2 X3\ngroup Y any Y1 Y2\ngroup both all X Y\nquorum both\n";
    let policy: Policy = text.parse().unwrap();
    assert!(policy.needs_witnesses());
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 5));
    assert_eq!(policy.witnesses()[3].url.as_deref(), Some("http://Y1/"));
    let met = |has: &[&str]| policy.is_met(|key| has.contains(&key.name().as_str()));
    assert!(met(&["X1", "X3", "Y2"]));
    assert!(met(&["X1", "X2", "X3", "Y1", "Y2"]));
    assert!(!met(&["X1", "Y1", "Y2"]));
    assert!(!met(&["X1", "X2", "X3"]));
    assert!(!met(&[]));
    assert!("quorum none".parse::<Policy>().unwrap().is_met(|_| false));
}

#[test]
fn what_is_no_policy_is_refused_with_the_line() {
    let (log, witness) = (key("log", SignatureKind::Note), key("w", SignatureKind::Cosignature));
    let w = format!("witness w {witness}\n");
    for (text, line) in [
        (String::new(), 0),
        (w.clone(), 1),
        (format!("{w}quorum other\n"), 2),
        (format!("quorum w\n{w}"), 1),
        (format!("{w}quorum w\nquorum w\n"), 3),
        (format!("{w}{w}quorum w\n"), 2),
        (format!("witness none {witness}\nquorum none\n"), 1),
        (format!("witness w {log}\nquorum none\n"), 1),
        (format!("log {witness}\nquorum none\n"), 1),
        (format!("{w}group g 2 w\nquorum g\n"), 2),
        (format!("{w}group g 0 w\nquorum g\n"), 2),
        (format!("{w}group g 01 w\nquorum g\n"), 2),
        (format!("{w}group g all\nquorum g\n"), 2),
        (format!("{w}group g all g\nquorum g\n"), 2),
        ("witness w nonsense\nquorum none".to_owned(), 1),
        ("trust me\n".to_owned(), 1),
    ] {
        assert_eq!(text.parse::<Policy>().map_err(|error| error.line), Err(line), "{text}");
    }
}
