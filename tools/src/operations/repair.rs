//! `sunday repair`: sets right what doctor finds, one remedy after the other, and only when somebody says so.
//!
//! Invariant: nothing is deleted: what is taken away is in `set-aside/<time>/`, under the name that it had. Events that were
//! acknowledged are given up only with `--accept-loss`, and are named before.

use super::doctor::{Diagnosis, Remedy, SET_ASIDE, diagnose};
use super::restore::first_commit;
use super::{Data, write_json};
use crate::failure::Failure;
use crate::progress;
use clap::Args;
use eventstore::backup::{Backup, BackupOptions, RestoreOptions, Restored, backup_sound};
use eventstore::inspect;
use eventstore::storage::Environment;
use eventstore::{Damage, Timestamp};
use http_kit::config::Settings;
use query_api::rfc3339::Rfc3339;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What is moved away when a log begins anew, in this order: without its log a directory is no longer used.
const OLD: [&str; 9] = ["log", "control", "cache", "index", "snapshots", "search", "images", "tree", "keys"];
/// What comes in its place; the log last.
const NEW: [&str; 3] = ["keys", "tree", "log"];

/// What is repaired, and how much.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Give up acknowledged events that cannot be read any more: a log is begun anew with what is sound
    #[arg(long)]
    accept_loss: bool,
    /// Print one JSON object; asks nothing, so without --yes it only says what it would do
    #[arg(long)]
    json: bool,
}

/// Something to do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    /// The finding that it is for.
    code: &'static str,
    /// What is done.
    action: String,
    /// Whether it was done.
    done: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip)]
    remedy: Remedy,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Repair {
    steps: Vec<Step>,
    /// Where everything is that was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_aside: Option<String>,
}

/// Repairs a data directory, says what it does to `out`, and returns the exit code: 0 nothing is left to do, 1 something is.
///
/// # Errors
/// When somebody is at work in the directory, or something cannot be done; what was done until then is done.
pub fn repair(arguments: Arguments, settings: &Settings, out: &mut dyn Write) -> Result<u8, Failure> {
    let Arguments { data, yes, accept_loss, json } = arguments;
    let data_dir = data.or(settings);
    let diagnosis = diagnose(&data_dir);
    if diagnosis.writer.is_some() || diagnosis.projector {
        let who = diagnosis.writer.unwrap_or_else(|| "a projector".to_owned());
        return Err(Failure::Part(format!("{who} is at work in {}: stop it first", data_dir.display())));
    }
    let mut steps = plan(&data_dir, &diagnosis, accept_loss);
    if !json {
        out.write_all(announced(&data_dir, &steps).as_bytes()).map_err(Failure::Output)?;
    }
    let to_do = steps.iter().any(|step| step.why.is_none());
    if to_do && (yes || !json && confirmed(out)?) {
        let aside = set_aside_dir(&data_dir);
        for step in steps.iter_mut().filter(|step| step.why.is_none()) {
            step.action = carry_out(&data_dir, &aside, &step.remedy)?;
            step.done = true;
            if !json {
                writeln!(out, "done: {}", step.action).map_err(Failure::Output)?;
            }
        }
        let set_aside = aside.is_dir().then(|| aside.display().to_string());
        if let (false, Some(aside)) = (json, &set_aside) {
            writeln!(out, "what was taken away is in {aside}").map_err(Failure::Output)?;
        }
        let is_done = steps.iter().all(|step| step.done);
        if json {
            write_json(&Repair { steps, set_aside }, out)?;
        }
        return Ok(u8::from(!is_done));
    }
    for step in steps.iter_mut().filter(|step| step.why.is_none()) {
        step.why = Some("nobody said yes".to_owned());
    }
    let exit = u8::from(!steps.is_empty());
    if json {
        write_json(&Repair { steps, set_aside: None }, out)?;
    }
    Ok(exit)
}

fn plan(data_dir: &Path, diagnosis: &Diagnosis, accept_loss: bool) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for finding in &diagnosis.findings {
        let Some(remedy) = finding.remedy.clone() else { continue };
        if steps.iter().any(|step| step.remedy == remedy) {
            continue;
        }
        let (action, why) = match &remedy {
            Remedy::SetAside(paths) => {
                let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
                (format!("move {} away", names.join(", ")), None)
            }
            Remedy::Recover => {
                ("recover the log as a writer does, and leave a mark behind what is whole".to_owned(), None)
            }
            Remedy::Finish(_) => ("move what a repair has made into its place".to_owned(), None),
            Remedy::AcceptLoss => {
                let why = (!accept_loss)
                    .then(|| "acknowledged events would be lost: --accept-loss says so".to_owned());
                (loss(data_dir), why)
            }
        };
        steps.push(Step { code: finding.code, action, done: false, why, remedy });
    }
    // A log that begins anew takes nothing of what is derived along.
    if steps.iter().any(|step| step.remedy == Remedy::AcceptLoss && step.why.is_none()) {
        steps.retain(|step| step.remedy == Remedy::AcceptLoss);
    }
    steps
}

