package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"symbolon/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Show what a node does, on two of them, and both attacks that it was made against", Args: noArgs,
		Long: `Starts two nodes on free ports of loopback, with data of their own in temporary directories that are
removed afterwards. A token of every scope is issued and looked at, facts are said and federated, and then
both attacks are played: tokens relabelled with another version, and peer tokens that lie about time. For
each it shows what was sent, what the wire answered, and the true reason, from the node's own log.

It takes a few seconds, touches nothing else, and exits with 1 when an answer is not what it must be.`,
		RunE: func(c *cobra.Command, _ []string) error {
			o := demo.Options{Now: a.Now, Version: version}
			shown := 0
			if !a.json {
				o.Screen = func(s demo.Screen) {
					shown++
					s.Write(a.Out, shown)
				}
			}
			r, err := demo.Run(c.Context(), o)
			if err != nil {
				return fmt.Errorf("the demo could not be played to its end: %w", err)
			}
			if err := a.print(r, func(w io.Writer) {
				if r.AsExpected {
					fmt.Fprintln(w, "Every answer was what it must be. Start a node of your own with: symbolon serve")
				}
			}); err != nil {
				return err
			}
			if !r.AsExpected {
				return errors.New("an answer was not what it must be")
			}
			return nil
		},
	}
}
