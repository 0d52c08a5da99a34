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

use crate::entity_tags::{CODINGS, knows};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
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
}

impl Wishes {
    /// Those of a request that reads; others have none.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let headers = request.headers();
        let known = headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect();
        Some(Self { known, coding: accepted(headers) })
    }

    /// Gives the answer that form.
    pub(crate) async fn meet(self, mut response: Response) -> Response {
        let is_json = is_json(response.headers());
        if is_json {
            // Also where it is short: the next answer of this resource may be long.
            response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        let length = response.body().size_hint().exact().unwrap_or(0);
        let coding = self.coding.filter(|_| is_json && length >= CODED_BYTES_MIN);
        if response.status() == StatusCode::OK
            && let Some(tag) = response.headers().get(header::ETAG)
            && knows(&self.known, tag)
        {
            return not_modified(response, coding);
        }
        match coding {
            Some(coding) => coded(response, coding).await,
            None => response,
        }
    }
}

/// An answer without its body (RFC 9110, 15.4.5).
fn not_modified(mut response: Response, coding: Option<Coding>) -> Response {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.body_mut() = Body::empty();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.remove(header::CONTENT_LENGTH);
    if let Some(coding) = coding {
        suffix(headers, coding);
    }
    response
}

async fn coded(response: Response, coding: Coding) -> Response {
    let (mut parts, body) = response.into_parts();
    // Its length is known, so it is there already; a body that fails was none.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    match code(coding, body.clone()).await {
        Some(coded) if coded.len() < body.len() => {
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            suffix(&mut parts.headers, coding);
            Response::from_parts(parts, Body::from(coded))
        }
        _ => Response::from_parts(parts, Body::from(body)),
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
    async fn what_is_short_or_no_json_or_not_worth_it_is_left_alone() {
        let zeros = vec![b' '; 5_000];
        // xorshift64 (Marsaglia 2003): nothing that a coding finds any order in.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let noise: Vec<u8> = (0..300)
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect();
        for (body, media_type, varies) in [
            (zeros[..1023].to_vec(), "application/json", true),
            (noise, "application/json", true),
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

    #[test]
    fn only_what_reads_has_wishes() {
        let post = Request::post("/").header("if-none-match", "*").body(Body::empty()).unwrap();
        assert!(Wishes::of(&post).is_none());
    }
}
