package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a unit: B, KB, MB, GB, TB (powers of
// 1,000) or KiB, MiB, GiB, TiB (powers of 1,024).
type Size int64

// units is ordered so that no suffix hides a longer one.
var units = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// UnmarshalText reads a size such as 512MiB.
func (s *Size) UnmarshalText(text []byte) error {
	in := strings.TrimSpace(string(text))
	for _, u := range units {
		number, ok := strings.CutSuffix(in, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.bytes {
			break
		}
		*s = Size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size: write a whole number with a unit, for example 512MiB or 2GB", in)
}

// String writes the size with the largest unit that leaves a whole number.
func (s Size) String() string {
	best := units[len(units)-1]
	for _, u := range units {
		if int64(s) >= u.bytes && int64(s)%u.bytes == 0 && u.bytes > best.bytes {
			best = u
		}
	}
	return strconv.FormatInt(int64(s)/best.bytes, 10) + best.name
}

// Memory is a size, or a share of the machine's memory such as 80%.
type Memory struct {
	// Bytes is the size, rounded down to whole MiB if it is a share.
	Bytes int64
	// Percent is the share that Bytes was computed from; 0: none.
	Percent int
}

// UnmarshalText reads a size or a share.
func (m *Memory) UnmarshalText(text []byte) error {
	in := strings.TrimSpace(string(text))
	if share, ok := strings.CutSuffix(in, "%"); ok {
		n, err := strconv.Atoi(share)
		if err != nil || n < 1 || n > 100 {
			return fmt.Errorf("%q is not a share: write 1%% to 100%%", in)
		}
		total, err := machineMemory()
		if err != nil {
			return fmt.Errorf("the machine's memory is not known: write a size such as 4GiB: %w", err)
		}
		*m = Memory{Bytes: total / 100 * int64(n) >> 20 << 20, Percent: n}
		return nil
	}
	var s Size
	if err := s.UnmarshalText(text); err != nil {
		return err
	}
	*m = Memory{Bytes: int64(s)}
	return nil
}

func (m Memory) String() string {
	if m.Percent > 0 {
		return fmt.Sprintf("%d%% (%s)", m.Percent, Size(m.Bytes))
	}
	return Size(m.Bytes).String()
}
