#!/bin/sh
# Our log, our command API and public peers on the same disk, one after the other, in one table.
#
#   sh benches/peers.sh [directory of the peers' scripts] [--quick]
#
# The scripts (default: ../shared/peers beside the repository) do not ship with it; their README says what they install.
# Environment:
#   PEERS       which of them to run           (default: embedded tephra umadb postgres redis nats)
#   EMBEDDED    which embedded engines         (default: raft-engine,okaywal,sqlite-wal,redb,fjall,rocksdb)
#   PEERS_HOME  where their install.sh put them
#   BENCH_DIR   where all data goes; a real disk (default: target/peers, beside the builds)
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)
scripts=$repository/../shared/peers
quick=
for argument; do
    case $argument in
    --quick) quick=--quick ;;
    -*) echo "usage: sh benches/peers.sh [directory of the peers' scripts] [--quick]" >&2; exit 2 ;;
    *) scripts=$argument ;;
    esac
done
if [ ! -f "$scripts/peerlib.py" ]; then
    echo "!!! SKIPPED: there are no peers' scripts in $scripts; nothing was measured !!!" >&2
    exit 0
fi
scripts=$(cd "$scripts" && pwd)
dir=${BENCH_DIR:-${CARGO_TARGET_DIR:-$repository/target}/peers}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# Builds write beside the scripts; times of files are kept, or everything would be built again.
if [ ! -w "$scripts" ]; then
    rm -rf "$dir/scripts"
    cp -Rp "$scripts" "$dir/scripts"
    chmod -R u+w "$dir/scripts"
    scripts=$dir/scripts
fi
load=${quick:---secs 5 --reps 3}
export PEERS_DATA="$dir/data" PYTHONDONTWRITEBYTECODE=1
# How many seconds the load generators wait for the other tenants of the machine to be quiet.
[ -n "$quick" ] || export BENCH_QUIET_WAIT="${BENCH_QUIET_WAIT:-10}"

echo "== our log" >&2
cd "$repository"
cargo bench -q -p benches --bench log -- --json $quick --dir "$dir" \
    --only "append 1 x 1, 256 B" --only "append 64 x 1, 256 B" --only "append 1 x 100, 256 B" \
    --only "append 8 x 100, 256 B" --only "scan of everything" --only "one commit, hot" >"$dir/ours.jsonl"
echo "== our command API" >&2
cargo bench -q -p benches --bench commands -- --json $quick --dir "$dir" >"$dir/commands.jsonl"

: >"$dir/peers.jsonl"
for peer in ${PEERS:-embedded tephra umadb postgres redis nats}; do
    case $peer in
    embedded) modes=${EMBEDDED:-raft-engine,okaywal,sqlite-wal,redb,fjall,rocksdb} ;;
    postgres) modes=default,pg18 ;;
    # Those that sync before they answer.
    redis | nats) modes=always ;;
    *) modes=default ;;
    esac
    echo "== $peer ($modes)" >&2
    # The peers' builds have a directory of their own.
    env -u CARGO_TARGET_DIR python3 "$scripts/bench_$peer.py" --modes "$modes" $load >>"$dir/peers.jsonl" ||
        echo "!!! $peer did not run to its end; see above !!!" >&2
done

python3 - "$dir/ours.jsonl" "$dir/commands.jsonl" "$dir/peers.jsonl" <<'PYTHON'
import json, sys

def lines(path):
    for line in open(path):
        try:
            yield json.loads(line)
        except ValueError:
            print("not JSON:", line.strip(), file=sys.stderr)

def rate(value):
    return f"{value:,.0f}"

def micros(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"

ours = {line["figure"]: line["value"] for path in sys.argv[1:3] for line in lines(path)}
one = "append 1 x 1, 256 B"

def own(name, form):
    return form(ours[name]) if name in ours else "–"

def latency(name):
    return f'{own(name + ": p50", micros)} / {own(name + ": p99", micros)}'

rest = [own("append 1 x 100, 256 B", rate), own("append 8 x 100, 256 B", rate),
        own("scan of everything, 100 events a commit, 256 B", rate), own("stream of 100, one commit, hot: p50", micros)]
rows = [["**our log**, tasks that await", latency(one), own("append 64 x 1, 256 B", rate)] + rest,
        ["**our log**, one thread that blocks", latency(one + ", blocking caller"), "–"] + ["–"] * len(rest),
        ["**our command API**, items over HTTP", latency("item.create 1 x 1"), own("item.create 64 x 1", rate), "–",
         own("batch of item.create 8 x 100", rate), "–", "–"],
        ["**our command API**, appends to streams over HTTP", "–", "–", "–", own("append 8 x 100", rate), "–", "–"]]

peers, ends = {}, {}
for line in lines(sys.argv[3]):
    name = (line["peer"], line.get("mode", ""))
    peers.setdefault(name, {})
    if line["fig"] == "end":
        ends[name] = line.get("rc")
    elif line["fig"] == "absent":
        ends[name] = "absent"
    elif line.get("metrics"):
        peers[name][line["fig"]] = {key: value["median"] for key, value in line["metrics"].items()}

def cell(figures, figure, keys, form):
    for key in keys:
        if key in figures.get(figure, {}):
            return form(figures[figure][key])
    return "–"

for (peer, mode), figures in peers.items():
    if not figures:
        print(f"!!! no figures of {peer} {mode}: {ends.get((peer, mode), 'it did not come up')} !!!", file=sys.stderr)
        continue
    per_second = ["events_per_s", "appends_per_s"]
    name = f"in process: {mode}" if peer == "embedded" else f"{peer} {mode}".replace(" default", "")
    group = cell(figures, "bg", per_second, rate)
    b = cell(figures, "b", per_second, rate) + (f" ({group} by one group writer)" if group != "–" else "")
    a = f'{cell(figures, "a", ["p50_us"], micros)} / {cell(figures, "a", ["p99_us"], micros)}'
    rows.append([name, a, b, cell(figures, "c", per_second, rate), cell(figures, "c8", per_second, rate),
                 cell(figures, "d", per_second, rate), cell(figures, "e", ["p50_us"], micros)])

print("| log | 1 x 1: p50 / p99 µs | 64 x 1: events/s | 1 x 100: events/s | 8 x 100: events/s "
      "| whole log forward: events/s | stream of 100: p50 µs |")
print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
for row in rows:
    print("| " + " | ".join(row) + " |")
PYTHON
