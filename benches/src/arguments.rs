//! What a bench is told on its command line, and what all figures need to know.

use crate::figure::{Figure, Printer};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options that every bench has.
const USAGE: &str = "--quick, --json, --markdown, --only <part of a figure's name> (more than one is fine), --dir <directory>, --runs <n>";

/// A bench under way.
pub struct Bench {
    /// Where data goes: a real disk.
    pub dir: PathBuf,
    pub quick: bool,
    /// Runs of each figure.
    pub runs: usize,
    /// Parts of names; a figure is measured when its name has one of them. None: all are.
    pub only: Vec<String>,
    /// Values of options that not every bench has.
    own: BTreeMap<&'static str, String>,
    printer: Printer,
}

impl Bench {
    /// As the command line says; `own` are the bench's own options with a word for their values.
    pub fn of_arguments(own: &[(&'static str, &str)]) -> Self {
        let also: String = own.iter().map(|(name, value)| format!(", {name} <{value}>")).collect();
        let usage = format!("options: {USAGE}{also}");
        let mut arguments = std::env::args().skip(1);
        let (mut quick, mut json, mut markdown) = (false, false, false);
        let (mut only, mut dir, mut runs, mut said) = (Vec::new(), None, None, BTreeMap::new());
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value; {usage}"));
            match argument.as_str() {
                "--quick" => quick = true,
                "--json" => json = true,
                "--markdown" => markdown = true,
                "--only" => only.push(value()),
                "--dir" => dir = Some(PathBuf::from(value())),
                "--runs" => runs = Some(value().parse().expect("--runs is a number")),
                // Cargo says this to every bench.
                "--bench" => {}
                other => match own.iter().find(|(name, _)| *name == other) {
                    Some((name, _)) => drop(said.insert(*name, value())),
                    None => panic!("{other} is not an option; {usage}"),
                },
            }
        }
        let dir = dir.unwrap_or_else(crate::target);
        std::fs::create_dir_all(&dir).unwrap();
        let runs = runs.unwrap_or(if quick { 3 } else { 5 });
        Self { dir, quick, runs, only, own: said, printer: Printer::new(json, markdown) }
    }

    /// The value of one of the bench's own options.
    pub fn said(&self, option: &str) -> Option<&str> {
        self.own.get(option).map(String::as_str)
    }

    /// The number that one of the bench's own options says.
    pub fn number(&self, option: &str) -> Option<usize> {
        self.said(option).map(|text| text.parse().unwrap_or_else(|_| panic!("{option} is a number")))
    }

    pub fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| figure.contains(part.as_str()))
    }

    pub fn print(&mut self, figure: Figure) {
        self.printer.figure(figure);
    }

    pub fn finish(&mut self) {
        self.printer.finish();
    }
}

/// What a bench says to itself when it starts itself once more: the words after `name`, if it does.
pub fn child(name: &str) -> Option<Vec<String>> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next().as_deref() == Some(name)).then(|| arguments.collect())
}
