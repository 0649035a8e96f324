// Package interop runs Symbolon against the systems that it must work with: the
// Keystone and the openstack client that Debian ships, and the stigmem-node and
// stigmem-py that the Python package index has.
//
// Its tests start everything they need on the loopback interface, in directories of
// their own, and stop it again. They run only when asked for, because they need
// those systems installed:
//
//	interop/setup
//	go test ./interop -interop
//
// docs/interop.md tells more, and shows a run.
package interop
