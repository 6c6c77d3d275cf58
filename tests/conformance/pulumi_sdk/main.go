// What Pulumi's own Go SDK says about files, providers and differences: the judge of tests/parity.
//
//	pulumi-judge state FILE     a deployment: strict decoding, URNs, order, secrets; its normal form
//	pulumi-judge provider PATH  a life cycle through a provider plugin, as the CLI would start and call it
//	pulumi-judge diff           differences, ignoreChanges and replaceOnChanges of pairs of property maps
//
// Input is JSON on standard input, output JSON on standard output, one value. The passphrase of `state` is read
// from PULUMI_CONFIG_PASSPHRASE. A complaint goes to standard error, and the exit code is then 1.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

func main() {
	answer, err := run(os.Args[1:])
	if err == nil {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) (any, error) {
	switch {
	case len(args) == 2 && args[0] == "state":
		return judgeState(args[1], os.Getenv("PULUMI_CONFIG_PASSPHRASE"))
	case len(args) == 2 && args[0] == "provider":
		return drive(args[1], os.Stdin)
	case len(args) == 1 && args[0] == "diff":
		return compare(os.Stdin)
	}
	return nil, errors.New("usage: pulumi-judge state FILE | provider PATH | diff")
}
