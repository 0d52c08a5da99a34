//! A request before it is known what it asks for: its body, its conditions, its name, its origin.
//!
//! Invariant: headers that change what a command does are refused when they cannot be understood; those that
//! only describe it (`traceparent`) are passed over then.

use crate::entity_tags::{if_match, if_none_match};
use crate::problems::problem;
use crate::routes::ROOT;
use crate::service::{Conditions, Name, OnConflict, Origin, Refusal, command_id};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, HeaderName, Uri};
use domain::whole;
use eventstore::{CommandId, Fingerprint, Version};
use http_kit::REQUEST_ID;
use http_kit::auth::Principal;
use http_kit::json::{self, JsonBytes};
use http_kit::problem::Problem;
use http_kit::telemetry::trace_context;
use serde::de::{Deserialize, DeserializeOwned};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The header that names a command.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest `Idempotency-Key`, characters.
pub(crate) const IDEMPOTENCY_KEY_MAX: usize = 255;

/// The member that says what happens where the target has moved on.
pub(crate) const ON_CONFLICT: &str = "onConflict";

/// Why `onConflict` alone says nothing.
pub(crate) const WITHOUT_BASE: &str = "it needs a baseVersion beside it";

/// A request to change something.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) body: Bytes,
    pub(crate) conditions: Conditions,
    pub(crate) command: CommandId,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) origin: Origin,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let principal = Principal::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let headers = request.headers();
        let conditions = Conditions {
            if_match: if_match(headers)?,
            if_none_match: if_none_match(headers)?,
            ..Conditions::default()
        };
        let origin = origin(headers, principal);
        let command = match key(headers)? {
            Some(key) => command_of_key(&origin.principal, key),
            None => command_id(),
        };
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let JsonBytes(body) = JsonBytes::from_request(request, state).await?;
        let fingerprint = Fingerprint::of(&[method.as_str().as_bytes(), path_of(&uri), &body]);
        Ok(Self { body, conditions, command, fingerprint, origin })
    }
}

/// A request to do many things.
#[derive(Debug)]
pub(crate) struct BatchCall {
    pub(crate) body: Bytes,
    /// Of the batch as a whole, where its sender named it.
    pub(crate) name: Option<Name>,
    pub(crate) origin: Origin,
}

impl<S: Send + Sync> FromRequest<S> for BatchCall {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let principal = Principal::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let origin = origin(request.headers(), principal);
        let command = key(request.headers())?.map(|key| command_of_key(&origin.principal, key));
        let uri = request.uri().clone();
        let JsonBytes(body) = JsonBytes::from_request(request, state).await?;
        let name = command
            .map(|command| Name { command, fingerprint: Fingerprint::of(&[b"POST", path_of(&uri), &body]) });
        Ok(Self { body, name, origin })
    }
}

impl Call {
    /// Reads the body with the members that the path says; where the body says one of them too, it has to say the
    /// same. `expectedVersion` (or `baseVersion`) and `onConflict` are taken out and become conditions. No body is an
    /// empty object.
    pub(crate) fn read<T: DeserializeOwned>(
        &mut self,
        in_path: &[(&'static str, &str)],
    ) -> Result<T, Problem> {
        // Every command refuses members that it does not know, so a body that is read as it stands says no conditions.
        // A list would be read too, member by member.
        if in_path.is_empty()
            && self.body.trim_ascii_start().starts_with(b"{")
            && let Ok(command) = serde_json::from_slice(&self.body)
        {
            return Ok(command);
        }
        let mut members = self.members()?;
        for &(member, in_path) in in_path {
            if let Some(said) = members.insert(member.to_owned(), in_path.into())
                && !said.as_str().is_some_and(|said| are_same(said, in_path))
            {
                let detail = "the body says another one than the path";
                return Err(problem(&Refusal::Contradiction { field: member, detail }));
            }
        }
        from_members(members)
    }

    fn members(&mut self) -> Result<Map<String, Value>, Problem> {
        let mut members: Map<String, Value> =
            if self.body.is_empty() { Map::new() } else { json::parse(&self.body)? };
        for name in ["expectedVersion", "baseVersion"] {
            if let Some(value) = members.remove(name) {
                let version = whole::number(value).map_err(|error| {
                    Problem::invalid_body(name, format!("{name}: a version is a number from 0: {error}"))
                })?;
                let version = Version::new(version);
                if self.conditions.expected_version.replace(version).is_some_and(|said| said != version) {
                    let detail = "expectedVersion and baseVersion say different versions";
                    return Err(problem(&Refusal::Contradiction { field: name, detail }));
                }
            }
        }
        if let Some(value) = members.remove(ON_CONFLICT) {
            self.conditions.on_conflict = OnConflict::deserialize(&value)
                .map_err(|error| Problem::invalid_body(ON_CONFLICT, format!("{ON_CONFLICT}: {error}")))?;
            if self.conditions.expected_version.is_none() {
                return Err(Problem::invalid_body(ON_CONFLICT, format!("{ON_CONFLICT}: {WITHOUT_BASE}")));
            }
        }
        Ok(members)
    }
}

fn from_members<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Value::Object(members)).map_err(|error| {
        let field = error.path().to_string();
        Problem::invalid_body(&field, format!("{field}: {}", error.inner()))
    })
}

/// The path as fingerprints know it: a command is the same one in every version of the API.
fn path_of(uri: &Uri) -> &[u8] {
    let path = uri.path();
    path.strip_prefix(ROOT).unwrap_or(path).as_bytes()
}

/// Whether two texts are the same, or the same UUID in two spellings.
fn are_same(one: &str, other: &str) -> bool {
    one == other
        || matches!((Uuid::try_parse(one), Uuid::try_parse(other)), (Ok(one), Ok(other)) if one == other)
}

/// The permanent name of a command that its sender named: nobody's key is ever another's.
pub(crate) fn command_of_key(principal: &Principal, key: &str) -> CommandId {
    CommandId::derive(&[&principal.tenant_key(), principal.subject().as_bytes(), key.as_bytes()])
}

/// The permanent name of a command that has none of its own, in a batch that has one.
pub(crate) fn command_of_part(batch: &CommandId, index: usize) -> CommandId {
    CommandId::derive(&[b"part", batch.as_bytes(), &(index as u64).to_le_bytes()])
}

/// Whether a text can be an idempotency key.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=IDEMPOTENCY_KEY_MAX).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// The `Idempotency-Key`.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = single(headers, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    if is_key(value) {
        return Ok(Some(value));
    }
    let detail = format!("idempotency-key: 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters");
    Err(Problem::invalid_header(IDEMPOTENCY_KEY.as_str(), detail))
}

/// A header that stands at most once, as text.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::invalid_header(name.as_str(), format!("{name}: it stands more than once")));
    }
    value
        .to_str()
        .map(|text| Some(text.trim()))
        .map_err(|_| Problem::invalid_header(name.as_str(), format!("{name}: visible ASCII characters only")))
}

/// Who asks and how, as far as the token and the headers say.
pub(crate) fn origin(headers: &HeaderMap, principal: Principal) -> Origin {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    Origin {
        principal,
        correlation_id: text(&REQUEST_ID).and_then(|id| Uuid::try_parse(id).ok()),
        traceparent: trace_context::of(headers),
        ..Origin::default()
    }
}
