//! One operation of the API: its route, its name, what it reads and what it does. `table` says all of them.
//!
//! Invariant: a command is read from its `data`. In a batch `data` is said as such; over HTTP it is the body together
//! with every parameter of the path but `{id}`, which is the command's target.
//!
//! What an operation answers, in words and schemas, is not known here.

use crate::request::Call;
use crate::service::Intent;
use crate::state::AppState;
use axum::extract::{DefaultBodyLimit, State};
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http_kit::json::parse;
use http_kit::params::Parameters;
use http_kit::problem::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The parameter of a path that is a command's target.
pub(crate) const TARGET: &str = "id";

/// One entry of the table.
pub(crate) struct Operation {
    pub(crate) method: MethodFilter,
    /// Below `/api/v1`.
    pub(crate) path: &'static str,
    /// The names of the path's parameters.
    pub(crate) parameters: Vec<&'static str>,
    /// Its one name, which a command also has in a batch.
    pub(crate) id: &'static str,
    pub(crate) is_in_batch: bool,
    pub(crate) does: Does,
}

/// What becomes of a request.
pub(crate) enum Does {
    /// It is read into an intent and carried out.
    Command(Box<dyn Reader>),
    /// Something of its own.
    Else(MethodRouter<AppState>),
}

/// An operation that does not yet say what it does.
pub(crate) struct Named {
    method: MethodFilter,
    path: &'static str,
    id: &'static str,
}

pub(crate) fn post(path: &'static str, id: &'static str) -> Named {
    Named { method: MethodFilter::POST, path, id }
}

pub(crate) fn patch(path: &'static str, id: &'static str) -> Named {
    Named { method: MethodFilter::PATCH, path, id }
}

pub(crate) fn delete(path: &'static str, id: &'static str) -> Named {
    Named { method: MethodFilter::DELETE, path, id }
}

impl Named {
    /// A command: how its data becomes an intent.
    pub(crate) fn reads<D: DeserializeOwned + 'static>(self, intent: fn(D) -> Intent) -> Operation {
        self.does(Does::Command(Box::new(Reads(intent))), true)
    }

    /// Anything else.
    pub(crate) fn calls<H: Handler<T, AppState>, T: 'static>(self, handler: H) -> Operation {
        let route = on(self.method, handler);
        self.does(Does::Else(route), false)
    }

    fn does(self, does: Does, is_in_batch: bool) -> Operation {
        let Self { method, path, id } = self;
        let parameters = path.split(['{', '}']).skip(1).step_by(2).collect();
        Operation { method, path, parameters, id, is_in_batch, does }
    }
}

impl Operation {
    /// For a second route of a command, which batches know by the name of the first.
    pub(crate) fn not_in_batch(mut self) -> Self {
        self.is_in_batch = false;
        self
    }

    /// Takes bodies up to this many bytes.
    pub(crate) fn takes(mut self, bytes: usize) -> Self {
        if let Does::Else(route) = self.does {
            self.does = Does::Else(route.layer(DefaultBodyLimit::max(bytes)));
        }
        self
    }

    /// The reader, where it is a command.
    pub(crate) fn reader(&self) -> Option<&dyn Reader> {
        match &self.does {
            Does::Command(reader) => Some(&**reader),
            Does::Else(_) => None,
        }
    }

    /// Its route.
    pub(crate) fn route(&'static self) -> MethodRouter<AppState> {
        match &self.does {
            Does::Else(route) => route.clone(),
            Does::Command(reader) => {
                on(self.method, async move |State(app): State<AppState>, path: Parameters, mut call: Call| {
                    let (target, intent) = self.read(&**reader, &path, &mut call)?;
                    app.run(call, target, intent).await
                })
            }
        }
    }

    /// Target and intent of a request.
    fn read(
        &self,
        reader: &dyn Reader,
        path: &Parameters,
        call: &mut Call,
    ) -> Result<(Option<Uuid>, Intent), Problem> {
        let mut target = None;
        // Most commands have nothing but their target in the path, which allocates nothing here.
        let mut in_path = Vec::new();
        for &name in &self.parameters {
            if name == TARGET {
                target = Some(path.uuid(name)?);
                continue;
            }
            if is_uuid(name) {
                path.uuid(name)?;
            }
            in_path.push((name, path.text(name)));
        }
        Ok((target, reader.of_call(call, &in_path)?))
    }
}

/// Whether a parameter of a path names something of ours, rather than somebody or a name given by others.
pub(crate) fn is_uuid(parameter: &str) -> bool {
    parameter == TARGET || parameter.ends_with("Id")
}

/// How a command is read.
pub(crate) trait Reader: Send + Sync {
    /// From a batch's `data`.
    fn of_data(&self, data: &[u8]) -> Result<Intent, Problem>;

    /// From a request's body and the members that its path says.
    fn of_call(&self, call: &mut Call, in_path: &[(&'static str, &str)]) -> Result<Intent, Problem>;
}

struct Reads<D>(fn(D) -> Intent);

impl<D: DeserializeOwned> Reader for Reads<D> {
    fn of_data(&self, data: &[u8]) -> Result<Intent, Problem> {
        parse(data).map(self.0)
    }

    fn of_call(&self, call: &mut Call, in_path: &[(&'static str, &str)]) -> Result<Intent, Problem> {
        call.read(in_path).map(self.0)
    }
}

/// The data of a command that is said in full by its name and its target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}
