// Command symbolon is identity and shared memory in one binary: an OpenStack
// Identity v3 server and a Stigmem v1 node on one token core.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"symbolon/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Whoever reads our output may leave without taking the node with him, or
	// keeping a command from cleaning up: the write fails instead.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// The first signal asks; a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	code := cli.Main(ctx, os.Args[1:], cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
