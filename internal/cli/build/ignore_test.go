package build

import (
	"strings"
	"testing"
)

func TestIgnoreRules(t *testing.T) {
	tests := []struct {
		rules, path string
		dir, want   bool
	}{
		{"*.md", "a.md", false, true},
		{"*.md", "deep/a.md", false, true},
		{"*.md", "a.mdx", false, false},
		{"/a.md", "deep/a.md", false, false},
		{"docs/*.md", "docs/a.md", false, true},
		{"docs/*.md", "x/docs/a.md", false, false},
		{"build/", "build", true, true},
		{"build/", "build", false, false},
		{"a/**/z", "a/z", false, true},
		{"a/**/z", "a/b/c/z", false, true},
		{"**/z", "b/z", false, true},
		{"a/**", "a/b/c", false, true},
		{"?.js", "a.js", false, true},
		{"?.js", "ab.js", false, false},
		{"[ab].js", "b.js", false, true},
		{"[!ab].js", "b.js", false, false},
		{"[", "[", false, true},
		{`\#a`, "#a", false, true},
		{"# a", "# a", false, false},
		{"*.md\n!keep.md", "keep.md", false, false},
		{"!keep.md\n*.md", "keep.md", false, true},
		{"a.b", "aXb", false, false},
		{"", "a", false, false},
	}
	for _, tt := range tests {
		if got := parseIgnore([]byte(tt.rules)).match(tt.path, tt.dir); got != tt.want {
			t.Errorf("%q of %q = %t, want %t", tt.path, strings.ReplaceAll(tt.rules, "\n", "|"), got, tt.want)
		}
	}
}

func FuzzIgnore(f *testing.F) {
	f.Add("*.md\n!a/**/b\n", "a/b.md")
	f.Add("[!a-", "x")
	f.Add(`\`, `\`)
	f.Add("[]a]", "]")
	f.Fuzz(func(_ *testing.T, rules, path string) {
		parseIgnore([]byte(rules)).match(path, false)
	})
}
