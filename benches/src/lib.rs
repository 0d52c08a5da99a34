//! What the benches share: how a figure is printed beside its ceiling, what is asked of the machine, what the disk does alone, the
//! load over HTTP, and a log full of items. Each bench stands under `benches/`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod arguments;
pub mod bare;
pub mod figure;
pub mod load;
pub mod machine;
pub mod query_api;
pub mod world;

pub use arguments::{Bench, child};

use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where builds are, and data unless `--dir` says otherwise.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
