//! Promise: nobody changes anything without a token, whoever has one does not need to say where it is on his own machine, and
//! a server that strangers could reach does not start without an issuer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tests::{Client, Sunday, command};

const LINE: &str = r#"{"stream_key":"w/1","type":"item.created","at":"2014-01-01T00:00:00Z","actor":"Ann","data":{"workspace":"w","project":"p","column":"Open","title":"T"}}"#;

/// Runs an import with these variables: its exit code, and what it said on stderr.
fn import(history: &Path, url: &str, variables: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let mut sunday = command("sunday");
    sunday.arg("import").arg(history).args(["--command-url", url]).args(arguments);
    sunday.envs(variables.iter().copied());
    let output = sunday.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// What a server that does not start says.
fn refused(binary: &str, arguments: &[&str], data: &Path) -> String {
    let mut process = command(binary);
    let output = process.args(arguments).arg("--data-dir").arg(data).output().unwrap();
    assert!(!output.status.success(), "{binary} {arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn history(dir: &Path) -> PathBuf {
    let path = dir.join("history.jsonl");
    std::fs::write(&path, format!("{LINE}\n")).unwrap();
    path
}

#[test]
fn the_development_token_is_found_by_its_owner_and_by_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let history = history(dir.path());
    let sunday = Sunday::serve(&data);
    let url = sunday.command_url();
    let token = sunday.command.token.unwrap();
    let file = data.join("keys/development.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let create = json!({"name": "Acme"});
    let stranger = Client { token: None, ..sunday.command };
    let answer = stranger.post("/api/v1/workspaces", &create).unwrap();
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthenticated")));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"sunday\""));
    let guesser = Client { token: Some("sunday_dev_guess"), ..sunday.command };
    assert_eq!(guesser.post("/api/v1/workspaces", &create).unwrap().json()["code"], "invalid_token");
    assert_eq!(sunday.command.post("/api/v1/workspaces", &create).unwrap().status, 201);

    // A file comes before a variable, and both before what the server left.
    let elsewhere = dir.path().join("elsewhere");
    let nobody = [("XDG_STATE_HOME", elsewhere.to_str().unwrap())];
    let (code, said) = import(&history, &url, &nobody, &[]);
    assert!(code == 1 && said.contains("unauthenticated") && said.contains("--token-file"), "{said}");
    let wrong = [("SUNDAY_TOKEN", "wrong")];
    let (code, said) = import(&history, &url, &wrong, &[]);
    assert!(code == 1 && said.contains("invalid_token"), "{said}");
    assert_eq!(import(&history, &url, &wrong, &["--token-file", file.to_str().unwrap()]).0, 0);
    let by_variable = [("XDG_STATE_HOME", nobody[0].1), ("SUNDAY_TOKEN", token)];
    assert_eq!(import(&history, &url, &by_variable, &[]).0, 0);
    assert_eq!(import(&history, &url, &[], &[]).0, 0);
    let by_name = url.replace("127.0.0.1", "localhost");
    assert_eq!(import(&history, &by_name, &[], &[]).0, 0);

    // What was left goes with the server; the token stays.
    sunday.stop();
    let again = Sunday::serve(&data);
    assert_eq!(again.command.token, Some(token));
    let said = std::fs::read_to_string(data.join("serve.stderr")).unwrap();
    assert_eq!(said.matches(token).count(), 2, "told once by each start, and not in between: {said}");
    again.stop();
    let (code, said) = import(&history, &url, &[], &[]);
    assert!(code == 1 && said.contains("cannot reach"), "{said}");
}

