//! Decisions of a projector whose log is written in the same process.

use command_api::ProjectionControl;
use domain::system::projections::ControlEvent;
use http_kit::problem::Problem;
use projector::control::{DecisionError, Decisions};

/// Hands decisions to the command side, without HTTP.
#[derive(Debug)]
pub struct OwnDecisions {
    control: ProjectionControl,
}

impl OwnDecisions {
    /// To this command side.
    #[must_use]
    pub fn new(control: ProjectionControl) -> Self {
        Self { control }
    }
}

impl Decisions for OwnDecisions {
    fn write(&self, projection: &'static str, event: &ControlEvent) -> Result<(), DecisionError> {
        match self.control.append(projection, event.clone()) {
            Ok(_) => Ok(()),
            Err(problem) if problem.status().is_client_error() => {
                Err(DecisionError::Refused(reason(&problem)))
            }
            Err(problem) => Err(DecisionError::Unavailable(reason(&problem))),
        }
    }
}

/// A problem as one line.
pub(crate) fn reason(problem: &Problem) -> String {
    format!("{}: {}", problem.code(), problem.detail())
}
