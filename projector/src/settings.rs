//! What the projector's process takes from the settings file that all roles share.
//!
//! Invariant: a file that was asked for and cannot be used is an error; so is a setting in it that nobody knows.
//! The other roles' settings are known by name and passed over.

use clap::ValueEnum;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::{Path, PathBuf};

/// The file's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) check_every: Option<u64>,
    pub(crate) check_sample: Option<u32>,
    #[serde(rename = "command-addr")]
    _command_addr: Option<IgnoredAny>,
    #[serde(rename = "query-addr")]
    _query_addr: Option<IgnoredAny>,
    #[serde(rename = "otlp-endpoint")]
    _otlp_endpoint: Option<IgnoredAny>,
    #[serde(rename = "auth")]
    _auth: Option<IgnoredAny>,
    #[serde(rename = "limits")]
    _limits: Option<IgnoredAny>,
    #[serde(rename = "snapshot-every")]
    _snapshot_every: Option<IgnoredAny>,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Why the settings file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
}

impl Settings {
    /// Reads a file; without one, every setting is its default.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = file else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: path.into(), source })?;
        toml::from_str(&text)
            .map_err(|source| SettingsError::Parse { path: path.into(), source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_file_is_read_and_a_misspelt_setting_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sunday.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Settings::load(Some(&path))
        };
        let settings =
            read("data-dir = \"/d\"\nquery-addr = \"127.0.0.1:1\"\nlog-format = \"json\"\ncheck-every = 0")
                .unwrap();
        assert_eq!((settings.data_dir, settings.log_format), (Some("/d".into()), Some(LogFormat::Json)));
        assert_eq!((settings.check_every, settings.check_sample), (Some(0), None));
        let of_others = "otlp-endpoint = \"http://c\"\nsnapshot-every = 5\n[auth]\nissuer = \"i\"\n[limits]\nconnections = 5";
        assert!(read(of_others).is_ok());
        assert!(matches!(read("data_dir = \"/d\""), Err(SettingsError::Parse { .. })));
        assert!(Settings::load(None).unwrap().data_dir.is_none());
    }
}
