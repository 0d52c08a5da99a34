//! The JSON of `/batch`: an envelope per command, whose `data` is the body that the command has elsewhere.
//!
//! ```json
//! {"atomic": false, "commands": [{"command": "item.move", "id": "…", "idempotencyKey": "…",
//!   "baseVersion": 3, "onConflict": "merge", "onBehalfOf": "…", "occurredAt": "2011-04-15T03:30:17.000Z",
//!   "source": "import", "data": {"columnId": "…"}}]}
//! {"position": 9, "results": [{"status": "applied", "id": "…", "version": 4}, …]}
//! ```
//!
//! Invariant: the envelope borrows from the request's bytes, and `data` is read once, straight into the
//! domain's types: this is the path that a whole history comes through.

use crate::answer;
use crate::problems::problem;
use crate::request::{BatchCall, ON_CONFLICT, WITHOUT_BASE, command_of_key, command_of_part, is_key};
use crate::routes;
use crate::service::{
    CommandService, Conditions, Done, Intent, OnConflict, Order, Origin, Refusal, command_id,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::whole;
use eventstore::{Fingerprint, Timestamp, Version};
use http_kit::SUNDAY_POSITION;
use http_kit::json::Json;
use http_kit::problem::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// Longest body of a batch, bytes.
pub(crate) const BATCH_BYTES_MAX: usize = 32 << 20;

/// Most commands in one batch.
pub(crate) const COMMANDS_MAX: usize = 10_000;

/// Longest `onBehalfOf` and `source`, characters: as long as a name may be.
const NAME_CHARS_MAX: usize = domain::limits::NAME_CHARS_MAX;

/// A text that is borrowed where it has no escapes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Many commands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody<'a> {
    /// Whether all of it is one commit, or each command one of its own.
    #[serde(default)]
    pub(crate) atomic: bool,
    /// The commands, in order; at most 10,000.
    #[serde(borrow)]
    pub(crate) commands: Vec<Envelope<'a>>,
}

/// One command.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Envelope<'a> {
    /// The `operationId` of what is to be done, such as `item.move`. What is wrong with a command from here on is said
    /// in its own result.
    #[serde(borrow)]
    command: Text<'a>,
    /// What it is about: the `{id}` of the path that it has by itself.
    id: Option<Uuid>,
    /// Names the command, for ever: 1 to 255 visible ASCII characters.
    #[serde(borrow)]
    idempotency_key: Option<Text<'a>>,
    /// The version that its target must have.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default, range(max = u64::MAX))]
    expected_version: Option<u64>,
    /// The same, as the base of what is sent.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default, range(max = u64::MAX))]
    base_version: Option<u64>,
    /// What becomes of it where the target has moved on since that version.
    on_conflict: Option<OnConflict>,
    /// Whom the token's subject acts for; needs the scope `import`.
    #[serde(borrow)]
    on_behalf_of: Option<Text<'a>>,
    /// When it really happened (RFC 3339); needs the scope `import`.
    #[serde(borrow)]
    occurred_at: Option<Text<'a>>,
    /// `import` for histories, which are taken as they are; needs that scope.
    #[serde(borrow)]
    source: Option<Text<'a>>,
    /// The body that it has by itself, with what its path says besides `{id}`.
    #[serde(borrow)]
    #[schemars(with = "Option<serde_json::Value>")]
    data: Option<&'a RawValue>,
}

/// What became of a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BatchAnswer {
    /// How many events the log holds with all of them.
    position: u64,
    /// What became of each command, in their order.
    results: Vec<ResultAnswer>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ResultAnswer {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, with = "http_kit::openapi::AnyProblem")]
    problem: Option<Problem>,
}

/// Carries out a batch and answers it.
pub(crate) fn carry_out(
    service: &CommandService,
    batch: &BatchBody<'_>,
    call: &BatchCall,
) -> Result<Response, Problem> {
    if batch.atomic { atomic(service, batch, call) } else { one_by_one(service, batch, call) }
}

