//! Tokens of all kinds against a real issuer, over HTTP: what is taken, what is refused, and what that costs the issuer.

mod door;
mod issuer;
mod tokens;
