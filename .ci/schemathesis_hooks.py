"""Checks of Sunday's own, beside those of schemathesis; fewer conditions than it would make up, and no times that nobody lives in."""

import re
import zlib

import schemathesis

VERSIONS_MAX = 2**64 - 1
TIMEOUT_MS_MAX = 30_000
TAG = r'(W/)?"[!#-~\x80-\xff]*"'
TAGS = re.compile(rf"(\*|[ ,]*({TAG}( *,[ ,]*{TAG})*[ ,]*)?)")


def is_kept(value) -> bool:
    """One in four, and the same ones whenever the same case comes again."""
    return zlib.crc32(repr(value).encode()) % 4 == 0


def is_version(value) -> bool:
    return type(value) in (int, float) and value == int(value) and 0 <= value <= VERSIONS_MAX


def number(value):
    """The number that a parameter's text stands for; the value itself where it is none."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


@schemathesis.hook
def map_headers(context, headers):
    """Tags that are made up hardly ever name a version, so three quarters of them go: else next to nothing is done.

    Only what is well formed goes; what is not must be refused as it is."""
    if isinstance(headers, dict):
        for name in [name for name in headers if name.lower() in ("if-match", "if-none-match")]:
            value = headers[name]
            if isinstance(value, str) and TAGS.fullmatch(value) and not is_kept(value):
                del headers[name]
    return headers


@schemathesis.hook
def before_call(context, case, kwargs):
    """Positions that are made up hardly ever come, so nobody waits long for them.

    Only where the position is well formed: what is not must be refused as it is."""
    query = case.query
    if isinstance(query, dict) and is_version(number(query.get("minPosition"))):
        timeout = number(query.get("timeoutMs", 1))
        if is_version(timeout) and timeout <= TIMEOUT_MS_MAX:
            query["timeoutMs"] = "1"


def in_our_time(value):
    """Of times, those of the years that the log can tell apart by nanoseconds, which no format says. Also changes nothing else."""
    if isinstance(value, list):
        return [in_our_time(element) for element in value]
    if not isinstance(value, dict):
        return value
    told = {name: in_our_time(member) for name, member in value.items()}
    time = told.get("occurredAt")
    if isinstance(time, str) and re.match(r"[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ]", time):
        told["occurredAt"] = f"{1700 + int(time[:4]) % 500}{time[4:]}".replace("-02-29", "-02-28")
    return told


@schemathesis.hook
def map_body(context, body):
    """The same for versions in the body."""
    body = in_our_time(body)
    if not isinstance(body, dict):
        return body
    said = {name: body[name] for name in ("expectedVersion", "baseVersion") if name in body}
    mode = body.get("onConflict", "reject")
    well_formed = all(map(is_version, said.values())) and mode in ("reject", "merge", "last_writer_wins")
    if said and well_formed and not is_kept(said):
        return {name: value for name, value in body.items() if name not in (*said, "onConflict")}
    return body

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
