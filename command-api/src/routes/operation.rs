//! One operation of the API: its route, its name, what it reads, what it does and what it answers. `table` says all
//! of them.
//!
//! Invariant: a command is read from its `data`. In a batch `data` is said as such; over HTTP it is the body together
//! with every parameter of the path but `{id}`, which is the command's target.

use super::deprecation::Deprecation;
use crate::answer::Answer;
use crate::request::Call;
use crate::service::Intent;
use crate::state::AppState;
use axum::extract::{DefaultBodyLimit, State};
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http_kit::auth::Scope;
use http_kit::json::parse;
use http_kit::params::Parameters;
use http_kit::problem::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The parameter of a path that is a command's target.
pub(crate) const TARGET: &str = "id";

/// Makes a schema.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One entry of the table.
pub(crate) struct Operation {
    pub(crate) method: Verb,
    /// Below `/api/v1`.
    pub(crate) path: &'static str,
    /// The names of the path's parameters.
    pub(crate) parameters: Vec<&'static str>,
    /// Its one name, which a command also has in a batch.
    pub(crate) id: &'static str,
    /// What it does, in a line.
    pub(crate) summary: &'static str,
    pub(crate) is_in_batch: bool,
    /// What its token has to permit; nothing for what every token may.
    pub(crate) scope: Option<Scope>,
    /// The body, or a command's data.
    pub(crate) body: Option<SchemaOf>,
    /// The request's headers that mean something to it, as components of the document.
    pub(crate) headers: &'static [&'static str],
    /// The parameters of its query, as members.
    pub(crate) query: Option<SchemaOf>,
    /// Schemas of parameters that are neither ids nor members of the body.
    pub(crate) in_path: Vec<(&'static str, SchemaOf)>,
    /// What it answers when all is well.
    pub(crate) success: Success,
    /// Whether what creates may find that it is there already, as it should be: 200.
    pub(crate) may_be_unchanged: bool,
    /// Whether it may be answered before it is recorded: 202.
    pub(crate) may_be_later: bool,
    /// Problems that not all operations give: codes by status.
    pub(crate) problems: Vec<(u16, &'static [&'static str])>,
    pub(crate) deprecation: Option<Deprecation>,
    pub(crate) does: Does,
}

/// What becomes of a request.
pub(crate) enum Does {
    /// It is read into an intent and carried out.
    Command(Box<dyn Reader>),
    /// Something of its own.
    Else(Box<MethodRouter<AppState>>),
}

/// What is answered when all is well.
#[derive(Clone, Copy)]
pub(crate) struct Success {
    pub(crate) status: u16,
    pub(crate) what: &'static str,
    /// What the schema is called.
    pub(crate) name: &'static str,
    pub(crate) schema: SchemaOf,
    /// Headers, beside those that every answer has.
    pub(crate) headers: &'static [&'static str],
}

/// The methods of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Verb {
    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    /// As documents write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// An operation that does not yet say what it does.
pub(crate) struct Named {
    method: Verb,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
}

pub(crate) fn get(path: &'static str, id: &'static str, summary: &'static str) -> Named {
    Named { method: Verb::Get, path, id, summary }
}

pub(crate) fn post(path: &'static str, id: &'static str, summary: &'static str) -> Named {
    Named { method: Verb::Post, path, id, summary }
}

pub(crate) fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Named {
    Named { method: Verb::Patch, path, id, summary }
}

pub(crate) fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Named {
    Named { method: Verb::Delete, path, id, summary }
}

impl Named {
    /// A command: how its data becomes an intent.
    pub(crate) fn reads<D>(self, intent: fn(D) -> Intent) -> Operation
    where
        D: DeserializeOwned + JsonSchema + 'static,
    {
        let success = Success {
            status: 200,
            what: "It is done, or was so already.",
            name: "Done",
            schema: Answer::json_schema,
            headers: &["ETag", "Sunday-Position"],
        };
        let mut operation = self.does(Does::Command(Box::new(Reads(intent))), success);
        operation.is_in_batch = true;
        operation.body = Some(D::json_schema);
        operation.headers = &["IdempotencyKey", "IfMatch", "IfNoneMatch"];
        operation
    }

