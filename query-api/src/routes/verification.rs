//! `/audit/verify`: everything that the data directory holds verified in the background, when an auditor asks for it.

use super::checks::ONE_IN_MAX;
use super::{json, written};
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::verification_running;
use crate::rfc3339::Rfc3339;
use crate::service::QueryService;
use crate::verification::Verification as Asked;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use eventstore::verify::Finding;
use eventstore::{Position, TreeSize};
use http_kit::json::APPLICATION_JSON;
use http_kit::problem::Problem;
use projector::audit::{Audit, AuditOptions};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Findings that are told one by one.
const FINDINGS_TOLD: usize = 1_000;
/// What may be left out.
pub(super) const LOG_ONLY: [(&str, bool); 2] = [("true", true), ("false", false)];

/// How the verification is that was asked for last.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verification {
    state: VerificationState,
    started_at: Option<Rfc3339>,
    /// Bytes of the log that were looked at so far, while it goes on.
    done: Option<u64>,
    /// Bytes of the log.
    total: Option<u64>,
    /// How long it took.
    seconds: Option<f64>,
    /// Why it did not come to its end.
    failure: Option<String>,
    report: Option<VerificationReport>,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum VerificationState {
    Idle,
    Running,
    Done,
    Failed,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct VerificationReport {
    /// Whether there is nothing but warnings.
    intact: bool,
    /// The exit code that `sunday verify` would have ended with.
    exit: u8,
    events: u64,
    segments: u64,
    bytes: u64,
    /// The next position after what was read.
    #[schemars(with = "u64")]
    next: Position,
    /// Chain head there.
    chain: String,
    /// Checkpoints that the log leads to.
    checkpoints_proven: u64,
    /// Events that the newest of them covers.
    #[schemars(with = "Option<u64>")]
    covered: Option<TreeSize>,
    /// All findings by class.
    counts: BTreeMap<&'static str, u64>,
    /// At most 1,000.
    findings: Vec<VerificationFinding>,
    /// What was not checked, in sentences.
    unchecked: Vec<String>,
}

/// One thing that is not as it should be.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct VerificationFinding {
    class: &'static str,
    severity: &'static str,
    /// The file below the data directory, when it is not a segment of the log.
    file: Option<String>,
    /// Number of the segment, when it is one.
    segment: Option<u32>,
    /// In the file, bytes.
    offset: u64,
    #[schemars(with = "u64")]
    position: Position,
    stream: Option<String>,
    message: String,
    expected: Option<String>,
    actual: Option<String>,
}

impl From<&Finding> for VerificationFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            class: finding.class.name(),
            severity: finding.severity.name(),
            file: finding.file.clone(),
            segment: finding.file.is_none().then_some(finding.segment),
            offset: finding.offset,
            position: finding.position,
            stream: finding.stream.clone(),
            message: finding.message.clone(),
            expected: finding.expected.clone(),
            actual: finding.actual.clone(),
        }
    }
}

impl From<&Audit> for VerificationReport {
    fn from(audit: &Audit) -> Self {
        Self {
            intact: audit.intact,
            exit: audit.exit,
            events: audit.log.events,
            segments: audit.log.segments,
            bytes: audit.log.bytes,
            next: audit.log.next,
            chain: audit.log.chain.to_string(),
            checkpoints_proven: audit.checkpoints.proven,
            covered: audit.checkpoints.newest,
            counts: audit.counts.clone(),
            findings: audit.log.findings.iter().take(FINDINGS_TOLD).map(VerificationFinding::from).collect(),
            unchecked: audit.unchecked.clone(),
        }
    }
}

impl From<Asked> for Verification {
    fn from(asked: Asked) -> Self {
        let idle = Self {
            state: VerificationState::Idle,
            started_at: None,
            done: None,
            total: None,
            seconds: None,
            failure: None,
            report: None,
        };
        match asked {
            Asked::Never => idle,
            Asked::Running { began, done, total } => Self {
                state: VerificationState::Running,
                started_at: Some(Rfc3339(began)),
                done: Some(done),
                total: Some(total),
                ..idle
            },
            Asked::Ended { began, took, outcome } => {
                let ended =
                    Self { started_at: Some(Rfc3339(began)), seconds: Some(took.as_secs_f64()), ..idle };
                match &*outcome {
                    Ok(audit) => {
                        let report = Some(VerificationReport::from(audit));
                        Self { state: VerificationState::Done, report, ..ended }
                    }
                    Err(failure) => {
                        Self { state: VerificationState::Failed, failure: Some(failure.clone()), ..ended }
                    }
                }
            }
        }
    }
}

/// How the verification is.
pub(super) async fn state(
    State(service): State<QueryService>,
    audience: Audience,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let freshness = parameters.finish()?;
    audience.reads_the_log()?;
    service.log_reaches(&freshness).await?;
    let position = service.log().watermark();
    Ok(stamp(json(&Verification::from(service.verifications().asked())), position))
}

/// Begins a verification, unless one is going on.
pub(super) async fn begin(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let one_in = parameters.number("sample", 1..=ONE_IN_MAX)?.unwrap_or(1);
    let log_only = parameters.choice("logOnly", &LOG_ONLY)?.unwrap_or(false);
    let freshness = parameters.finish()?;
    audience.reads_the_log()?;
    service.log_reaches(&freshness).await?;
    let position = service.log().watermark();
    let one_in = u32::try_from(one_in).unwrap_or(u32::MAX);
    let options = AuditOptions { one_in, log_only, threads: 1, ..AuditOptions::default() };
    let verifications = service.verifications();
    match verifications.begin(service.data_dir().to_owned(), options) {
        Ok(true) => {}
        Ok(false) => return Err(verification_running().into()),
        Err(error) => {
            tracing::error!(%error, "no thread for a verification");
            return Err(Problem::internal().into());
        }
    }
    let mut response = Response::new(Body::from(written(&Verification::from(verifications.asked()))?));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(APPLICATION_JSON));
    Ok(stamp(response, position))
}
