package main

import (
	"fmt"

	"github.com/mohor-sign/mohor/internal/gateway"
)

type caProvisionerCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
}

// Help says what to do with the output.
func (c *caProvisionerCmd) Help() string {
	return `Prints the entry for authority.provisioners in step-ca's ca.json that belongs to
ca.external in mohor.yaml: the public half of ca.external.key_file, and the template
that gives certificates the serial number, subject and key usages they are asked for
with. Make the key first: openssl ecparam -name prime256v1 -genkey -noout`
}

func (c *caProvisionerCmd) Run(e *env) error {
	out, err := gateway.ExternalProvisioner(c.Data)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s\n", out)
	return nil
}