/// Each command stands for itself.
fn one_by_one(
    service: &CommandService,
    batch: &BatchBody<'_>,
    call: &BatchCall,
) -> Result<Response, Problem> {
    if let Some(name) = &call.name {
        service.remember(name).map_err(|refusal| problem(&refusal))?;
    }
    let results = service.batch(batch.commands.len(), &|index| batch.commands[index].order(index, call));
    let position = results.iter().flatten().map(|done| done.position).max();
    let results = results.iter().map(|result| match result {
        Ok(done) => ResultAnswer::of(done),
        Err(refusal) => ResultAnswer::rejected(problem(refusal)),
    });
    Ok(answer(StatusCode::OK, position.unwrap_or(service.store().watermark()).get(), results.collect()))
}

/// All of it is one commit.
fn atomic(service: &CommandService, batch: &BatchBody<'_>, call: &BatchCall) -> Result<Response, Problem> {
    if let Some(name) = &call.name {
        service.check_name(name).map_err(|refusal| problem(&refusal))?;
    }
    let mut orders = Vec::with_capacity(batch.commands.len());
    let mut refusals = Vec::new();
    for (index, envelope) in batch.commands.iter().enumerate() {
        match envelope.order(index, call) {
            Ok(order) => orders.push(order),
            Err(refusal) => refusals.push((index, refusal)),
        }
    }
    if refusals.is_empty() {
        match service.atomic(orders, call.name.as_ref()) {
            Ok(done) => {
                let position =
                    done.iter().map(|done| done.position).max().unwrap_or(service.store().watermark());
                return Ok(answer(
                    StatusCode::OK,
                    position.get(),
                    done.iter().map(ResultAnswer::of).collect(),
                ));
            }
            Err(refused) => refusals = refused,
        }
    }
    let mut problems: Vec<Option<Problem>> = batch.commands.iter().map(|_| None).collect();
    let mut unavailable = None;
    for (index, refusal) in refusals {
        let problem = problem(&refusal);
        if problem.status().is_server_error() {
            unavailable = Some(problem.clone());
        }
        if let Some(place) = problems.get_mut(index) {
            *place = Some(problem);
        }
    }
    // What is not the fault of a command (the log takes no more) is not answered as if it were.
    if let Some(problem) = unavailable {
        return Err(problem);
    }
    let results: Vec<ResultAnswer> = problems
        .into_iter()
        .map(|problem| {
            ResultAnswer::rejected(problem.unwrap_or_else(|| {
                Problem::new(
                    StatusCode::FAILED_DEPENDENCY,
                    "batch_refused",
                    "another command of the batch was refused",
                )
            }))
        })
        .collect();
    let detail = "nothing was done: at least one command of the atomic batch was refused";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "batch_refused", detail)
        .with("position", service.store().watermark().get())
        .with("results", serde_json::to_value(results).unwrap_or_default()))
}

fn answer(status: StatusCode, position: u64, results: Vec<ResultAnswer>) -> Response {
    let header = (SUNDAY_POSITION, HeaderValue::from(position));
    (status, [header], Json(BatchAnswer { position, results })).into_response()
}

impl ResultAnswer {
    fn of(done: &Done) -> Self {
        let status = if done.duplicate { "duplicate" } else { answer::status(done.outcome) };
        Self { status, id: Some(done.key.id), version: done.version.map(Version::get), problem: None }
    }

    fn rejected(problem: Problem) -> Self {
        Self { status: "rejected", id: None, version: None, problem: Some(problem) }
    }
}

/// Reads the data of a command.
///
/// # Errors
/// 400 with the path to what is wrong: `command`, or `data` and what follows it.
pub(crate) fn read(command: &str, data: Option<&RawValue>) -> Result<Intent, Problem> {
    match routes::command(command, text_of(data).as_bytes()) {
        Some(Ok(intent)) => Ok(intent),
        Some(Err(problem)) => {
            let inner = problem.extension("field").and_then(|field| field.as_str()).unwrap_or(".");
            let field = if inner == "." { "data".to_owned() } else { format!("data.{inner}") };
            Err(Problem::invalid_body(&field, problem.detail().to_owned()))
        }
        None => Err(Problem::invalid_body("command", "there is no such command")),
    }
}

/// Nothing said is an empty object.
fn text_of(data: Option<&RawValue>) -> &str {
    match data.map_or("{}", RawValue::get) {
        "null" => "{}",
        data => data,
    }
}

