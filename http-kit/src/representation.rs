//! How an answer to a `GET` is given: not again to whoever has it (`If-None-Match`), and coded for whoever can read that
//! (`Accept-Encoding`).
//!
//! ```text
//! 200 with ETag that is known ─▶ 304, no body
//! JSON from 1 KiB on, coding accepted ─▶ gzip or zstd, strong tags suffixed
//! ```
//!
//! Invariant: only a JSON body whose whole length is known is coded: never a stream of events, never a piece of the log.
//! Invariant: coding is a favour. When as many answers are being coded as may be, the next one goes as it is.
//! Invariant: the tag of a 304, and of an answer to a `HEAD`, is the one that the answer to a `GET` would have (RFC 9110, 9.3.2 and
//! 15.4.5), but for that favour. So whether an answer is coded depends on its length and the request alone.

use crate::entity_tags::{CODINGS, knows};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Frame;
use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::Semaphore;

/// Bodies shorter than this fit into one packet anyway, bytes.
const CODED_BYTES_MIN: u64 = 1 << 10;
/// Bodies from this length on are coded where waiting is allowed, bytes.
const BLOCKING_BYTES_MIN: usize = 32 << 10;
/// Answers that are coded at one time on threads of their own: it bounds the memory of copies.
const PLACES_MAX: usize = 8;
/// What level 1 gives is most of what there is to gain, at a fraction of the time of the usual levels.
const ZSTD_LEVEL: i32 = 1;

static PLACES: Semaphore = Semaphore::const_new(PLACES_MAX);

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Zstd,
    Gzip,
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the strong tag of a coded answer ends in.
    fn suffix(self) -> &'static str {
        let [gzip, zstd] = CODINGS;
        match self {
            Self::Zstd => zstd,
            Self::Gzip => gzip,
        }
    }

    fn code(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
                encoder.write_all(body)?;
                encoder.finish()
            }
        }
    }
}

/// What a request says of the form of its answer.
#[derive(Debug)]
pub(crate) struct Wishes {
    known: Vec<HeaderValue>,
    coding: Option<Coding>,
    is_head: bool,
}

impl Wishes {
    /// Those of a request that reads; others have none.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let headers = request.headers();
        let known = headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect();
        Some(Self { known, coding: accepted(headers), is_head: *request.method() == Method::HEAD })
    }

    /// Gives the answer that form.
    pub(crate) async fn meet(self, mut response: Response) -> Response {
        let is_json = is_json(response.headers());
        if is_json {
            // Also where it is short: the next answer of this resource may be long.
            response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        // To a `HEAD`, too, it is all here still: the router takes it away at the very end.
        let length = response.body().size_hint().exact().unwrap_or(0);
        let coding = self.coding.filter(|_| is_json && length >= CODED_BYTES_MIN);
        if response.status() == StatusCode::OK
            && let Some(tag) = response.headers().get(header::ETAG)
            && knows(&self.known, tag)
        {
            return self.not_modified(response, coding);
        }
        match coding {
            Some(coding) => coded(response, coding).await,
            None => response,
        }
    }
}

impl Wishes {
    /// An answer without its body (RFC 9110, 15.4.5).
    fn not_modified(&self, mut response: Response, coding: Option<Coding>) -> Response {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = if self.is_head { of_unknown_length() } else { Body::empty() };
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_LENGTH);
        if let Some(coding) = coding {
            suffix(headers, coding);
        }
        response
    }
}

/// No body either, but one of which nobody takes the length to be the answer's (RFC 9110, 8.6): the router tells it to a `HEAD`.
fn of_unknown_length() -> Body {
    Body::new(Unknown)
}

struct Unknown;

impl HttpBody for Unknown {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

async fn coded(response: Response, coding: Coding) -> Response {
    let (mut parts, body) = response.into_parts();
    // Its length is known, so it is there already; a body that fails was none.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    match code(coding, body.clone()).await {
        Some(coded) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            suffix(&mut parts.headers, coding);
            Response::from_parts(parts, Body::from(coded))
        }
        None => Response::from_parts(parts, Body::from(body)),
    }
}

