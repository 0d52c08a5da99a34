//! One operation of the API: its route, its name, what its path and its query say, what it answers. `table` says all of them.

use super::lines::{NDJSON, as_lines};
use super::parameter::Parameter;
use super::{ROOT, list};
use crate::service::QueryService;
use axum::handler::Handler;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, get as get_by, post as post_by};
use http_kit::auth::Scope;
use http_kit::openapi::{Schemas, type_name};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// One entry of the table.
pub(crate) struct Operation {
    /// Of HTTP, in lower case.
    pub(crate) method: &'static str,
    /// Below `/api/v1`, unless it is [`Operation::at_root`].
    pub(crate) path: &'static str,
    root: &'static str,
    /// The last parameter of its path holds slashes, which no document can say: there they are written `%2F`.
    has_rest: bool,
    /// Its one name.
    pub(crate) id: &'static str,
    /// What it does, in a line.
    pub(crate) summary: &'static str,
    /// What its token has to permit; nothing for what every token may.
    pub(crate) scope: Option<Scope>,
    /// Schemas and examples of parameters of its path that are not ids of ours.
    pub(crate) in_path: Vec<(&'static str, Value, Value)>,
    /// The parameters of its query, but for those that all operations have.
    pub(crate) query: Vec<Parameter>,
    /// The request's headers that mean something to it, as components of the document.
    pub(crate) takes: &'static [&'static str],
    pub(crate) success: Success,
    /// Problems that not all operations give: codes by status.
    pub(crate) problems: Vec<(u16, &'static [&'static str])>,
    route: MethodRouter<QueryService>,
}

/// What is answered when all is well.
pub(crate) struct Success {
    pub(crate) status: u16,
    pub(crate) what: &'static str,
    pub(crate) media_type: &'static str,
    /// Other forms of it, by what `Accept` names.
    pub(crate) also: &'static [&'static str],
    pub(crate) schema: Box<dyn Fn(&mut Schemas) -> Value + Send + Sync>,
    /// Headers, beside those that every answer has.
    pub(crate) headers: Vec<&'static str>,
}

/// An operation that does not yet say what it answers.
pub(crate) struct Named {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    route: MethodRouter<QueryService>,
}

/// An operation and what answers it.
pub(crate) fn get<H: Handler<T, QueryService>, T: 'static>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: H,
) -> Named {
    Named { method: "get", path, id, summary, route: get_by(handler) }
}

/// An operation that begins something in this process, and what answers it.
pub(crate) fn post<H: Handler<T, QueryService>, T: 'static>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: H,
) -> Named {
    Named { method: "post", path, id, summary, route: post_by(handler) }
}

impl Named {
    /// It answers one `T`, as JSON.
    pub(crate) fn answers<T: JsonSchema + 'static>(self, what: &'static str) -> Operation {
        self.gives(what, "application/json", |schemas| schemas.plain(SchemaGenerator::subschema_for::<T>))
    }

    /// It answers a part of a list of `T`, which stand under `name`; or their lines.
    pub(crate) fn lists<T: JsonSchema + 'static>(mut self, name: &'static str) -> Operation {
        let component = type_name(self.id);
        self.route = self.route.layer(from_fn(as_lines));
        let listed = self.gives("A part of them, in order.", "application/json", move |schemas| {
            schemas.component(&component, |generator| list::schema::<T>(generator, name))
        });
        listed.or_as(&[NDJSON]).tells(&["Sunday-Next", "Sunday-Total"])
    }

    /// It answers something else.
    pub(crate) fn gives(
        self,
        what: &'static str,
        media_type: &'static str,
        schema: impl Fn(&mut Schemas) -> Value + Send + Sync + 'static,
    ) -> Operation {
        let Self { method, path, id, summary, route } = self;
        let headers =
            if method == "get" && media_type == "application/json" { vec!["ETag"] } else { Vec::new() };
        Operation {
            method,
            path,
            root: ROOT,
            has_rest: false,
            id,
            summary,
            scope: None,
            in_path: Vec::new(),
            query: Vec::new(),
            takes: &[],
            success: Success { status: 200, what, media_type, also: &[], schema: Box::new(schema), headers },
            problems: Vec::new(),
            route,
        }
    }
}

impl Operation {
    /// It goes on after the answer.
    pub(crate) fn accepted(mut self) -> Self {
        self.success.status = 202;
        self
    }

    /// It has other forms, too.
    pub(crate) fn or_as(mut self, media_types: &'static [&'static str]) -> Self {
        self.success.also = media_types;
        self
    }

    /// It is gone on with in another protocol.
    pub(crate) fn switches(mut self) -> Self {
        self.success.status = 101;
        self
    }

    /// Its path is no other's to choose: it does not stand below `/api/v1`.
    pub(crate) fn at_root(mut self) -> Self {
        self.root = "";
        self
    }

    /// The last parameter of its path goes on to the path's end.
    pub(crate) fn with_rest(mut self) -> Self {
        self.has_rest = true;
        self
    }

    /// Its whole path, as the document has it.
    pub(crate) fn full_path(&self) -> String {
        format!("{}{}", self.root, self.path)
    }

    /// Its whole path, as the router has it.
    pub(crate) fn routed(&self) -> String {
        let path = self.full_path();
        match path.rfind('{') {
            Some(at) if self.has_rest => format!("{}{{*{}", &path[..at], &path[at + 1..]),
            _ => path,
        }
    }

    /// What its query may say.
    pub(crate) fn asks(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.query.extend(parameters);
        self
    }

    /// A parameter of its path that is no id of ours, with an example.
    pub(crate) fn in_path(mut self, name: &'static str, schema: Value, example: impl Into<Value>) -> Self {
        self.in_path.push((name, schema, example.into()));
        self
    }

    /// Gives problems of its own with this status.
    pub(crate) fn refuses(mut self, status: u16, codes: &'static [&'static str]) -> Self {
        self.problems.push((status, codes));
        self
    }

    /// Needs a token with this scope, of every tenant.
    pub(crate) fn needs(self, scope: Scope) -> Self {
        self.needs_for_some(scope).refuses(403, &["insufficient_scope", "tenant_mismatch"])
    }

    /// The same, for tokens of single tenants, too.
    pub(crate) fn needs_for_some(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// A header of the request that means something to it.
    pub(crate) fn heeds(mut self, headers: &'static [&'static str]) -> Self {
        self.takes = headers;
        self
    }

    /// Headers of its answer.
    pub(crate) fn tells(mut self, headers: &[&'static str]) -> Self {
        self.success.headers.extend(headers);
        self
    }

    /// Whether its answer is told by its tag whether it is the same.
    pub(crate) fn is_tagged(&self) -> bool {
        self.success.headers.contains(&"ETag")
    }

    /// The names of the path's parameters.
    pub(crate) fn parameters_in_path(&self) -> impl Iterator<Item = &'static str> {
        self.path.split(['{', '}']).skip(1).step_by(2)
    }

    /// Its route.
    pub(crate) fn route(&self) -> MethodRouter<QueryService> {
        self.route.clone()
    }
}
