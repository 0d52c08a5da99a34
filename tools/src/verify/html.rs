//! The report of a verification as one page that an auditor files: it needs no network, no script and no other file.

use super::{place, verdict};
use eventstore::verify::{Class, Extent, Finding, Severity};
use projector::audit::Audit;
use std::fmt::Write as _;
use std::path::Path;

/// Width of the picture, and of its parts, in its own units.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 120.0;
const TOP: f64 = 40.0;
const BOX: f64 = 40.0;
/// A segment is never narrower.
const SEGMENT_MIN: f64 = 0.5;
/// Checkpoints and findings that are drawn; with more of them every so many.
const MARKS_MAX: usize = 400;
/// Findings in the table.
const ROWS_MAX: usize = 5_000;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}.verdict{font-size:1.2rem;padding:.7rem 1rem;border-radius:.4rem;margin:1rem 0}\
.good{background:#dff3e4}.bad{background:#fbdcdc}.warn{background:#fdf3d1}table{border-collapse:collapse;width:100%;font-size:.88rem}\
th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid #d8dde4}td.mono,code,pre{font-family:ui-monospace,monospace;font-size:.85em;overflow-wrap:anywhere}\
pre{background:#f3f5f8;padding:.6rem;white-space:pre-wrap}svg{width:100%;height:auto;border:1px solid #d8dde4;border-radius:.4rem}.key span{margin-right:1.2rem}@media print{body{margin:0}}";

/// The whole page.
pub(super) fn page(audit: &Audit, data_dir: &Path, command: &[String]) -> String {
    let log = &audit.log;
    let findings: Vec<&Finding> = log.findings.iter().collect();
    let real = findings.iter().filter(|finding| finding.severity > Severity::Warning).count();
    let class = match (audit.intact, findings.is_empty()) {
        (true, true) => "good",
        (true, false) => "warn",
        (false, _) => "bad",
    };
    let mut page = String::with_capacity(64 << 10);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Verification of {dir}</title><style>{STYLE}</style></head><body>\n<h1>Verification of a Sunday log</h1>\n\
         <p>{dir}, {at}</p>\n<p class=\"verdict {class}\"><strong>{verdict}</strong> (exit code {exit}; {real} findings, {warnings} warnings)</p>\n",
        dir = escape(&data_dir.display().to_string()),
        at = escape(&audit.started_at),
        verdict = escape(&capitalised(verdict(audit))),
        exit = audit.exit,
        warnings = findings.len() - real,
    );
    summary(&mut page, audit);
    page.push_str("<h2>The log</h2>\n");
    picture(&mut page, audit);
    table(&mut page, &findings);
    unchecked(&mut page, audit);
    how(&mut page, audit, command);
    page.push_str("</body></html>\n");
    page
}

fn summary(page: &mut String, audit: &Audit) {
    let (log, signed) = (&audit.log, &audit.checkpoints);
    let mut say = |sentence: &str| {
        let _ = writeln!(page, "<p>{}</p>", escape(sentence));
    };
    say(&format!(
        "The log of store {} holds {} events; {} of them, of {} streams, in {} segments, were read and every byte of them checked: \
         checksums, digests, the chain from commit to commit, the order of positions, versions and times, and that no id stands twice.",
        log.store.map_or_else(|| "unknown".to_owned(), |store| store.to_string()),
        log.next,
        log.events,
        log.streams,
        log.segments
    ));
    say(&match signed.newest {
        Some(newest) => format!(
            "{} checkpoints with good signatures were held against it, and it leads to {} of them. The newest covers {newest} events: \
             up to there nobody can have changed anything since it was signed without being found out, unless he has the log's key \
             and nobody else has kept a checkpoint.",
            signed.checkpoints, signed.proven
        ),
        None => "No checkpoint was proven: the log agrees with itself or not, but nothing here says that it is the one that it was."
            .to_owned(),
    });
    match signed.witnessed {
        Some(witnessed) => say(&format!("Witnesses have cosigned {witnessed} events, as the policy asks.")),
        None => say(
            "No cosignatures of witnesses were proven: that others were shown the same history is not known.",
        ),
    }
    if let Some(index) = &audit.index {
        let snapshots = audit.snapshots.as_ref().map_or(0, |snapshots| snapshots.compared);
        let tiles = audit.tree.as_ref().map_or(0, |tree| tree.leaves);
        let models: Vec<_> =
            audit.projections.iter().map(|it| format!("{} of {}", it.compared, it.projection)).collect();
        let models = if models.is_empty() { "nothing".to_owned() } else { models.join(", ") };
        say(&format!(
            "What is derived from the log was compared with it: {} index runs ({} entries), {snapshots} snapshots, {tiles} leaves of \
             the tree, and of the read models and the search index {models}.",
            index.compared, index.entries
        ));
    }
}

/// Where segments are in the picture.
struct Scale {
    /// By segment: its left edge and its width.
    boxes: Vec<(f64, f64)>,
}

impl Scale {
    fn of(extents: &[Extent]) -> Self {
        let total: f64 = extents.iter().map(|extent| float(extent.bytes)).sum::<f64>().max(1.0);
        let mut left = 0.0;
        let mut boxes: Vec<(f64, f64)> = Vec::with_capacity(extents.len());
        for extent in extents {
            let width = (float(extent.bytes) / total * WIDTH).max(SEGMENT_MIN);
            boxes.push((left, width));
            left += width;
        }
        // Many tiny segments would not fit otherwise.
        let shrink = WIDTH / left.max(1.0);
        boxes.iter_mut().for_each(|(at, width)| (*at, *width) = (*at * shrink, *width * shrink));
        Self { boxes }
    }

    /// Where an offset of a segment is.
    fn offset(&self, extents: &[Extent], segment: u32, offset: u64) -> f64 {
        let Some(index) = extents.iter().position(|extent| extent.segment == segment) else {
            // A segment that is missing: where the next one begins.
            let next = extents.iter().position(|extent| extent.segment > segment);
            return next.and_then(|next| self.boxes.get(next)).map_or(WIDTH, |(left, _)| *left);
        };
        let (left, width) = self.boxes[index];
        left + width * (float(offset) / float(extents[index].bytes.max(1))).min(1.0)
    }

    /// Where a position is, as if all events of a segment were alike.
    fn position(&self, extents: &[Extent], position: u64) -> f64 {
        let holds = |extent: &Extent| extent.next.get() >= position && extent.used > 0;
        let Some(index) = extents.iter().position(holds) else { return WIDTH };
        let Extent { first, next, used, bytes, .. } = extents[index];
        let (left, width) = self.boxes[index];
        let events = float(next.get().saturating_sub(first.get()).max(1));
        let share = float(position.saturating_sub(first.get())) / events;
        left + width * share * (float(used) / float(bytes.max(1)))
    }
}

fn picture(page: &mut String, audit: &Audit) {
    let extents = &audit.log.extents;
    let scale = Scale::of(extents);
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"segments, findings and checkpoints\">"
    );
    for (extent, (left, width)) in extents.iter().zip(&scale.boxes) {
        let Extent { segment, bytes, used, first, next, is_checked } = extent;
        let used_width = width * (float(*used) / float((*bytes).max(1)));
        let fill = if *is_checked { "#8fb4e3" } else { "#cfd6df" };
        let state = if *is_checked { "checked" } else { "not checked" };
        let _ = write!(
            page,
            "<g><title>segment {segment}: {used} of {bytes} bytes used, positions {first} to {next}, {state}</title>\
             <rect x=\"{left:.2}\" y=\"{TOP}\" width=\"{width:.2}\" height=\"{BOX}\" fill=\"#f3f5f8\" stroke=\"#7a8696\" stroke-width=\".5\"/>\
             <rect x=\"{left:.2}\" y=\"{TOP}\" width=\"{used_width:.2}\" height=\"{BOX}\" fill=\"{fill}\"/></g>"
        );
    }
    let sizes = &audit.checkpoints.sizes;
    for size in thinned(sizes) {
        let x = scale.position(extents, size.get());
        let (from, to) = (TOP + BOX, TOP + BOX + 14.0);
        let _ = write!(
            page,
            "<line x1=\"{x:.2}\" x2=\"{x:.2}\" y1=\"{from}\" y2=\"{to}\" stroke=\"#2d8a4e\" stroke-width=\"1\"><title>checkpoint of {size} events</title></line>"
        );
    }
    let findings: Vec<&Finding> =
        audit.log.findings.iter().filter(|finding| is_in_the_log(finding)).collect();
    for finding in thinned(&findings) {
        let x = match &finding.file {
            None if finding.class != Class::UnanchoredTail => {
                scale.offset(extents, finding.segment, finding.offset)
            }
            _ => scale.position(extents, finding.position.get()),
        };
        let colour = if finding.severity == Severity::Warning { "#d9a400" } else { "#c92a2a" };
        let (tip, top) = (TOP - 2.0, TOP - 14.0);
        let _ = write!(
            page,
            "<g><title>{}: {}: {}</title><path d=\"M{x:.2} {tip}l-5 -12h10z\" fill=\"{colour}\"/>\
             <line x1=\"{x:.2}\" x2=\"{x:.2}\" y1=\"{top}\" y2=\"{}\" stroke=\"{colour}\" stroke-width=\"1\"/></g>",
            escape(finding.class.name()),
            escape(&place(finding)),
            escape(&finding.message),
            TOP + BOX,
        );
    }
    page.push_str("</svg>\n<p class=\"key\"><span>blue: segments to scale, as far as they are used</span><span>grey: not checked</span>");
    page.push_str("<span>red: findings</span><span>yellow: warnings</span><span>green: checkpoints</span>");
    if sizes.len() > MARKS_MAX || findings.len() > MARKS_MAX {
        page.push_str("<span>of many marks only some are drawn</span>");
    }
    page.push_str("</p>\n");
}

