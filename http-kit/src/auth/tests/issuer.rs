//! An issuer for tests: keys made on the spot, tokens signed with them, and a server that publishes them and counts.

use super::super::settings::{Jwks, Rules};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) const ISSUER: &str = "https://issuer.example";
pub(super) const AUDIENCE: &str = "sunday";

/// A pair of keys with a name.
pub(super) struct Pair {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) public: Vec<u8>,
    signing: EncodingKey,
}

impl Pair {
    pub(super) fn ed25519(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::EdDSA,
            public: pair.public_key().as_ref().to_vec(),
            signing: EncodingKey::from_ed_der(document.as_ref()),
        }
    }

    pub(super) fn p256(kid: &str) -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
        Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::ES256,
            public: pair.public_key().as_ref().to_vec(),
            signing: EncodingKey::from_ec_der(document.as_ref()),
        }
    }

    pub(super) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        if self.algorithm == Algorithm::EdDSA {
            json!({"kty": "OKP", "crv": "Ed25519", "x": text(&self.public), "kid": self.kid, "use": "sig"})
        } else {
            // 4, then x and y.
            let (x, y) = self.public[1..].split_at(32);
            json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y), "kid": self.kid, "alg": "ES256"})
        }
    }

    pub(super) fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        header
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    pub(super) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.signing).unwrap()
    }
}

/// A token as anybody can write one: header, claims, signature.
pub(super) fn token(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!(
        "{}.{}.{}",
        part(header.to_string().as_bytes()),
        part(claims.to_string().as_bytes()),
        part(signature)
    )
}

pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims that are taken.
pub(super) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now_s() + 600, "scope": "items:write", "tenant": "*"})
}

/// [`claims`] with one of them otherwise; `null` takes it away.
pub(super) fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

pub(super) fn rules(jwks: Jwks) -> Rules {
    Rules {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks,
        leeway: Duration::from_secs(5),
        refresh: Duration::from_secs(3600),
        unknown_key_floor: Duration::from_secs(3600),
        lifetime_max: Duration::from_secs(3600),
    }
}

/// What a server of keys answers, and how often it was asked.
#[derive(Clone)]
pub(super) struct Server {
    answer: Arc<Mutex<(StatusCode, String, String)>>,
    asked: Arc<AtomicUsize>,
    pub(super) jwks: Jwks,
}

impl Server {
    pub(super) async fn start(pairs: &[&Pair]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((StatusCode::OK, String::new(), String::new())));
        let asked = Arc::new(AtomicUsize::new(0));
        let server = Self { answer, asked, jwks: Jwks::Url(url.parse().unwrap()) };
        server.publish(pairs);
        let routes = Router::new().route(
            "/keys",
            get({
                let server = server.clone();
                move || async move {
                    server.asked.fetch_add(1, Ordering::SeqCst);
                    // Long enough that those who ask at the same time really do.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let (status, cache, body) = server.answer.lock().clone();
                    (status, [(header::CACHE_CONTROL, cache)], body).into_response()
                }
            }),
        );
        let shutdown = crate::shutdown::Shutdown::new();
        tokio::spawn(crate::server::serve(listener, routes, shutdown));
        server
    }

    pub(super) fn publish(&self, pairs: &[&Pair]) {
        let keys: Vec<Value> = pairs.iter().map(|pair| pair.jwk()).collect();
        self.answer(StatusCode::OK, json!({ "keys": keys }).to_string());
    }

    pub(super) fn answer(&self, status: StatusCode, body: String) {
        let mut answer = self.answer.lock();
        (answer.0, answer.2) = (status, body);
    }

    pub(super) fn cache_control(&self, value: &str) {
        value.clone_into(&mut self.answer.lock().1);
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
