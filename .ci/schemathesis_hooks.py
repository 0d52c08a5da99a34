"""Checks of Sunday's own, beside those of schemathesis."""

import schemathesis

# Refusals that rest on the body alone: a schema can say them, so nothing that fits the schema may get them.
OF_THE_BODY_ALONE = {
    "body_empty",
    "empty",
    "name_empty",
    "rank_invalid",
    "reserved_field",
    "title_empty",
    "too_long",
    "wip_limit_zero",
}


@schemathesis.check
def what_the_schema_allows_is_readable(ctx, response, case):
    """A body that fits its schema is not refused for a rule that the schema does not know."""
    if response.status_code != 422 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    code = response.json().get("code")
    assert code not in OF_THE_BODY_ALONE, f"{code}: the rule belongs into the schema of the body"


@schemathesis.check
def a_problem_is_named_as_its_status(ctx, response, case):
    """Every refusal is a problem with a code, whatever was asked of whatever path."""
    if response.status_code < 400 or case.method.upper() == "HEAD":
        return
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"] == "urn:sunday:problem:" + problem["code"]
    assert problem["detail"], "a problem says what went wrong"
