package api

// Deadlines lets a test choose the time.
var Deadlines = deadlines