    /// Anything else.
    pub(crate) fn calls<H: Handler<T, AppState>, T: 'static>(
        self,
        handler: H,
        success: Success,
    ) -> Operation {
        let route = on(self.method.filter(), handler);
        self.does(Does::Else(Box::new(route)), success)
    }

    fn does(self, does: Does, success: Success) -> Operation {
        let Self { method, path, id, summary } = self;
        Operation {
            method,
            path,
            parameters: path.split(['{', '}']).skip(1).step_by(2).collect(),
            id,
            summary,
            is_in_batch: false,
            scope: None,
            body: None,
            headers: &[],
            in_path: Vec::new(),
            query: None,
            success,
            may_be_unchanged: false,
            may_be_later: false,
            problems: Vec::new(),
            deprecation: None,
            does,
        }
    }
}

impl Operation {
    /// Something is there after it that was not before.
    pub(crate) fn creates(mut self) -> Self {
        self.success = Success {
            status: 201,
            what: "It exists now.",
            headers: &["ETag", "Location", "Sunday-Position"],
            ..self.success
        };
        self
    }

    /// What it would create may be there already, as it should be.
    pub(crate) fn or_unchanged(mut self) -> Self {
        self.may_be_unchanged = true;
        self
    }

    /// It may be recorded a little later than it is answered.
    pub(crate) fn or_later(mut self) -> Self {
        self.may_be_later = true;
        self
    }

    /// For a second route of a command, which batches know by the name of the first.
    pub(crate) fn not_in_batch(mut self) -> Self {
        self.is_in_batch = false;
        self
    }

    /// Gives problems of its own with this status.
    pub(crate) fn refuses(mut self, status: u16, codes: &'static [&'static str]) -> Self {
        self.problems.push((status, codes));
        self
    }

    /// What it reads, where it is no command.
    pub(crate) fn takes<B: JsonSchema>(mut self) -> Self {
        self.body = Some(B::json_schema);
        self
    }

    /// Headers of the request that mean something to it.
    pub(crate) fn heeds(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }

    /// What its query may say.
    pub(crate) fn asks<Q: JsonSchema>(mut self) -> Self {
        self.query = Some(Q::json_schema);
        self
    }

    /// What a parameter of its path is.
    pub(crate) fn parameter(mut self, name: &'static str, schema: SchemaOf) -> Self {
        self.in_path.push((name, schema));
        self
    }

    /// Takes bodies up to this many bytes.
    pub(crate) fn takes_bytes(mut self, max: usize) -> Self {
        if let Does::Else(route) = self.does {
            self.does = Does::Else(Box::new(route.layer(DefaultBodyLimit::max(max))));
        }
        self
    }

    /// It goes away, or is no longer the way to do it; every answer says so.
    #[cfg_attr(not(test), expect(dead_code, reason = "nothing is deprecated for now"))]
    pub(crate) fn deprecated(mut self, deprecation: Deprecation) -> Self {
        self.deprecation = Some(deprecation);
        self
    }

    /// Needs a token with this scope.
    pub(crate) fn needs(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
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
        let route = match &self.does {
            Does::Else(route) => MethodRouter::clone(route),
            Does::Command(reader) => on(
                self.method.filter(),
                async move |State(app): State<AppState>, path: Parameters, mut call: Call| {
                    let (target, intent) = self.read(&**reader, &path, &mut call)?;
                    app.run(call, target, intent).await
                },
            ),
        };
        match &self.deprecation {
            Some(deprecation) => deprecation.layer(route),
            None => route,
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

/// Nothing but what may be demanded of the version: name and target say it all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}
