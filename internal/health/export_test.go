package health

// Sayings are the words by code.
var Sayings = sayings
