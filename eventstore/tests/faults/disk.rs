//! A small real file system: ext4 on a loop device on a file that can be taken away underneath it.

use rustix::fs::Advice;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system. Its mounts are those of the child's namespace and go with it.
pub struct Disk {
    dir: tempfile::TempDir,
    bytes: u64,
}

fn run(program: &str, arguments: &[&str], dir: &Path) {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Writes zeros into a new file until nothing more goes in.
fn fill_up(path: &Path) {
    let mut ballast = File::create(path).unwrap();
    for chunk in [vec![0; 64 << 10], vec![0; 512]] {
        loop {
            match ballast.write_all(&chunk).and_then(|()| ballast.sync_data()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                Err(error) => panic!("filling {}: {error}", path.display()),
            }
        }
    }
}

impl Disk {
    pub fn new(bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::create_dir(dir.path().join("on")).unwrap();
        let disk = Self { dir, bytes };
        // A tmpfs below, so that the disk's own backing can run out of room: then its writes fail.
        run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={}", bytes + (1 << 20)), "tmpfs", "below"],
            disk.dir(),
        );
        File::create(disk.backing()).unwrap().set_len(bytes).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "below/disk"], disk.dir());
        run("mount", &["-o", "loop", "below/disk", "on"], disk.dir());
        disk
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn backing(&self) -> PathBuf {
        self.dir().join("below/disk")
    }

    /// Where a store may live on it.
    pub fn root(&self) -> PathBuf {
        self.dir().join("on")
    }

    /// Leaves no room for anything.
    pub fn fill(&self) {
        fill_up(&self.root().join("ballast"));
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        fs::remove_file(self.root().join("ballast")).unwrap();
        // Freed blocks are free once the file system's journal says so.
        run("sync", &["-f", "on"], self.dir());
    }

    pub fn make_read_only(&self) {
        run("mount", &["-o", "remount,ro", "on"], self.dir());
    }

    /// Forgets what is cached of a file from `from` on, so that it must be read from the disk again. Nobody may have
    /// it mapped.
    pub fn forget(path: &Path, from: u64) {
        let file = File::open(path).unwrap();
        file.sync_all().unwrap();
        // The cache keeps a file in large pieces and drops only whole ones: all of it goes, then the start is read
        // again, and no more than that.
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        rustix::fs::fadvise(&file, 0, None, Advice::Random).unwrap();
        let mut page = [0; 4096];
        for at in (0..from).step_by(page.len()) {
            file.read_exact_at(&mut page, at).unwrap();
        }
    }

    /// From now on what is not cached cannot be read.
    pub fn fail_reads(&self) {
        run("sync", &["-f", "on"], self.dir());
        File::options().write(true).open(self.backing()).unwrap().set_len(0).unwrap();
    }

    /// From now on nothing can be read or written that was not in the cache before.
    pub fn fail_writes(&self) {
        self.fail_reads();
        // The backing has its old length again but no blocks, and there are none left to give it.
        File::options().write(true).open(self.backing()).unwrap().set_len(self.bytes).unwrap();
        fill_up(&self.dir().join("below/ballast"));
    }
}
