//! From a token's text to a principal: signature, claims, and what was verified before.
//!
//! Invariant: the algorithm is the key's, never the token's: a header that says another is refused before anything is
//! computed. Claims are looked at only below a good signature.

use super::cache::{Cache, Digest};
use super::challenge::Refused;
use super::keys::{Keys, KeysError};
use super::principal::{Principal, Scopes, Tenants};
use super::settings::Rules;
use crate::metrics::Metrics;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Longest token, bytes.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Tokens whose verification is remembered.
const TOKENS_MAX: usize = 100_000;

/// How long a verification is remembered at most.
const REMEMBERED_MAX_S: u64 = 10 * 60;

/// Longest claim `sub`, characters.
const SUBJECT_CHARS_MAX: usize = 200;

/// Verifies tokens of one issuer. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Verifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Keys,
    cache: Cache,
    leeway_s: u64,
    lifetime_max_s: u64,
    eddsa: Validation,
    es256: Validation,
    verified: AtomicU64,
    refused: AtomicU64,
}

/// A claim that is one text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

/// The claims that make a principal. `iss`, `aud`, `exp` and `nbf` have been checked before, as RFC 7519 says.
#[derive(Debug, Deserialize)]
struct Claims {
    /// A text, though RFC 7519's checks would take a list too.
    #[serde(rename = "iss")]
    _iss: String,
    sub: String,
    exp: f64,
    iat: Option<f64>,
    scope: Option<Texts>,
    scp: Option<Texts>,
    tenant: Option<Texts>,
}

impl Verifier {
    pub(super) async fn open(rules: Rules) -> Result<Self, KeysError> {
        let keys = Keys::open(&rules).await?;
        let validation = |algorithm| {
            let mut validation = Validation::new(algorithm);
            validation.leeway = rules.leeway.as_secs();
            validation.validate_nbf = true;
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation.set_issuer(&[&rules.issuer]);
            validation.set_audience(&[&rules.audience]);
            validation
        };
        Ok(Self(Arc::new(Inner {
            keys,
            cache: Cache::new(TOKENS_MAX),
            leeway_s: rules.leeway.as_secs(),
            lifetime_max_s: rules.lifetime_max.as_secs(),
            eddsa: validation(Algorithm::EdDSA),
            es256: validation(Algorithm::ES256),
            verified: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })))
    }

