//! Which tokens count, and what they say.

use super::super::challenge::Refused;
use super::super::verify::Verifier;
use super::super::{Principal, Scope, Tenants};
use super::issuer::{AUDIENCE, ISSUER, Pair, Server, claims, now_s, rules, token, with};
use axum::http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

struct World {
    ed: Pair,
    p256: Pair,
    server: Server,
    verifier: Verifier,
}

impl World {
    async fn new() -> Self {
        let (ed, p256) = (Pair::ed25519("ed"), Pair::p256("ec"));
        let server = Server::start(&[&ed, &p256]).await;
        let verifier = Verifier::open(rules(server.jwks.clone())).await.unwrap();
        Self { ed, p256, server, verifier }
    }

    async fn ask(&self, token: &str) -> Result<Principal, Refused> {
        self.verifier.principal(token).await
    }

    async fn says(&self, claims: &Value) -> Result<Principal, Refused> {
        self.ask(&self.ed.sign(claims)).await
    }
}

#[tokio::test]
async fn good_tokens_of_both_kinds_are_taken() {
    let world = World::new().await;
    for pair in [&world.ed, &world.p256] {
        let principal = world.ask(&pair.sign(&claims())).await.unwrap();
        assert_eq!(&**principal.subject(), "ann");
        assert!(principal.may(Scope::ItemsWrite) && !principal.may(Scope::Import));
        assert_eq!(principal.tenants(), &Tenants::All);
    }
    for typ in [Some("at+jwt"), Some("application/AT+JWT"), Some("jwt"), None] {
        let mut header = world.ed.header();
        header.typ = typ.map(str::to_owned);
        world.ask(&world.ed.sign_with(&header, &claims())).await.unwrap();
    }
    let of_several = with("aud", json!(["other", AUDIENCE]));
    world.says(&of_several).await.unwrap();
    // Clocks may differ by the leeway.
    world.says(&with("exp", json!(now_s() - 2))).await.unwrap();
    world.says(&with("nbf", json!(now_s() + 2))).await.unwrap();
}

#[tokio::test]
async fn claims_that_are_wrong_are_refused_each_by_its_name() {
    let world = World::new().await;
    for (claims, refused) in [
        (with("exp", json!(now_s() - 60)), Refused::Expired),
        (with("exp", Value::Null), Refused::Claims),
        (with("exp", json!("soon")), Refused::Claims),
        (with("exp", json!(-1)), Refused::Claims),
        (with("exp", json!(1e300)), Refused::Claims),
        (with("exp", json!(now_s() + 3700)), Refused::LivesTooLong),
        (with("exp", json!(u64::MAX)), Refused::LivesTooLong),
        (with("iat", json!(now_s() - 3600)), Refused::LivesTooLong),
        (with("nbf", json!(now_s() + 60)), Refused::NotYetValid),
        (with("nbf", json!("now")), Refused::Claims),
        (with("iss", json!("https://evil.example")), Refused::ForeignIssuer),
        (with("iss", Value::Null), Refused::Claims),
        (with("iss", json!([ISSUER, "https://evil.example"])), Refused::Claims),
        (with("aud", json!("other")), Refused::ForeignAudience),
        (with("aud", json!([])), Refused::ForeignAudience),
        (with("aud", Value::Null), Refused::Claims),
        (with("sub", Value::Null), Refused::Claims),
        (with("sub", json!("")), Refused::Subject),
        (with("sub", json!(7)), Refused::Claims),
        (with("sub", json!("a\nb")), Refused::Subject),
        (with("sub", json!("é".repeat(201))), Refused::Subject),
        (with("scope", json!(7)), Refused::Claims),
        (with("tenant", json!("everything")), Refused::Tenant),
        (with("tenant", json!(["*"])), Refused::Tenant),
        (with("tenant", json!({})), Refused::Claims),
        (json!([]), Refused::Claims),
    ] {
        assert_eq!(world.says(&claims).await, Err(refused), "{claims}");
    }
    world.says(&with("sub", json!("é".repeat(200)))).await.unwrap();
    assert_eq!(world.server.asked(), 1, "none of them makes the issuer work");
}

#[tokio::test]
async fn scopes_and_tenants_are_read_in_all_their_forms() {
    let world = World::new().await;
    for (name, value) in [
        ("scope", json!("openid items:write comments:write")),
        ("scope", json!(["items:write", "comments:write"])),
        ("scp", json!("items:write comments:write")),
        ("scp", json!(["items:write comments:write"])),
        ("scp", json!(["comments:write"])),
    ] {
        let principal = world.says(&with(name, value)).await.unwrap();
        assert!(principal.may(Scope::ItemsWrite) && principal.may(Scope::CommentsWrite), "{name}");
        assert!(!principal.may(Scope::Admin));
    }
    assert!(!world.says(&with("scope", Value::Null)).await.unwrap().may(Scope::ItemsWrite));
    let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
    let one = world.says(&with("tenant", json!(a))).await.unwrap();
    assert!(one.tenants().contains(a) && !one.tenants().contains(b));
    let two = world.says(&with("tenant", json!([a, b]))).await.unwrap();
    assert!(two.tenants().contains(a) && two.tenants().contains(b) && !two.tenants().contains(c));
    for nothing in [Value::Null, json!([])] {
        let none = world.says(&with("tenant", nothing)).await.unwrap();
        assert!(!none.tenants().contains(a) && none.tenants() != &Tenants::All);
    }
}

