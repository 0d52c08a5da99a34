//! A tree in memory, grown as the notary grows it: through its edge, level by level.

use eventstore::transparency::{Edge, ProofError, Prover, TileId, TileSource, TreeHead};
use eventstore::{Digest, TreeSize};

/// Hashes by level, as tiles have them.
#[derive(Default)]
pub(crate) struct Grown {
    pub(crate) edge: Edge,
    pub(crate) levels: Vec<Vec<Digest>>,
}

impl Grown {
    pub(crate) fn append(&mut self, leaf: Digest) {
        let Self { edge, levels } = self;
        edge.append(leaf, |level, hash| {
            if levels.len() == usize::from(level) {
                levels.push(Vec::new());
            }
            levels[usize::from(level)].push(hash);
        });
    }

    pub(crate) fn prover(&self, size: u64) -> Prover<'_, Self> {
        Prover::new(self, TreeSize::new(size))
    }

    pub(crate) fn head(&self, size: u64) -> TreeHead {
        let size = TreeSize::new(size);
        TreeHead { size, root: self.prover(self.edge.size().get()).root(size).unwrap() }
    }
}

impl TileSource for Grown {
    type Error = ProofError;

    fn tile(&self, id: TileId) -> Result<Vec<Digest>, ProofError> {
        assert!((1..=256).contains(&id.width), "no tile has this width: {id}");
        let start = usize::try_from(id.index).unwrap() * 256;
        Ok(self.levels[usize::from(id.level)][start..start + usize::from(id.width)].to_vec())
    }
}
