// Checks, with nothing of Sunday's, that a log was only appended to: check KEY OLD NEW PROOF. KEY is the log's verifier key, OLD
// and NEW are signed checkpoints, PROOF is what /api/v1/audit/proof/consistency has answered.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Println("NOT PROVEN:", err)
		os.Exit(1)
	}
}

// open checks the signature of a checkpoint; answers with the size and root of its tree.
func open(path string, verifiers note.Verifiers) (size int64, root tlog.Hash) {
	text, err := os.ReadFile(path)
	must(err)
	opened, err := note.Open(text, verifiers)
	must(err)
	var origin, hash string
	_, err = fmt.Sscanf(opened.Text, "%s\n%d\n%s\n", &origin, &size, &hash)
	must(err)
	root, err = tlog.ParseHash(hash)
	must(err)
	return size, root
}

func main() {
	if len(os.Args) != 5 {
		fmt.Println("usage: check KEY OLD NEW PROOF")
		os.Exit(2)
	}
	verifier, err := note.NewVerifier(os.Args[1])
	must(err)
	verifiers := note.VerifierList(verifier)
	oldSize, oldRoot := open(os.Args[2], verifiers)
	newSize, newRoot := open(os.Args[3], verifiers)
	text, err := os.ReadFile(os.Args[4])
	must(err)
	var answer struct{ Proof []string }
	must(json.Unmarshal(text, &answer))
	var proof tlog.TreeProof
	for _, text := range answer.Proof {
		hash, err := tlog.ParseHash(text)
		must(err)
		proof = append(proof, hash)
	}
	must(tlog.CheckTree(proof, newSize, newRoot, oldSize, oldRoot))
	fmt.Printf("the first %d of %d events are what they were\n", oldSize, newSize)
}
