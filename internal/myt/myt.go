// Package myt is the time that officers read.
package myt

import "time"

// Zone is Malaysian time: UTC+8 all year since 1982, so that no zone database is needed.
var Zone = time.FixedZone("MYT", 8*60*60)

// Format writes an instant as pages and mails do: 31/12/2026, 23:59:59 MYT.
func Format(t time.Time) string { return t.In(Zone).Format("02/01/2006, 15:04:05 MST") }

// Stamp writes an instant as the screen of a signature does: Tue Apr 30 12:09:54 MYT 2024.
func Stamp(t time.Time) string { return t.In(Zone).Format("Mon Jan 02 15:04:05 MST 2006") }
