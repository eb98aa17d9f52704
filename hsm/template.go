package hsm

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"github.com/miekg/pkcs11"
)

func yes(attribute uint) *pkcs11.Attribute { return pkcs11.NewAttribute(attribute, true) }
func no(attribute uint) *pkcs11.Attribute  { return pkcs11.NewAttribute(attribute, false) }

// unwrapTemplate is CKA_UNWRAP_TEMPLATE of the KEK: what any key unwrapped with it must be. A
// module compares it with the template of each C_UnwrapKey, in which every attribute of it must
// be listed, and refuses with CKR_TEMPLATE_INCONSISTENT.
//
// CKA_CLASS is in it because a wrapped private key is only bytes to the module, and could
// otherwise come back as a secret key; CKA_TOKEN because a key must not stay; CKA_MODIFIABLE
// and CKA_COPYABLE because the rest could otherwise be undone afterwards.
func unwrapTemplate() []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		no(pkcs11.CKA_TOKEN),
		yes(pkcs11.CKA_PRIVATE),
		yes(pkcs11.CKA_SENSITIVE),
		no(pkcs11.CKA_EXTRACTABLE),
		no(pkcs11.CKA_COPYABLE),
		yes(pkcs11.CKA_SIGN),
		no(pkcs11.CKA_SIGN_RECOVER),
		no(pkcs11.CKA_DECRYPT),
		no(pkcs11.CKA_UNWRAP),
		no(pkcs11.CKA_DERIVE),
		// Last: SoftHSM sets attributes in this order, and none after this one.
		no(pkcs11.CKA_MODIFIABLE),
	}
}

// unwrapAs is a whole template for C_UnwrapKey.
func unwrapAs(a Algorithm) []*pkcs11.Attribute {
	return append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, a.keyType())}, unwrapTemplate()...)
}

// attributeName is how the standard calls an attribute that guards a key.
func attributeName(attribute uint) string {
	name, ok := map[uint]string{
		pkcs11.CKA_CLASS: "CKA_CLASS", pkcs11.CKA_TOKEN: "CKA_TOKEN", pkcs11.CKA_PRIVATE: "CKA_PRIVATE", pkcs11.CKA_LABEL: "CKA_LABEL",
		pkcs11.CKA_SENSITIVE: "CKA_SENSITIVE", pkcs11.CKA_EXTRACTABLE: "CKA_EXTRACTABLE", pkcs11.CKA_MODIFIABLE: "CKA_MODIFIABLE",
		pkcs11.CKA_COPYABLE: "CKA_COPYABLE", pkcs11.CKA_ENCRYPT: "CKA_ENCRYPT", pkcs11.CKA_DECRYPT: "CKA_DECRYPT", pkcs11.CKA_SIGN: "CKA_SIGN",
		pkcs11.CKA_SIGN_RECOVER: "CKA_SIGN_RECOVER", pkcs11.CKA_WRAP: "CKA_WRAP", pkcs11.CKA_UNWRAP: "CKA_UNWRAP", pkcs11.CKA_DERIVE: "CKA_DERIVE",
		pkcs11.CKA_UNWRAP_TEMPLATE: "CKA_UNWRAP_TEMPLATE", pkcs11.CKA_VALUE: "CKA_VALUE", pkcs11.CKA_PRIVATE_EXPONENT: "CKA_PRIVATE_EXPONENT",
	}[attribute]
	if !ok {
		return fmt.Sprintf("attribute 0x%X", attribute)
	}
	return name
}

// known leaves attributes out of a template, for a module that does not know them.
func known(template []*pkcs11.Attribute, without []uint) []*pkcs11.Attribute {
	return slices.DeleteFunc(template, func(a *pkcs11.Attribute) bool { return slices.Contains(without, a.Type) })
}

// officerPair gives the templates of a pair made to be wrapped: session objects, the private
// half extractable for as long as the wrapping takes.
func officerPair(a Algorithm) (mechanism uint, public, private []*pkcs11.Attribute) {
	mechanism, public = a.pairGen()
	public = append(public,
		no(pkcs11.CKA_TOKEN), no(pkcs11.CKA_PRIVATE), yes(pkcs11.CKA_VERIFY),
		no(pkcs11.CKA_ENCRYPT), no(pkcs11.CKA_WRAP))
	private = []*pkcs11.Attribute{
		no(pkcs11.CKA_TOKEN), yes(pkcs11.CKA_PRIVATE), yes(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_EXTRACTABLE),
		no(pkcs11.CKA_MODIFIABLE), no(pkcs11.CKA_COPYABLE),
		yes(pkcs11.CKA_SIGN), no(pkcs11.CKA_DECRYPT), no(pkcs11.CKA_UNWRAP), no(pkcs11.CKA_DERIVE),
	}
	return mechanism, public, private
}

// ckAttribute is laid out as CK_ATTRIBUTE on every platform but Windows, where it is packed.
type ckAttribute struct {
	typ   uint // CK_ULONG is as wide as a pointer there
	value unsafe.Pointer
	size  uint
}

// arrayAttribute makes an attribute whose value is an array of attributes, which miekg's
// NewAttribute cannot: it takes bytes. The bytes are CK_ATTRIBUTEs with pointers to the inner
// values. The garbage collector does not see pointers in bytes, so pin holds the values in place
// until it is unpinned, which must be after the call.
func arrayAttribute(pin *runtime.Pinner, attribute uint, attrs []*pkcs11.Attribute) *pkcs11.Attribute {
	array := make([]ckAttribute, len(attrs))
	for i, a := range attrs {
		value := &a.Value[0] // never empty in our templates
		pin.Pin(value)
		array[i] = ckAttribute{a.Type, unsafe.Pointer(value), uint(len(a.Value))}
	}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&array[0])), len(array)*int(unsafe.Sizeof(array[0])))
	return pkcs11.NewAttribute(attribute, slices.Clone(raw))
}
