//! The binaries under test, built once per test process with the profile that the tests themselves have.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the workspace's manifest is.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace's directory")
}

/// The cargo that runs these tests, or the one in the path.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root());
    command
}

/// Where processes under test keep what lasts longer than they do.
pub(crate) fn state_home() -> PathBuf {
    directory().join("state-of-tests")
}

fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(build)
}

/// The path of a binary of the workspace, which has been built.
pub(crate) fn binary(name: &str) -> PathBuf {
    let path = directory().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "cargo built no {}", path.display());
    path
}

/// Builds all of them: one feature set for all, so that nothing is compiled twice.
fn build() -> PathBuf {
    // A test runs as <target>/<profile>/deps/<name>.
    let own = std::env::current_exe().expect("a test knows its own path");
    let profile_dir = own.parent().and_then(Path::parent).expect("tests run in <target>/<profile>/deps");
    let target_dir = profile_dir.parent().expect("a profile's directory is in the target directory");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let output = cargo()
        .args(["build", "--workspace", "--bins", "--profile", profile, "--target-dir"])
        .arg(target_dir)
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "the binaries do not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    profile_dir.to_owned()
}
