//! Promise: a role on the workspace and a role on the board decide what may be done, as the table in `access` says;
//! nobody acts above their own role, and a workspace keeps an owner.

use crate::given::*;
use domain::{
    access::{Action, Who, permit, role},
    board::{self, Board},
    comment::{self, Comment},
    workspace::{self, AddMember, ChangeMemberRole, Command, RemoveMember, Role, Workspace},
};

const ROLES: [Option<Role>; 5] =
    [None, Some(Role::Viewer), Some(Role::Member), Some(Role::Admin), Some(Role::Owner)];

fn added(member: &str, role: Role) -> workspace::Event {
    workspace::MemberAdded { member: member.into(), role }.into()
}

fn workspace(members: &[(&str, Role)]) -> Workspace {
    let members = members.iter().map(|(member, role)| added(member, *role));
    given::<Workspace>([workspace_created()].into_iter().chain(members)).state()
}

fn board(members: &[(&str, Role)]) -> Board {
    let members = members.iter().map(|(member, role)| {
        board::Event::from(board::MemberAdded { member: (*member).into(), role: *role })
    });
    given::<Board>([board_created()].into_iter().chain(members)).state()
}

fn ann() -> Who<'static> {
    Who { subject: "ann", is_privileged: false }
}

/// Every action whose table row has one role, on a workspace and on a board.
fn actions() -> Vec<(Action<'static>, bool, Option<Role>)> {
    use Action as A;
    let (admin, member) = (Some(Role::Admin), Some(Role::Member));
    let manage = |becomes| A::ManageMember { member: "new", becomes };
    let manage_on_board = |becomes| A::ManageBoardMember { member: "new", becomes };
    vec![
        (A::CreateWorkspace, false, None),
        (A::RenameWorkspace, false, admin),
        (A::ArchiveWorkspace, false, Some(Role::Owner)),
        (manage(Some(Role::Viewer)), false, admin),
        (manage(Some(Role::Admin)), false, admin),
        (manage(Some(Role::Owner)), false, Some(Role::Owner)),
        (manage(None), false, admin),
        (A::CreateProject, false, member),
        (A::ChangeProject, false, member),
        (A::ArchiveProject, false, admin),
        (A::CreateBoard, false, member),
        (A::ChangeBoard, true, member),
        (manage_on_board(Some(Role::Member)), true, admin),
        (manage_on_board(Some(Role::Owner)), true, Some(Role::Owner)),
        (manage_on_board(None), true, admin),
        (A::DeleteBoard, true, admin),
        (A::CreateItem, true, member),
        (A::ChangeItem, true, member),
        (A::DeleteItem, true, member),
        (A::AddComment, true, member),
        (A::EditComment { author: Some("ann") }, true, member),
        (A::EditComment { author: Some("bob") }, true, admin),
        (A::EditComment { author: None }, true, admin),
        (A::DeleteComment { author: Some("ann") }, true, member),
        (A::DeleteComment { author: Some("bob") }, true, admin),
    ]
}

/// The place of a role in the table's order, told apart from `Role`'s own.
fn height(role: Option<Role>) -> Option<usize> {
    ROLES.iter().position(|known| *known == role)
}

