package egress_test

import (
	"testing"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/test/netlab"
)

func TestMain(m *testing.M) {
	netlab.Enter()
	goleak.VerifyTestMain(m)
}
