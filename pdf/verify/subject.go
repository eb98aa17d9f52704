package verify

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// Subject prints a certificate's subject in its own order, as Malaysian
// certificates are shown: C=MY,CN=…,SURNAME=…,SERIALNUMBER=…. It is for
// reading: values are not escaped. Attributes without a name here print as
// their OID.
func Subject(c *x509.Certificate) string { return distinguished(&c.Subject) }

// Issuer is Subject of the certificate's issuer.
func Issuer(c *x509.Certificate) string { return distinguished(&c.Issuer) }

func distinguished(n *pkix.Name) string {
	out := ""
	for _, a := range n.Names {
		v, ok := a.Value.(string)
		if !ok {
			continue
		}
		if out != "" {
			out += ","
		}
		out += attributeName(a.Type) + "=" + v
	}
	return out
}

func attributeName(oid asn1.ObjectIdentifier) string {
	names := map[string]string{"2.5.4.3": "CN", "2.5.4.4": "SURNAME", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU"}
	if n := names[oid.String()]; n != "" {
		return n
	}
	return oid.String()
}