/// What would be lost, as far as anybody knows.
fn loss(data_dir: &Path) -> String {
    let environment = Environment::default();
    let known = inspect::page(&environment, data_dir).ok().flatten().map(|page| page.durable);
    let signed = eventstore::transparency::journal::newest(&*environment.storage, data_dir).ok().flatten();
    let known = known.max(signed.map(|signed| signed.lineage.next));
    let until = known.map_or_else(
        || "nobody knows how far it reached".to_owned(),
        |known| format!("it is known to have reached position {known}"),
    );
    match eventstore::backup::sound_end(&environment, data_dir) {
        Ok((next, damage)) => {
            let lost = known.map(|known| known.get().saturating_sub(next.get()));
            let lost = lost
                .map_or_else(String::new, |lost| format!("; {lost} acknowledged events or more are lost"));
            let why = damage.map_or_else(|| "it ends there".to_owned(), |damage: Damage| damage.to_string());
            format!("begin a log anew with the events before position {next} ({why}); {until}{lost}")
        }
        Err(error) => format!("begin a log anew with what is sound ({error}); {until}"),
    }
}

fn announced(data_dir: &Path, steps: &[Step]) -> String {
    if steps.is_empty() {
        return format!(
            "{}: there is nothing that a repair could do; `sunday doctor` has the rest\n",
            data_dir.display()
        );
    }
    let mut text = String::new();
    for Step { code, action, why, .. } in steps {
        text.push_str(&format!("{code}: {action}\n"));
        if let Some(why) = why {
            text.push_str(&format!("  not done: {why}\n"));
        }
    }
    text
}

fn confirmed(out: &mut dyn Write) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        writeln!(out, "nothing was done: --yes says to do it").map_err(Failure::Output)?;
        return Ok(false);
    }
    write!(out, "do it? [y/N] ").and_then(|()| out.flush()).map_err(Failure::Output)?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|source| Failure::Io { action: "cannot read the answer".to_owned(), source })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn set_aside_dir(data_dir: &Path) -> PathBuf {
    let now = Rfc3339(Timestamp::now()).to_string().replace(':', "-");
    data_dir.join(SET_ASIDE).join(now)
}

/// Carries out a remedy and says what was done.
fn carry_out(data_dir: &Path, aside: &Path, remedy: &Remedy) -> Result<String, Failure> {
    match remedy {
        Remedy::SetAside(paths) => {
            for path in paths {
                move_to(&data_dir.join(path), &aside.join(path))?;
            }
            Ok(format!("moved {} things away", paths.len()))
        }
        Remedy::Recover => {
            let next = eventstore::recover(&Environment::default(), data_dir)?.next;
            Ok(format!("the log was recovered; it has {next} events"))
        }
        Remedy::AcceptLoss => begin_anew(data_dir, aside),
        Remedy::Finish(aside) => {
            finish(data_dir, aside)?;
            Ok("what the repair had made is in its place".to_owned())
        }
    }
}

/// Makes a log of what is sound, beside everything, and puts it in the place of the old one.
fn begin_anew(data_dir: &Path, aside: &Path) -> Result<String, Failure> {
    let environment = Environment::default();
    let bar = progress::spinner("copying what is sound");
    let (sound, new) = (aside.join("sound"), aside.join("new"));
    create(aside)?;
    // The key goes along only as far as the store does.
    let options = BackupOptions { link: false, with_keys: true };
    let (Backup { next, .. }, damage) =
        backup_sound(&environment, data_dir, &sound, options, &mut |_| bar.tick())?;
    let restored: Restored = eventstore::backup::restore(
        &environment,
        &sound,
        &new,
        RestoreOptions::default(),
        &first_commit,
        &mut |_| bar.tick(),
    )?;
    bar.finish_and_clear();
    finish(data_dir, aside)?;
    let what =
        damage.map_or_else(String::new, |damage| format!(" (what follows is damaged: {})", damage.reason));
    let whose = match restored.parent {
        Some(parent) => {
            format!("a new store, {}, because more than that was signed of {parent}", restored.store)
        }
        None => format!("store {}, as before", restored.store),
    };
    Ok(format!("the log begins anew with {next} events{what}; it is {whose}"))
}

/// Moves the old things away and the new ones to their places. Whatever was moved before is passed over.
fn finish(data_dir: &Path, aside: &Path) -> Result<(), Failure> {
    let (old, new) = (aside.join("old"), aside.join("new"));
    for name in OLD {
        // What has been replaced already is new.
        let is_replaced = NEW.contains(&name) && old.join(name).exists();
        if data_dir.join(name).exists() && !is_replaced {
            move_to(&data_dir.join(name), &old.join(name))?;
        }
    }
    for name in NEW {
        if new.join(name).exists() {
            move_to(&new.join(name), &data_dir.join(name))?;
        }
    }
    Ok(())
}

fn create(dir: &Path) -> Result<(), Failure> {
    let io = |source| Failure::Io { action: format!("cannot create {}", dir.display()), source };
    fs::create_dir_all(dir).map_err(io)
}

fn move_to(from: &Path, to: &Path) -> Result<(), Failure> {
    let io = |source| Failure::Io {
        action: format!("cannot move {} to {}", from.display(), to.display()),
        source,
    };
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(io)?;
    }
    fs::rename(from, to).map_err(io)?;
    let sync = |dir: Option<&Path>| dir.map_or(Ok(()), |dir| File::open(dir)?.sync_all());
    sync(to.parent()).and_then(|()| sync(from.parent())).map_err(io)
}