/// Codes a body, off the runtime's own threads where that takes a while.
async fn code(coding: Coding, body: Bytes) -> Option<Vec<u8>> {
    if body.len() < BLOCKING_BYTES_MIN {
        return coding.code(&body).ok();
    }
    let place = PLACES.try_acquire().ok()?;
    let coded = tokio::task::spawn_blocking(move || {
        // The place is the thread's: a request may be given up, its thread is not.
        let _place = place;
        coding.code(&body).ok()
    });
    coded.await.ok().flatten()
}

/// A strong tag says which bytes, so another coding has another one (RFC 9110, 8.8.3.3); a weak one does not.
fn suffix(headers: &mut HeaderMap, coding: Coding) {
    let Some(tag) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()) else { return };
    if let Some(opaque) = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'))
        && let Ok(tag) = HeaderValue::from_str(&format!("\"{opaque}{}\"", coding.suffix()))
    {
        headers.insert(header::ETAG, tag);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = media_type.is_some_and(|media_type| {
        let essence = media_type.split(';').next().unwrap_or_default().trim_end();
        essence == "application/json" || essence.ends_with("+json")
    });
    is_json && !headers.contains_key(header::CONTENT_ENCODING)
}

/// The coding that is wanted most (RFC 9110, 12.5.3); of two that are wanted alike zstd, which is faster on either side.
fn accepted(headers: &HeaderMap) -> Option<Coding> {
    let (mut zstd, mut gzip, mut others) = (None, None, None);
    for line in headers.get_all(header::ACCEPT_ENCODING) {
        for wish in line.to_str().unwrap_or_default().split(',') {
            let mut parts = wish.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            // What is no number is no wish.
            let weight = weight.map_or(1000, |weight| thousandths(weight).unwrap_or(0));
            if name.eq_ignore_ascii_case("zstd") {
                zstd = Some(weight);
            } else if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                gzip = Some(weight);
            } else if name == "*" {
                others = Some(weight);
            }
        }
    }
    let weight = |named: Option<u16>| named.or(others).unwrap_or(0);
    let (zstd, gzip) = (weight(zstd), weight(gzip));
    match zstd.max(gzip) {
        0 => None,
        _ if zstd >= gzip => Some(Coding::Zstd),
        _ => Some(Coding::Gzip),
    }
}

