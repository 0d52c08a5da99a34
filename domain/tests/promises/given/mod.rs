//! Given what has happened, when somebody asks for something, then this happens: the form of every test
//! of a decision (after Greg Young's, and the test framework of cqrs-es).

#![allow(dead_code, reason = "each file of tests uses its own part")]
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made is a failed test")]

use domain::{
    Aggregate, BoardId, ColumnId, Context, Date, DomainError, ItemId, ProjectId, Rank, WorkspaceId,
    board::{self, Board, FieldTypes, Placement},
    item::{self, Item, ItemRef},
    project::{self, Project, ProjectRef},
    workspace::{self, Workspace, WorkspaceRef},
};
use std::fmt::Debug;

/// 2026-01-01T00:00:00Z in nanoseconds.
pub(crate) const NOW_NS: i64 = 1_767_225_600_000_000_000;

pub(crate) struct Given<A> {
    state: A,
    context: Context,
}

pub(crate) struct Then<A: Aggregate> {
    state: A,
    answer: Result<Vec<A::Event>, DomainError>,
}

/// What has happened, in order.
pub(crate) fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    for event in events {
        state.apply(&event);
    }
    Given { state, context: context() }
}

pub(crate) fn nothing<A: Aggregate>() -> Given<A> {
    given([])
}

pub(crate) fn context() -> Context {
    Context {
        actor: "ann".into(),
        on_behalf_of: None,
        now_ns: NOW_NS,
        occurred_at_ns: None,
        imported: false,
        is_privileged: false,
        entropy: 42,
    }
}

impl<A: Aggregate> Given<A> {
    /// The command is history from elsewhere.
    pub(crate) fn imported(mut self) -> Self {
        self.context.imported = true;
        self
    }

    /// Somebody with an operator's rights asks.
    pub(crate) fn privileged(mut self) -> Self {
        self.context.is_privileged = true;
        self
    }

    /// The subject acts for somebody.
    pub(crate) fn on_behalf_of(mut self, person: &str) -> Self {
        self.context.on_behalf_of = Some(person.to_owned());
        self
    }

    /// The command happened at another time than it arrived.
    pub(crate) fn occurred_at(mut self, time_ns: i64) -> Self {
        self.context.occurred_at_ns = Some(time_ns);
        self
    }

    pub(crate) fn when(self, command: A::Command) -> Then<A> {
        let answer = self.state.decide(&self.context, command);
        Then { state: self.state, answer }
    }

    /// The answer alone, for those who look at many.
    pub(crate) fn decided(&self, command: A::Command) -> Result<Vec<A::Event>, DomainError> {
        self.state.decide(&self.context, command)
    }

    pub(crate) fn state(self) -> A {
        self.state
    }
}

impl<A: Aggregate<Event: Debug + PartialEq>> Then<A> {
    #[track_caller]
    pub(crate) fn then(self, events: impl IntoIterator<Item = impl Into<A::Event>>) -> A {
        let expected: Vec<A::Event> = events.into_iter().map(Into::into).collect();
        assert_eq!(self.answer.as_ref(), Ok(&expected));
        self.after()
    }

    /// For the events that nobody wants to spell out in full.
    #[track_caller]
    pub(crate) fn events(self) -> Vec<A::Event> {
        self.answer.unwrap()
    }

    /// The state after whatever has happened.
    #[track_caller]
    pub(crate) fn after(mut self) -> A {
        for event in self.answer.unwrap() {
            self.state.apply(&event);
        }
        self.state
    }

    #[track_caller]
    pub(crate) fn unchanged(self) {
        assert_eq!(self.answer, Ok(vec![]));
    }

    #[track_caller]
    pub(crate) fn refused(self, code: &str) -> DomainError {
        let error = self.answer.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        error
    }
}

pub(crate) fn workspace_id() -> WorkspaceId {
    WorkspaceId::derive("acme")
}

pub(crate) fn project_id() -> ProjectId {
    ProjectId::derive(workspace_id(), "web")
}

pub(crate) fn board_id() -> BoardId {
    BoardId::derive(project_id(), "main")
}

pub(crate) fn item_id() -> ItemId {
    ItemId::derive(workspace_id(), "WEB-1")
}

pub(crate) fn column(name: &str) -> ColumnId {
    ColumnId::derive(board_id(), name)
}

pub(crate) fn rank(text: &str) -> Rank {
    Rank::new(text).unwrap()
}

pub(crate) fn workspace_created() -> workspace::Event {
    workspace::Created { name: "acme".into() }.into()
}

pub(crate) fn project_created() -> project::Event {
    project::Created { workspace_id: workspace_id(), name: "web".into(), description: None }.into()
}

/// A board with the columns `open`, `doing` (at most 2 items) and `done`.
pub(crate) fn board_created() -> board::Event {
    let columns = [("open", None), ("doing", Some(2)), ("done", None)];
    board::Created {
        workspace_id: workspace_id(),
        project_id: project_id(),
        name: "main".into(),
        description: None,
        columns: columns
            .map(|(name, wip_limit)| board::CreatedColumn {
                column_id: column(name),
                name: name.into(),
                wip_limit,
            })
            .into(),
    }
    .into()
}

/// An item titled `Fix it` in the column `open` with rank `i`.
pub(crate) fn item_created() -> item::Event {
    item::Created {
        workspace_id: workspace_id(),
        project_id: project_id(),
        board_id: board_id(),
        column_id: column("open"),
        rank: rank("i"),
        title: "Fix it".into(),
        description: None,
        external_key: None,
        assignees: vec![],
        due_date: None,
        fields: [].into(),
    }
    .into()
}

pub(crate) fn create_item(title: &str) -> item::Create {
    item::Create {
        id: None,
        board_id: board_id(),
        column_id: Some(column("open")),
        title: title.into(),
        description: None,
        external_key: None,
        assignees: vec![],
        due_date: None,
        fields: [].into(),
        rank: None,
    }
}

/// The command that creates an item in the column `open`, on a board that defines no fields.
pub(crate) fn creation(body: item::Create) -> item::Command {
    item::Command::Create(body, placement("open"), field_types([]))
}

/// The command that updates an item of a board that defines no fields.
pub(crate) fn update_item(body: item::Update) -> item::Command {
    item::Command::Update(body, field_types([]))
}

/// What the board says after these definitions of these very fields.
pub(crate) fn field_types<const N: usize>(defined: [board::FieldDefined; N]) -> FieldTypes {
    let names: Vec<String> = defined.iter().map(|field| field.name.clone()).collect();
    let events = [board_created()].into_iter().chain(defined.map(board::Event::from));
    given::<Board>(events).state().field_types(board_id(), names.iter().map(String::as_str)).unwrap()
}

pub(crate) fn date(text: &str) -> Date {
    text.parse().unwrap()
}

pub(crate) fn workspace_ref() -> WorkspaceRef {
    given::<Workspace>([workspace_created()]).state().reference(workspace_id()).unwrap()
}

pub(crate) fn project_ref() -> ProjectRef {
    given::<Project>([project_created()]).state().reference(project_id()).unwrap()
}

pub(crate) fn placement(name: &str) -> Placement {
    given::<Board>([board_created()]).state().placement(board_id(), column(name)).unwrap()
}

pub(crate) fn item_ref() -> ItemRef {
    given::<Item>([item_created()]).state().reference(item_id()).unwrap()
}
