//! Parameters of the path and the query, with refusals that name the parameter.
//!
//! Invariant: a parameter that cannot be read is 400 `invalid_parameter`, never a plain-text answer.

use crate::problem::Problem;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path as AxumPath, Query as AxumQuery, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::error::Error;
use uuid::Uuid;

/// The parameters of the path.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(rejection) => Err(of_path(rejection)),
        }
    }
}

/// The parameters of the path as texts, by name: for those who learn only at run time which there are.
#[derive(Debug)]
pub struct Parameters(RawPathParams);

impl Parameters {
    /// A parameter's text, decoded; empty where the route has none of this name.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, text)| text)
    }

    /// A parameter that is an id.
    ///
    /// # Errors
    /// 400 `invalid_parameter` where it is not.
    pub fn uuid(&self, name: &str) -> Result<Uuid, Problem> {
        Uuid::try_parse(self.text(name))
            .map_err(|error| Problem::invalid_parameter(name, format!("{name}: {error}")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        RawPathParams::from_request_parts(parts, state)
            .await
            .map(Self)
            .map_err(|rejection| Problem::invalid_parameter("path", rejection.body_text()))
    }
}

/// The parameters of the query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match AxumQuery::<T>::from_request_parts(parts, state).await {
            Ok(AxumQuery(value)) => Ok(Self(value)),
            Err(rejection) => Err(of_query(&rejection)),
        }
    }
}

fn of_path(rejection: PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return Problem::invalid_parameter("path", rejection.body_text());
    };
    let detail = failed.body_text();
    let name = match failed.into_kind() {
        ErrorKind::ParseErrorAtKey { key, .. }
        | ErrorKind::DeserializeError { key, .. }
        | ErrorKind::InvalidUtf8InPathParam { key } => key,
        // A path with a single parameter does not say its name; ours are all ids.
        _ => "id".to_owned(),
    };
    Problem::invalid_parameter(&name, detail)
}

fn of_query(rejection: &QueryRejection) -> Problem {
    // The query string is read through `serde_path_to_error`, somewhere down the chain of causes.
    let mut cause: Option<&(dyn Error + 'static)> = Some(rejection);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<serde_path_to_error::Error<serde::de::value::Error>>() {
            let field = error.path().to_string();
            return Problem::invalid_parameter(&field, format!("{field}: {}", error.inner()));
        }
        cause = error.source();
    }
    Problem::invalid_parameter("query", rejection.body_text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Paging {
        #[expect(dead_code, reason = "only read from the query")]
        limit: Option<u32>,
    }

    async fn query(text: &str) -> Result<Paging, Problem> {
        let (mut parts, ()) = Request::get(format!("/x?{text}")).body(()).unwrap().into_parts();
        Query::from_request_parts(&mut parts, &()).await.map(|query| query.0)
    }

    #[tokio::test]
    async fn a_bad_query_parameter_is_named() {
        assert!(query("limit=3").await.is_ok());
        assert!(query("").await.is_ok());
        let problem = query("limit=many").await.unwrap_err();
        assert_eq!(problem.extension("field").unwrap(), "limit");
        assert_eq!(problem.status(), 400);
    }
}
