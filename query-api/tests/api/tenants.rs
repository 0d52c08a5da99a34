//! What belongs to other tenants is as if it were not there, on every endpoint; and what the scope `audit` is for.

use crate::fixture::{Answer, Fixture};
use crate::history::{NOW, World, append_raw};
use axum::body::Body;
use axum::http::Request;
use domain::WorkspaceId;
use eventstore::ContentType;
use http_kit::auth::{Principal, Scope, Scopes, Tenants};
use uuid::Uuid;

/// Asks as somebody whose token was verified.
pub(crate) async fn ask_as(fixture: &Fixture, principal: &Principal, path: &str) -> Answer {
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("/api/v1{path}{separator}minPosition={}", fixture.store.watermark());
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(principal.clone());
    fixture.send(request).await
}

pub(crate) fn reader(workspaces: &[WorkspaceId]) -> Principal {
    let tenants: Vec<Uuid> = workspaces.iter().map(|workspace| workspace.uuid()).collect();
    Principal::new("reader", Tenants::These(tenants.into()), Scopes::default())
}

/// A workspace with one of everything.
struct Belongings {
    world: World,
    item: String,
    comment: String,
}

impl Belongings {
    fn of(fixture: &Fixture, name: &str) -> Self {
        let world = World::create(&fixture.store, name);
        let item = world.item(&fixture.store, "A-1", "i", &format!("the gasket of {name}"), NOW);
        let assigned = domain::item::Assigned { assignees: vec!["bob".into()] };
        world.happens(&fixture.store, item, assigned.into(), NOW);
        let comment = world.comment(&fixture.store, item, "c1", &format!("the gasket leaks at {name}"), NOW);
        Self { world, item: item.to_string(), comment: comment.to_string() }
    }

    /// Everything that would give it away.
    fn marks(&self) -> Vec<String> {
        let World { workspace, project, board, open, done } = &self.world;
        let ids = [workspace.to_string(), project.to_string(), board.to_string(), open.to_string()];
        let others = [done.to_string(), self.item.clone(), self.comment.clone()];
        ids.into_iter().chain(others).collect()
    }

    /// Every endpoint that is asked for one thing.
    fn singles(&self) -> Vec<String> {
        let World { workspace, project, board, .. } = &self.world;
        let (item, comment) = (&self.item, &self.comment);
        vec![
            format!("/workspaces/{workspace}"),
            format!("/projects/{project}"),
            format!("/projects/{project}/statistics"),
            format!("/boards/{board}"),
            format!("/boards/{board}/view"),
            format!("/items/{item}"),
            format!("/items/{item}/comments"),
            format!("/comments/{comment}"),
            format!("/streams/item-{item}/events"),
            format!("/streams/comment-{comment}/events?direction=backward"),
            format!("/streams/board-{board}/events"),
            format!("/streams/project-{project}/events"),
            format!("/streams/workspace-{workspace}/events"),
            format!("/workspaces/{workspace}/history"),
            format!("/projects/{project}/history"),
            format!("/boards/{board}/history"),
            format!("/items/{item}/history"),
            format!("/comments/{comment}/history?direction=backward"),
            format!("/boards/{board}/analytics"),
            format!("/items/{item}?asOf=12"),
            format!("/boards/{board}?asOf=12"),
            format!("/boards/{board}/view?asOf=12"),
            format!("/projects/{project}?asOf=12"),
            format!("/workspaces/{workspace}?asOf=12"),
            format!("/items/{item}/comments?asOf=12"),
            format!("/comments/{comment}?asOf=12"),
            format!("/items/{item}/diff?from=0"),
            format!("/boards/{board}/diff?from=0&to=12"),
            format!("/projects/{project}/diff?from=0"),
            format!("/activity?workspaceId={workspace}"),
            format!("/activity?projectId={project}"),
            format!("/activity?boardId={board}"),
            format!("/activity?itemId={item}"),
        ]
    }

