package archive_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/archive"
	"mayfly.dev/mayfly/internal/fault"
)

// item is one entry of a package made for a test.
type item struct {
	name, data string
	mode       fs.FileMode
	method     uint16
}

func pack(tb testing.TB, items ...item) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: i.method}
		if i.mode == 0 {
			i.mode = 0o644
		}
		h.SetMode(i.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := f.Write([]byte(i.data)); err != nil && !strings.HasSuffix(i.name, "/") {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func file(name, data string) item { return item{name: name, data: data, method: zip.Deflate} }
func link(name, to string) item   { return item{name: name, data: to, mode: fs.ModeSymlink | 0o777} }

// patched makes a package with something in it that the writer of
// the standard library would not let through.
func patched(t *testing.T, from, to string, items ...item) []byte {
	t.Helper()
	if len(from) != len(to) {
		t.Fatalf("%q and %q differ in length", from, to)
	}
	return bytes.ReplaceAll(pack(t, items...), []byte(from), []byte(to))
}

// list describes a directory as path -> mode and content.
func list(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		st, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			got[rel] = st.Mode().String()
		case st.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			got[rel] = "-> " + to
			return err
		default:
			text, err := os.ReadFile(p)
			got[rel] = st.Mode().String() + " " + string(text)
			return err
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func TestUnpackNormalisesModesAndKeepsInnerLinks(t *testing.T) {
	data := pack(t,
		item{name: "./"},
		item{name: "bin/", mode: fs.ModeDir | 0o700},
		item{name: "bin/run", data: "#!", mode: 0o700},
		item{name: "setuid", data: "x", mode: fs.ModeSetuid | 0o4711},
		item{name: "./secret.txt", data: "s", mode: 0o600},
		file("deep/er/index.js", "exports"),
		item{name: "hollow/", mode: fs.ModeDir | 0o755},
		link("deep/up", "../bin/run"),
		link("bin/deep", "../deep"),
	)
	dir := filepath.Join(t.TempDir(), "code")
	info, err := archive.Unpack(t.Context(), data, dir, archive.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"bin": "drwxr-xr-x", "bin/run": "-rwxr-xr-x #!", "setuid": "-rwxr-xr-x x",
		"secret.txt": "-rw-r--r-- s", "deep": "drwxr-xr-x", "deep/er": "drwxr-xr-x",
		"deep/er/index.js": "-rw-r--r-- exports", "hollow": "drwxr-xr-x",
		"deep/up": "-> ../bin/run", "bin/deep": "-> ../deep",
	}
	if diff := cmp.Diff(want, list(t, dir)); diff != "" {
		t.Errorf("unpacked (-want +got):\n%s", diff)
	}
	sum := sha256.Sum256(data)
	if want := (archive.Info{SHA256: hex.EncodeToString(sum[:]), Files: 4, Links: 2, UnzippedBytes: 11}); info != want {
		t.Errorf("info is %+v, want %+v", info, want)
	}
	checked, err := archive.Check(data, archive.DefaultLimits)
	if err != nil || checked != info {
		t.Errorf("check says %+v, %v; unpack says %+v", checked, err, info)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("the directory is %v, %v", st.Mode(), err)
	}
}

func TestManyFilesAreUnpacked(t *testing.T) {
	var items []item
	for i := range 300 {
		items = append(items, file(fmt.Sprintf("d%d/f%d", i%7, i), "x"))
	}
	dir := filepath.Join(t.TempDir(), "code")
	info, err := archive.Unpack(t.Context(), pack(t, items...), dir, archive.DefaultLimits)
	if err != nil || info.Files != 300 || len(list(t, dir)) != 307 {
		t.Errorf("unpacked %+v, %d paths, %v", info, len(list(t, dir)), err)
	}
}

func TestBadPackagesAreRefused(t *testing.T) {
	whole := pack(t, file("index.js", strings.Repeat("some code ", 100)), file("b", "b"))
	long := strings.Repeat("n", 300)
	cases := []struct {
		name   string
		data   []byte
		kind   fault.Kind
		reason string
	}{
		{"nothing", nil, fault.Invalid, "EmptyPackage"},
		{"no entries", pack(t), fault.Invalid, "EmptyPackage"},
		{"directories only", pack(t, item{name: "a/"}), fault.Invalid, "EmptyPackage"},
		{"text", []byte("this is not a zip file"), fault.Invalid, "CorruptPackage"},
		{"truncated", whole[:len(whole)-30], fault.Invalid, "CorruptPackage"},
		{"half", whole[:len(whole)/2], fault.Invalid, "CorruptPackage"},
		{"damaged data", damage(whole, 60), fault.Invalid, "CorruptPackage"},
		{"parent", pack(t, file("../evil", "")), fault.Invalid, "UnsafePath"},
		{"inner parent", pack(t, file("a/../../evil", "")), fault.Invalid, "UnsafePath"},
		{"harmless parent", pack(t, file("a/../b", "")), fault.Invalid, "UnsafePath"},
		{"absolute", pack(t, file("/etc/passwd", "")), fault.Invalid, "UnsafePath"},
		{"backslash", pack(t, file(`..\evil`, "")), fault.Invalid, "UnsafePath"},
		{"NUL", patched(t, "a~b", "a\x00b", file("a~b", "")), fault.Invalid, "UnsafePath"},
		{"not UTF-8", patched(t, "a~b", "a\xffb", file("a~b", "")), fault.Invalid, "UnsafePath"},
		{"dot", pack(t, file("a/./b", "")), fault.Invalid, "UnsafePath"},
		{"empty name", pack(t, file("a//b", "")), fault.Invalid, "UnsafePath"},
		{"long name", pack(t, file(long, "")), fault.Invalid, "UnsafePath"},
		{"long path", pack(t, file(strings.Repeat("abcdefgh/", 120)+"f", "")), fault.Invalid, "UnsafePath"},
		{"deep path", pack(t, file(strings.Repeat("d/", 120)+"f", "")), fault.Invalid, "UnsafePath"},
		{"twice", pack(t, file("a", "1"), file("a", "2")), fault.Invalid, "UnsafePath"},
		{"twice by dot", pack(t, file("a", "1"), file("./a", "2")), fault.Invalid, "UnsafePath"},
		{"file over directory", pack(t, file("a/b", "1"), file("a", "2")), fault.Invalid, "UnsafePath"},
		{"directory over file", pack(t, file("a", "1"), file("a/b", "2")), fault.Invalid, "UnsafePath"},
		{"through a link", pack(t, link("a", "."), file("a/b", "2")), fault.Invalid, "UnsafePath"},
		{"link out", pack(t, file("f", ""), link("a", "../x")), fault.Invalid, "UnsafePath"},
		{"link to root", pack(t, file("f", ""), link("a", "/etc/passwd")), fault.Invalid, "UnsafePath"},
		{"link out by a link", pack(t, file("f", ""), link("d/up", ".."), link("a", "d/up/..")), fault.Invalid, "UnsafePath"},
		{"links in circles", pack(t, file("f", ""), link("a", "b"), link("b", "a")), fault.Invalid, "UnsafePath"},
		{"link to nothing", pack(t, file("f", ""), link("a", "")), fault.Invalid, "UnsafePath"},
		{"link with a long target", pack(t, file("f", ""), link("a", strings.Repeat("x", 2000))), fault.Invalid, "UnsafePath"},
		{"device", pack(t, item{name: "null", mode: fs.ModeDevice | 0o666}), fault.Invalid, "UnsupportedEntry"},
		{"pipe", pack(t, item{name: "pipe", mode: fs.ModeNamedPipe | 0o666}), fault.Invalid, "UnsupportedEntry"},
		{"encrypted", encrypted(pack(t, file("a", "1"))), fault.Invalid, "UnsupportedEntry"},
		{"another method", method(pack(t, file("a", "1")), 12), fault.Invalid, "UnsupportedEntry"},
		{"bomb", pack(t, file("zeros", strings.Repeat("\x00", 2<<20))), fault.TooLarge, "UnzippedTooLarge"},
		{"lying bomb", declare(pack(t, file("zeros", strings.Repeat("\x00", 2<<20))), 10), fault.Invalid, "CorruptPackage"},
		{"many", pack(t, file("a/b/c/d/e/f/g", ""), file("h/i/j/k/l/m", "")), fault.TooLarge, "TooManyFiles"},
		{"large", pack(t, item{name: "a", data: strings.Repeat("x", 100_000)}), fault.TooLarge, "PackageTooLarge"},
	}
	limits := archive.Limits{ZipBytes: 64 << 10, UnzippedBytes: 1 << 20, Nodes: 12, PathBytes: 1024, Depth: 100}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			limits := limits
			if strings.HasPrefix(c.name, "deep") {
				limits.Nodes = 1000
			}
			_, err := archive.Check(c.data, limits)
			if !fault.Is(err, c.kind, c.reason) {
				t.Errorf("check answers %v, want %v/%s", err, c.kind, c.reason)
			}
			parent := t.TempDir()
			_, err = archive.Unpack(t.Context(), c.data, filepath.Join(parent, "code"), limits)
			if !fault.Is(err, c.kind, c.reason) {
				t.Errorf("unpack answers %v, want %v/%s", err, c.kind, c.reason)
			}
			if left := list(t, parent); len(left) > 0 {
				t.Errorf("unpack left %v", left)
			}
		})
	}
}