#[test]
fn every_role_may_what_the_table_says() {
    let mut count = 0;
    for in_workspace in ROLES {
        for on_board in ROLES {
            for has_others in [false, true] {
                let of = |role: Option<Role>| role.map(|role| ("ann", role));
                let others = has_others.then_some(("zoe", Role::Member));
                let workspace = workspace(&of(in_workspace).into_iter().collect::<Vec<_>>());
                let board = board(&of(on_board).into_iter().chain(others).collect::<Vec<_>>());
                let on_any_board = match in_workspace {
                    Some(Role::Owner | Role::Admin) => Some(Role::Owner),
                    _ if on_board.is_some() || has_others => on_board,
                    role => role,
                };
                for (action, is_on_board, needs) in actions() {
                    let has = if is_on_board { on_any_board } else { in_workspace };
                    let answer = permit(&ann(), &workspace, is_on_board.then_some(&board), action);
                    let expected = needs.is_none() || height(has) >= height(needs);
                    assert_eq!(
                        answer.is_ok(),
                        expected,
                        "{action:?} with {in_workspace:?} in the workspace and {on_board:?} on the board, \
                         others on it: {has_others}: {answer:?}"
                    );
                    if let Err(error) = answer {
                        assert_eq!(error.code(), "not_permitted");
                        assert_eq!(error.kind(), domain::Kind::NotPermitted);
                    }
                    let operator = Who { is_privileged: true, ..ann() };
                    assert!(permit(&operator, &workspace, is_on_board.then_some(&board), action).is_ok());
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 5 * 5 * 2 * 25);
}

#[test]
fn guests_work_on_their_board_and_nowhere_else() {
    let workspace = workspace(&[("boss", Role::Owner), ("mia", Role::Member)]);
    let closed = board(&[("guest", Role::Member)]);
    let open = board(&[]);
    let guest = Who { subject: "guest", is_privileged: false };
    assert_eq!(role(&guest, &workspace, Some(&closed)), Some(Role::Member));
    assert_eq!(role(&guest, &workspace, Some(&open)), None);
    assert_eq!(role(&guest, &workspace, None), None);
    let mia = Who { subject: "mia", is_privileged: false };
    assert_eq!(role(&mia, &workspace, Some(&closed)), None, "the board is closed to other members");
    assert_eq!(role(&mia, &workspace, Some(&open)), Some(Role::Member));
    let boss = Who { subject: "boss", is_privileged: false };
    assert_eq!(role(&boss, &workspace, Some(&closed)), Some(Role::Owner));
}

#[test]
fn nobody_gives_or_takes_a_role_above_their_own() {
    let workspace = workspace(&[("own", Role::Owner), ("ann", Role::Admin), ("mia", Role::Member)]);
    let manage = |subject, member, becomes| {
        let who = Who { subject, is_privileged: false };
        permit(&who, &workspace, None, Action::ManageMember { member, becomes }).is_ok()
    };
    assert!(manage("ann", "mia", Some(Role::Admin)));
    assert!(manage("ann", "ann", Some(Role::Viewer)));
    assert!(!manage("ann", "ann", Some(Role::Owner)), "an admin does not raise themselves");
    assert!(!manage("ann", "mia", Some(Role::Owner)));
    assert!(!manage("ann", "own", Some(Role::Member)), "an admin does not unmake an owner");
    assert!(!manage("ann", "own", None));
    assert!(!manage("mia", "mia", Some(Role::Admin)));
    assert!(!manage("mia", "mia", None));
    assert!(manage("own", "ann", Some(Role::Owner)));
    assert!(manage("own", "own", None), "whether one is left is the workspace's affair");
    // A role on a board raises nobody in the workspace.
    let board = board(&[("mia", Role::Owner)]);
    let mia = Who { subject: "mia", is_privileged: false };
    let raise = Action::ManageMember { member: "mia", becomes: Some(Role::Admin) };
    assert!(permit(&mia, &workspace, None, raise).is_err());
    assert!(permit(&mia, &workspace, Some(&board), Action::DeleteBoard).is_ok());
}

#[test]
fn a_refusal_says_what_it_takes() {
    let workspace = workspace(&[("ann", Role::Viewer)]);
    let error = permit(&ann(), &workspace, None, Action::CreateProject).unwrap_err();
    assert_eq!(
        error.to_string(),
        "project.create takes the role member here, and the caller has the role viewer"
    );
    let nobody = Who { subject: "nobody", is_privileged: false };
    let error = permit(&nobody, &workspace, None, Action::RenameWorkspace).unwrap_err();
    assert_eq!(error.to_string(), "workspace.rename takes the role admin here, and the caller has none");
}

#[test]
fn creating_makes_the_creator_the_owner_and_importing_nobody() {
    let create = || Command::Create(workspace::Create { id: None, name: "acme".into() });
    let made = nothing::<Workspace>().when(create()).then([workspace_created(), added("ann", Role::Owner)]);
    assert_eq!(made.role("ann"), Some(Role::Owner));
    nothing::<Workspace>().imported().when(create()).then([workspace_created()]);
}

#[test]
fn the_last_owner_stays() {
    let owned = |owners: &[&str]| {
        let owners = owners.iter().map(|owner| added(owner, Role::Owner));
        given::<Workspace>([workspace_created(), added("mia", Role::Admin)].into_iter().chain(owners))
    };
    let remove = || Command::RemoveMember(RemoveMember { member: "ann".into() });
    let lower = || Command::ChangeMemberRole(ChangeMemberRole { member: "ann".into(), role: Role::Admin });
    owned(&["ann"]).when(remove()).refused("last_owner");
    owned(&["ann"]).when(lower()).refused("last_owner");
    let removed = workspace::MemberRemoved { member: "ann".into() };
    let lowered = workspace::MemberRoleChanged { member: "ann".into(), from: Role::Owner, to: Role::Admin };
    owned(&["ann", "bob"]).when(remove()).then([removed.clone()]);
    owned(&["ann", "bob"]).when(lower()).then([lowered.clone()]);
    owned(&["ann"]).privileged().when(remove()).then([removed]);
    let left = owned(&["ann"]).privileged().when(lower()).then([lowered]);
    assert_eq!(left.role("ann"), Some(Role::Admin));
}

#[test]
fn a_role_is_changed_for_members_only() {
    let change =
        |member: &str, role| Command::ChangeMemberRole(ChangeMemberRole { member: member.into(), role });
    let events = || [workspace_created(), added("mia", Role::Member)];
    given::<Workspace>(events()).when(change("mia", Role::Member)).unchanged();
    given::<Workspace>(events()).when(change("zoe", Role::Member)).refused("not_found");
    let changed = workspace::MemberRoleChanged { member: "mia".into(), from: Role::Member, to: Role::Viewer };
    given::<Workspace>(events()).when(change("mia", Role::Viewer)).then([changed]);
    let archived = [workspace_created(), added("mia", Role::Member), workspace::Archived {}.into()];
    given::<Workspace>(archived).when(change("mia", Role::Viewer)).refused("archived");
    let raise = Command::AddMember(AddMember { member: "mia".into(), role: Role::Admin });
    given::<Workspace>(events()).when(raise).refused("already_exists");
}

#[test]
fn a_comment_knows_its_author() {
    let add = || {
        let body = comment::Add { id: None, external_key: None, body: "yes".into() };
        comment::Command::Add(body, item_ref())
    };
    assert_eq!(nothing::<Comment>().when(add()).after().author(), Some("ann"));
    assert_eq!(nothing::<Comment>().on_behalf_of("jane").when(add()).after().author(), Some("jane"));
}
