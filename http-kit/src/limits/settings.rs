//! Every limit that can be set: its name, its meaning, its default.
//!
//! Invariant: one list gives the struct, the defaults, the names in the file (`[limits]`, kebab-case) and the
//! variables (`SUNDAY_LIMIT_` and the name in capitals). A value that cannot be used is an error, never passed over.

use super::network::Network;
use serde::{Deserialize, Deserializer};
use std::str::FromStr;
use std::time::Duration;

/// A time in seconds, whole or not. In the file a number, in a variable its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(Duration);

impl Seconds {
    /// So many seconds.
    #[must_use]
    pub const fn new(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The same time.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Seconds {
    fn from(time: Duration) -> Self {
        Self(time)
    }
}

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        // A year is for ever; more could not be added to a clock.
        if !(0.001..=31_536_000.0).contains(&seconds) {
            return Err(format!("{seconds}: seconds are a number from 0.001 to 31536000"));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
        Self::try_from(seconds)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::try_from(f64::deserialize(source)?).map_err(serde::de::Error::custom)
    }
}

/// Addresses and networks: in the file a list of texts, in a variable one text with commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Networks(pub Vec<Network>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(Network::from_str).collect::<Result<_, _>>().map(Self)
    }
}

/// The header in which trusted proxies say whom they speak for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl FromStr for ForwardedHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err(format!("{text:?} is neither x-forwarded-for nor forwarded")),
        }
    }
}

/// Why a variable cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct VariableError {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