func damage(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0xff
	return data
}

// central returns data and where the first entry of its directory is.
func central(data []byte) ([]byte, int) {
	data = bytes.Clone(data)
	return data, bytes.Index(data, []byte("PK\x01\x02"))
}

func encrypted(data []byte) []byte {
	data, at := central(data)
	data[at+8] |= 1
	return data
}

func method(data []byte, m uint16) []byte {
	data, at := central(data)
	binary.LittleEndian.PutUint16(data[at+10:], m)
	return data
}

// declare makes the directory say that the first entry inflates to size bytes.
func declare(data []byte, size uint32) []byte {
	data, at := central(data)
	binary.LittleEndian.PutUint32(data[at+24:], size)
	return data
}

func TestUnpackDoesNotReplaceADirectory(t *testing.T) {
	dir := t.TempDir()
	_, err := archive.Unpack(t.Context(), pack(t, file("a", "1")), dir, archive.DefaultLimits)
	if !fault.Is(err, fault.AlreadyExists, "DirectoryExists") {
		t.Errorf("unpack over a directory answers %v", err)
	}
}

func TestUnpackStopsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the node stops")
	cancel(gone)
	parent := t.TempDir()
	_, err := archive.Unpack(ctx, pack(t, file("a", "1")), filepath.Join(parent, "code"), archive.DefaultLimits)
	if !errors.Is(err, gone) {
		t.Errorf("unpack answers %v", err)
	}
	if left := list(t, parent); len(left) > 0 {
		t.Errorf("unpack left %v", left)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(pack(f, file("index.js", "code"), link("l", "index.js")))
	f.Add(pack(f, file("../a", "code")))
	f.Add(pack(f, link("a", "b/.."), link("b", "c")))
	f.Add([]byte("PK\x05\x06"))
	limits := archive.Limits{ZipBytes: 1 << 20, UnzippedBytes: 1 << 20, Nodes: 100, PathBytes: 200, Depth: 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		checked, checkErr := archive.Check(data, limits)
		parent := t.TempDir()
		dir := filepath.Join(parent, "code")
		unpacked, err := archive.Unpack(t.Context(), data, dir, limits)
		if (err == nil) != (checkErr == nil) || checked != unpacked {
			t.Fatalf("check says %+v, %v; unpack says %+v, %v", checked, checkErr, unpacked, err)
		}
		if err != nil {
			if fault.From(err).Kind == fault.Internal {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		contained(t, parent, dir)
	})
}

// contained fails if a link of dir resolves to something outside.
func contained(t *testing.T, parent, dir string) {
	t.Helper()
	for name, what := range list(t, dir) {
		if !strings.HasPrefix(what, "-> ") {
			continue
		}
		to, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if err == nil && to != dir && !strings.HasPrefix(to, dir+string(filepath.Separator)) {
			t.Fatalf("%s leads to %s, outside of %s", name, to, parent)
		}
	}
}
