//! A read model with an image that is never much older than it is.

use crate::decode::DecodedCommit;
use crate::image::{self, ImageError};
use crate::projection::{Projection, ProjectionError};
use crate::read_model::ReadModel;
use crate::shared::Shared;
use eventstore::Lineage;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An image is written when it is this old and the model has moved …
const IMAGE_EVERY: Duration = Duration::from_secs(30);
/// … or when this many events have been taken in since.
const IMAGE_EVENTS: u64 = 200_000;

/// A projection that feeds a read model and writes its images.
#[derive(Debug)]
pub(crate) struct Imaged<M> {
    model: Shared<M>,
    generation: PathBuf,
    /// What the last image has, as far as this process knows.
    imaged: Lineage,
    written: Instant,
}

impl<M: ReadModel> Imaged<M> {
    pub(crate) fn new(model: Shared<M>, generation: &Path) -> Self {
        let imaged = model.read().checkpoint();
        Self { model, generation: generation.to_owned(), imaged, written: Instant::now() }
    }

    pub(crate) fn save(&mut self) -> Result<(), ImageError> {
        let (checkpoint, image) = {
            let model = self.model.read();
            if model.checkpoint() == self.imaged {
                return Ok(());
            }
            (model.checkpoint(), image::encode(&*model)?)
        };
        self.written = Instant::now();
        image::write_bytes::<M>(&self.generation, &image)?;
        self.imaged = checkpoint;
        Ok(())
    }
}

impl<M: ReadModel> Projection for Imaged<M> {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    fn version(&self) -> u32 {
        self.model.version()
    }

    fn checkpoint(&self) -> Lineage {
        Projection::checkpoint(&self.model)
    }

    fn apply(&mut self, commits: &[DecodedCommit<'_>]) -> Result<(), ProjectionError> {
        self.model.apply(commits)
    }

    fn rest(&mut self) {
        let behind = self.model.checkpoint().get().saturating_sub(self.imaged.next.get());
        let due = behind >= IMAGE_EVENTS || (behind > 0 && self.written.elapsed() >= IMAGE_EVERY);
        if due && let Err(error) = self.save() {
            // Only the next start is slower; the next image may well succeed.
            tracing::error!(model = M::NAME, %error, "no image of a read model was written");
            self.written = Instant::now();
        }
    }
}
