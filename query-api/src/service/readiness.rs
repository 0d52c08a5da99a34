//! Whether a query service can do its work, and why not.

use super::QueryService;
use eventstore::{RecordedEvent, Timestamp};
use projector::ReadModel;
use projector::activity::Activity;
use projector::analytics::Analytics;
use projector::models::Models;
use std::sync::atomic::Ordering;

impl QueryService {
    /// Why the models, or the index where it is kept in this process, do not move, when something is wrong.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        (self.shared.source.0)()
    }

    /// Whether it can do its work: the models have taken in what the log had at the start, and go on.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn readiness(&self) -> Result<(), String> {
        let shared = &self.shared;
        if let Some(failure) = self.failure() {
            return Err(format!("the projections stand still: {failure}"));
        }
        if let Some((projection, waiting)) = shared.models.waiting() {
            return Err(format!("the projection {projection} waits: {waiting}"));
        }
        if let Some(refusal) = self.audit().refusal() {
            return Err(format!("no checkpoint is signed: {refusal}"));
        }
        if let Some(alarm) = shared.verifications.scrubbed().and_then(|scrubbed| scrubbed.alarm()) {
            return Err(alarm);
        }
        if shared.caught_up.load(Ordering::Relaxed) {
            return self.is_behind().map_or(Ok(()), Err);
        }
        let reached = shared.models.checkpoint();
        if reached < shared.began_at {
            // All wait for whichever is replayed, because its image was of no use: it is named.
            let models = &shared.models;
            let positions = [
                (Models::NAME, models.models.checkpoint()),
                (Activity::NAME, models.activity.checkpoint()),
                (Analytics::NAME, models.analytics.checkpoint()),
            ];
            let behind = positions.iter().filter(|(_, position)| *position < shared.began_at);
            let behind: Vec<_> = behind.map(|(name, position)| format!("{name} {position}")).collect();
            return Err(format!(
                "the read models have taken in {reached} of {} events ({})",
                shared.began_at,
                behind.join(", ")
            ));
        }
        shared.caught_up.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Which projection is further behind than it may be.
    fn is_behind(&self) -> Option<String> {
        let shared = &self.shared;
        let max = shared.behind_max.load(Ordering::Relaxed);
        if max == 0 {
            return None;
        }
        let positions = [
            ("models", shared.models.models.checkpoint()),
            ("activity", shared.models.activity.checkpoint()),
            ("analytics", shared.models.analytics.checkpoint()),
            ("search", shared.searcher.checkpoint()),
        ];
        let watermark = shared.log.watermark();
        positions.into_iter().filter(|(_, position)| *position < watermark).find_map(|(name, position)| {
            // A log that cannot be read there is told by whoever has to read it.
            let next = shared.log.event(position).ok().flatten()?;
            let age = Timestamp::now().get().saturating_sub(RecordedEvent::get(&next)?.recorded_at().get());
            let seconds = u64::try_from(age / 1_000_000_000).unwrap_or_default();
            let lag = watermark.get().saturating_sub(position.get());
            (seconds > max).then(|| format!("the projection {name} is {lag} events and {seconds} s behind"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventstore::{Position, Store, StoreOptions};
    use projector::ReadModels;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread")]
    async fn one_rotten_image_keeps_all_of_them_from_being_ready_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        for number in 0..7 {
            let mut commit = eventstore::CommitBuilder::new();
            commit.event(eventstore::NewEvent {
                id: uuid::Uuid::now_v7(),
                stream: eventstore::StreamId::new(format!("order-{number}")).unwrap(),
                event_type: eventstore::EventType::new("order.placed").unwrap(),
                content_type: eventstore::ContentType::Json,
                schema_version: 1,
                tags: Vec::new(),
                metadata: eventstore::Metadata::default(),
                payload: b"{}".to_vec(),
            });
            store.append(commit.prepare().unwrap()).unwrap();
        }
        let projector = projector::Projector::start(dir.path(), store.log()).unwrap();
        let all = projector.read_models().clone();
        assert!(all.wait_for(Position::new(7), Duration::from_secs(20)).await);
        projector.stop().unwrap();
        let images = dir.path().join("images");
        let generation = std::fs::read_to_string(images.join("CURRENT")).unwrap();
        let image = images.join(generation.trim()).join("activity.img");
        let mut bytes = std::fs::read(&image).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&image, bytes).unwrap();

        let models = ReadModels::open(dir.path(), &store.log());
        let service = QueryService::over(dir.path(), store.log(), models.clone(), || None);
        let refused = service.readiness().unwrap_err();
        assert_eq!(refused, "the read models have taken in 0 of 7 events (activity 0)");
        let _following = models.follow(store.log()).unwrap();
        assert!(models.wait_for(Position::new(7), Duration::from_secs(20)).await);
        assert_eq!(service.readiness(), Ok(()));
    }

    #[tokio::test]
    async fn it_is_not_ready_while_its_projector_fails() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let models = ReadModels::open(dir.path(), &store.log());
        let is_failing = Arc::new(AtomicBool::new(false));
        let failure = {
            let is_failing = Arc::clone(&is_failing);
            move || is_failing.load(Ordering::Relaxed).then(|| "the disk is full".to_owned())
        };
        let service = QueryService::over(dir.path(), store.log(), models, failure);
        assert_eq!(service.readiness(), Ok(()));
        is_failing.store(true, Ordering::Relaxed);
        assert!(service.readiness().unwrap_err().contains("the disk is full"));
        is_failing.store(false, Ordering::Relaxed);
        assert_eq!(service.readiness(), Ok(()));
    }
}