#[tokio::test]
async fn no_token_chooses_its_algorithm() {
    let world = World::new().await;
    let unsigned = |header: Value| token(&header, &claims(), b"");
    for header in [
        json!({"alg": "none", "kid": "ed"}),
        json!({"alg": "None", "typ": "JWT"}),
        json!({"kid": "ed"}),
        json!({"alg": "HS1", "kid": "ed"}),
    ] {
        assert_eq!(world.ask(&unsigned(header.clone())).await, Err(Refused::Malformed), "{header}");
    }
    // The public key is public: whoever has it must not be able to sign with it.
    for (pair, public) in [(&world.ed, &world.ed.public), (&world.p256, &world.p256.public)] {
        let mut header = pair.header();
        header.alg = Algorithm::HS256;
        let forged = encode(&header, &claims(), &EncodingKey::from_secret(public)).unwrap();
        assert_eq!(world.ask(&forged).await, Err(Refused::ForeignAlgorithm));
    }
    // A good signature of one key, under the name of another.
    let mut header = world.p256.header();
    header.kid = Some("ed".to_owned());
    let confused = world.p256.sign_with(&header, &claims());
    assert_eq!(world.ask(&confused).await, Err(Refused::ForeignAlgorithm));
    let stranger = Pair::ed25519("ed");
    assert_eq!(world.ask(&stranger.sign(&claims())).await, Err(Refused::Signature));
    // A key that the token brings along is none.
    let mut header = stranger.header();
    header.jwk = Some(serde_json::from_value(stranger.jwk()).unwrap());
    assert_eq!(world.ask(&stranger.sign_with(&header, &claims())).await, Err(Refused::Signature));
    // Which key, if there are two?
    let mut header = world.ed.header();
    header.kid = None;
    assert_eq!(world.ask(&world.ed.sign_with(&header, &claims())).await, Err(Refused::UnknownKey));
    assert_eq!(world.server.asked(), 1);
}

#[tokio::test]
async fn what_is_no_token_is_refused_before_it_costs_anything() {
    let world = World::new().await;
    let good = world.ed.sign(&claims());
    let (body, signature) = good.rsplit_once('.').unwrap();
    let foreign = body.split_once('.').unwrap();
    let swapped = format!(
        "{}.{}.{signature}",
        foreign.0,
        world.ed.sign(&with("sub", json!("eve"))).split('.').nth(1).unwrap()
    );
    let mut typed = world.ed.header();
    typed.typ = Some("dpop+jwt".to_owned());
    let mut critical = world.ed.header();
    critical.crit = Some(vec!["b64".to_owned()]);
    for (token, refused) in [
        ("garbage".to_owned(), Refused::Malformed),
        ("a.b.c".to_owned(), Refused::Malformed),
        ("..".to_owned(), Refused::Malformed),
        (format!("{good}.{signature}"), Refused::Malformed),
        (body.to_owned(), Refused::Malformed),
        (format!("{body}."), Refused::Signature),
        (good[..good.len() - 2].to_owned(), Refused::Signature),
        (swapped, Refused::Signature),
        ("x".repeat(8193), Refused::TooLong),
        (world.ed.sign_with(&typed, &claims()), Refused::ForeignType),
        (world.ed.sign_with(&critical, &claims()), Refused::Critical),
        (token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(), b"no"), Refused::Signature),
    ] {
        assert_eq!(world.ask(&token).await, Err(refused), "{token}");
    }
    world.ask(&good).await.unwrap();
}

#[tokio::test]
async fn a_token_without_a_kid_means_the_only_key() {
    let only = Pair::ed25519("only");
    let server = Server::start(&[&only]).await;
    let verifier = Verifier::open(rules(server.jwks.clone())).await.unwrap();
    let header = Header::new(Algorithm::EdDSA);
    verifier.principal(&only.sign_with(&header, &claims())).await.unwrap();
}