/// A weight in thousandths: `1`, `0.5`, `0.25`, at most three digits behind the point.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    let is_sound =
        matches!(whole, "0" | "1") && rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    let value = if is_sound { format!("{whole}{rest:0<3}").parse().ok()? } else { return None };
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(accepted: &str) -> Option<Coding> {
        super::accepted(&[(header::ACCEPT_ENCODING, accepted.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn the_coding_is_the_one_that_is_wanted_most() {
        for (accepted, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("zstd;q=0.5, gzip;q=0.501", Some(Coding::Gzip)),
            ("zstd;q=0, gzip;q=0.1", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Coding::Gzip)),
            ("gzip;q=0, zstd;q=0.000", None),
            ("gzip;q=2", None),
            ("gzip;q=x", None),
            ("br, deflate, identity", None),
            ("", None),
        ] {
            assert_eq!(wish(accepted), coding, "{accepted}");
        }
        assert_eq!(accepted(&HeaderMap::new()), None);
    }

    async fn answer(body: Vec<u8>, media_type: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let wishes = Wishes::of(&request.body(Body::empty()).unwrap()).unwrap();
        let response = Response::builder().header("content-type", media_type).header("etag", "\"7-a\"");
        wishes.meet(response.body(Body::from(body)).unwrap()).await
    }

    async fn bytes(response: Response) -> Bytes {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_coded_says_so_and_is_what_it_was() {
        for length in [1024, BLOCKING_BYTES_MIN, 5 << 20] {
            let body: Vec<u8> = b"{\"a\": 1} ".iter().copied().cycle().take(length).collect();
            for (name, suffixed) in [("gzip", "\"7-a-gzip\""), ("zstd", "\"7-a-zstd\"")] {
                let coded = answer(body.clone(), "application/json", &[("accept-encoding", name)]).await;
                assert_eq!(coded.headers()["content-encoding"], name);
                assert_eq!(coded.headers()["etag"], suffixed);
                assert_eq!(coded.headers()["vary"], "accept-encoding");
                let coded = bytes(coded).await;
                assert!(coded.len() < length / 2, "{name}: {} of {length}", coded.len());
                let mut decoded = Vec::new();
                match name {
                    "zstd" => decoded = zstd::bulk::decompress(&coded, length).unwrap(),
                    _ => {
                        let mut decoder = flate2::read::GzDecoder::new(&coded[..]);
                        io::copy(&mut decoder, &mut decoded).unwrap();
                    }
                }
                assert!(decoded == body, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_short_or_no_json_is_left_alone() {
        let zeros = vec![b' '; 5_000];
        for (body, media_type, varies) in [
            (zeros[..1023].to_vec(), "application/json", true),
            (zeros.clone(), "text/event-stream", false),
            (zeros.clone(), "application/octet-stream", false),
        ] {
            let answer = answer(body.clone(), media_type, &[("accept-encoding", "gzip, zstd")]).await;
            assert!(!answer.headers().contains_key("content-encoding"), "{media_type}");
            assert_eq!(answer.headers().contains_key("vary"), varies, "{media_type}");
            assert_eq!(answer.headers()["etag"], "\"7-a\"");
            assert!(bytes(answer).await == body);
        }
    }

    #[tokio::test]
    async fn whoever_has_it_does_not_get_it_again() {
        let body = vec![b' '; 5_000];
        for (known, coding, tag) in [
            ("\"7-a\"", "identity", "\"7-a\""),
            ("\"x\", W/\"7-a-zstd\"", "gzip", "\"7-a-gzip\""),
            ("*", "zstd", "\"7-a-zstd\""),
        ] {
            let headers = [("if-none-match", known), ("accept-encoding", coding)];
            let answer = answer(body.clone(), "application/json", &headers).await;
            assert_eq!((answer.status().as_u16(), &answer.headers()["etag"]), (304, &tag.parse().unwrap()));
            for gone in ["content-type", "content-length", "content-encoding"] {
                assert!(!answer.headers().contains_key(gone), "{gone}");
            }
            assert_eq!(answer.headers()["vary"], "accept-encoding");
            assert!(bytes(answer).await.is_empty());
        }
        let other = answer(body, "application/json", &[("if-none-match", "\"7-b\"")]).await;
        assert_eq!(other.status(), 200);
    }

    /// As a server answers: over axum's routes, which tell a `HEAD` how long a body is.
    async fn routed(method: &str, length: usize, headers: &[(&str, &str)]) -> Response {
        use axum::middleware::{Next, from_fn};
        let get = axum::routing::get(move || async move {
            let headers = [("content-type", "application/json"), ("etag", "\"7-a\"")];
            (headers, vec![b' '; length])
        });
        let layer = from_fn(async |request: Request, next: Next| match Wishes::of(&request) {
            Some(wishes) => wishes.meet(next.run(request).await).await,
            None => next.run(request).await,
        });
        let router = axum::Router::new().route("/", get).layer(layer);
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        tower::ServiceExt::oneshot(router, request).await.unwrap()
    }

    #[tokio::test]
    async fn a_head_says_what_a_get_would() {
        for length in [10, 5_000] {
            for coding in ["identity", "gzip", "zstd"] {
                for known in [None, Some("\"7-a\""), Some("\"other\"")] {
                    let mut headers = vec![("accept-encoding", coding)];
                    headers.extend(known.map(|known| ("if-none-match", known)));
                    let (get, head) =
                        (routed("GET", length, &headers).await, routed("HEAD", length, &headers).await);
                    let what = format!("{length} {headers:?}");
                    assert_eq!(get.status(), head.status(), "{what}");
                    for name in ["etag", "content-encoding", "vary", "content-type"] {
                        assert_eq!(get.headers().get(name), head.headers().get(name), "{name}: {what}");
                    }
                    // The tag of a 304 is that of the 200.
                    let whole = routed("GET", length, &headers[..1]).await;
                    assert_eq!(get.headers()["etag"], whole.headers()["etag"], "{what}");
                    // A length that is told is that of the answer in full (8.6), or none is told.
                    let told = head.headers().get("content-length");
                    let told = told.map(|length| length.to_str().unwrap().to_owned());
                    let is_whole = get.status() == 200;
                    let whole = bytes(get).await.len().to_string();
                    assert_eq!(told, is_whole.then_some(whole), "{what}");
                    assert!(bytes(head).await.is_empty());
                }
            }
        }
    }

    #[test]
    fn only_what_reads_has_wishes() {
        let post = Request::post("/").header("if-none-match", "*").body(Body::empty()).unwrap();
        assert!(Wishes::of(&post).is_none());
    }
}