macro_rules! settings {
    ($($(#[$doc:meta])+ $field:ident: $kind:ty = $default:expr, $variable:literal;)+) => {
        /// All limits that can be set. Numbers that limit a rate are off at 0.
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct LimitSettings {
            $($(#[$doc])+ pub $field: $kind,)+
        }

        impl Default for LimitSettings {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl LimitSettings {
            /// The variables that are looked at.
            pub const VARIABLES: &[&str] = &[$($variable),+];

            /// These settings with those that the process's variables say.
            ///
            /// # Errors
            /// When a variable is set to something that the setting cannot be.
            pub fn with_environment(self) -> Result<Self, VariableError> {
                self.with_variables(|name| std::env::var(name).ok())
            }

            /// These settings with those that variables say; `read` gives the value of a variable, if it is set.
            ///
            /// # Errors
            /// When a variable is set to something that the setting cannot be.
            pub fn with_variables(
                mut self,
                read: impl Fn(&'static str) -> Option<String>,
            ) -> Result<Self, VariableError> {
                $(if let Some(text) = read($variable) {
                    self.$field = text.trim().parse().map_err(|error: <$kind as FromStr>::Err| {
                        VariableError { name: $variable, reason: error.to_string() }
                    })?;
                })+
                Ok(self)
            }
        }
    };
}

settings! {
    /// Commands per second of one principal; a batch of 100 is 100 of them.
    principal_rate: u32 = 50_000, "SUNDAY_LIMIT_PRINCIPAL_RATE";
    /// Commands that a principal may send at once before the rate counts.
    principal_burst: u32 = 100_000, "SUNDAY_LIMIT_PRINCIPAL_BURST";
    /// Commands per second of one tenant, all of its principals together.
    tenant_rate: u32 = 100_000, "SUNDAY_LIMIT_TENANT_RATE";
    /// Commands that a tenant may send at once before the rate counts.
    tenant_burst: u32 = 200_000, "SUNDAY_LIMIT_TENANT_BURST";
    /// Commands per second of the development principal, who is alone on his machine: there is nobody to protect.
    local_rate: u32 = 0, "SUNDAY_LIMIT_LOCAL_RATE";
    /// Commands that the development principal may send at once before the rate counts.
    local_burst: u32 = 0, "SUNDAY_LIMIT_LOCAL_BURST";
    /// Refused tokens per second and address; beyond, only tokens that are known already are looked at.
    failure_rate: u32 = 10, "SUNDAY_LIMIT_FAILURE_RATE";
    /// Refused tokens of an address at once before the rate counts.
    failure_burst: u32 = 100, "SUNDAY_LIMIT_FAILURE_BURST";
    /// Proxies whose word about the client's address is taken.
    trusted_proxies: Networks = Networks::default(), "SUNDAY_LIMIT_TRUSTED_PROXIES";
    /// The header in which they say it.
    forwarded_header: ForwardedHeader = ForwardedHeader::XForwardedFor, "SUNDAY_LIMIT_FORWARDED_HEADER";
    /// Requests that a service works on at one time.
    places: u32 = 256, "SUNDAY_LIMIT_PLACES";
    /// Those of one tenant among them.
    places_per_tenant: u32 = 128, "SUNDAY_LIMIT_PLACES_PER_TENANT";
    /// Requests that wait for a place; the next ones are refused at once.
    waiting: u32 = 8_192, "SUNDAY_LIMIT_WAITING";
    /// Those of one tenant among them.
    waiting_per_tenant: u32 = 4_096, "SUNDAY_LIMIT_WAITING_PER_TENANT";
    /// Connections of one server; beyond, the one that is idle the longest is closed, or the new one waits.
    connections: u32 = 10_240, "SUNDAY_LIMIT_CONNECTIONS";
    /// Connections of one address (IPv6: of one /64), this machine and trusted proxies excepted.
    connections_per_address: u32 = 1_024, "SUNDAY_LIMIT_CONNECTIONS_PER_ADDRESS";
    /// The time that the head of a request may take from its first byte on.
    head_seconds: Seconds = Seconds::new(10), "SUNDAY_LIMIT_HEAD_SECONDS";
    /// The time that a connection may be idle between two requests.
    idle_seconds: Seconds = Seconds::new(75), "SUNDAY_LIMIT_IDLE_SECONDS";
    /// The time that a client may take nothing of an answer.
    write_seconds: Seconds = Seconds::new(30), "SUNDAY_LIMIT_WRITE_SECONDS";
    /// The length of a request's head, bytes.
    head_bytes: u32 = 32_768, "SUNDAY_LIMIT_HEAD_BYTES";
    /// The number of headers of a request.
    headers: u32 = 100, "SUNDAY_LIMIT_HEADERS";
    /// MiB that the bodies of all requests under way may take together, beyond the first 64 KiB of each.
    body_memory: u32 = 512, "SUNDAY_LIMIT_BODY_MEMORY";
    /// The time that a body may take in all.
    body_seconds: Seconds = Seconds::new(60), "SUNDAY_LIMIT_BODY_SECONDS";
    /// The time that a body may take before its rate counts.
    body_grace_seconds: Seconds = Seconds::new(10), "SUNDAY_LIMIT_BODY_GRACE_SECONDS";
    /// The slowest rate of a body, bytes per second.
    body_rate: u32 = 16_384, "SUNDAY_LIMIT_BODY_RATE";
    /// The time that a request may take in all.
    request_seconds: Seconds = Seconds::new(120), "SUNDAY_LIMIT_REQUEST_SECONDS";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_variables_say_the_same_names() {
        let file: LimitSettings = toml::from_str(
            "principal-rate = 5\nhead-seconds = 0.5\ntrusted-proxies = [\"10.0.0.0/8\", \"::1\"]\n\
             forwarded-header = \"forwarded\"",
        )
        .unwrap();
        let variables = LimitSettings::default()
            .with_variables(|name| {
                let value = match name {
                    "SUNDAY_LIMIT_PRINCIPAL_RATE" => "5",
                    "SUNDAY_LIMIT_HEAD_SECONDS" => " 0.5 ",
                    "SUNDAY_LIMIT_TRUSTED_PROXIES" => "10.0.0.0/8, ::1",
                    "SUNDAY_LIMIT_FORWARDED_HEADER" => "forwarded",
                    _ => return None,
                };
                Some(value.to_owned())
            })
            .unwrap();
        assert_eq!(file, variables);
        assert_eq!(file.head_seconds.get(), Duration::from_millis(500));
        assert_eq!(file.tenant_rate, LimitSettings::default().tenant_rate);
    }

    #[test]
    fn every_variable_is_the_name_in_the_file() {
        for variable in LimitSettings::VARIABLES {
            let name = variable.strip_prefix("SUNDAY_LIMIT_").unwrap().to_lowercase().replace('_', "-");
            // A value of no kind that there is: the refusal has to be about the value and not about the name.
            let error = toml::from_str::<LimitSettings>(&format!("{name} = 1979-05-27")).unwrap_err();
            assert!(!error.message().contains("unknown field"), "{name}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error() {
        for text in ["principal-rat = 1", "head-seconds = 0", "headers = -1", "trusted-proxies = [\"here\"]"]
        {
            assert!(toml::from_str::<LimitSettings>(text).is_err(), "{text}");
        }
        for (name, value) in [
            ("SUNDAY_LIMIT_HEADERS", "many"),
            ("SUNDAY_LIMIT_IDLE_SECONDS", "nan"),
            ("SUNDAY_LIMIT_TRUSTED_PROXIES", "10.0.0.0/33"),
            ("SUNDAY_LIMIT_FORWARDED_HEADER", "via"),
        ] {
            let read = |asked: &'static str| (asked == name).then(|| value.to_owned());
            let error = LimitSettings::default().with_variables(read).unwrap_err();
            assert_eq!(error.name, name, "{error}");
        }
    }
}
