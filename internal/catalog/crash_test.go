package catalog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/engine/enginetest"
	"mayfly.dev/mayfly/internal/function"
)

// createForever creates, updates and deletes functions and prints what was
// acknowledged, until it is killed.
func createForever(dir string) {
	ctx := context.Background()
	e, err := engine.Start(ctx, engine.Config{Dir: filepath.Join(dir, "engine")})
	check(err)
	c, err := catalog.Open(ctx, catalog.Config{Engine: e, Dir: filepath.Join(dir, "code")})
	check(err)
	go func() { check(c.Run(ctx)) }() // ends with the process
	var tb testing.B
	for i := 0; ; i++ {
		name := fmt.Sprintf("f%d", i)
		code, err := c.PutCode(ctx, packed(&tb, name))
		check(err)
		_, err = c.Create(ctx, newFunction(name, code))
		check(err)
		say("created " + name)
		_, err = c.Settled(ctx, function.DefaultNamespace, name)
		check(err)
		if i%3 == 1 {
			_, err = c.UpdateVersion(ctx, function.DefaultNamespace, name, "", describe("changed"))
			check(err)
			say("updated " + name)
		}
		if i%3 == 2 {
			check(c.Delete(ctx, function.DefaultNamespace, name))
			say("deleted " + name)
		}
	}
}

func say(text string) {
	_, err := fmt.Println(text)
	check(err)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func TestAcknowledgedFunctionsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := enginetest.Kill(t, childVariable+"=1", dir, 40)
	n := run(t, dir)
	last := map[string]string{}
	for _, line := range acknowledged {
		did, name, _ := strings.Cut(line, " ")
		last[name] = did
	}
	for name, did := range last {
		if did == "deleted" {
			if f, err := n.Function("default", name); err == nil {
				t.Errorf("%s was deleted and is %s", name, f.State)
			}
			continue
		}
		f, err := n.Settled(t.Context(), "default", name)
		if err != nil {
			if name == newest(acknowledged) {
				continue // its deletion may have happened without having been said
			}
			t.Errorf("%s was %s and is lost: %v", name, did, err)
			continue
		}
		if f.State != function.Active || f.UpdateFailure != "" || did == "updated" && f.Latest.Description != "changed" {
			t.Errorf("%s was %s and is %s, %q: %+v", name, did, f.State, f.UpdateFailure, f.Latest)
		}
		code, err := n.CodeDir(t.Context(), f.Latest.Code.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(code, "index.js")); err != nil || string(text) != name {
			t.Errorf("the code of %s is %q, %v", name, text, err)
		}
	}
}

func newest(lines []string) string {
	_, name, _ := strings.Cut(lines[len(lines)-1], " ")
	return name
}
