// Package bench compares Symbolon with other implementations. It is a module of
// its own, so that none of them is ever in the server's build.
//
//	cd bench && go test -bench . -benchmem
package bench
