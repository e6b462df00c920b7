// Package netlab is a small internet for tests of outgoing traffic: the test's
// process in a network namespace of its own, and around it hosts in further
// namespaces that hold public, private and metadata addresses. Nothing in it is
// connected to a real network.
//
// A test binary enters the lab as a whole, so that programs which it starts are
// in it too:
//
//	func TestMain(m *testing.M) {
//		netlab.Enter()
//		os.Exit(m.Run())
//	}
//
//	func TestEgress(t *testing.T) {
//		lab := netlab.New(t)
//		... start a node, call functions, ask lab.Metadata.Visits() ...
//	}
package netlab