    /// Who holds a token.
    pub(super) async fn principal(&self, token: &str) -> Result<Principal, Refused> {
        let principal = self.0.principal(token).await;
        if principal.is_err() {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        principal
    }

    /// Whether a token was verified before, and still counts.
    pub(super) fn knows(&self, token: &str) -> bool {
        token.len() <= TOKEN_BYTES_MAX && self.0.remembered(digest(token), now_s()).is_some()
    }

    /// Adds figures to a registry.
    pub(super) fn figures(&self, metrics: &Metrics) {
        let read = |figure: fn(&Inner) -> u64| {
            let inner = Arc::clone(&self.0);
            #[expect(clippy::cast_precision_loss, reason = "a figure may be off by a part in 2^53")]
            move || figure(&inner) as f64
        };
        metrics.counter("sunday_auth_refused_total", "Tokens that were refused.", {
            read(|inner| inner.refused.load(Ordering::Relaxed))
        });
        metrics.counter("sunday_auth_verified_total", "Signatures that were checked and good.", {
            read(|inner| inner.verified.load(Ordering::Relaxed))
        });
        metrics.gauge("sunday_auth_cached_tokens", "Tokens whose verification is remembered.", {
            read(|inner| inner.cache.len() as u64)
        });
        metrics.gauge(
            "sunday_auth_keys",
            "Usable keys of the issuer.",
            read(|inner| inner.keys.len() as u64),
        );
        metrics.counter("sunday_auth_key_failures_total", "Readings of the issuer's keys that failed.", {
            read(|inner| inner.keys.failures())
        });
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> &Keys {
        &self.0.keys
    }
}

impl Inner {
    async fn principal(&self, token: &str) -> Result<Principal, Refused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        let (digest, now_s) = (digest(token), now_s());
        if let Some(principal) = self.remembered(digest, now_s) {
            return Ok(principal);
        }
        let header = decode_header(token).map_err(|_| Refused::Malformed)?;
        check(&header)?;
        let found = self.keys.find(header.kid.as_deref()).await;
        let (key, edition) = found.ok_or(Refused::UnknownKey)?;
        if key.algorithm != header.alg {
            return Err(Refused::ForeignAlgorithm);
        }
        let validation = if key.algorithm == Algorithm::ES256 { &self.es256 } else { &self.eddsa };
        let claims =
            decode::<Claims>(token, &key.decoding, validation).map_err(|error| refused(error.kind()))?.claims;
        let (principal, expires_s) = self.accept(claims, now_s)?;
        self.verified.fetch_add(1, Ordering::Relaxed);
        let until_s = expires_s.saturating_add(self.leeway_s).min(now_s + REMEMBERED_MAX_S);
        let principal = principal.until(until_s);
        self.cache.put(digest, edition, until_s, principal.clone());
        Ok(principal)
    }

    fn remembered(&self, digest: Digest, now_s: u64) -> Option<Principal> {
        self.cache.get(digest, self.keys.edition(), now_s)
    }

    /// The principal of claims that are the issuer's, and when they expire.
    fn accept(&self, claims: Claims, now_s: u64) -> Result<(Principal, u64), Refused> {
        // Below 2⁵³ exact, and beyond it too long in any case.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, which is right"
        )]
        let seconds = |value: f64| value.max(0.0) as u64;
        let expires_s = seconds(claims.exp);
        let lives_on_s = expires_s.saturating_sub(now_s.saturating_add(self.leeway_s));
        let lives_s = claims.iat.map_or(0, |iat| expires_s.saturating_sub(seconds(iat)));
        if lives_on_s.max(lives_s) > self.lifetime_max_s {
            return Err(Refused::LivesTooLong);
        }
        let chars = claims.sub.chars().count();
        if !(1..=SUBJECT_CHARS_MAX).contains(&chars) || claims.sub.chars().any(char::is_control) {
            return Err(Refused::Subject);
        }
        let scopes = [claims.scope, claims.scp].into_iter().flatten().fold(
            Scopes::default(),
            |sum, texts| match texts {
                Texts::One(text) => sum.and(Scopes::parse(&text)),
                Texts::Many(texts) => texts.iter().fold(sum, |sum, text| sum.and(Scopes::parse(text))),
            },
        );
        let tenant = |text: &str| Uuid::try_parse(text).map_err(|_| Refused::Tenant);
        let tenants = match claims.tenant {
            // Nothing may be touched.
            None => Tenants::These(Arc::default()),
            Some(Texts::One(text)) if text == "*" => Tenants::All,
            Some(Texts::One(text)) => Tenants::These([tenant(&text)?].into()),
            Some(Texts::Many(texts)) => {
                Tenants::These(texts.iter().map(|text| tenant(text)).collect::<Result<_, _>>()?)
            }
        };
        Ok((Principal::new(claims.sub, tenants, scopes), expires_s))
    }
}

fn digest(token: &str) -> Digest {
    Digest(Sha256::digest(token).into())
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn check(header: &Header) -> Result<(), Refused> {
    if header.crit.is_some() {
        return Err(Refused::Critical);
    }
    let is_jwt = header.typ.as_deref().is_none_or(|typ| {
        // RFC 7515, 4.1.9: the prefix may be left out.
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
    });
    if is_jwt { Ok(()) } else { Err(Refused::ForeignType) }
}

fn refused(kind: &ErrorKind) -> Refused {
    match kind {
        ErrorKind::InvalidSignature => Refused::Signature,
        ErrorKind::InvalidAlgorithm => Refused::ForeignAlgorithm,
        ErrorKind::ExpiredSignature => Refused::Expired,
        ErrorKind::ImmatureSignature => Refused::NotYetValid,
        ErrorKind::InvalidIssuer => Refused::ForeignIssuer,
        ErrorKind::InvalidAudience => Refused::ForeignAudience,
        // The header was read before, so this is about claims.
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            Refused::Claims
        }
        _ => Refused::Malformed,
    }
}
