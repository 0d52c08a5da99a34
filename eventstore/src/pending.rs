//! A commit on its way.

use crate::error::AppendError;
use crate::flush::Answer;
use crate::receipt::Receipt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// A commit on its way. It is a future; [`Pending::wait`] blocks instead.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Answer>);

fn writer_is_gone() -> AppendError {
    AppendError::OutcomeUnknown { reason: "the writer stopped before it answered".to_owned() }
}

impl Pending {
    pub(crate) fn new(answer: oneshot::Receiver<Answer>) -> Self {
        Self(answer)
    }

    /// Blocks until the commit is durable or refused. Not inside async code.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn wait(self) -> Result<Receipt, AppendError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(writer_is_gone()))
    }

    /// The answer if there is one already. It is given once.
    pub fn try_answer(&mut self) -> Option<Result<Receipt, AppendError>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => Some(Err(writer_is_gone())),
        }
    }
}

impl Future for Pending {
    type Output = Result<Receipt, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(writer_is_gone())))
    }
}
