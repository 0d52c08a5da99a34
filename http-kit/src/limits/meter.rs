//! After authentication: how many commands a principal and a tenant may send.
//!
//! Invariant: a request is charged one command before anything is done for it, and a batch for the rest once its size
//! is known and before anything of it is done. Nothing is charged to what a client says, only to what its token says.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers-10. A bucket of `q` that fills in `w` seconds is what
//! the draft calls a quota and its window; `r` is what was left, `t` the seconds until there is more.

use super::Limits;
use super::bucket::{Bucket, Buckets, Rate};
use super::party::Party;
use super::settings::LimitSettings;
use crate::auth::{Principal, Tenants};
use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is counted by whom, and the policies as they are told.
pub(crate) struct Quotas {
    principals: Option<Buckets<Arc<str>>>,
    tenants: Option<Buckets<Party>>,
    local: Option<Buckets<()>>,
    policy_of_principal: Option<HeaderValue>,
    policy_of_tenant: Option<HeaderValue>,
    policy_of_both: Option<HeaderValue>,
    policy_of_local: Option<HeaderValue>,
}

impl Quotas {
    pub(super) fn new(settings: &LimitSettings) -> Self {
        let principal = Rate::of(settings.principal_rate, settings.principal_burst);
        let tenant = Rate::of(settings.tenant_rate, settings.tenant_burst);
        let local = Rate::of(settings.local_rate, settings.local_burst);
        let one = |name, rate: Option<Rate>| rate.and_then(|rate| policy(&[(name, rate)]));
        Self {
            policy_of_principal: one("principal", principal),
            policy_of_tenant: one("tenant", tenant),
            policy_of_both: principal
                .zip(tenant)
                .and_then(|(principal, tenant)| policy(&[("principal", principal), ("tenant", tenant)])),
            policy_of_local: one("principal", local),
            principals: principal.map(Buckets::new),
            tenants: tenant.map(Buckets::new),
            local: local.map(Buckets::new),
        }
    }
}

/// What a request is charged to. Handlers take it as an argument; where nothing is limited, charging does nothing.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    principal: Option<Arc<Bucket>>,
    tenant: Option<Arc<Bucket>>,
}

impl Meter {
    /// Charges further commands, beyond the one that every request is.
    ///
    /// # Errors
    /// 429 `rate_limited` when there are not as many left; none of the commands may be carried out then.
    pub fn charge(&self, commands: usize) -> Result<(), Problem> {
        let Some(count) = NonZeroU32::new(u32::try_from(commands).unwrap_or(u32::MAX)) else { return Ok(()) };
        // The principal first: what one of them sends too much is not taken from his tenant.
        for (bucket, whose) in [(&self.principal, "principal"), (&self.tenant, "tenant")] {
            if let Some(bucket) = bucket
                && let Err(wait) = bucket.take(count)
            {
                return Err(refusal(whose, wait));
            }
        }
        Ok(())
    }

    fn is_off(&self) -> bool {
        self.principal.is_none() && self.tenant.is_none()
    }

