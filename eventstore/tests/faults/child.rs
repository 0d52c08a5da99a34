//! Tests that may kill their process or need one of their own: each runs again as a child of itself.
//!
//! A child by [`on_a_disk`] has a mount namespace of its own: whatever becomes of it, its mounts and loop devices go
//! with it.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Names the test that the child is to run.
const CHILD: &str = "SUNDAY_FAULTS_CHILD";

/// Whether this process is the child that runs this test.
pub fn is_child(test: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|name| name == test)
}

/// A command that runs one test of this binary in a child.
pub fn command(test: &str, launcher: &[&str]) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut command = match launcher {
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
        [] => Command::new(this),
    };
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]).env(CHILD, test);
    command
}

/// Fails unless the child came to a good end; a signal is named.
pub fn expect_success(output: &Output) {
    let said = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout).trim(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    match output.status.signal() {
        // The number is the same on every Linux that we build for.
        Some(7) => panic!("SIGBUS: a file that could not be read killed the process\n{said}"),
        Some(signal) => panic!("killed by signal {signal}\n{said}"),
        None => assert!(output.status.success(), "{said}"),
    }
    assert!(said.contains("1 passed"), "the child did not run the test:\n{said}");
}

/// Runs `body` in a child that may mount file systems; skips, and says so once, where that is not possible.
pub fn on_a_disk(test: &str, body: impl FnOnce()) {
    if is_child(test) {
        return body();
    }
    if let Err(why) = mounts() {
        static SAID: OnceLock<()> = OnceLock::new();
        SAID.get_or_init(|| {
            // Past the test harness, which keeps what `eprintln` says to itself.
            let line = format!("SKIPPED: tests of real full and failing disks, because {why}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
        });
        return;
    }
    expect_success(&command(test, &UNSHARE).output().unwrap());
}

const UNSHARE: [&str; 4] = ["unshare", "--mount", "--propagation", "private"];

/// Tries once whether this machine lets us make, mount and fill a file system.
fn mounts() -> Result<(), &'static str> {
    static MOUNTS: OnceLock<Result<(), String>> = OnceLock::new();
    let tried = MOUNTS.get_or_init(|| {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let script = "set -e; truncate -s 4M disk; mkfs.ext4 -q -F disk; mkdir on; mount -o loop disk on; \
                      umount on; mount -t tmpfs -o size=1M tmpfs on";
        let tried = Command::new(UNSHARE[0])
            .args(&UNSHARE[1..])
            .args(["sh", "-c", script])
            .current_dir(dir.path())
            .output()
            .map_err(|error| format!("unshare cannot be run: {error}"))?;
        if tried.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&tried.stderr);
        Err(said.lines().last().unwrap_or("a file system cannot be mounted").to_owned())
    });
    tried.as_ref().map(|&()| ()).map_err(String::as_str)
}
