//! What the command line and variables say of a notary, for every program that runs one.

use super::NotaryOptions;
use clap::Args;
use eventstore::transparency::{KeyName, Policy};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Flags and variables of the transparency log.
#[derive(Debug, Clone, Default, Args)]
pub struct AuditArguments {
    /// Name of the log in its checkpoints, when its key is made, such as audit.example.com/sunday [default: sunday/<store UUID>]
    #[arg(long, env = "SUNDAY_AUDIT_ORIGIN", value_name = "NAME")]
    audit_origin: Option<String>,
    /// Milliseconds between two checkpoints at least [default: 250]
    #[arg(long, env = "SUNDAY_CHECKPOINT_INTERVAL_MS", value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    checkpoint_interval_ms: Option<u64>,
    /// File with the witnesses to ask and how many have to cosign (C2SP tlog-policy)
    #[arg(long, env = "SUNDAY_WITNESS_POLICY", value_name = "FILE")]
    witness_policy: Option<PathBuf>,
}

impl AuditArguments {
    /// What they come to.
    ///
    /// # Errors
    /// What is wrong with them, in a sentence.
    pub fn options(&self) -> Result<NotaryOptions, String> {
        let mut options = NotaryOptions::default();
        if let Some(origin) = &self.audit_origin {
            options.origin = Some(KeyName::new(origin).map_err(|error| format!("--audit-origin: {error}"))?);
        }
        if let Some(interval) = self.checkpoint_interval_ms {
            options.interval = Duration::from_millis(interval);
        }
        if let Some(path) = &self.witness_policy {
            let said =
                |error: &dyn std::fmt::Display| format!("--witness-policy {}: {error}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| said(&error))?;
            let policy: Policy = text.parse().map_err(|error| said(&error))?;
            options.policy = Arc::new(policy);
        }
        Ok(options)
    }
}
