package language

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
)

// cache holds the answers of programs by their path.
type cache map[string]answer

// answer is what a program said when it was asked.
type answer struct {
	// Stamp is the program's size and time of change when it was asked.
	Stamp string `json:"stamp"`
	// Interpreter is nil if the program is none that can be used.
	Interpreter *Interpreter `json:"interpreter,omitempty"`
}

// intact reports whether the interpreter that a program led to is still there.
func (a answer) intact() bool {
	if a.Interpreter == nil {
		return true
	}
	_, err := os.Stat(a.Interpreter.Path)
	return err == nil
}

func stampOf(info fs.FileInfo) string {
	return strconv.FormatInt(info.Size(), 10) + "@" + strconv.FormatInt(info.ModTime().UnixNano(), 10)
}

// readCache returns what was remembered. A file that is missing or damaged is an
// empty one: it is made anew.
func readCache(file string) cache {
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var c cache
	if json.Unmarshal(b, &c) != nil {
		return nil
	}
	return c
}

// writeCache remembers the answers, if they differ from what is known. It need
// not survive a power cut, but must never be half there.
func writeCache(file string, known cache, files []string, answers []answer) error {
	if file == "" {
		return nil
	}
	next := make(cache, len(files))
	for i, name := range files {
		if answers[i].Stamp != "" {
			next[name] = answers[i]
		}
	}
	if maps.Equal(next, known) { // what came from memory is the same pointer
		return nil
	}
	b, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	return replace(file, b)
}

// replace writes a file under a temporary name and renames it.
func replace(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".new-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
