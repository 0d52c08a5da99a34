//! How answers are read: on threads that may wait, after what was asked for has come, with the position that they rest on.

use super::{CHECKPOINT_LOOK, INDEX_LOOK, QueryService};
use crate::freshness::{Freshness, Refusal, stamp};
use crate::problems::{interrupted, not_caught_up};
use axum::response::{IntoResponse, Response};
use eventstore::{Log, Position};
use http_kit::problem::Problem;
use projector::models::Models;
use projector::notary::{Published, ReaderError};
use projector::{ReadModel, SharedModels};
use std::sync::Arc;
use tokio::time::Instant;

/// What an answer still takes when what the models know is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// To be written.
    Little,
    /// Some texts from the log, the oldest of them at this position or after it.
    Texts {
        /// The position.
        since: Position,
    },
    /// A while.
    Much,
}

impl Work {
    /// To read the texts at these positions.
    pub(crate) fn texts(at: impl IntoIterator<Item = Position>) -> Self {
        at.into_iter().min().map_or(Self::Little, |since| Self::Texts { since })
    }
}

impl QueryService {
    /// Answers from the models: `copy` takes out what is needed while they are locked, `finish` makes the answer of
    /// it and may read the log. Answers and refusals tell the position that they rest on.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        freshness: Freshness,
        copy: impl FnOnce(&Models) -> Result<T, Problem> + Send + 'static,
        finish: impl FnOnce(T, &Log) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Refusal> {
        self.reaches(self.models(), &freshness).await?;
        let service = self.clone();
        let answer = self.blocking(move || {
            let (copied, position) = {
                let models = service.models().read();
                (copy(&models), models.checkpoint().next)
            };
            let answer = copied.and_then(|copied| finish(copied, service.log()));
            stamp(answer.unwrap_or_else(IntoResponse::into_response), position)
        });
        Ok(answer.await?)
    }

    /// The same for what is too much to be copied under one lock: `collect` locks the models as often as it likes, and says
    /// the position that it has read first.
    pub(crate) async fn read_in_pieces<T: Send + 'static>(
        &self,
        freshness: Freshness,
        collect: impl FnOnce(&SharedModels) -> (T, Position) + Send + 'static,
        finish: impl FnOnce(T, &Log) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Refusal> {
        self.reaches(self.models(), &freshness).await?;
        let service = self.clone();
        let answer = self.blocking(move || {
            let (collected, position) = collect(service.models());
            let answer = finish(collected, service.log());
            stamp(answer.unwrap_or_else(IntoResponse::into_response), position)
        });
        Ok(answer.await?)
    }

    /// The same for one thing, which is soon copied: on the thread of the request, unless `work` says that it may take long
    /// from there on. To hand a small answer to another thread and back costs more than to make it.
    pub(crate) async fn read_one<T: Send + 'static>(
        &self,
        freshness: Freshness,
        copy: impl FnOnce(&Models) -> Result<T, Problem>,
        work: impl FnOnce(&T) -> Work,
        finish: impl FnOnce(T, &Log) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Refusal> {
        self.reaches(self.models(), &freshness).await?;
        let (copied, position) = {
            let models = self.models().read();
            (copy(&models), models.checkpoint().next)
        };
        let work = copied.as_ref().map_or(Work::Little, work);
        let log = self.log().clone();
        let answer = move || {
            let answer = copied.and_then(|copied| finish(copied, &log));
            stamp(answer.unwrap_or_else(IntoResponse::into_response), position)
        };
        match work {
            Work::Little => Ok(answer()),
            Work::Texts { since } => Ok(self.small_read(since, answer).await?),
            Work::Much => Ok(self.blocking(answer).await?),
        }
    }

    /// Waits until the models are as far as was asked.
    pub(crate) async fn models_reach(&self, freshness: &Freshness) -> Result<(), Refusal> {
        self.reaches(self.models(), freshness).await
    }

    /// Waits until a read model is as far as was asked.
    pub(crate) async fn reaches<M: ReadModel>(
        &self,
        model: &projector::Shared<M>,
        freshness: &Freshness,
    ) -> Result<(), Refusal> {
        let wanted = freshness.min_position;
        if model.checkpoint() >= wanted || model.wait_for(wanted, freshness.timeout).await {
            Ok(())
        } else {
            let reached = model.checkpoint();
            Err(Refusal::at(reached, not_caught_up(wanted, reached)))
        }
    }

