//! From the table of operations to routes and to the batch's commands.
//!
//! ```text
//! table (every operation once) ─▶ routes: axum's router
//!                              ├▶ command: a batch's command by its name
//!                              └▶ openapi: the document
//! ```

mod batch;
mod bulk;
mod data;
pub(crate) mod deprecation;
pub(crate) mod examples;
pub(crate) mod operation;
pub(crate) mod table;

use crate::figures;
use crate::openapi;
use crate::service::Intent;
use crate::state::AppState;
use axum::Router;
use http_kit::app::App;
use http_kit::auth::Authentication;
use http_kit::problem::Problem;
use operation::Reader;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;
use table::OPERATIONS;

/// What stands before every path of the API.
pub(crate) const ROOT: &str = "/api/v1";

/// Everything that the command API serves, with health and figures, for whom `authentication` lets in.
pub fn router(state: AppState, authentication: Authentication) -> Router {
    let app = App::new(authentication).within(state.limits().clone());
    figures::publish(app.metrics(), state.service(), state.places());
    // Not nested: that would be two more services around each route, which are cloned for every request.
    let api = OPERATIONS.iter().fold(Router::new(), |router, operation| {
        router.route(&format!("{ROOT}{}", operation.path), operation.route())
    });
    app.frame(api.with_state(state).merge(openapi::route()))
}

/// What a command of a batch asks for; nothing where there is no command of this name.
pub(crate) fn command(name: &str, data: &[u8]) -> Option<Result<Intent, Problem>> {
    static COMMANDS: LazyLock<FxHashMap<&str, &dyn Reader>> = LazyLock::new(|| {
        let of_batch = OPERATIONS.iter().filter(|operation| operation.is_in_batch);
        of_batch.filter_map(|operation| Some((operation.id, operation.reader()?))).collect()
    });
    COMMANDS.get(name).map(|reader| reader.of_data(data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::CommandService;
    use axum::body::Body;
    use axum::http::Request;
    use eventstore::{Store, StoreOptions};
    use http_kit::auth::{Authenticator, DevelopmentToken, OPEN};
    use std::collections::BTreeSet;
    use tower::ServiceExt;

    #[tokio::test]
    async fn without_a_token_only_what_is_listed_answers() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &StoreOptions::default()).unwrap();
        let token = DevelopmentToken::keep(dir.path()).unwrap();
        let bearer = format!("Bearer {}", token.text());
        let authentication = Authentication::Required(Authenticator::development(token));
        let router = router(AppState::new(CommandService::open(store.clone())), authentication);
        let status = async |method: &str, path: &str, token: Option<&str>| {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let request = request.body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap().status().as_u16()
        };
        for operation in OPERATIONS.iter() {
            let id = uuid::Uuid::nil().to_string();
            let path = operation.path.split('/').map(|part| if part.starts_with('{') { &id } else { part });
            let path = format!("/api/v1{}", path.collect::<Vec<_>>().join("/"));
            let method = operation.method.name().to_ascii_uppercase();
            assert_eq!(status(&method, &path, None).await, 401, "{method} {path}");
            let known = status(&method, &path, Some(&bearer)).await;
            assert!(known != 401 && known < 500, "{method} {path}: {known}");
        }
        // What is no route, and what is none with this method, says no more.
        assert_eq!(status("GET", "/api/v1/nothing", None).await, 401);
        assert_eq!(status("PUT", "/api/v1/items", None).await, 401);
        for path in OPEN {
            assert_eq!(status("GET", path, None).await, 200, "{path}");
        }
        drop(router);
        store.close();
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
        assert_eq!(names.len(), OPERATIONS.len());
    }

    #[test]
    fn a_batch_carries_by_name_what_the_path_carries_elsewhere() {
        let id = "5d0b3f4c-8a55-5e1e-9c27-c1f050da7001";
        for (name, data) in [
            ("board.change_column", format!(r#"{{"columnId":"{id}","wipLimit":null}}"#)),
            ("board.move_column", format!(r#"{{"columnId":"{id}","index":1}}"#)),
            ("board.remove_column", format!(r#"{{"columnId":"{id}","itemsTo":"{id}"}}"#)),
            ("board.remove_member", r#"{"member":"ann"}"#.to_owned()),
            ("board.change_member_role", r#"{"member":"ann","role":"admin"}"#.to_owned()),
            ("board.remove_field", r#"{"name":"priority"}"#.to_owned()),
            ("workspace.remove_member", r#"{"member":"ann"}"#.to_owned()),
            ("workspace.change_member_role", r#"{"member":"ann","role":"owner"}"#.to_owned()),
            ("item.remove_attachment", format!(r#"{{"attachmentId":"{id}"}}"#)),
            ("comment.add", format!(r#"{{"itemId":"{id}","body":"x"}}"#)),
            ("item.reopen", "{}".to_owned()),
        ] {
            let intent = command(name, data.as_bytes());
            assert!(matches!(intent, Some(Ok(_))), "{name}: {intent:?}");
            assert!(matches!(command(name, br#"{"other":1}"#), Some(Err(_))), "{name}");
        }
        assert!(command("project.delete", b"{}").is_none(), "a route's name is no command");
        assert!(command("batch", b"{}").is_none());
    }
}
