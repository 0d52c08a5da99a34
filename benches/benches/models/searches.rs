//! Searching many documents: the ten best of queries of one to three words, of which some stand in every third document and most
//! in few, as in texts of people. Without HTTP, which the pipeline's figures have.

use benches::figure::{Figure, Goal, Run, Runs, quantile};
use benches::{Bench, machine, world};
use eventstore::Store;
use projector::decode::DecodedCommit;
use projector::search::{self, Expression, SearchQuery, Searcher};
use projector::{Models, SharedModels};
use std::path::Path;
use std::time::Instant;

/// Words that there are; the first are the most frequent ones.
const VOCABULARY: f64 = 50_000.0;
const TITLE_WORDS: usize = 8;
const QUERIES: usize = 1_000;

/// Numbers that look random and are always the same (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    /// From 0 up to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The word of rank r comes about 1/r as often as the first.
    fn word(&mut self) -> String {
        let mut rank = VOCABULARY.powf(self.next()) as usize;
        let mut word = String::new();
        while rank > 0 {
            word.push(char::from(b'a' + (rank % 26) as u8));
            rank /= 26;
        }
        word + "o"
    }

    fn words(&mut self, count: usize) -> String {
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }
}

pub(crate) fn searches(bench: &mut Bench, dir: &Path, documents: usize) {
    let name = format!("search top 10 of {documents} items");
    if !bench.wants(&name) {
        return;
    }
    let scratch = machine::scratch(dir);
    let store = Store::open(scratch.path(), &Default::default()).unwrap();
    eprintln!("  {documents} items are written");
    let mut numbers = Numbers(1);
    world::titled(&store, documents, |_| numbers.words(TITLE_WORDS));
    let log = store.log();
    let mut models = Models::new(log.store_id());
    for commit in log.commits(Default::default()) {
        models.apply(&DecodedCommit::decode(&commit.unwrap())).unwrap();
    }
    eprintln!("  they are indexed");
    search::bare::build(scratch.path(), &SharedModels::new(models), &log).unwrap();
    let searcher = Searcher::open(scratch.path(), log);
    let mut numbers = Numbers(2);
    let queries: Vec<_> = (0..QUERIES)
        .map(|number| Expression::parse(&numbers.words(1 + number % 3)).unwrap())
        .map(|expression| SearchQuery { expression, limit: 10, ..SearchQuery::default() })
        .collect();
    let mut runs = (Vec::new(), Vec::new());
    // One more, whose times are not taken: it brings the files into memory.
    for run in 0..=bench.runs {
        let mut micros = Vec::new();
        for query in &queries {
            let began = Instant::now();
            searcher.search(query).unwrap();
            micros.push(began.elapsed().as_secs_f64() * 1e6);
        }
        if run > 0 {
            let of = |part| Run { value: quantile(&micros, part), ..Run::default() };
            runs.0.push(of(0.5));
            runs.1.push(of(0.99));
        }
    }
    for (part, ours, goals) in [("p50", runs.0, &[][..]), ("p99", runs.1, &[Goal::AtMost(20_000.0)])] {
        let runs = Runs { ours, ceiling: Vec::new() };
        bench.print(Figure::new(format!("{name}: {part}"), "µs", runs).goals(goals));
    }
    store.close();
}
