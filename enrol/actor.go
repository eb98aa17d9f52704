package enrol

import "time"

// Role is what an administrator was appointed to.
type Role string

// Roles of administrators, as the GPKI names them.
const (
	JDN     Role = "JDN"     // central administrator: approves, and everything that is nobody else's
	SAP     Role = "SAP"     // Sub Admin Pelaksana of an ICT system: submits lists, validates
	SA      Role = "SA"      // Sub Admin of an agency: validates, appoints its AP
	AP      Role = "AP"      // Authorised Personnel of an agency: validates, helps its officers
	Auditor Role = "AUDITOR" // reads, and each reading is audited
)

// Appointment is a role with its scope and time.
type Appointment struct {
	Role   Role
	Agency string // of SA and AP
	System string // of SAP
	From   time.Time
	Until  time.Time // zero while it was not ended

	ID          string // "ap_…"; "" of one that is not stored
	Document    string // that appointed: a letter's or form's reference
	By, ByIC    string // who appointed: Actor's Name and IC
	Awaits      bool   // not in force until a second person has confirmed it
	EndDocument string
	EndedBy     string
}

// Actor is who asks for something, as the audit names them.
type Actor struct {
	// Name is "account:" and an account's id, "officer:" and an IC, or "cli:" and an
	// operator of the machine.
	Name string
	// IC is that of the person, 12 digits; "" for an operator of the machine. Whoever
	// decides about somebody must be somebody else.
	IC           string
	Appointments []Appointment // those that count now: of an administrator with a second factor
	LoggedIn     time.Time     // when the session was opened; zero for the machine
	Request      string        // request id; "" at the command line
}
