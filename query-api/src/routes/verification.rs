//! `/audit/verify`: everything that the data directory holds verified in the background, when an auditor asks for it.

use super::checks::ONE_IN_MAX;
use super::jobs::{JobState, Told, accepted};
use super::json;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::verification_running;
use crate::rfc3339::Rfc3339;
use crate::service::QueryService;
use crate::verification::Asked;
use axum::extract::State;
use axum::response::Response;
use eventstore::verify::Finding;
use eventstore::{Position, TreeSize};
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
    state: JobState,
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

impl Verification {
    fn of(asked: Option<&Asked>) -> Self {
        let Told { state, started_at, seconds, failure, found } = Told::of(asked);
        let running = asked.filter(|_| state == JobState::Running);
        let (done, total) = running.map(|asked| asked.about.get()).unzip();
        Self { state, started_at, done, total, seconds, failure, report: found.map(VerificationReport::from) }
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
    Ok(stamp(json(&Verification::of(service.verifications().asked().as_deref())), position))
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
    let has_begun = verifications.begin(service.data_dir().to_owned(), options);
    accepted(has_begun, verification_running, || Verification::of(verifications.asked().as_deref()), position)
}
