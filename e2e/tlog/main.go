// Verifies what an audit log says of itself with the implementation of the Go project: a checkpoint, a proof of inclusion and
// a proof of consistency. Reads JSON from the standard input; says what is wrong, and ends with 1, where something is.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type asked struct {
	// The key that is known, and an older checkpoint that was kept.
	Key  string
	Kept string
	// The answers of the interface, as they are.
	Proven struct {
		Entry struct {
			Index int64
		}
		Record     string
		Salt       string
		Proof      []string
		Checkpoint string
	}
	Consistency struct {
		Old   int64
		New   int64
		Proof []string
	}
}

func checkpoint(key, text string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	// The text of a checkpoint is that of a tree of Go's, but for its first line.
	var tree tlog.Tree
	var origin, root string
	if _, err := fmt.Sscanf(opened.Text, "%s\n%d\n%s\n", &origin, &tree.N, &root); err != nil {
		return tree, err
	}
	if origin != verifier.Name() {
		return tree, fmt.Errorf("the checkpoint is of %s", origin)
	}
	tree.Hash, err = hash(root)
	return tree, err
}

func hash(text string) (tlog.Hash, error) {
	var made tlog.Hash
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(bytes) != len(made) {
		return made, fmt.Errorf("%q is no hash", text)
	}
	copy(made[:], bytes)
	return made, nil
}

func hashes(texts []string) ([]tlog.Hash, error) {
	made := make([]tlog.Hash, 0, len(texts))
	for _, text := range texts {
		one, err := hash(text)
		if err != nil {
			return nil, err
		}
		made = append(made, one)
	}
	return made, nil
}

func verify(it asked) error {
	now, err := checkpoint(it.Key, it.Proven.Checkpoint)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	salt, err := hex.DecodeString(it.Proven.Salt)
	if err != nil {
		return fmt.Errorf("salt: %w", err)
	}
	commitment := hmac.New(sha256.New, salt)
	commitment.Write([]byte(it.Proven.Record))
	proof, err := hashes(it.Proven.Proof)
	if err != nil {
		return err
	}
	leaf := tlog.RecordHash(commitment.Sum(nil))
	if err := tlog.CheckRecord(proof, now.N, now.Hash, it.Proven.Entry.Index, leaf); err != nil {
		return fmt.Errorf("inclusion: %w", err)
	}
	kept, err := checkpoint(it.Key, it.Kept)
	if err != nil {
		return fmt.Errorf("kept checkpoint: %w", err)
	}
	if it.Consistency.Old != kept.N || it.Consistency.New != now.N {
		return fmt.Errorf("consistency: of other sizes")
	}
	steps, err := hashes(it.Consistency.Proof)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(steps, now.N, now.Hash, kept.N, kept.Hash); err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	return nil
}

func main() {
	var it asked
	err := json.NewDecoder(os.Stdin).Decode(&it)
	if err == nil {
		err = verify(it)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("verified")
}