fn is_in_the_log(finding: &Finding) -> bool {
    finding.file.is_none() || matches!(finding.class, Class::Fork | Class::TruncatedBelowCheckpoint)
}

/// All of a few, every so many of more.
fn thinned<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(MARKS_MAX).max(1))
}

fn table(page: &mut String, findings: &[&Finding]) {
    let _ = writeln!(page, "<h2>Findings ({})</h2>", findings.len());
    if findings.is_empty() {
        page.push_str("<p>None.</p>\n");
        return;
    }
    page.push_str("<table><thead><tr><th>class</th><th>severity</th><th>place</th><th>what</th><th>expected</th><th>found</th></tr></thead><tbody>\n");
    for finding in findings.iter().take(ROWS_MAX) {
        let about = finding.stream.as_ref().map_or_else(String::new, |stream| format!(" ({stream})"));
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td class=\"mono\">{}</td><td>{}{}</td><td class=\"mono\">{}</td><td class=\"mono\">{}</td></tr>",
            escape(finding.class.name()),
            finding.severity.name(),
            escape(&place(finding)),
            escape(&finding.message),
            escape(&about),
            escape(finding.expected.as_deref().unwrap_or_default()),
            escape(finding.actual.as_deref().unwrap_or_default()),
        );
    }
    page.push_str("</tbody></table>\n");
    if findings.len() > ROWS_MAX {
        let _ = writeln!(page, "<p>And {} more, which the JSON report tells.</p>", findings.len() - ROWS_MAX);
    }
    page.push_str("<h2>What the classes mean</h2>\n<table><tbody>\n");
    for class in Class::ALL.into_iter().filter(|class| findings.iter().any(|finding| finding.class == *class))
    {
        let _ = writeln!(page, "<tr><td>{}</td><td>{}</td></tr>", class.name(), escape(class.meaning()));
    }
    page.push_str("</tbody></table>\n");
}

fn unchecked(page: &mut String, audit: &Audit) {
    page.push_str("<h2>What was not checked</h2>\n<ul>\n");
    for unchecked in &audit.unchecked {
        let _ = writeln!(page, "<li>{}</li>", escape(unchecked));
    }
    page.push_str("<li>Whether what the events say is true.</li>\n</ul>\n");
}

fn how(page: &mut String, audit: &Audit, command: &[String]) {
    let _ = writeln!(
        page,
        "<h2>How it was made</h2>\n<pre>{}</pre>\n<p>sunday {}, report version {}, format 2 of the log; {:.1} s. Chain head <code>{}</code>.</p>",
        escape(&command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")),
        escape(audit.software),
        audit.report_version,
        audit.seconds,
        audit.log.chain,
    );
}

/// A word of a command as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=+,@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[expect(clippy::cast_precision_loss, reason = "a picture is not that precise")]
fn float(value: u64) -> f64 {
    value as f64
}