    /// Waits until the models and another read model are as far as was asked.
    pub(crate) async fn models_and<M: ReadModel>(
        &self,
        model: &projector::Shared<M>,
        freshness: &Freshness,
    ) -> Result<(), Refusal> {
        let deadline = Instant::now() + freshness.timeout;
        self.models_reach(freshness).await?;
        let timeout = deadline.saturating_duration_since(Instant::now());
        self.reaches(model, &Freshness { timeout, ..*freshness }).await
    }

    /// Waits until the log itself is as far as was asked.
    pub(crate) async fn log_reaches(&self, freshness: &Freshness) -> Result<(), Refusal> {
        let wanted = freshness.min_position;
        let mut watermark = self.log().watch();
        match tokio::time::timeout(freshness.timeout, watermark.wait_for(|at| *at >= wanted)).await {
            Ok(Ok(_)) => Ok(()),
            _ => {
                let reached = self.log().watermark();
                Err(Refusal::at(reached, not_caught_up(wanted, reached)))
            }
        }
    }

    /// Waits until the published checkpoint is as far as was asked, or the time is up; answers with it.
    pub(crate) async fn audit_reaches(
        &self,
        freshness: &Freshness,
    ) -> Result<Option<Arc<Published>>, ReaderError> {
        let deadline = Instant::now() + freshness.timeout;
        loop {
            let published = self.audit().published()?;
            let size = published.as_ref().map_or(0, |published| published.checkpoint.head.size.get());
            if size >= freshness.min_position.get() || Instant::now() >= deadline {
                return Ok(published);
            }
            tokio::time::sleep(CHECKPOINT_LOOK).await;
        }
    }

    /// Waits until the models and the index are as far as was asked: for answers that are made of both.
    pub(crate) async fn both_reach(&self, freshness: &Freshness) -> Result<(), Refusal> {
        let deadline = Instant::now() + freshness.timeout;
        self.models_reach(freshness).await?;
        let wanted = freshness.min_position;
        if wanted == Position::ZERO {
            return Ok(());
        }
        loop {
            // Looking may load a new index, which reads files.
            let searcher = self.searcher().clone();
            let reached = self.blocking(move || searcher.checkpoint()).await?;
            if reached >= wanted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Refusal::at(reached, not_caught_up(wanted, reached)));
            }
            tokio::time::sleep(INDEX_LOOK).await;
        }
    }

    /// Runs a read of a few events of the log, none of them before `since`: at once where that will probably not have to wait,
    /// otherwise where waiting is allowed.
    pub(crate) async fn small_read<T: Send + 'static>(
        &self,
        since: Position,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        if !self.log().is_here_from(since) {
            return self.blocking(read).await;
        }
        match self.shared.at_hand.try_read(eventstore::disk_waits, read) {
            Ok(value) => Ok(value),
            Err(read) => self.blocking(read).await,
        }
    }

    /// Runs a read that may have to wait for the disk where waiting is allowed.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        // It fails only when the semaphore is closed, which nobody does.
        let place = Arc::clone(&self.shared.reads).acquire_owned().await;
        let result = tokio::task::spawn_blocking(move || {
            let _place = place;
            read()
        });
        result.await.map_err(|error| interrupted(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::READS_MAX;
    use eventstore::{Store, StoreOptions};
    use projector::ReadModels;
    use std::sync::mpsc;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_read_keeps_its_place_when_its_request_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let models = ReadModels::open(dir.path(), &store.log());
        let service = QueryService::over(dir.path(), store.log(), models, || None);
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let request = tokio::spawn({
            let service = service.clone();
            async move {
                let read = move || {
                    started.send(()).unwrap();
                    // It ends when the test lets go of the other side.
                    let _ = released.recv();
                };
                service.blocking(read).await
            }
        });
        tokio::task::block_in_place(|| has_started.recv().unwrap());
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        let reads = &service.shared.reads;
        assert_eq!(reads.available_permits(), READS_MAX - 1, "the thread is still at it");
        drop(release);
        let all = u32::try_from(READS_MAX).unwrap();
        let places = tokio::time::timeout(Duration::from_secs(10), reads.acquire_many(all)).await;
        assert!(places.is_ok(), "the place comes back");
    }
}
