//! One router per resource; handlers only say what a request asks for.

mod batch;
mod boards;
mod comments;
mod items;
mod projects;
mod workspaces;

use crate::state::AppState;
use axum::Router;
use http_kit::app::App;
use http_kit::auth::Authentication;

/// Everything that the command API serves, with health and figures, for whom `authentication` lets in.
pub fn router(state: AppState, authentication: Authentication) -> Router {
    let app = App::new(authentication);
    let service = state.service().clone();
    app.metrics().gauge("sunday_command_cached_states", "States of aggregates kept ready.", {
        let service = service.clone();
        move || count(service.cached() as u64)
    });
    app.metrics().counter("sunday_log_watermark", "The next position of the log.", move || {
        count(service.store().watermark().get())
    });
    let api = Router::new()
        .merge(workspaces::routes())
        .merge(projects::routes())
        .merge(boards::routes())
        .merge(items::routes())
        .merge(comments::routes())
        .merge(batch::routes())
        .with_state(state);
    app.frame(Router::new().nest("/api/v1", api))
}

#[expect(clippy::cast_precision_loss, reason = "a figure may be off by a part in 2^53")]
fn count(value: u64) -> f64 {
    value as f64
}
