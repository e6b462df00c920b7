package main

import (
	"strings"
	"testing"
)

func TestGoalsSayWhetherTheyAreReached(t *testing.T) {
	var b bench
	b.atMost("over", "sandbox over bare", "ms", 1.5, 2)
	b.atMost("ratio", "cold", "×", 0.2, 0.15)
	b.atLeast("rate", "sandboxes", "/s", 200, 200)
	b.known("burst", "burst, p99", "ms", 123.4).Note = "200 calls"
	b.atMost("thaw", "thaw", "ms", 0, 0.3).Missing = "nothing froze"
	var text strings.Builder
	goalsMarkdown(&text, b.goals)
	const want = "\nNumbers to reach\n\n| what | measured | to reach | reached |\n| --- | ---: | ---: | --- |\n" +
		"| sandbox over bare | 1.50 ms | ≤ 2.00 | **yes** |\n" +
		"| cold | 0.20 × | ≤ 0.15 × | no |\n" +
		"| sandboxes | 200 /s | ≥ 200 | **yes** |\n" +
		"| burst, p99 (200 calls) | 123 ms |  |  |\n" +
		"| thaw | not measured: nothing froze | ≤ 0.30 |  |\n"
	if text.String() != want {
		t.Errorf("got %s\nwant %s", text.String(), want)
	}
	if goals := b.goals; !goals[0].Reached() || goals[1].Reached() || !goals[2].Reached() || goals[3].Reached() || goals[4].Reached() {
		t.Errorf("got %+v", goals)
	}
}
