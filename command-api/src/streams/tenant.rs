//! The tenant that a caller acts for, where the body may name it.

use axum::http::StatusCode;
use http_kit::auth::{Principal, Tenants};
use http_kit::problem::Problem;
use uuid::Uuid;

/// The tenant that a principal acts for; `None` for all of them, which only those may who may touch all of them.
pub(crate) fn tenant_of(principal: &Principal, said: Option<Uuid>) -> Result<Option<Uuid>, Problem> {
    match (principal.tenants(), said) {
        (tenants, Some(said)) if tenants.contains(said) => Ok(Some(said)),
        (_, Some(said)) => Err(mismatch(format!("workspaceId: the token is not for the workspace {said}"))
            .with("field", "workspaceId")),
        (Tenants::All, None) => Ok(None),
        (Tenants::These(tenants), None) => match tenants.split_first() {
            Some((only, rest)) if rest.iter().all(|tenant| tenant == only) => Ok(Some(*only)),
            Some(_) => Err(Problem::invalid_body(
                "workspaceId",
                "workspaceId: the token is for several workspaces, so the body must say which one is meant",
            )),
            None => Err(mismatch("the token is for no workspace at all".to_owned())),
        },
    }
}

/// 403 `tenant_mismatch`.
pub(super) fn mismatch(detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "tenant_mismatch", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_kit::auth::Scopes;

    #[test]
    fn only_who_may_touch_all_tenants_may_leave_open_which() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let these = |tenants: &[Uuid]| Principal::new("s", Tenants::These(tenants.into()), Scopes::default());
        let code =
            |result: Result<Option<Uuid>, Problem>| result.map_err(|problem| problem.status().as_u16());
        for (principal, said, wanted) in [
            (Principal::local(), None, Ok(None)),
            (Principal::local(), Some(a), Ok(Some(a))),
            (these(&[a]), None, Ok(Some(a))),
            (these(&[a, a]), None, Ok(Some(a))),
            (these(&[a]), Some(a), Ok(Some(a))),
            (these(&[a]), Some(b), Err(403)),
            (these(&[a, b]), None, Err(400)),
            (these(&[a, b]), Some(b), Ok(Some(b))),
            (these(&[a, b]), Some(c), Err(403)),
            (these(&[]), None, Err(403)),
        ] {
            assert_eq!(code(tenant_of(&principal, said)), wanted, "{principal:?} {said:?}");
        }
    }
}