#[test]
fn whoever_could_be_reached_by_strangers_needs_an_issuer() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for (binary, arguments, says) in [
        ("command-api", vec!["--command-addr", "0.0.0.0:0"], "no authentication is configured"),
        ("sunday", vec!["serve", "--command-addr", "[::]:0"], "no authentication is configured"),
        ("query-api", vec!["--query-addr", "0.0.0.0:0"], "no authentication is configured"),
        (
            "sunday",
            vec!["serve", "--command-addr", "127.0.0.1:0", "--query-addr", "0.0.0.0:0"],
            "no authentication is configured",
        ),
        ("command-api", vec!["--auth-issuer", "https://issuer.example"], "there is no audience"),
        ("sunday", vec!["serve", "--auth-jwks", "keys.json"], "there is no issuer"),
        (
            "command-api",
            vec![
                "--command-addr",
                "127.0.0.1:0",
                "--auth-issuer",
                "i",
                "--auth-audience",
                "a",
                "--auth-jwks",
                "/no/such/keys.json",
            ],
            "/no/such/keys.json",
        ),
    ] {
        let said = refused(binary, &arguments, &data);
        assert!(said.contains(says), "{binary} {arguments:?}: {said}");
        assert!(!data.join("log").exists(), "nothing was begun");
    }
}

/// An Ed25519 key as PKCS #8 has it: any 32 bytes are one.
fn key() -> EncodingKey {
    let mut document = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    document.extend([7; 32]);
    EncodingKey::from_ed_der(&document)
}

fn token(scope: &str, tenant: &Value) -> String {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"iss": "https://issuer.example", "aud": "sunday", "sub": "ann", "exp": now_s + 600,
        "scope": scope, "tenant": tenant});
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("k".to_owned());
    encode(&header, &claims, &key()).unwrap()
}

#[test]
fn with_an_issuer_its_tokens_count_and_the_server_may_be_reached() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let history = history(dir.path());
    let keys = dir.path().join("keys.json");
    let mut jwk = Jwk::from_encoding_key(&key(), Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some("k".to_owned());
    std::fs::write(&keys, json!({"keys": [jwk]}).to_string()).unwrap();
    let config = dir.path().join("sunday.toml");
    let table = format!(
        "[auth]\nissuer = \"https://issuer.example\"\naudience = \"sunday\"\njwks = \"{}\"\n",
        keys.display()
    );
    std::fs::write(&config, table).unwrap();
    let sunday = Sunday::serve_everywhere(&data, &["--config", config.to_str().unwrap()]);
    assert_eq!(sunday.command.token, None, "there is no other way in");
    assert!(!data.join("keys").exists());

    let url = sunday.command_url();
    let (code, said) = import(&history, &url, &[], &[]);
    assert!(code == 1 && said.contains("unauthenticated"), "{said}");
    let all = "import workspaces:write projects:write boards:write items:write comments:write";
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, token(all, &json!("*"))).unwrap();
    // It is let in, and has no role in any project of the history.
    let (code, said) = import(&history, &url, &[], &["--token-file", token_file.to_str().unwrap()]);
    assert!(code == 1 && said.contains("not_permitted") && said.contains("none of the lines"), "{said}");

    let ann = Client { token: Some(token("workspaces:write", &json!("*")).leak()), ..sunday.command };
    let created = ann.post("/api/v1/workspaces", &json!({"name": "Acme"})).unwrap();
    assert_eq!(created.status, 201, "{}", created.json());
    let project = json!({"workspaceId": created.json()["id"], "name": "Rocket"});
    let refused = ann.post("/api/v1/projects", &project).unwrap();
    assert_eq!(refused.status, 403, "{}", refused.json());
    assert!(refused.header("www-authenticate").unwrap().contains("scope=\"projects:write\""));

    // Reading takes the same tokens, and shows each what is its tenants'.
    let reader = |token| Client { token, ..sunday.query };
    let path = format!("/api/v1/workspaces?minPosition={}", created.position());
    let stranger = reader(None).try_get(&path).unwrap();
    assert_eq!((stranger.status, &stranger.json()["code"]), (401, &json!("unauthenticated")));
    for (tenant, total) in [(json!("*"), 2), (created.json()["id"].clone(), 1), (json!([]), 0)] {
        let found = reader(Some(token("", &tenant).leak())).get(&path);
        assert_eq!((found.status, &found.json()["total"]), (200, &json!(total)), "{tenant}");
    }
    sunday.stop();
}
