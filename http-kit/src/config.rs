//! Settings in layers: flags, then `SUNDAY_*` variables (both by the command line's parser), then a TOML file.
//!
//! Invariant: a file that was asked for and cannot be used is an error, never passed over; so is a setting
//! in it that nobody knows.

use crate::auth::AuthSettings;
use crate::limits::LimitSettings;
use crate::telemetry::LogFormat;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file's settings, shared by all roles so that one file serves them all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Directory of the log and everything derived from it.
    pub data_dir: Option<PathBuf>,
    /// Address of the command API.
    pub command_addr: Option<SocketAddr>,
    /// Address of the query API.
    pub query_addr: Option<SocketAddr>,
    /// Events after which a state is kept in a snapshot; 0 keeps none.
    pub snapshot_every: Option<u64>,
    /// Shape of the log lines.
    pub log_format: Option<LogFormat>,
    /// Seconds between two checks of a sample of the projections; 0 checks none.
    pub check_every: Option<u64>,
    /// Such a sample is of one item in so many.
    pub check_sample: Option<u32>,
    /// Mebibytes of the log that are verified a second in the background; 0 for none.
    pub scrub_mib_per_second: Option<u64>,
    /// What clients may take: the table `[limits]`.
    pub limits: LimitSettings,
    /// Base URL of a collector of traces (OTLP over HTTP).
    pub otlp_endpoint: Option<String>,
    /// Whose tokens the command API takes.
    pub auth: AuthSettings,
}

/// Why a settings file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It is not TOML, or has a setting that is not known or of the wrong kind.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
}

/// Reads a settings file; without one, every setting is its default.
///
/// # Errors
/// When the file cannot be read or understood.
pub fn load<T: DeserializeOwned + Default>(file: Option<&Path>) -> Result<T, ConfigError> {
    let Some(path) = file else { return Ok(T::default()) };
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sunday.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path))
    }

    #[test]
    fn a_file_gives_what_it_says_and_nothing_else() {
        let settings =
            read("data-dir = \"/d\"\ncommand-addr = \"127.0.0.1:1\"\nlog-format = \"json\"").unwrap();
        assert_eq!(settings.data_dir, Some("/d".into()));
        assert_eq!(settings.command_addr, Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(settings.log_format, Some(LogFormat::Json));
        assert_eq!(settings.query_addr, None);
        let settings = read("[auth]\nissuer = \"https://issuer.example\"\nleeway-seconds = 5").unwrap();
        assert_eq!(settings.auth.issuer.as_deref(), Some("https://issuer.example"));
        assert_eq!(settings.auth.leeway_seconds, Some(5));
        assert_eq!(load::<Settings>(None).unwrap(), Settings::default());
    }

    #[test]
    fn what_cannot_be_used_is_an_error() {
        assert!(matches!(read("data-dri = \"/d\""), Err(ConfigError::Parse { .. })));
        assert!(matches!(read("command-addr = \"here\""), Err(ConfigError::Parse { .. })));
        assert!(matches!(read("[auth]\nisuer = \"x\""), Err(ConfigError::Parse { .. })));
        assert!(matches!(load::<Settings>(Some(Path::new("/no/such/file"))), Err(ConfigError::Read { .. })));
    }
}
