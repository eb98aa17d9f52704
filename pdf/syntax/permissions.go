package syntax

// Permissions are the user access permissions of an encrypted file (ISO
// 32000-2, Table 22). They hold for whoever did not open it as its owner; a
// file that is not encrypted permits everything.
type Permissions struct {
	// Owner says that the file was opened with the owner's password, or is not
	// encrypted: nothing is forbidden.
	Owner    bool
	flags    uint32
	revision int // of the standard security handler
}

func (p Permissions) bit(n int) bool { return p.Owner || p.flags>>(n-1)&1 == 1 }

// MayModify says whether the contents may be changed (bit 4).
func (p Permissions) MayModify() bool { return p.bit(4) }

// MayAnnotate says whether annotations may be added and changed (bit 6).
func (p Permissions) MayAnnotate() bool { return p.bit(6) }

// MayFillForms says whether existing form fields may be filled in, signature
// fields signed (bit 9, from revision 3 on, or bit 6).
func (p Permissions) MayFillForms() bool { return p.bit(6) || p.revision >= 3 && p.bit(9) }

// MaySign returns nil when the permissions allow a signature: in an existing
// empty field what MayFillForms says; with a new field bits 4 and 6. Otherwise
// it returns an *Error that matches ErrEncrypted.
func (p Permissions) MaySign(newField bool) error {
	if !p.MayFillForms() {
		return Refusal(ErrEncrypted, "the permissions of the document forbid signing; its owner's password is needed",
			"dokumen tidak membenarkan tandatangan; kata laluan pemiliknya diperlukan")
	}
	if newField && !(p.MayModify() && p.MayAnnotate()) {
		return Refusal(ErrEncrypted, "the permissions of the document forbid a new signature field; its owner's password is needed",
			"dokumen tidak membenarkan medan tandatangan baharu; kata laluan pemiliknya diperlukan")
	}
	return nil
}
