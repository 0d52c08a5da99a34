//! The body of an answer that is made while it is read: the next part is asked for when the one before has been taken.

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Makes the parts.
pub(crate) trait Source: Send + Sized + 'static {
    /// Why a body breaks off: whoever reads it must not take it for whole.
    type Error: Send + 'static;

    /// The next part, with what makes those after it; nothing at the end.
    fn next(self: Box<Self>) -> impl Future<Output = Part<Self>> + Send;
}

/// What a source gives.
pub(crate) type Part<S> = Result<Option<(Bytes, Box<S>)>, <S as Source>::Error>;

/// The body of a source.
pub(crate) struct Pulled<S: Source>(State<S>);

enum State<S: Source> {
    Rests(Box<S>),
    Works(Pin<Box<dyn Future<Output = Part<S>> + Send>>),
    Over,
}

impl<S: Source> Pulled<S> {
    /// Nothing is made before it is read.
    pub(crate) fn new(source: S) -> Self {
        Self(State::Rests(Box::new(source)))
    }
}

impl<S: Source> Body for Pulled<S> {
    type Data = Bytes;
    type Error = S::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, S::Error>>> {
        let mut work = match mem::replace(&mut self.0, State::Over) {
            State::Rests(source) => Box::pin(source.next()),
            State::Works(work) => work,
            State::Over => return Poll::Ready(None),
        };
        let Poll::Ready(part) = work.as_mut().poll(context) else {
            self.0 = State::Works(work);
            return Poll::Pending;
        };
        Poll::Ready(part.transpose().map(|part| {
            part.map(|(bytes, source)| {
                self.0 = State::Rests(source);
                Frame::data(bytes)
            })
        }))
    }
}
