package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/config"
)

func (a *app) credentialsCommand() *cobra.Command {
	export := false
	cmd := &cobra.Command{
		Use:   "credentials",
		Short: "Print what AWS tools need to talk to the node",
		Long: `Prints the key that the node made at its first start, without its secrets. With
--export it prints shell lines that point AWS tools at the node; with --json,
everything.`,
		Example: `  eval "$(mayfly credentials --export)"
  aws lambda list-functions`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := a.key()
			if err != nil {
				return err
			}
			endpoint, err := a.address()
			if err != nil {
				return err
			}
			region, err := a.region()
			if err != nil {
				return err
			}
			return a.printKey(key, endpoint, region, export)
		},
	}
	cmd.Flags().BoolVar(&export, "export", false, "print shell lines for eval")
	a.jsonFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("export", "json")
	return cmd
}

func (a *app) region() (string, error) {
	loaded, err := config.Load(config.Sources{Environ: a.Environ})
	if err != nil {
		return "", err
	}
	return loaded.Config.Region, nil
}

func (a *app) printKey(key auth.Key, endpoint, region string, export bool) error {
	switch {
	case a.json:
		return a.printJSON(map[string]string{
			"endpoint": endpoint, "region": region, "accessKeyId": key.AccessKeyID, "secretAccessKey": key.SecretAccessKey,
			"token": key.Token, "name": key.Name, "namespace": key.Namespace,
		})
	case export:
		for _, pair := range [][2]string{
			{"AWS_ENDPOINT_URL", endpoint},
			{"AWS_REGION", region},
			{"AWS_DEFAULT_REGION", region}, // for tools that don't read AWS_REGION
			{"AWS_ACCESS_KEY_ID", key.AccessKeyID},
			{"AWS_SECRET_ACCESS_KEY", key.SecretAccessKey},
		} {
			fmt.Fprintf(a.Out, "export %s=%s\n", pair[0], shellQuote(pair[1]))
		}
		fmt.Fprintln(a.Out, "unset AWS_SESSION_TOKEN AWS_PROFILE")
	default:
		fmt.Fprintf(a.Out, "endpoint       %s\nregion         %s\naccess key id  %s\nnamespace      %s\nsecrets        in %s\n",
			endpoint, region, key.AccessKeyID, key.Namespace, filepath.Join(a.dir(), auth.FileName))
		fmt.Fprintf(a.Out, "\nPoint AWS tools here:  eval \"$(mayfly credentials --export)\"\n")
	}
	return nil
}

// shellQuote makes one word of text for a POSIX shell.
func shellQuote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+,=", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
