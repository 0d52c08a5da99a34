//! Repairs that were asked for, carried out one after the other by a thread of their own: whoever hears of them (the tail) has
//! other things to do.

use crate::checker::entity::Entity;
use crate::control::{RepairHook, RepairPending};
use crate::rebuild::ProjectionName;
use crate::run::Repairs;
use crate::tail::guarded;
use domain::system::projections::RepairRequested;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Repairs that wait at most; further ones are refused, and can be asked for again.
const WAITING_MAX: usize = 1_024;

/// What is repaired, and who waits for it.
type Asked = (ProjectionName, Entity, Option<RepairPending>);

/// Takes repairs. Dropping it lets those that wait be carried out first.
#[derive(Debug)]
pub struct RepairQueue {
    sender: Option<SyncSender<Asked>>,
    thread: Option<JoinHandle<()>>,
}

impl RepairQueue {
    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(repairs: Repairs) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("repair".to_owned())
            .spawn(move || carry_out(&receiver, &repairs))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// As what is called when the log asks for a repair.
    #[must_use]
    pub fn into_hook(self) -> RepairHook {
        Arc::new(move |projection, _, asked: &RepairRequested, pending| {
            self.put(projection, &asked.entity, Some(pending));
        })
    }

    /// Asks for a repair, by the names that events have for projection and entity. Never waits; false, and a line in the log,
    /// when it is not taken.
    pub fn ask(&self, projection: &str, entity: &str) -> bool {
        self.put(projection, entity, None)
    }

    fn put(&self, projection: &str, entity: &str, pending: Option<RepairPending>) -> bool {
        let named = ProjectionName::parse(projection).zip(Entity::parse(entity));
        let Some((name, thing)) = named else {
            tracing::warn!(projection, entity, "a repair names nothing that is known here");
            return false;
        };
        match self.sender.as_ref().map(|sender| sender.try_send((name, thing, pending))) {
            Some(Ok(())) => true,
            Some(Err(TrySendError::Full(_))) => {
                tracing::warn!(projection, entity, "too many repairs wait; ask for this one again");
                false
            }
            Some(Err(TrySendError::Disconnected(_))) | None => false,
        }
    }
}

fn carry_out(receiver: &Receiver<Asked>, repairs: &Repairs) {
    while let Ok((projection, entity, _pending)) = receiver.recv() {
        let name = projection.as_str();
        let repair = || match repairs.repair(projection, &entity) {
            Ok(true) => tracing::info!(projection = name, %entity, "repaired"),
            Ok(false) => {
                tracing::info!(projection = name, %entity, "it was as the log says: nothing to repair");
            }
            Err(error) => {
                tracing::error!(projection = name, %entity, %error, "it could not be repaired");
            }
        };
        if let Err(panic) = guarded(repair) {
            tracing::error!(projection = name, %entity, error = panic, "it could not be repaired");
        }
    }
}

impl Drop for RepairQueue {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // Its panics are caught one by one.
            let _ = thread.join();
        }
    }
}
