//! A JWK set (RFC 7517) as far as tokens are verified with it: public keys for EdDSA on Ed25519 and for ES256.
//!
//! Invariant: a key has one algorithm, which follows from the key, and no token can talk it into another. Secrets (`oct`)
//! and everything else that is no such key are passed over, so a public key is never used as one.

use super::KeysError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Most keys that a set may have: more than any issuer publishes.
const KEYS_MAX: usize = 100;

/// The length of a coordinate on either curve.
const COORDINATE_BYTES: usize = 32;

/// A public key.
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    pub(crate) decoding: DecodingKey,
    kid: Option<String>,
    /// What it is made of, so that sets can be compared.
    public: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.kid, self.algorithm, &self.public) == (&other.kid, other.algorithm, &other.public)
    }
}

/// The keys of an issuer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct KeySet(Vec<Arc<Key>>);

/// A key as it stands in the document.
#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: Option<String>,
    /// Only whether it is there: the private half.
    d: Option<serde::de::IgnoredAny>,
}

impl KeySet {
    /// Reads a set. Keys that are none of ours are passed over with a warning.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, KeysError> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let Document { keys } = serde_json::from_slice(document)
            .map_err(|error| KeysError::Document { reason: format!("it is no JWK set: {error}") })?;
        if keys.len() > KEYS_MAX {
            let reason = format!("it has {} keys, at most {KEYS_MAX} are read", keys.len());
            return Err(KeysError::Document { reason });
        }
        let mut set = Vec::new();
        let mut kids = HashSet::new();
        for (index, value) in keys.into_iter().enumerate() {
            let jwk = match serde_json::from_value::<Jwk>(value) {
                Ok(jwk) => jwk,
                Err(error) => {
                    tracing::warn!(index, %error, "a key of the issuer cannot be read and is not used");
                    continue;
                }
            };
            let kid = jwk.kid.clone();
            match jwk.key() {
                Ok(key) => {
                    if !kids.insert(kid.clone()) {
                        let kid = kid.unwrap_or_else(|| "none".to_owned());
                        return Err(KeysError::Document { reason: format!("two keys have the kid {kid:?}") });
                    }
                    set.push(Arc::new(key));
                }
                Err(reason) => tracing::warn!(index, kid, reason, "a key of the issuer is not used"),
            }
        }
        Ok(Self(set))
    }

    /// The key of a name. A token that names none can only mean the only one.
    pub(crate) fn find(&self, kid: Option<&str>) -> Option<&Arc<Key>> {
        match (kid, &self.0[..]) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Jwk {
    fn key(self) -> Result<Key, &'static str> {
        if self.d.is_some() {
            return Err("it has its private half: whoever reads this can sign tokens");
        }
        if self.used_for.as_deref().is_some_and(|used_for| used_for != "sig") {
            return Err("its use is not sig");
        }
        if self.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|one| one == "verify")) {
            return Err("its key_ops do not have verify");
        }
        let coordinate = |text: &Option<String>| {
            let bytes = text.as_ref().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            bytes
                .filter(|bytes| bytes.len() == COORDINATE_BYTES)
                .ok_or("a coordinate is not 32 bytes in base64url")
        };
        let (algorithm, name) = match (&*self.kty, self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA"),
            ("EC", Some("P-256")) => (Algorithm::ES256, "ES256"),
            _ => return Err("only Ed25519 and P-256 are taken"),
        };
        if self.alg.as_deref().is_some_and(|alg| alg != name) {
            return Err("its alg is not the one of its curve: EdDSA or ES256");
        }
        let mut public = Vec::with_capacity(1 + 2 * COORDINATE_BYTES);
        let decoding = if algorithm == Algorithm::EdDSA {
            public.extend(coordinate(&self.x)?);
            DecodingKey::from_ed_der(&public)
        } else {
            // An uncompressed point (SEC 1, 2.3.3).
            public.push(4);
            public.extend(coordinate(&self.x)?);
            public.extend(coordinate(&self.y)?);
            DecodingKey::from_ec_der(&public)
        };
        Ok(Key { algorithm, decoding, kid: self.kid, public })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn coordinate(byte: u8) -> String {
        URL_SAFE_NO_PAD.encode([byte; 32])
    }

    fn parse(keys: &Value) -> Result<KeySet, KeysError> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn a_key_has_the_algorithm_of_its_curve() {
        let (x, y) = (coordinate(1), coordinate(2));
        let set = parse(&json!([
            {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a"},
            {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "b", "alg": "ES256", "use": "sig", "key_ops": ["verify"]},
        ]))
        .unwrap();
        assert_eq!(set.find(Some("a")).unwrap().algorithm, Algorithm::EdDSA);
        assert_eq!(set.find(Some("b")).unwrap().algorithm, Algorithm::ES256);
        assert!(set.find(Some("c")).is_none() && set.find(None).is_none(), "no name, and two keys");
        let one = parse(&json!([{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a"}])).unwrap();
        assert!(one.find(None).is_some() && one.find(Some("b")).is_none());
    }

    #[test]
    fn what_is_no_key_of_ours_is_passed_over() {
        let (x, y) = (coordinate(1), coordinate(2));
        for key in [
            json!({"kty": "oct", "k": x, "kid": "a"}),
            json!({"kty": "RSA", "n": x, "e": "AQAB", "kid": "a"}),
            json!({"kty": "EC", "crv": "P-384", "x": x, "y": y, "kid": "a"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": x, "y": y, "kid": "a"}),
            json!({"kty": "EC", "crv": "P-256", "x": x, "kid": "a"}),
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "a", "alg": "EdDSA"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a", "alg": "HS256"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a", "use": "enc"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a", "key_ops": ["sign"]}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a", "d": y}),
            json!({"kty": "OKP", "crv": "X25519", "x": x, "kid": "a"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "a"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": 7}),
            json!("key"),
        ] {
            let set = parse(&json!([key, {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "good"}])).unwrap();
            assert_eq!(set.len(), 1, "{key}");
            assert!(set.find(Some("good")).is_some(), "{key}");
        }
    }

    #[test]
    fn a_set_that_is_ambiguous_or_none_is_refused() {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": coordinate(1), "kid": "a"});
        assert!(parse(&json!([key, key])).unwrap_err().to_string().contains("\"a\""));
        let nameless = json!({"kty": "OKP", "crv": "Ed25519", "x": coordinate(1)});
        assert!(parse(&json!([nameless, nameless])).is_err());
        assert!(parse(&Value::from(vec![nameless; 101])).is_err());
        for document in ["", "[]", "{}", "{\"keys\": {}}", "<html>"] {
            assert!(KeySet::parse(document.as_bytes()).is_err(), "{document}");
        }
    }
}
