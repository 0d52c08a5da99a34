//! Before authentication: who has shown too many bad tokens is not looked at for a while.
//!
//! Verifying a signature is the one thing that a stranger can make this server pay for, so refused tokens are what is
//! counted, by address. Requests without a token cost nothing to refuse, and good ones are counted by their principal:
//! neither is limited here, so a service that sends 50,000 requests a second from one address is not slowed down.
//!
//! Invariant: as long as nobody is refused, a request pays one load. Tokens that are known already always pass, so a
//! bad neighbour behind the same address locks nobody out who was in.

use super::bucket::{Buckets, Rate};
use super::network::AddressKey;
use super::settings::LimitSettings;
use super::{Limits, Peer, meter};
use crate::problem::Problem;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Known = Box<dyn Fn(&HeaderMap) -> bool + Send + Sync>;

pub(crate) struct Gate {
    failures: Option<Buckets<AddressKey>>,
    known: OnceLock<Known>,
    since: Instant,
    /// Until when anybody at all is refused, milliseconds since `since`.
    closed_until_ms: AtomicU64,
}

impl Gate {
    pub(super) fn new(settings: &LimitSettings) -> Self {
        Self {
            failures: Rate::of(settings.failure_rate, settings.failure_burst).map(Buckets::new),
            known: OnceLock::new(),
            since: Instant::now(),
            closed_until_ms: AtomicU64::new(0),
        }
    }

    pub(super) fn recognise(&self, known: Known) {
        // The first one stays; a second service would have limits of its own.
        let _ = self.known.set(known);
    }

    fn now_ms(&self) -> u64 {
        millis(self.since.elapsed())
    }

    /// How long an address has to wait before its tokens are looked at again.
    fn closed_to(&self, address: IpAddr) -> Option<Duration> {
        let failures = self.failures.as_ref()?;
        let now_ms = self.now_ms();
        if self.closed_until_ms.load(Ordering::Relaxed) <= now_ms {
            return None;
        }
        let until_ms = failures.find(&AddressKey::of(address))?.closed_until_ms.load(Ordering::Relaxed);
        (until_ms > now_ms).then(|| Duration::from_millis(until_ms - now_ms))
    }

    fn count(&self, address: IpAddr) {
        let Some(failures) = &self.failures else { return };
        let key = AddressKey::of(address);
        let bucket = failures.of(&key);
        if let Err(wait) = bucket.take(NonZeroU32::MIN) {
            let until_ms = self.now_ms().saturating_add(millis(wait)).saturating_add(1);
            bucket.closed_until_ms.fetch_max(until_ms, Ordering::Relaxed);
            self.closed_until_ms.fetch_max(until_ms, Ordering::Relaxed);
            tracing::debug!(address = %key, wait_ms = millis(wait), "too many refused tokens");
        }
    }

    fn refusal(&self, wait: Duration) -> Response {
        let seconds = meter::ceil_s(wait);
        let mut response = Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too many tokens from this address were refused; wait, and send one that is valid",
        )
        .retry_after(seconds)
        .into_response();
        if let Some(failures) = &self.failures {
            let policy = meter::policy(&[("failures", failures.rate())]);
            let state = meter::state(&[("failures", 0)], seconds);
            meter::insert(response.headers_mut(), policy, state);
        }
        response
    }
}

/// Somebody who showed a token, whose answer is awaited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown(IpAddr);

impl Limits {
    /// Lets a request in, or answers it. What is given back goes to [`Self::judged`] with the answer's status.
    #[expect(clippy::result_large_err, reason = "an answer is as large as answers are")]
    pub(crate) fn admit(&self, request: &Request) -> Result<Option<Shown>, Response> {
        if !request.headers().contains_key(header::AUTHORIZATION) {
            return Ok(None);
        }
        let Some(Peer(peer)) = request.extensions().get::<Peer>() else { return Ok(None) };
        let address = self.0.proxies.client(peer.ip(), request.headers());
        let gate = &self.0.gate;
        if gate.closed_until_ms.load(Ordering::Relaxed) != 0
            && let Some(wait) = gate.closed_to(address)
            && !gate.known.get().is_some_and(|known| known(request.headers()))
        {
            return Err(gate.refusal(wait));
        }
        Ok(Some(Shown(address)))
    }

