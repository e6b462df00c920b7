// Package nodetest runs whole nodes for tests, as processes of their own.
//
// The test binary is the node too, so that a test with -race checks the node for
// races; all of it happens in a network namespace that has lo alone:
//
//	func TestMain(m *testing.M) { os.Exit(nodetest.Main(m)) }
//
//	func TestX(t *testing.T) {
//		n := nodetest.Start(t, "--max-concurrency", "2")
//		... n.Put(...), n.Call(...) ...
//	}
//
// A node that a test started is stopped at its end and must leave nothing on the
// machine.
package nodetest
