//! How far something has come, on stderr; nothing when nobody is looking.
//!
//! Invariant: stdout is not touched, and a bar is only drawn when stdout is a terminal: a command in a pipe or
//! with `--json` stays quiet.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// A bar over a known number of `unit`.
#[must_use]
pub fn bar(total: u64, unit: &str) -> ProgressBar {
    let counted =
        format!("{{msg}} [{{bar:30}}] {{percent:>3}} % of {{human_len}} {unit}, {{per_sec}}, {{eta}} left");
    styled(ProgressBar::with_draw_target(Some(total), target()), &counted)
}

/// A bar over a file's bytes, with a second figure as its message.
#[must_use]
pub fn byte_bar(total: u64) -> ProgressBar {
    let text = "{msg} [{bar:30}] {bytes} of {total_bytes}, {eta} left";
    styled(ProgressBar::with_draw_target(Some(total), target()), text)
}

/// Something that takes as long as it takes.
#[must_use]
pub fn spinner(text: &str) -> ProgressBar {
    let bar = styled(ProgressBar::with_draw_target(None, target()), "{spinner} {msg}, {elapsed}");
    bar.set_message(text.to_owned());
    bar
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    // The templates are ours; a mistake in one costs the looks, not the run.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

fn target() -> ProgressDrawTarget {
    if std::io::stdout().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}
