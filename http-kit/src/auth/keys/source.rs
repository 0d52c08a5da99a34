//! Where keys come from: a file, or a URL.
//!
//! Invariant: reading takes bounded time and memory, whatever is at the other end, and follows no redirect.

use super::KeysError;
use crate::auth::Jwks;
use axum::body::Bytes;
use axum::http::header::{ACCEPT, CACHE_CONTROL, USER_AGENT};
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use std::error::Error;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Longest set that is read, bytes.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// How long an issuer may take to answer.
const FETCH_TIME_MAX: Duration = Duration::from_secs(5);

/// A file that changed this recently may change again without looking different.
const SETTLED: Duration = Duration::from_secs(2);

/// What reading gives.
#[derive(Debug)]
pub(super) enum Read {
    /// The file is the one from before.
    Unchanged,
    /// A document.
    Document {
        bytes: Vec<u8>,
        /// How long it may be kept, as its server says.
        max_age: Option<Duration>,
    },
}

/// A place to read keys from.
#[derive(Debug)]
pub(super) enum Source {
    File { path: PathBuf, seen: Mutex<Option<Stamp>> },
    Url { uri: Uri, client: Box<Http> },
}

/// What a changed file cannot have in common with the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

/// A client with or without TLS.
#[derive(Debug)]
pub(super) enum Http {
    Plain(Client<HttpConnector, Empty<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

impl Source {
    pub(super) fn new(jwks: &Jwks) -> Result<Self, KeysError> {
        let uri = match jwks {
            Jwks::File(path) => return Ok(Self::File { path: path.clone(), seen: Mutex::new(None) }),
            Jwks::Url(uri) => uri.clone(),
        };
        let client = if uri.scheme_str() == Some("https") {
            let connector = HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|error| KeysError::Roots { reason: error.to_string() })?;
            let connector = connector.https_only().enable_http1().build();
            Http::Tls(Client::builder(TokioExecutor::new()).build(connector))
        } else {
            Http::Plain(Client::builder(TokioExecutor::new()).build(HttpConnector::new()))
        };
        Ok(Self::Url { uri, client: Box::new(client) })
    }

    /// Whether it is read without asking anybody, so that it may be looked at often.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    pub(super) async fn read(&self) -> Result<Read, KeysError> {
        match self {
            Self::File { path, seen } => {
                let (path, before) = (path.clone(), *seen.lock());
                let failed = |source| KeysError::File { path: path.clone(), source };
                let reading = {
                    let path = path.clone();
                    tokio::task::spawn_blocking(move || read_file(&path, before))
                };
                match reading.await.map_err(|error| failed(io::Error::other(error)))? {
                    Ok(None) => Ok(Read::Unchanged),
                    Ok(Some((bytes, stamp))) => {
                        *seen.lock() = stamp;
                        Ok(Read::Document { bytes, max_age: None })
                    }
                    Err(error) => Err(failed(error)),
                }
            }
            Self::Url { uri, client } => {
                let failed = |reason| KeysError::Fetch { url: uri.to_string(), reason };
                match tokio::time::timeout(FETCH_TIME_MAX, fetch(uri, client)).await {
                    Ok(fetched) => fetched.map_err(failed),
                    Err(_) => Err(failed(format!("no answer within {} s", FETCH_TIME_MAX.as_secs()))),
                }
            }
        }
    }
}

fn read_file(path: &Path, before: Option<Stamp>) -> io::Result<Option<(Vec<u8>, Option<Stamp>)>> {
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    let modified = metadata.modified()?;
    let stamp = Stamp { modified, bytes: metadata.len(), inode: metadata.ino() };
    if before == Some(stamp) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, DOCUMENT_BYTES_MAX as u64 + 1), &mut bytes)?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {DOCUMENT_BYTES_MAX} bytes")));
    }
    // A clock that stands before the file's time gives an error: not settled either.
    let is_settled = modified.elapsed().is_ok_and(|age| age > SETTLED);
    Ok(Some((bytes, is_settled.then_some(stamp))))
}

async fn fetch(uri: &Uri, client: &Http) -> Result<Read, String> {
    let request = Request::get(uri.clone())
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, "sunday")
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let response = match client {
        Http::Plain(client) => client.request(request).await,
        Http::Tls(client) => client.request(request).await,
    };
    let response = response.map_err(|error| innermost(&error))?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answers {}", response.status()));
    }
    let max_age = max_age(response.headers());
    let body = Limited::new(response.into_body(), DOCUMENT_BYTES_MAX);
    let bytes = body.collect().await.map_err(|error| innermost(&*error))?.to_bytes();
    Ok(Read::Document { bytes: bytes.into(), max_age })
}

/// `Cache-Control: max-age=N`.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(',')).map(str::trim);
    let seconds = directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then(|| value.trim_matches('"').parse().ok())?
    })?;
    Some(Duration::from_secs(seconds))
}

/// The innermost cause says what a person needs: "connection refused".
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_max_age_is_found_among_other_directives() {
        let of = |value| max_age(&HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]));
        assert_eq!(of("public, Max-Age=60, must-revalidate"), Some(Duration::from_secs(60)));
        assert_eq!(of("no-store"), None);
        assert_eq!(of("max-age=soon"), None);
        assert_eq!(max_age(&HeaderMap::new()), None);
    }

    #[test]
    fn a_file_is_read_again_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        std::fs::write(&path, "one").unwrap();
        let (bytes, stamp) = read_file(&path, None).unwrap().unwrap();
        assert_eq!((&bytes[..], stamp), (&b"one"[..], None), "just written: it may change again");
        let old = SystemTime::now() - Duration::from_secs(60);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let (_, stamp) = read_file(&path, None).unwrap().unwrap();
        assert!(stamp.is_some());
        assert!(read_file(&path, stamp).unwrap().is_none());
        std::fs::write(&path, "two").unwrap();
        assert_eq!(read_file(&path, stamp).unwrap().unwrap().0, b"two");
        std::fs::write(&path, vec![b' '; DOCUMENT_BYTES_MAX + 1]).unwrap();
        assert!(read_file(&path, stamp).is_err());
    }
}
