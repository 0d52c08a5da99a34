// Judges proofs and notes with golang.org/x/mod/sumdb. A line of the file is a kind, whether it is good, and what there is to
// judge, between tabs.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func hash(text string) (h tlog.Hash) {
	if n, err := hex.Decode(h[:], []byte(text)); err != nil || n != len(h) {
		panic("not a hash: " + text)
	}
	return h
}

func hashes(text string) []tlog.Hash {
	var all []tlog.Hash
	for _, word := range strings.Fields(text) {
		all = append(all, hash(word))
	}
	return all
}

func judge(kind string, words []string) error {
	switch kind {
	case "inclusion":
		return tlog.CheckRecord(hashes(words[4]), number(words[1]), hash(words[3]), number(words[0]), hash(words[2]))
	case "consistency":
		return tlog.CheckTree(hashes(words[4]), number(words[1]), hash(words[3]), number(words[0]), hash(words[2]))
	case "note":
		verifier, err := note.NewVerifier(words[0])
		if err != nil {
			return err
		}
		text, err := base64.StdEncoding.DecodeString(words[1])
		if err != nil {
			panic(err)
		}
		_, err = note.Open(text, note.VerifierList(verifier))
		return err
	}
	panic("what is a " + kind + "?")
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	judged, wrong := map[string]int{}, 0
	for lines.Scan() {
		words := strings.Split(lines.Text(), "\t")
		err := judge(words[0], words[2:])
		judged[words[0]+" "+words[1]]++
		if (err == nil) != (words[1] == "good") {
			wrong++
			fmt.Printf("judged otherwise (%v): %s\n", err, lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
	fmt.Println("x/mod/sumdb:", judged)
	if wrong > 0 || judged["inclusion good"] < 1000 || judged["consistency good"] < 1000 || judged["note good"] < 100 {
		os.Exit(1)
	}
}