impl<'a> Envelope<'a> {
    /// A command about something, and nothing said besides.
    pub(crate) fn new(command: Text<'a>, id: Uuid, data: Option<&'a RawValue>) -> Self {
        Self {
            command,
            id: Some(id),
            idempotency_key: None,
            expected_version: None,
            base_version: None,
            on_conflict: None,
            on_behalf_of: None,
            occurred_at: None,
            source: None,
            data,
        }
    }

    /// The order that this command is.
    fn order(&self, index: usize, call: &BatchCall) -> Result<Order, Refusal> {
        let origin = &call.origin;
        let malformed = |member: &str, detail: &str| {
            let field = format!("commands[{index}].{member}");
            Refusal::Malformed { detail: format!("{field}: {detail}"), field }
        };
        let intent = read(&self.command.0, self.data).map_err(|problem| {
            let field = problem.extension("field").and_then(|field| field.as_str()).unwrap_or("data");
            let field = format!("commands[{index}].{field}");
            Refusal::Malformed { field, detail: problem.detail().to_owned() }
        })?;
        let name = |member: &str, text: &Option<Text<'_>>| match text {
            Some(Text(text)) if text.is_empty() || text.chars().count() > NAME_CHARS_MAX => {
                Err(malformed(member, &format!("1 to {NAME_CHARS_MAX} characters")))
            }
            text => Ok(text.as_ref().map(|text| text.0.clone().into_owned())),
        };
        let command = match &self.idempotency_key {
            Some(Text(key)) if is_key(key) => command_of_key(&origin.principal, key),
            Some(_) => return Err(malformed("idempotencyKey", "1 to 255 visible ASCII characters")),
            None => match &call.name {
                Some(name) => command_of_part(&name.command, index),
                None => command_id(),
            },
        };
        let occurred_at = match &self.occurred_at {
            Some(Text(text)) => Some(timestamp(text).ok_or_else(|| {
                malformed("occurredAt", "a time as RFC 3339 says, between the years 1678 and 2262")
            })?),
            None => None,
        };
        match (self.expected_version, self.base_version) {
            (Some(expected), Some(base)) if expected != base => {
                return Err(malformed("baseVersion", "expectedVersion says another version"));
            }
            (None, None) if self.on_conflict.is_some() => return Err(malformed(ON_CONFLICT, WITHOUT_BASE)),
            _ => {}
        }
        Ok(Order {
            target: self.id,
            intent,
            conditions: Conditions {
                expected_version: self.base().map(Version::new),
                on_conflict: self.on_conflict.unwrap_or_default(),
                ..Conditions::default()
            },
            command,
            fingerprint: self.fingerprint(text_of(self.data)),
            origin: Origin {
                on_behalf_of: name("onBehalfOf", &self.on_behalf_of)?,
                occurred_at,
                source: name("source", &self.source)?,
                ..origin.clone()
            },
        })
    }

    /// The version that its sender saw, by whichever name it is said.
    fn base(&self) -> Option<u64> {
        self.expected_version.or(self.base_version)
    }

    fn fingerprint(&self, data: &str) -> Fingerprint {
        fn bytes<'t>(text: &'t Option<Text<'_>>) -> &'t [u8] {
            text.as_ref().map_or(&[], |text| text.0.as_bytes())
        }
        let version = self.base().map(u64::to_le_bytes);
        let parts = [
            self.command.0.as_bytes(),
            self.id.as_ref().map_or(&[], |id| &id.as_bytes()[..]),
            data.as_bytes(),
            bytes(&self.on_behalf_of),
            bytes(&self.occurred_at),
            bytes(&self.source),
            version.as_ref().map_or(&[], |version| &version[..]),
            match self.on_conflict {
                None | Some(OnConflict::Reject) => b"reject",
                Some(OnConflict::Merge) => b"merge",
                Some(OnConflict::LastWriterWins) => b"last_writer_wins",
            },
        ];
        // Most commands demand no version; what they do not say is not hashed, so they keep the fingerprint that logs know.
        let said = match (version, self.on_conflict) {
            (None, _) => parts.len() - 2,
            (Some(_), None | Some(OnConflict::Reject)) => parts.len() - 1,
            (Some(_), Some(_)) => parts.len(),
        };
        Fingerprint::of(&parts[..said])
    }
}

/// A time as RFC 3339 says, if the log can keep it.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos()).ok().map(Timestamp::new)
}
