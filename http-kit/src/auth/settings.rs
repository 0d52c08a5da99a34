//! What an operator says about tokens: flags `--auth-…`, variables `SUNDAY_AUTH_…`, and the table `[auth]` of the file.
//!
//! Invariant: configured is all or nothing. Half a configuration is an error that says what is missing, never a server
//! that is more open than its operator thinks.

use super::Protection;
use clap::Args;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Most that clocks may differ.
const LEEWAY_MAX_S: u64 = 30;
const LEEWAY_DEFAULT_S: u64 = 30;
const REFRESH_DEFAULT_S: u64 = 300;
const UNKNOWN_KEY_DEFAULT_S: u64 = 30;
const LIFETIME_DEFAULT_S: u64 = 24 * 60 * 60;

/// The settings as they stand on the command line, in variables, and in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Authentication")]
pub struct AuthSettings {
    /// Whose tokens are taken: their claim `iss`
    #[arg(id = "auth_issuer", long = "auth-issuer", value_name = "URL", env = "SUNDAY_AUTH_ISSUER")]
    pub issuer: Option<String>,
    /// Whom tokens must be for: in their claim `aud`
    #[arg(id = "auth_audience", long = "auth-audience", value_name = "NAME", env = "SUNDAY_AUTH_AUDIENCE")]
    pub audience: Option<String>,
    /// The issuer's public keys (JWKS): a file, or an https URL; http only to this machine
    #[arg(id = "auth_jwks", long = "auth-jwks", value_name = "FILE|URL", env = "SUNDAY_AUTH_JWKS")]
    pub jwks: Option<String>,
    /// How far clocks may differ [default: 30, at most 30]
    #[arg(
        id = "auth_leeway_seconds",
        long = "auth-leeway-seconds",
        value_name = "N",
        env = "SUNDAY_AUTH_LEEWAY_SECONDS"
    )]
    pub leeway_seconds: Option<u64>,
    /// How often the keys are read again [default: 300]
    #[arg(
        id = "auth_refresh_seconds",
        long = "auth-refresh-seconds",
        value_name = "N",
        env = "SUNDAY_AUTH_REFRESH_SECONDS"
    )]
    pub refresh_seconds: Option<u64>,
    /// Shortest time between two readings for keys that are not known [default: 30]
    #[arg(
        id = "auth_unknown_key_seconds",
        long = "auth-unknown-key-seconds",
        value_name = "N",
        env = "SUNDAY_AUTH_UNKNOWN_KEY_SECONDS"
    )]
    pub unknown_key_seconds: Option<u64>,
    /// Longest that a token may live [default: 86400]
    #[arg(
        id = "auth_max_lifetime_seconds",
        long = "auth-max-lifetime-seconds",
        value_name = "N",
        env = "SUNDAY_AUTH_MAX_LIFETIME_SECONDS"
    )]
    pub max_lifetime_seconds: Option<u64>,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// Some of it is there, and some that it needs is not.
    #[error(
        "authentication is configured in part: there is no {missing} (--auth-{missing}, \
         SUNDAY_AUTH_{}, or `{missing}` in the table [auth]); set issuer, audience and jwks, or none of them",
        missing.to_uppercase()
    )]
    Missing {
        /// The setting that is missing.
        missing: &'static str,
    },
    /// A number is too small or too large.
    #[error("auth-{setting} is {value}: it is {from} to {to}")]
    Range {
        /// The setting.
        setting: &'static str,
        /// What it says.
        value: u64,
        /// The smallest.
        from: u64,
        /// The largest.
        to: u64,
    },
    /// The keys are nowhere.
    #[error("auth-jwks is {url}: {reason}")]
    Jwks {
        /// What it says.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What tokens have to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The claim `iss`.
    pub issuer: String,
    /// What has to be among `aud`.
    pub audience: String,
    /// Where the issuer's keys are.
    pub jwks: Jwks,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// How often the keys are read again.
    pub refresh: Duration,
    /// Shortest time between two readings for unknown keys.
    pub unknown_key_floor: Duration,
    /// Longest that a token may live.
    pub lifetime_max: Duration,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jwks {
    /// In a file, which is read again when it changes.
    File(PathBuf),
    /// Behind a URL.
    Url(axum::http::Uri),
}

/// What follows from the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Tokens of an issuer.
    Tokens(Rules),
    /// Nothing is configured: the development token.
    Development,
}

