//! A bucket behaves as an archive has to, as far as a server in this process can tell: what is put is got, nothing is
//! replaced, requests are signed, and a server that fails costs an error or a retry.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use archive_s3::AllArchives;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use eventstore::archive::{Archive, Archives};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// What the server has and does.
#[derive(Debug, Default)]
struct Server {
    objects: BTreeMap<String, Bytes>,
    /// Requests that are answered with 503 before one is served.
    fails: u32,
    /// Whether answers end early.
    cuts: bool,
    seen: Vec<(Method, String)>,
    unsigned: usize,
}

type Shared = Arc<Mutex<Server>>;

async fn serve(
    State(server): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut server = server.lock();
    let path = uri.path().to_owned();
    server.seen.push((method.clone(), path.clone()));
    let signature = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signature.starts_with("AWS4-HMAC-SHA256 Credential=somebody/") {
        server.unsigned += 1;
    }
    if server.fails > 0 {
        server.fails -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let told = [("etag", "\"one\""), ("last-modified", "Sat, 21 Nov 2026 08:00:00 GMT")];
    match method {
        Method::PUT if headers.contains_key("if-none-match") && server.objects.contains_key(&path) => {
            StatusCode::PRECONDITION_FAILED.into_response()
        }
        Method::PUT => {
            server.objects.insert(path, body);
            (told, "").into_response()
        }
        Method::GET => match server.objects.get(&path).cloned() {
            Some(bytes) if server.cuts => (told, bytes.slice(..bytes.len() / 2)).into_response(),
            Some(bytes) => (told, bytes).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// A server on a thread of its own, which ends with the test's process.
fn server() -> (Shared, Vec<(String, String)>) {
    let shared = Shared::default();
    let (state, (tell, told)) = (Arc::clone(&shared), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let router = Router::new().fallback(serve).layer(DefaultBodyLimit::disable()).with_state(state);
            axum::serve(listener, router).await.unwrap();
        });
    });
    let settings = [
        ("AWS_ENDPOINT", format!("http://{}", told.recv().unwrap())),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "somebody".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("PATH", "of no concern".to_owned()),
    ];
    (shared, settings.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

fn got(archive: &dyn Archive, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    archive.get(name, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

#[test]
fn what_is_put_is_got_signed_and_never_replaced() {
    let (server, settings) = server();
    let archive = AllArchives::with(settings).open("s3://history/teams/one").unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    archive.put("store/0000000000.seg", &bytes).unwrap();
    archive.put("store/0000000000.seg", &bytes).unwrap();
    assert!(got(&*archive, "store/0000000000.seg").unwrap() == bytes);
    for other in [&bytes[1..], &bytes[..10], b""] {
        let error = archive.put("store/0000000000.seg", other).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
    }
    assert!(got(&*archive, "store/0000000000.seg").unwrap() == bytes, "it is what it was");
    assert_eq!(got(&*archive, "store/1.seg").unwrap_err().kind(), io::ErrorKind::NotFound);
    let server = server.lock();
    assert_eq!(server.unsigned, 0);
    let path = "/history/teams/one/store/0000000000.seg";
    assert_eq!(server.objects.keys().collect::<Vec<_>>(), [path], "bucket and prefix are in the path");
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_an_answer_that_is_cut_is_an_error_or_short() {
    let (server, settings) = server();
    let archive = AllArchives::with(settings).open("s3://history").unwrap();
    server.lock().fails = 2;
    archive.put("a/1.seg", b"twelve bytes").unwrap();
    server.lock().fails = 1;
    assert_eq!(got(&*archive, "a/1.seg").unwrap(), b"twelve bytes");
    server.lock().cuts = true;
    // Whoever fetches holds length and digest against the reference.
    assert_ne!(got(&*archive, "a/1.seg").unwrap_or_default(), b"twelve bytes");
    // Also from within a runtime.
    server.lock().cuts = false;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(async { got(&*archive, "a/1.seg") }).unwrap(), b"twelve bytes");
}

#[test]
fn without_tls_only_where_that_was_said() {
    let (server, mut settings) = server();
    settings.retain(|(name, _)| name != "AWS_ALLOW_HTTP");
    // Few retries are waited for: the connector refuses before anything is sent.
    let refused = AllArchives::with(settings).open("s3://history").and_then(|archive| got(&*archive, "a"));
    assert!(refused.is_err());
    assert_eq!(server.lock().seen, [], "nothing was sent");
}

#[test]
fn what_is_no_bucket_is_refused() {
    let (_, settings) = server();
    let archives = AllArchives::with(settings);
    for url in [
        "s3://",
        "s3:///x",
        "s3://user@bucket",
        "s3://bucket?x=1",
        "s3://bucket/a#b",
        "s3://bucket/a//b",
        "gs://x",
    ] {
        assert!(archives.open(url).is_err(), "{url}");
    }
    assert!(archives.open("file:///tmp").is_ok(), "directories go on");
    assert!(!format!("{archives:?}").contains("secret"));
}