    fn tell(&self, headers: &mut HeaderMap, policy: Option<HeaderValue>, is_refused: bool) {
        // Rates are whole numbers per second, so there is always more within one.
        let retry_after = headers.get(header::RETRY_AFTER).filter(|_| is_refused);
        let seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(1);
        let state = match (&self.principal, &self.tenant) {
            (Some(principal), Some(tenant)) => {
                state(&[("principal", principal.remaining()), ("tenant", tenant.remaining())], seconds)
            }
            (Some(principal), None) => state(&[("principal", principal.remaining())], seconds),
            (None, Some(tenant)) => state(&[("tenant", tenant.remaining())], seconds),
            (None, None) => return,
        };
        insert(headers, policy, state);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Meter {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

impl Limits {
    /// What a principal's requests are charged to, and the policy that tells so.
    fn meter_of(&self, principal: &Principal) -> (Meter, Option<HeaderValue>) {
        let quotas = &self.0.quotas;
        if *principal == Principal::local() {
            let bucket = quotas.local.as_ref().map(|local| local.of(&()));
            return (Meter { principal: bucket, tenant: None }, quotas.policy_of_local.clone());
        }
        let of_principal = quotas.principals.as_ref().map(|buckets| buckets.of(principal.subject()));
        let of_tenant = match principal.tenants() {
            // It works for all of them: its own rate is the only one that means anything.
            Tenants::All => None,
            Tenants::These(tenants) if tenants.is_empty() => None,
            Tenants::These(_) => quotas.tenants.as_ref().map(|buckets| buckets.of(&Party::of(principal))),
        };
        let policy = match (&of_principal, &of_tenant) {
            (Some(_), Some(_)) => quotas.policy_of_both.clone(),
            (Some(_), None) => quotas.policy_of_principal.clone(),
            (None, Some(_)) => quotas.policy_of_tenant.clone(),
            (None, None) => None,
        };
        (Meter { principal: of_principal, tenant: of_tenant }, policy)
    }
}

/// Charges every request of a principal, and tells what is left.
pub(crate) async fn metered(limits: &Limits, mut request: Request, next: Next) -> Response {
    let Some(principal) = request.extensions().get::<Principal>() else { return next.run(request).await };
    let (meter, policy) = limits.meter_of(principal);
    if meter.is_off() {
        return next.run(request).await;
    }
    let mut response = match meter.charge(1) {
        Ok(()) => {
            request.extensions_mut().insert(meter.clone());
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    let is_refused = response.status() == StatusCode::TOO_MANY_REQUESTS;
    meter.tell(response.headers_mut(), policy, is_refused);
    response
}

fn refusal(whose: &str, wait: Duration) -> Problem {
    let detail = format!(
        "this {whose} sends more commands than it may; nothing was done, so it can be sent again later"
    );
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
        .with("policy", whose)
        .retry_after(ceil_s(wait))
}

/// Whole seconds, rounded up, at least one: whoever comes back sooner would be refused again.
pub(super) fn ceil_s(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

/// `"principal";q=100000;w=2;sunday-unit="commands"`: the draft's units know only requests, bytes and concurrency.
pub(super) fn policy(policies: &[(&str, Rate)]) -> Option<HeaderValue> {
    let mut text = String::new();
    for (name, rate) in policies {
        let comma = if text.is_empty() { "" } else { ", " };
        let unit = if *name == "failures" { "" } else { ";sunday-unit=\"commands\"" };
        let (burst, window) = (rate.burst, rate.window_s());
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}\"{name}\";q={burst};w={window}{unit}");
    }
    HeaderValue::from_str(&text).ok()
}

/// `"principal";r=99999;t=1`.
pub(super) fn state(states: &[(&str, u32)], seconds: u32) -> Option<HeaderValue> {
    // It stands on every answer, so it is put together by hand: the formatting machinery takes several times as long.
    let mut text = Vec::with_capacity(80);
    for (name, remaining) in states {
        text.extend_from_slice(if text.is_empty() { b"\"" } else { b", \"" });
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\";r=");
        push_number(&mut text, *remaining);
        text.extend_from_slice(b";t=");
        push_number(&mut text, seconds);
    }
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

fn push_number(text: &mut Vec<u8>, number: u32) {
    let (mut digits, mut at, mut rest) = ([0_u8; 10], 10, number);
    loop {
        at -= 1;
        // A remainder by ten is a digit.
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}

pub(super) fn insert(headers: &mut HeaderMap, policy: Option<HeaderValue>, state: Option<HeaderValue>) {
    if let Some(policy) = policy {
        headers.insert(RATELIMIT_POLICY, policy);
    }
    if let Some(state) = state {
        headers.insert(RATELIMIT, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scopes;
    use axum::Router;
    use axum::body::Body;
    use axum::extract::State;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::post;
    use tower::ServiceExt;
    use uuid::Uuid;

    /// Who asks stands in a header here; authentication is not what is tested.
    async fn pretend(mut request: Request, next: Next) -> Response {
        let said = request.headers().get("who").map(|value| value.to_str().unwrap().to_owned());
        if let Some(said) = said {
            let principal = match said.split_once('@') {
                Some((subject, "all")) => Principal::new(subject, Tenants::All, Scopes::default()),
                Some((subject, tenants)) => {
                    let tenants: Vec<Uuid> =
                        tenants.split('+').map(|tenant| Uuid::from_u128(tenant.parse().unwrap())).collect();
                    Principal::new(subject, Tenants::These(tenants.into()), Scopes::default())
                }
                None => Principal::local(),
            };
            request.extensions_mut().insert(principal);
        }
        next.run(request).await
    }

    /// A body of n bytes is a batch of n commands.
    async fn batch(meter: Meter, body: String) -> Result<&'static str, Problem> {
        meter.charge(body.len().saturating_sub(1))?;
        Ok("done")
    }

    fn app(settings: LimitSettings) -> Router {
        Router::new()
            .route("/", post(batch))
            .layer(from_fn_with_state(
                Limits::new(settings),
                async |State(limits): State<Limits>, request, next| metered(&limits, request, next).await,
            ))
            .layer(from_fn(pretend))
    }

    async fn send(app: &Router, who: &str, commands: usize) -> (u16, HeaderMap) {
        let request = Request::post("/").header("who", who).body(Body::from("x".repeat(commands))).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    }

    /// Bursts that no test can fill again: a rate of one per second, bursts of thousands.
    fn settings(principal: u32, tenant: u32) -> LimitSettings {
        LimitSettings {
            principal_rate: u32::from(principal > 0),
            principal_burst: principal,
            tenant_rate: u32::from(tenant > 0),
            tenant_burst: tenant,
            ..LimitSettings::default()
        }
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        for number in [0, 1, 9, 10, 99_999, 100_000, u32::MAX] {
            let text = state(&[("a", number), ("b", 7)], 3).unwrap();
            assert_eq!(text, format!("\"a\";r={number};t=3, \"b\";r=7;t=3"));
        }
    }

    #[tokio::test]
    async fn a_principal_is_limited_by_commands_and_told_so() {
        let app = app(settings(10_000, 0));
        let (status, headers) = send(&app, "ann@all", 4_000).await;
        assert_eq!(status, 200);
        assert_eq!(headers["ratelimit-policy"], "\"principal\";q=10000;w=10000;sunday-unit=\"commands\"");
        let told = headers["ratelimit"].to_str().unwrap();
        assert!(told.starts_with("\"principal\";r=60") && told.ends_with(";t=1"), "{told}");
        let (status, headers) = send(&app, "ann@all", 9_000).await;
        assert_eq!(status, 429);
        let wait: u32 = headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((2_900..=3_000).contains(&wait), "{wait}");
        assert_eq!(headers["ratelimit"], format!("\"principal\";r=0;t={wait}"));
        assert_eq!(
            send(&app, "ann@all", 5_000).await.0,
            200,
            "what was refused has cost one command at most"
        );
        assert_eq!(send(&app, "bob@all", 9_000).await.0, 200, "another principal has a bucket of his own");
    }

    #[tokio::test]
    async fn principals_of_a_tenant_share_its_rate() {
        let app = app(settings(10_000, 12_000));
        assert_eq!(send(&app, "ann@1", 9_000).await.0, 200);
        let (status, headers) = send(&app, "bob@1", 9_000).await;
        assert_eq!(status, 429);
        let told = headers["ratelimit"].to_str().unwrap();
        assert!(told.contains("\"tenant\";r=0;t="), "{told}");
        assert_eq!(send(&app, "carl@2", 9_000).await.0, 200, "another tenant");
        assert_eq!(send(&app, "dan@1+2", 9_000).await.0, 200, "a token for several is a tenant of its own");
        assert_eq!(send(&app, "eve@all", 9_000).await.0, 200, "a token for all has none");
        assert!(!send(&app, "eve@all", 1).await.1["ratelimit"].to_str().unwrap().contains("tenant"));
    }

    #[tokio::test]
    async fn the_development_principal_has_a_rate_only_where_it_is_set() {
        let free = app(settings(1, 1));
        for _ in 0..5 {
            let (status, headers) = send(&free, "local", 9_000).await;
            assert_eq!((status, headers.get("ratelimit")), (200, None));
        }
        let set = app(LimitSettings { local_rate: 1, local_burst: 5_000, ..LimitSettings::default() });
        assert_eq!(send(&set, "local", 3_000).await.0, 200);
        assert_eq!(send(&set, "local", 3_000).await.0, 429);
    }

    #[tokio::test]
    async fn nobody_is_charged_where_nobody_asks() {
        let app = app(settings(1, 1));
        for _ in 0..5 {
            let response =
                app.clone().oneshot(Request::post("/").body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!((response.status().as_u16(), response.headers().get("ratelimit")), (200, None));
        }
    }
}
