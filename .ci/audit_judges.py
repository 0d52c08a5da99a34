"""Judges roots and proofs of inclusion with pymerkle: it builds trees over the same leaves, whose roots and paths have to be ours.

Its own order of a path is another than RFC 6962's, so paths are compared as sets of hashes; altered ones have to differ.
Leaf n of the judged trees is n in eight bytes, little-endian.
"""

import sys

from pymerkle import InmemoryTree

LEAVES = 700


def main() -> int:
    tree = InmemoryTree(algorithm="sha256")
    for index in range(LEAVES):
        tree.append_entry(index.to_bytes(8, "little"))
    judged, wrong = {}, 0
    for line in open(sys.argv[1], encoding="utf-8"):
        kind, good, *words = line.rstrip("\n").split("\t")
        if kind == "note":
            continue
        first, second = int(words[0]), int(words[1])
        proof = [bytes.fromhex(word) for word in words[4].split()]
        if second > LEAVES:
            continue
        if kind == "inclusion":
            path = tree.prove_inclusion(first + 1, second).path
            leaf = bytes.fromhex(words[2])
            is_ours = tree.get_root(second) == bytes.fromhex(words[3]) and sorted(path) == sorted([leaf, *proof])
        else:
            # Its proofs of consistency are made of other hashes than RFC 6962's, so it judges only the two roots here; whether
            # a proof leads from the one to the other is Go's to judge, and altered proofs are not for it.
            if good == "bad":
                continue
            is_ours = tree.get_root(first) == bytes.fromhex(words[2]) and tree.get_root(second) == bytes.fromhex(words[3])
        judged[f"{kind} {good}"] = judged.get(f"{kind} {good}", 0) + 1
        if is_ours != (good == "good"):
            wrong += 1
            print("judged otherwise:", line.rstrip("\n"))
    print("pymerkle:", judged)
    return int(wrong > 0 or judged.get("inclusion good", 0) < 500 or judged.get("consistency good", 0) < 500)


if __name__ == "__main__":
    sys.exit(main())
