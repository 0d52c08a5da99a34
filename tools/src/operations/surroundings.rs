//! What `sunday doctor` finds around a log: its archive, what was left over, what is derived, keys, room.

use super::doctor::{DerivedFacts, Diagnosis, Remedy, Severity};
use eventstore::Log;
use eventstore::archive;
use eventstore::storage::Environment;
use projector::outlook::{Derived, outlook};
use std::fs;
use std::path::{Path, PathBuf};

/// What to do about an archive that does not answer.
pub(super) const UNREACHABLE: &str = "nothing is known to be damaged: see that the archive that log/ARCHIVE names can be reached, with the \
                           credentials that it wants, and look again. If a segment is gone from it for good, put its object back from \
                           a copy; without one, delete its .ref in log/: then it counts as missing here, too";
/// Segments for which there should be room.
const ROOM_SEGMENTS: u64 = 4;

impl Diagnosis {
    /// What is not here any more, and whether it can be had.
    pub(super) fn archive(&mut self, environment: &Environment, data_dir: &Path) {
        let segments = match archive::references(environment, data_dir) {
            Ok(0) => return,
            Ok(1) => "one segment is".to_owned(),
            Ok(many) => format!("{many} segments are"),
            Err(error) => return self.find("unreadable", Severity::Fault, error.to_string(), ""),
        };
        let place = match archive::url_of(environment, data_dir) {
            Ok(Some(url)) => url,
            Ok(None) => {
                let what =
                    format!("{segments} in an archive, and log/ARCHIVE, which says where it is, is gone");
                let advice = "write its URL there, one line such as file:///var/archive";
                return self.find("archive_unknown", Severity::Fault, what, advice);
            }
            Err(error) => {
                let advice = "write the archive's URL there, one line such as file:///var/archive";
                return self.find("archive_unknown", Severity::Fault, error.to_string(), advice);
            }
        };
        match archive::answers(environment, data_dir) {
            Ok(_) => {
                let what = format!("{segments} in the archive {place}, which answers");
                self.find("archived", Severity::Note, what, "");
            }
            // That the log cannot be opened for it has been told.
            Err(_) if self.findings.iter().any(|found| found.code == "archive_unreachable") => {}
            Err(error) => {
                let what = format!("{segments} in the archive {place}, which does not answer: {error}");
                self.find("archive_unreachable", Severity::Fault, what, UNREACHABLE);
            }
        }
    }

    /// Files that nobody will miss.
    pub(super) fn leftovers(&mut self, data_dir: &Path) {
        if self.writer.is_some() || self.projector {
            // They may be using them.
            return;
        }
        let mut found = Vec::new();
        for (dir, ends) in [
            ("log", &[".preparing", ".torn", ".writing"][..]),
            ("index", &[".tmp"]),
            ("snapshots", &[".preparing"]),
            ("tree", &[".tmp"]),
            ("keys", &[".tmp"]),
        ] {
            let files = fs::read_dir(data_dir.join(dir)).into_iter().flatten().flatten();
            let names = files.filter_map(|file| file.file_name().into_string().ok());
            let names = names.filter(|name| ends.iter().any(|end| name.ends_with(end)));
            found.extend(names.map(|name| Path::new(dir).join(name)));
        }
        if found.is_empty() {
            return;
        }
        found.sort();
        let names: Vec<_> = found.iter().map(|path| path.display().to_string()).collect();
        let what = format!("a crash has left files that nobody uses: {}", names.join(", "));
        self.find("leftovers", Severity::Warning, what, "`sunday repair` moves them away; they do no harm");
        self.remedy(Remedy::SetAside(found));
    }

    pub(super) fn derived(&mut self, data_dir: &Path, log: &Log) {
        let end = log.watermark();
        for Derived { name, dir, checkpoint, problem } in outlook(data_dir, log) {
            let behind = checkpoint.map(|at| end.get().saturating_sub(at.get()));
            self.derived.push(DerivedFacts { name, position: checkpoint, behind, problem: problem.clone() });
            let Some(problem) = problem else { continue };
            let what = format!("{dir}/ ({name}) cannot be used: {problem}");
            if dir == "tree" {
                let advice = "the checkpoints are signed for others: find out what happened before anything else; `sunday verify` says what is \
                              wrong with the log";
                self.find("tree_refused", Severity::Fault, what, advice);
            } else {
                let advice = "nothing: it is made anew from the log; `sunday repair` moves it away";
                self.find("derived_unusable", Severity::Warning, what, advice);
                if !self.projector {
                    self.remedy(Remedy::SetAside(vec![PathBuf::from(dir)]));
                }
            }
        }
    }

    pub(super) fn keys(&mut self, data_dir: &Path) {
        let keys = data_dir.join("keys");
        if keys.join("audit.pub").is_file() && !keys.join("audit.key").is_file() {
            let what = "the secret key that checkpoints are signed with is not here, and what it signed is";
            let advice = "put keys/audit.key back from where you keep it; until then nothing is signed";
            self.find("secret_key_gone", Severity::Fault, what, advice);
        }
    }

    pub(super) fn room(&mut self, data_dir: &Path) {
        let Ok(stat) = rustix::fs::statvfs(data_dir) else { return };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        self.free_bytes = Some(free);
        let segment = fs::read_dir(data_dir.join("log")).into_iter().flatten().flatten();
        let segment = segment.filter_map(|file| Some(file.metadata().ok()?.len())).max().unwrap_or(0);
        if segment > 0 && free < ROOM_SEGMENTS * segment {
            let what = format!("{free} bytes are free, and a segment takes {segment}");
            let advice =
                "make room: without it the log takes no more, and goes on by itself once there is some";
            self.find("room", Severity::Warning, what, advice);
        }
    }
}
