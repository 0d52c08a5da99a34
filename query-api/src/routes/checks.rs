//! `/projections/check`: this process's read models compared with the log, when an auditor asks for it.

use super::jobs::{JobState, Told, accepted};
use super::json;
use crate::audience::Audience;
use crate::checks::Asked;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::check_running;
use crate::rfc3339::Rfc3339;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use eventstore::{Position, Timestamp};
use projector::checker::{CheckFigures, Checked, Class, Finding, Scope};
use schemars::JsonSchema;
use serde::Serialize;

/// The smallest sample is of one item in so many.
pub(super) const ONE_IN_MAX: u64 = 1_000_000;
/// Findings of a projection that are told one by one.
const FINDINGS_TOLD: usize = 100;

/// How the check is that was asked for last.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    state: JobState,
    /// One item in so many is compared; 1 is everything.
    sample: Option<u32>,
    /// Decides which ones; with it the same sample can be had again.
    seed: Option<u64>,
    started_at: Option<Rfc3339>,
    /// How long it took.
    seconds: Option<f64>,
    /// Why it did not come to its end.
    failure: Option<String>,
    projections: Vec<CheckedProjection>,
}

/// What was found in one projection.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CheckedProjection {
    projection: &'static str,
    /// Where the comparison began.
    #[schemars(with = "u64")]
    position: Position,
    compared: u64,
    counts: FindingCounts,
    /// At most 100.
    findings: Vec<CheckFinding>,
}

/// How many things differ from what the log says.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(super) struct FindingCounts {
    missing: u64,
    stale: u64,
    duplicate: u64,
    orphaned: u64,
}

/// Something that differs from what the log says.
#[derive(Debug, Serialize, JsonSchema)]
struct CheckFinding {
    /// `missing`, `stale`, `duplicate` or `orphaned`.
    class: &'static str,
    /// What a repair has to name.
    entity: String,
    /// Which part of it, where that is not the thing itself.
    part: Option<String>,
    expected: Option<String>,
    actual: Option<String>,
}

/// The checks that go on by themselves.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OngoingChecks {
    passes: u64,
    compared: u64,
    findings: FindingCounts,
    last: Option<LastCheck>,
}

/// The last of them.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
struct LastCheck {
    at: Rfc3339,
    #[schemars(with = "u64")]
    position: Position,
    compared: u64,
    findings: FindingCounts,
    failure: Option<String>,
}

impl FindingCounts {
    fn of([missing, stale, duplicate, orphaned]: [u64; 4]) -> Self {
        Self { missing, stale, duplicate, orphaned }
    }
}

impl OngoingChecks {
    pub(super) fn of(figures: &CheckFigures) -> Self {
        let last = figures.last().map(|last| LastCheck {
            at: Rfc3339(last.at),
            position: last.position,
            compared: last.compared,
            findings: FindingCounts::of(last.counts),
            failure: last.failure,
        });
        Self {
            passes: figures.passes(),
            compared: figures.compared(),
            findings: FindingCounts::of(Class::ALL.map(|class| figures.findings(class))),
            last,
        }
    }
}

impl From<&Checked> for CheckedProjection {
    fn from(checked: &Checked) -> Self {
        Self {
            projection: checked.projection.as_str(),
            position: checked.position,
            compared: checked.compared,
            counts: FindingCounts::of(checked.counts),
            findings: checked.findings.iter().take(FINDINGS_TOLD).map(CheckFinding::from).collect(),
        }
    }
}

impl From<&Finding> for CheckFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            class: finding.class.as_str(),
            entity: finding.entity.to_string(),
            part: finding.part.clone(),
            expected: finding.expected.map(|digest| digest.to_string()),
            actual: finding.actual.map(|digest| digest.to_string()),
        }
    }
}

impl Check {
    fn of(asked: Option<&Asked>) -> Self {
        let Told { state, started_at, seconds, failure, found } = Told::of(asked);
        let (sample, seed) = match asked.map(|asked| &asked.about) {
            None => (None, None),
            Some(Scope::Sample { one_in, seed }) => (Some(*one_in), Some(*seed)),
            Some(_) => (Some(1), None),
        };
        let projections = found.into_iter().flatten().map(CheckedProjection::from).collect();
        Self { state, sample, seed, started_at, seconds, failure, projections }
    }
}

/// How the check is.
pub(super) async fn state(
    State(service): State<QueryService>,
    audience: Audience,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let freshness = parameters.finish()?;
    audience.reads_the_log()?;
    service.models_reach(&freshness).await?;
    let position = service.models().checkpoint();
    Ok(stamp(json(&Check::of(service.checks().asked().as_deref())), position))
}

/// Begins a check, unless one is going on.
pub(super) async fn begin(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let one_in = parameters.number("sample", 1..=ONE_IN_MAX)?.unwrap_or(1);
    let seed = parameters.number("seed", 0..=u64::MAX)?;
    let freshness = parameters.finish()?;
    audience.reads_the_log()?;
    service.models_reach(&freshness).await?;
    let position = service.models().checkpoint();
    let scope = match u32::try_from(one_in) {
        Ok(one_in) if one_in > 1 => {
            Scope::Sample { one_in, seed: seed.unwrap_or_else(|| Timestamp::now().get().unsigned_abs()) }
        }
        _ => Scope::All,
    };
    let checks = service.checks();
    let has_begun = checks.begin(scope, service.log().clone(), service.read_models().clone());
    accepted(has_begun, check_running, || Check::of(checks.asked().as_deref()), position)
}