#[tokio::test]
async fn unknown_keys_make_one_reading_however_many_come() {
    let world = World::new().await;
    let new = Pair::ed25519("new");
    world.server.publish(&[&world.ed, &new]);
    let tokens: Vec<String> =
        (0..50).map(|number| new.sign(&with("sub", json!(format!("s{number}"))))).collect();
    let asking = tokens.into_iter().map(|token| {
        let verifier = world.verifier.clone();
        tokio::spawn(async move { verifier.principal(&token).await })
    });
    for asked in asking.collect::<Vec<_>>() {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(world.server.asked(), 2, "once at the start, and once for all fifty");

    // The floor: the next unknown key does not reach the issuer, whoever sends it and however often.
    let newer = Pair::ed25519("newer");
    world.server.publish(&[&world.ed, &newer]);
    for number in 0..20 {
        let token = newer.sign(&with("sub", json!(format!("s{number}"))));
        assert_eq!(world.ask(&token).await, Err(Refused::UnknownKey));
    }
    assert_eq!(world.server.asked(), 2);
    world.verifier.keys().refresh().await;
    world.ask(&newer.sign(&claims())).await.unwrap();
}

#[tokio::test]
async fn after_the_floor_an_unknown_key_is_asked_for_again() {
    let ed = Pair::ed25519("ed");
    let server = Server::start(&[&ed]).await;
    let mut rules = rules(server.jwks.clone());
    rules.unknown_key_floor = Duration::from_millis(1);
    let verifier = Verifier::open(rules).await.unwrap();
    let late = Pair::ed25519("late");
    assert_eq!(verifier.principal(&late.sign(&claims())).await, Err(Refused::UnknownKey));
    server.publish(&[&ed, &late]);
    tokio::time::sleep(Duration::from_millis(2)).await;
    verifier.principal(&late.sign(&claims())).await.unwrap();
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn a_token_that_lost_its_key_stops_at_once() {
    let world = World::new().await;
    let (lost, kept) = (world.ed.sign(&claims()), world.p256.sign(&claims()));
    assert!(!world.verifier.knows(&lost), "it was never shown");
    for _ in 0..2 {
        world.ask(&lost).await.unwrap();
        world.ask(&kept).await.unwrap();
    }
    assert!(world.verifier.knows(&lost) && !world.verifier.knows("garbage"));
    world.server.publish(&[&world.p256]);
    world.verifier.keys().refresh().await;
    assert!(!world.verifier.knows(&lost));
    assert_eq!(world.ask(&lost).await, Err(Refused::UnknownKey));
    world.ask(&kept).await.unwrap();
    // Another key under the old name is another key.
    world.server.publish(&[&Pair::ed25519("ed"), &world.p256]);
    world.verifier.keys().refresh().await;
    assert_eq!(world.ask(&lost).await, Err(Refused::Signature));
    // And an issuer without keys lets nobody in.
    world.server.publish(&[]);
    world.verifier.keys().refresh().await;
    assert_eq!(world.ask(&kept).await, Err(Refused::UnknownKey));
}

#[tokio::test]
async fn a_reading_that_fails_changes_nothing_and_is_counted() {
    let world = World::new().await;
    let token = world.ed.sign(&claims());
    let huge = format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(300 << 10));
    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "{}".to_owned()),
        (StatusCode::FOUND, "{\"keys\": []}".to_owned()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, huge),
        (StatusCode::OK, json!({"keys": [world.ed.jwk(), world.ed.jwk()]}).to_string()),
    ] {
        let failures = world.verifier.keys().failures();
        world.server.answer(status, body);
        world.verifier.keys().refresh().await;
        assert_eq!(world.verifier.keys().failures(), failures + 1);
        world.ask(&token).await.unwrap();
    }
}

#[tokio::test]
async fn keys_are_read_again_by_themselves() {
    let (one, other) = (Pair::ed25519("one"), Pair::ed25519("other"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let write = |pair: &Pair| std::fs::write(&path, json!({"keys": [pair.jwk()]}).to_string()).unwrap();
    write(&one);
    let mut of_file = rules(super::super::Jwks::File(path.clone()));
    of_file.refresh = Duration::from_millis(5);
    let verifier = Verifier::open(of_file).await.unwrap();
    verifier.principal(&one.sign(&claims())).await.unwrap();
    write(&other);
    while verifier.principal(&one.sign(&claims())).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    verifier.principal(&other.sign(&claims())).await.unwrap();

    // A server's max-age shortens the pause, down to the floor.
    let server = Server::start(&[&one]).await;
    server.cache_control("public, max-age=0");
    let mut of_url = rules(server.jwks.clone());
    of_url.unknown_key_floor = Duration::from_millis(5);
    let verifier = Verifier::open(of_url).await.unwrap();
    verifier.principal(&one.sign(&claims())).await.unwrap();
    server.publish(&[&other]);
    while verifier.principal(&one.sign(&claims())).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn without_usable_keys_nothing_starts() {
    let server = Server::start(&[]).await;
    let error = Verifier::open(rules(server.jwks.clone())).await.err().unwrap().to_string();
    assert!(error.contains("EdDSA"), "{error}");
    server.answer(StatusCode::NOT_FOUND, String::new());
    let error = Verifier::open(rules(server.jwks.clone())).await.err().unwrap().to_string();
    assert!(error.contains("/keys") && error.contains("404"), "{error}");
    let gone = rules(super::super::Jwks::File("/no/such/file".into()));
    assert!(Verifier::open(gone).await.err().unwrap().to_string().contains("/no/such/file"));
    // TLS is spoken to https, and only that: this server speaks none.
    let super::super::Jwks::Url(url) = &server.jwks else { panic!("a URL") };
    let https = url.to_string().replace("http://", "https://").parse().unwrap();
    assert!(Verifier::open(rules(super::super::Jwks::Url(https))).await.is_err());
}