    /// Every endpoint that lists things, and every filter by which they could be found.
    fn lists(&self) -> Vec<String> {
        let World { workspace, project, board, open, .. } = &self.world;
        let item = &self.item;
        vec![
            "/workspaces".to_owned(),
            "/projects".to_owned(),
            format!("/projects?workspaceId={workspace}"),
            "/boards".to_owned(),
            format!("/boards?projectId={project}"),
            format!("/boards?workspaceId={workspace}"),
            "/items?externalKey=A-1".to_owned(),
            format!("/items?externalKey=A-1&workspaceId={workspace}"),
            "/search".to_owned(),
            "/search?q=gasket".to_owned(),
            format!("/search?q=gasket&workspace={workspace}"),
            format!("/search?project={project}"),
            format!("/search?board={board}"),
            format!("/search?column={open}"),
            format!("/search?item={item}"),
            format!("/search?q=gasket%20workspace:{workspace}&facets=board,column,project,assignee,state"),
            format!("/search?q=gasket%20board:{board}&limit=1&sort=updated"),
            "/search/suggest?q=gask".to_owned(),
            "/search/suggest?q=A-".to_owned(),
            "/events?limit=1000".to_owned(),
            format!("/events?tag=workspace:{workspace}"),
            format!("/events?tag=item:{item}"),
            format!("/events?stream=item-{item}"),
            "/activity?person=ada".to_owned(),
            format!("/activity?person=ada&workspaceId={workspace}"),
            "/users/bob/items".to_owned(),
            format!("/users/bob/items?boardId={board}"),
            format!("/users/bob/items?workspaceId={workspace}"),
            "/events/export".to_owned(),
            format!("/events/export?tag=workspace:{workspace}"),
            format!("/events/export?item={item}&fields=streamId,tags"),
            format!("/events/export?board={board}&type=item.created"),
            format!("/events/export?stream=item-{item}"),
        ]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_others_is_not_there() {
    let fixture = Fixture::projected();
    let [ours, theirs] = ["acme", "rival"].map(|name| Belongings::of(&fixture, name));
    append_raw(&fixture.store, "orders-1", ContentType::Json, b"", b"{}");
    let nobodys = Belongings {
        world: World {
            workspace: Uuid::from_u128(1).into(),
            project: Uuid::from_u128(2).into(),
            board: Uuid::from_u128(3).into(),
            open: Uuid::from_u128(4).into(),
            done: Uuid::from_u128(5).into(),
        },
        item: Uuid::from_u128(6).to_string(),
        comment: Uuid::from_u128(7).to_string(),
    };
    let we = reader(&[ours.world.workspace]);
    for ((own, foreign), unknown) in ours.singles().into_iter().zip(theirs.singles()).zip(nobodys.singles()) {
        assert_eq!(ask_as(&fixture, &we, &own).await.status, 200, "{own}");
        let (foreign_answer, unknown_answer) =
            (ask_as(&fixture, &we, &foreign).await, ask_as(&fixture, &we, &unknown).await);
        assert_eq!(foreign_answer.status, 404, "{foreign}: {}", foreign_answer.body);
        assert_eq!(foreign_answer.body, unknown_answer.body, "{foreign}");
        assert_eq!(foreign_answer.position(), unknown_answer.position(), "{foreign}");
    }
    for ((own, foreign), unknown) in ours.lists().into_iter().zip(theirs.lists()).zip(nobodys.lists()) {
        let own_answer = ask_as(&fixture, &we, &own).await;
        assert_eq!(own_answer.status, 200, "{own}: {}", own_answer.body);
        assert!(ours.marks().iter().any(|mark| own_answer.body.contains(mark)), "{own}: {}", own_answer.body);
        let foreign_answer = ask_as(&fixture, &we, &foreign).await;
        for answer in [&own_answer, &foreign_answer] {
            assert!(
                !theirs.marks().iter().any(|mark| answer.body.contains(mark)),
                "{foreign}: {}",
                answer.body
            );
            assert!(!answer.body.contains("raw.happened"), "what nobody owns is not theirs: {foreign}");
        }
        // A filter by something foreign finds what a filter by nothing at all finds.
        assert_eq!(foreign_answer.body, ask_as(&fixture, &we, &unknown).await.body, "{foreign}");
    }
    // Whoever has both sees both.
    let both = reader(&[ours.world.workspace, theirs.world.workspace]);
    let found = ask_as(&fixture, &both, "/search?q=gasket&kind=item").await.json();
    assert_eq!(found["total"], 2, "{found}");
    // And whoever has none sees nothing.
    let found = ask_as(&fixture, &reader(&[]), "/search").await.json();
    assert_eq!(found["total"], 0, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_events_and_the_whole_log_are_for_auditors() {
    let fixture = Fixture::new();
    let ours = Belongings::of(&fixture, "acme");
    append_raw(&fixture.store, "sys-schemas", ContentType::Json, b"", b"{}");
    append_raw(&fixture.store, "orders-1", ContentType::Json, b"", b"{}");
    let audit: Scopes = [Scope::Audit].into_iter().collect();
    let service = Principal::new("service", Tenants::All, Scopes::default());
    let auditor = Principal::new("auditor", Tenants::All, audit);
    let one = Principal::new("one", Tenants::These([ours.world.workspace.uuid()].into()), audit);

    let streams = |answer: &Answer| {
        let page = answer.json();
        let events = page["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["streamId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = streams(&ask_as(&fixture, &auditor, "/events?limit=1000").await);
    assert!(all.contains(&"sys-schemas".to_owned()) && all.contains(&"orders-1".to_owned()));
    let most = streams(&ask_as(&fixture, &service, "/events?limit=1000").await);
    assert!(!most.contains(&"sys-schemas".to_owned()) && most.contains(&"orders-1".to_owned()));
    let own = streams(&ask_as(&fixture, &one, "/events?limit=1000").await);
    assert_eq!(own.len(), all.len() - 2);

    for (principal, status) in [(&auditor, 200), (&service, 404), (&one, 404)] {
        let answer = ask_as(&fixture, principal, "/streams/sys-schemas/events").await;
        assert_eq!(answer.status, status, "{principal:?}");
    }
    for path in ["/log", "/log/segments/0"] {
        assert_eq!(ask_as(&fixture, &auditor, path).await.status, 200, "{path}");
        assert_eq!(ask_as(&fixture, &service, path).await.problem(), (403, "insufficient_scope".into()));
        assert_eq!(ask_as(&fixture, &one, path).await.problem(), (403, "tenant_mismatch".into()));
    }
}
