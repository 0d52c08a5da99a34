//! A second writer, and one that is not allowed to.

use super::support::{open, small};
use super::{append, child, expect_payloads, fill, segment};
use eventstore::{Log, OpenError, Store, verify};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_log() {
    const TEST: &str = "processes::a_second_process_is_refused_and_told_who_holds_the_log";
    if child::is_child(TEST) {
        let store = open(Path::new(&std::env::var("SUNDAY_FAULTS_DIR").unwrap()));
        append(&store, 0).unwrap();
        eprintln!("open");
        // Until the parent goes away or kills us.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut holder = child::command(TEST, &[])
        .env("SUNDAY_FAULTS_DIR", dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(holder.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(said, "open");
    match Store::open(dir.path(), &small()) {
        Err(OpenError::Locked { holder: Some(text), .. }) => {
            assert!(text.contains(&holder.id().to_string()), "{text}");
        }
        other => panic!("{other:?}"),
    }
    expect_payloads(&Log::open(dir.path()).unwrap(), 1);
    // However it ends, the lock ends with it, and what was acknowledged is there.
    holder.kill().unwrap();
    holder.wait().unwrap();
    let store = open(dir.path());
    append(&store, 1).unwrap();
    expect_payloads(&store, 2);
}

/// Root may read everything, so the child is somebody else.
#[test]
fn no_permission_is_an_error_that_names_the_file() {
    const TEST: &str = "processes::no_permission_is_an_error_that_names_the_file";
    if child::is_child(TEST) {
        let root = PathBuf::from(std::env::var("SUNDAY_FAULTS_DIR").unwrap());
        let forbidden = PathBuf::from(std::env::var("SUNDAY_FAULTS_PATH").unwrap());
        let denied = |error: OpenError| match error {
            OpenError::Io { path, source, .. } => {
                assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied);
                assert!(forbidden.starts_with(&path) || path.starts_with(&forbidden), "{}", path.display());
            }
            other => panic!("{other:?}"),
        };
        denied(Log::open_offline(&root).unwrap_err());
        denied(Log::open(&root).unwrap_err());
        denied(verify(&root, &mut |_| {}).map(|report| panic!("{:?}", report.findings)).unwrap_err());
        denied(Store::open(&root, &small()).unwrap_err());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 200);
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for path in [segment(dir.path(), 1), dir.path().join("control/log"), dir.path().join("log")] {
        // Everybody may do everything, but for the one thing.
        set(dir.path(), 0o777);
        for directory in ["log", "control"] {
            set(&dir.path().join(directory), 0o777);
            for entry in fs::read_dir(dir.path().join(directory)).unwrap() {
                set(&entry.unwrap().path(), 0o666);
            }
        }
        set(&path, 0o000);
        let mut child = child::command(TEST, &["env"]);
        if rustix::process::geteuid().is_root() {
            std::os::unix::process::CommandExt::uid(&mut child, 65534);
        }
        child.env("SUNDAY_FAULTS_DIR", dir.path()).env("SUNDAY_FAULTS_PATH", &path);
        child::expect_success(&child.output().unwrap());
        set(&path, 0o777);
    }
}
