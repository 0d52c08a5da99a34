//! A figure beside its ceiling: medians over alternating runs, what is said of them, and the three ways to print it.

use serde_json::{Map, Value, json};

/// One run of one side: its value and what it moved.
#[derive(Debug, Clone, Default)]
pub struct Run {
    pub value: f64,
    /// Bytes that the log (or the ceiling) was asked to write, read or hash.
    pub bytes: u64,
    /// Bytes that the device was given, or had to give.
    pub device_bytes: Option<u64>,
}

/// Runs of both sides, taken in turns so that a neighbour's noise meets both.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    pub ours: Vec<Run>,
    pub ceiling: Vec<Run>,
}

impl Runs {
    pub fn alternate(count: usize, mut ceiling: impl FnMut() -> Run, mut ours: impl FnMut() -> Run) -> Self {
        let mut runs = Self::default();
        for _ in 0..count {
            runs.ceiling.push(ceiling());
            runs.ours.push(ours());
        }
        runs
    }
}

/// What the project wants of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    RatioAtLeast(f64),
    AtLeast(f64),
    AtMost(f64),
    /// At most so much more than the ceiling, in the figure's unit.
    AboveCeilingAtMost(f64),
}

impl Goal {
    fn met(self, value: f64, ceiling: Option<f64>) -> bool {
        match self {
            Self::RatioAtLeast(least) => ceiling.is_some_and(|ceiling| value / ceiling >= least),
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::AboveCeilingAtMost(most) => ceiling.is_some_and(|ceiling| value - ceiling <= most),
        }
    }

    fn text(self) -> String {
        match self {
            Self::RatioAtLeast(least) => format!("ratio ≥ {least}"),
            Self::AtLeast(least) => format!("≥ {}", grouped(least)),
            Self::AtMost(most) => format!("≤ {}", short(most)),
            Self::AboveCeilingAtMost(most) => format!("≤ ceiling + {}", short(most)),
        }
    }
}

/// A figure on its way to the printer.
pub struct Figure {
    name: String,
    unit: &'static str,
    ceiling_is: Option<&'static str>,
    goals: Vec<Goal>,
    runs: Runs,
    extra: Map<String, Value>,
}

impl Figure {
    pub fn new(name: impl Into<String>, unit: &'static str, runs: Runs) -> Self {
        Self { name: name.into(), unit, ceiling_is: None, goals: Vec::new(), runs, extra: Map::new() }
    }

    /// A figure that has no ceiling: something is counted, not timed.
    pub fn counted(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        let runs = Runs { ours: vec![Run { value, ..Run::default() }], ceiling: Vec::new() };
        Self::new(name, unit, runs)
    }

    pub fn ceiling_is(mut self, what: &'static str) -> Self {
        self.ceiling_is = Some(what);
        self
    }

    pub fn goals(mut self, goals: &[Goal]) -> Self {
        self.goals.extend_from_slice(goals);
        self
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }
}

/// How figures leave the bench: a line for people on stderr as each one is ready, data on stdout.
pub struct Printer {
    json: bool,
    markdown: bool,
    rows: Vec<String>,
}

impl Printer {
    pub fn new(json: bool, markdown: bool) -> Self {
        Self { json, markdown, rows: Vec::new() }
    }

    pub fn figure(&mut self, figure: Figure) {
        let values = |runs: &[Run]| runs.iter().map(|run| run.value).collect::<Vec<_>>();
        let (ours, ceilings) = (values(&figure.runs.ours), values(&figure.runs.ceiling));
        let value = median(&ours);
        let ceiling = (!ceilings.is_empty()).then(|| median(&ceilings));
        let ratio = ceiling.map(|ceiling| value / ceiling);
        let met =
            (!figure.goals.is_empty()).then(|| figure.goals.iter().all(|goal| goal.met(value, ceiling)));
        let goal = figure.goals.iter().map(|goal| goal.text()).collect::<Vec<_>>().join(", ");

        let spread = spread(&ours);
        let row = format!(
            "| {} | {} {} | {} | {} | {} | {goal} | {} | {} |",
            figure.name,
            short(value),
            figure.unit,
            if ours.len() > 1 {
                format!("{}–{}", short(spread[0]), short(spread[1]))
            } else {
                String::new()
            },
            ceiling.map_or_else(String::new, short),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            met.map_or("", |met| if met { "yes" } else { "no" }),
            figure.ceiling_is.unwrap_or_default(),
        );
        eprintln!("{}", plain(&figure, value, spread, ceiling, ratio, met));
        self.rows.push(row);
        if self.json {
            let bytes = |runs: &[Run]| runs.iter().map(|run| run.bytes).max().filter(|bytes| *bytes > 0);
            // Neighbours write to the same device: the run with the least is the nearest to the truth.
            let device = |runs: &[Run]| runs.iter().filter_map(|run| run.device_bytes).min();
            let mut line = json!({
                "figure": figure.name, "unit": figure.unit, "value": round(value),
                "ceiling": ceiling.map(round), "ratio": ratio.map(round),
                "spread": spread.map(round), "runs": ours.iter().copied().map(round).collect::<Vec<_>>(),
                "ceiling_runs": ceilings.iter().copied().map(round).collect::<Vec<_>>(),
                "ceiling_is": figure.ceiling_is, "goal": goal, "goal_met": met,
                "bytes": bytes(&figure.runs.ours), "ceiling_bytes": bytes(&figure.runs.ceiling),
                "device_bytes": device(&figure.runs.ours),
                "ceiling_device_bytes": device(&figure.runs.ceiling),
            });
            if let Value::Object(line) = &mut line {
                line.extend(figure.extra);
            }
            println!("{line}");
        }
    }

    pub fn finish(&self) {
        if self.markdown {
            println!("| figure | value | spread | ceiling | ratio | goal | met | the ceiling is |");
            println!("| --- | ---: | ---: | ---: | ---: | --- | --- | --- |");
            for row in &self.rows {
                println!("{row}");
            }
        }
    }
}

fn plain(
    figure: &Figure,
    value: f64,
    spread: [f64; 2],
    ceiling: Option<f64>,
    ratio: Option<f64>,
    met: Option<bool>,
) -> String {
    let mut line = format!("{:<52} {:>12} {:<9}", figure.name, short(value), figure.unit);
    if figure.runs.ours.len() > 1 {
        line.push_str(&format!(" [{} – {}]", short(spread[0]), short(spread[1])));
    }
    if let (Some(ceiling), Some(ratio)) = (ceiling, ratio) {
        line.push_str(&format!("  of {}: {ratio:.2}", short(ceiling)));
    }
    if let Some(met) = met {
        let goals: Vec<_> = figure.goals.iter().map(|goal| goal.text()).collect();
        line.push_str(&format!("  goal {}: {}", goals.join(", "), if met { "met" } else { "MISSED" }));
    }
    line
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which so much of `values` lies (nearest rank; the mean of the two middle ones for a median of an
/// even count).
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    if part == 0.5 && sorted.len().is_multiple_of(2) && !sorted.is_empty() {
        return f64::midpoint(sorted[sorted.len() / 2 - 1], sorted[sorted.len() / 2]);
    }
    let rank = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

fn spread(values: &[f64]) -> [f64; 2] {
    [quantile(values, 0.0), quantile(values, 1.0)]
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn short(value: f64) -> String {
    match value.abs() {
        tiny if tiny > 0.0 && tiny < 0.1 => format!("{value:.4}"),
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 1000.0 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
