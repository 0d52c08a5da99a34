//! `sunday completions` and `sunday man`: what the command line knows, for shells and for `man`.

use crate::failure::Failure;
use clap::Command;
use clap_complete::Shell;
use std::io::Write;
use std::path::Path;

/// Writes a shell's completions to `out`.
///
/// # Errors
/// When `out` cannot be written.
pub fn completions(shell: Shell, mut command: Command, out: &mut dyn Write) -> Result<(), Failure> {
    let mut text = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut text);
    out.write_all(&text).map_err(Failure::Output)
}

/// Writes a page for each command into a directory, and says their names.
///
/// # Errors
/// When files cannot be written.
pub fn pages(dir: &Path, command: Command, out: &mut dyn Write) -> Result<(), Failure> {
    let io = |source| Failure::Io { action: format!("cannot write pages to {}", dir.display()), source };
    std::fs::create_dir_all(dir).map_err(io)?;
    clap_mangen::generate_to(command, dir).map_err(io)?;
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .map_err(io)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("sunday") && name.ends_with(".1"))
        .collect();
    names.sort();
    for name in names {
        writeln!(out, "{}", dir.join(name).display()).map_err(Failure::Output)?;
    }
    Ok(())
}
