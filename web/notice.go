package web

// notice is a page with a sign and a few words.
type notice struct {
	Tone, WordMS, WordEN, MS, EN string
}