    /// Counts an answer that refused a token.
    pub(crate) fn judged(&self, shown: Option<Shown>, status: StatusCode) {
        if let Some(Shown(address)) = shown
            && status == StatusCode::UNAUTHORIZED
        {
            self.0.gate.count(address);
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn limits(proxies: &str) -> Limits {
        Limits::new(LimitSettings {
            failure_rate: 1,
            failure_burst: 3,
            trusted_proxies: proxies.parse().unwrap(),
            ..LimitSettings::default()
        })
    }

    fn request(peer: &str, token: Option<&str>) -> Request {
        let mut request = Request::get("/");
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        request
    }

    fn fail(limits: &Limits, request: &Request) -> bool {
        match limits.admit(request) {
            Ok(shown) => {
                limits.judged(shown, StatusCode::UNAUTHORIZED);
                true
            }
            Err(response) => {
                assert_eq!(response.status(), 429);
                false
            }
        }
    }

    #[test]
    fn bad_tokens_close_the_gate_for_their_address_only() {
        let limits = limits("");
        let bad = request("192.0.2.1:1000", Some("Bearer bad"));
        let passed = (0..50).filter(|_| fail(&limits, &bad)).count();
        assert!((3..50).contains(&passed), "the burst passes, {passed} passed");
        let response = limits.admit(&bad).unwrap_err();
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["ratelimit"], "\"failures\";r=0;t=1");
        assert_eq!(response.headers()["ratelimit-policy"], "\"failures\";q=3;w=3");
        assert!(limits.admit(&request("192.0.2.2:1000", Some("Bearer bad"))).is_ok());
        assert!(limits.admit(&request("192.0.2.1:1000", None)).is_ok(), "no token, nothing to pay");
    }

    #[test]
    fn good_answers_and_missing_tokens_are_not_counted() {
        let limits = limits("");
        let good = request("192.0.2.1:1000", Some("Bearer good"));
        for _ in 0..10_000 {
            let shown = limits.admit(&good).unwrap();
            limits.judged(shown, StatusCode::OK);
            let shown = limits.admit(&request("192.0.2.1:1000", None)).unwrap();
            limits.judged(shown, StatusCode::UNAUTHORIZED);
        }
    }

    #[test]
    fn a_known_token_passes_a_closed_gate() {
        let limits = limits("");
        limits.recognise(|headers| headers["authorization"] == "Bearer good");
        let bad = request("192.0.2.1:1000", Some("Bearer bad"));
        while fail(&limits, &bad) {}
        assert!(limits.admit(&request("192.0.2.1:1000", Some("Bearer good"))).is_ok());
        assert!(limits.admit(&bad).is_err());
    }

    #[test]
    fn the_gate_opens_again() {
        let limits = limits("");
        let bad = request("192.0.2.1:1000", Some("Bearer bad"));
        while fail(&limits, &bad) {}
        while limits.admit(&bad).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn behind_a_proxy_it_is_the_clients_address_that_counts() {
        let limits = limits("10.0.0.0/8");
        let through = |client: &str| {
            let mut request = request("10.0.0.1:1000", Some("Bearer bad"));
            request.headers_mut().insert("x-forwarded-for", client.parse().unwrap());
            request
        };
        while fail(&limits, &through("203.0.113.1")) {}
        assert!(limits.admit(&through("203.0.113.2")).is_ok());
        assert!(
            limits.admit(&through("8.8.8.8, 203.0.113.1")).is_err(),
            "what the client wrote itself is nothing"
        );
    }
}
