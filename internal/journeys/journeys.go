// Package journeys takes people's ways through the pages in a real browser, against
// a real gateway. Tests start the gateway ([run]); scripts in js drive the browser
// (playwright-core, see tools/browser). js/lib.mjs says what a script may use.
package journeys
