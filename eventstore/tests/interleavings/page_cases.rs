//! The control page between a writer and a reader.

use crate::mapped::SharedPage;
use crate::numbers::{LogOffset, Position, Timestamp};
use crate::page::{ControlPage, ControlWriter};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

const OURS: Uuid = Uuid::from_u128(1 << 64 | 1);
const THEIRS: Uuid = Uuid::from_u128(2 << 64 | 2);

/// Up to two switches of threads where none was needed: a publication is ten steps, all of their orders would take
/// hours, and what such protocols get wrong shows with two.
fn model(case: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(case);
}

fn end(offset: u64) -> LogOffset {
    LogOffset::new(0, offset)
}

fn publish(writer: &ControlWriter, offset: u64) {
    let reach = (Position::new(offset), end(offset));
    writer.publish(reach, reach, Timestamp::new(0));
}

/// A reader is told of every end, sees the bytes below it, and sleeps only while there is nothing to see.
#[test]
fn a_reader_sees_all_that_is_published_and_nothing_else() {
    model(|| {
        let page = SharedPage::zeroed();
        let writer = ControlWriter::take_over(page.clone(), OURS, 1);
        let reader = ControlPage::new(page).unwrap();
        // Stands for the bytes of the log.
        let bytes = Arc::new(AtomicU64::new(0));
        let written = Arc::clone(&bytes);
        let writing = loom::thread::spawn(move || {
            for offset in [8, 16] {
                written.store(offset, Ordering::Relaxed);
                publish(&writer, offset);
            }
        });
        let mut seen = LogOffset::default();
        while seen < end(16) {
            let (ticket, published) = reader.look();
            let published = published.filter(|published| published.store == OURS);
            match published.filter(|published| published.end > seen) {
                Some(published) => {
                    assert!(published.durable_end <= published.end);
                    assert!(
                        bytes.load(Ordering::Relaxed) >= published.end.offset(),
                        "unwritten bytes are read"
                    );
                    seen = published.end;
                }
                None => reader.wait(ticket, Duration::MAX),
            }
        }
        writing.join().unwrap();
    });
}

/// Another store's end never passes for ours, whenever we look.
#[test]
fn a_page_that_changes_hands_never_mixes_two_stores() {
    model(|| {
        let page = SharedPage::zeroed();
        publish(&ControlWriter::take_over(page.clone(), THEIRS, 1), 800);
        let reader = ControlPage::new(page.clone()).unwrap();
        let writing = loom::thread::spawn(move || {
            publish(&ControlWriter::take_over(page, OURS, 1), 8);
        });
        if let Some(published) = reader.published() {
            if published.store == OURS {
                assert_eq!(published.end, end(8));
                assert_eq!(published.durable_end, end(8));
            }
            if published.store == THEIRS {
                assert_eq!(published.end, end(800));
            }
        }
        writing.join().unwrap();
    });
}