impl AuthSettings {
    /// These, and where they say nothing, those.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let text = |one: Option<String>, other: &Option<String>| one.or_else(|| other.clone());
        Self {
            issuer: text(self.issuer, &other.issuer),
            audience: text(self.audience, &other.audience),
            jwks: text(self.jwks, &other.jwks),
            leeway_seconds: self.leeway_seconds.or(other.leeway_seconds),
            refresh_seconds: self.refresh_seconds.or(other.refresh_seconds),
            unknown_key_seconds: self.unknown_key_seconds.or(other.unknown_key_seconds),
            max_lifetime_seconds: self.max_lifetime_seconds.or(other.max_lifetime_seconds),
        }
    }

    /// What they ask for.
    ///
    /// # Errors
    /// When they are incomplete or contradict themselves.
    pub fn plan(self) -> Result<Plan, SettingsError> {
        if self == Self::default() {
            return Ok(Plan::Development);
        }
        // A variable that is set to nothing is one that somebody forgot to fill in.
        let required = |value: Option<String>, missing| {
            value.filter(|value| !value.trim().is_empty()).ok_or(SettingsError::Missing { missing })
        };
        let seconds = |setting, value: Option<u64>, default, from, to| {
            let value = value.unwrap_or(default);
            if (from..=to).contains(&value) {
                Ok(Duration::from_secs(value))
            } else {
                Err(SettingsError::Range { setting, value, from, to })
            }
        };
        const DAY_S: u64 = 24 * 60 * 60;
        Ok(Plan::Tokens(Rules {
            issuer: required(self.issuer, "issuer")?,
            audience: required(self.audience, "audience")?,
            jwks: Jwks::parse(&required(self.jwks, "jwks")?)?,
            leeway: seconds("leeway-seconds", self.leeway_seconds, LEEWAY_DEFAULT_S, 0, LEEWAY_MAX_S)?,
            refresh: seconds("refresh-seconds", self.refresh_seconds, REFRESH_DEFAULT_S, 1, DAY_S)?,
            unknown_key_floor: seconds(
                "unknown-key-seconds",
                self.unknown_key_seconds,
                UNKNOWN_KEY_DEFAULT_S,
                1,
                DAY_S,
            )?,
            lifetime_max: seconds(
                "max-lifetime-seconds",
                self.max_lifetime_seconds,
                LIFETIME_DEFAULT_S,
                1,
                3650 * DAY_S,
            )?,
        }))
    }
}

impl Jwks {
    fn parse(text: &str) -> Result<Self, SettingsError> {
        let text = text.trim();
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let wrong = |reason| SettingsError::Jwks { url: text.to_owned(), reason };
        let uri: axum::http::Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            // Without what stands before the @, which may be a password.
            return Err(SettingsError::Jwks {
                url: uri.path().to_owned(),
                reason: "a URL of keys has a host and no user",
            });
        }
        let is_local = host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => Ok(Self::Url(uri)),
            Some("http") if is_local => Ok(Self::Url(uri)),
            Some("http") => {
                Err(wrong("whoever is on the way could replace the keys: use https, or http to this machine"))
            }
            _ => Err(wrong("it is a file, or a URL that begins with https://")),
        }
    }
}

impl Plan {
    /// What keeps strangers out under this plan.
    #[must_use]
    pub fn protection(&self) -> Protection {
        match self {
            Self::Tokens(_) => Protection::Tokens,
            Self::Development => Protection::Development,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> AuthSettings {
        AuthSettings {
            issuer: Some("https://issuer.example".into()),
            audience: Some("sunday".into()),
            jwks: Some("https://issuer.example/jwks.json".into()),
            ..AuthSettings::default()
        }
    }

    #[test]
    fn half_a_configuration_says_what_is_missing() {
        assert_eq!(AuthSettings::default().plan(), Ok(Plan::Development));
        assert!(matches!(whole().plan(), Ok(Plan::Tokens(_))));
        let missing = |settings: AuthSettings| settings.plan().unwrap_err().to_string();
        assert!(missing(AuthSettings { issuer: None, ..whole() }).contains("SUNDAY_AUTH_ISSUER"));
        assert!(missing(AuthSettings { audience: Some(" ".into()), ..whole() }).contains("--auth-audience"));
        assert!(missing(AuthSettings { jwks: None, ..whole() }).contains("no jwks"));
        let only_leeway = AuthSettings { leeway_seconds: Some(5), ..AuthSettings::default() };
        assert!(missing(only_leeway).contains("no issuer"), "whoever sets it thinks that there is an issuer");
    }

    #[test]
    fn numbers_and_places_of_keys_have_limits() {
        let leeway = AuthSettings { leeway_seconds: Some(31), ..whole() };
        assert!(matches!(leeway.plan(), Err(SettingsError::Range { setting: "leeway-seconds", .. })));
        let floor = AuthSettings { unknown_key_seconds: Some(0), ..whole() };
        assert!(matches!(floor.plan(), Err(SettingsError::Range { .. })));
        for good in
            ["keys.json", "/etc/keys.json", "https://a.example/k", "http://127.0.0.1:1/k", "http://[::1]:1/k"]
        {
            let plan = AuthSettings { jwks: Some(good.into()), ..whole() }.plan();
            assert!(plan.is_ok(), "{good}: {plan:?}");
        }
        for bad in ["http://a.example/k", "ftp://a.example/k", "https://", "https://user:secret@a.example/k"]
        {
            let error = AuthSettings { jwks: Some(bad.into()), ..whole() }.plan().unwrap_err();
            assert!(matches!(error, SettingsError::Jwks { .. }), "{bad}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn what_comes_first_wins_setting_by_setting() {
        let flags = AuthSettings { issuer: Some("flag".into()), ..AuthSettings::default() };
        let both = flags.or(&whole());
        assert_eq!(both.issuer.as_deref(), Some("flag"));
        assert_eq!(both.audience.as_deref(), Some("sunday"));
    }
}
