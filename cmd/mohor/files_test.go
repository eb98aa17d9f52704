package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

func writeFile(path, content string) error { return os.WriteFile(path, []byte(content), 0o600) }

// openDB opens a database as somebody with a copy of SQLite would.
func openDB(path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", Path: path}
	return sql.Open("sqlite", u.String()+"?_pragma=busy_timeout(15000)")
}

// cmdSQLExec runs a statement. A query's rows are printed, columns between
// bars; any other statement must change something: sqlexec FILE SQL.
func cmdSQLExec(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: sqlexec FILE SQL")
	}
	db, err := openDB(ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	if strings.HasPrefix(args[1], "SELECT") {
		rows, err := table(db, args[1])
		ts.Check(err)
		fmt.Fprint(ts.Stdout(), rows)
		return
	}
	r, err := db.Exec(args[1])
	ts.Check(err)
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("the statement changed nothing (%v)", err)
	}
}

// cmdTally counts the lines of `audit show` on standard output whose object begins so, by action
// and verdict, and compares that with a file: tally PREFIX FILE.
func cmdTally(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: tally PREFIX FILE")
	}
	counts := map[string]int{}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if f := strings.Split(line, "|"); len(f) > 4 && strings.HasPrefix(f[3], args[0]) {
			counts[f[0]+"|"+f[1]]++
		}
	}
	var got strings.Builder
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&got, "%s|%d\n", k, counts[k])
	}
	if want := ts.ReadFile(args[1]); got.String() != want {
		ts.Fatalf("got\n%swant\n%s", got.String(), want)
	}
}

// table prints what a query gives, a line a row.
func table(db *sql.DB, query string) (string, error) {
	rows, err := db.Query(query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for rows.Next() {
		cells := make([]any, len(columns))
		for k := range cells {
			cells[k] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			return "", err
		}
		for k, c := range cells {
			if k > 0 {
				b.WriteByte('|')
			}
			switch v := (*c.(*any)).(type) {
			case []byte:
				b.WriteString(hex.EncodeToString(v))
			default:
				fmt.Fprint(&b, v)
			}
		}
		b.WriteByte('\n')
	}
	return b.String(), rows.Err()
}

// cmdEditFile replaces text that occurs exactly once, in any kind of file:
// editfile FILE OLD NEW, in which \n ends a line.
func cmdEditFile(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: editfile FILE OLD NEW")
	}
	path := ts.MkAbs(args[0])
	old := ts.ReadFile(args[0])
	for k := range args {
		args[k] = strings.ReplaceAll(args[k], `\n`, "\n")
	}
	if n := strings.Count(old, args[1]); n != 1 {
		ts.Fatalf("%q occurs %d times in %s", args[1], n, args[0])
	}
	st, err := os.Stat(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, []byte(strings.Replace(old, args[1], args[2], 1)), st.Mode()))
}

// cmdAppend adds a line to a file: append FILE LINE.
func cmdAppend(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: append FILE LINE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile(args[0])+args[1]+"\n"), 0o600))
}

// cmdContains says that every line of PART, of which there is one at least, is
// a line of WHOLE: contains WHOLE PART.
func cmdContains(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: contains WHOLE PART")
	}
	whole := map[string]bool{}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		whole[line] = true
	}
	part := slices.Collect(strings.Lines(ts.ReadFile(args[1])))
	if len(part) == 0 || len(part) >= len(whole) {
		ts.Fatalf("%s has %d lines, %s %d", args[1], len(part), args[0], len(whole))
	}
	for _, line := range part {
		if !whole[line] {
			ts.Fatalf("%s lacks %q", args[0], line)
		}
	}
}

// cmdRestore puts a copy of the database back into DIR: restore DIR FILE.
func cmdRestore(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: restore DIR FILE")
	}
	path := filepath.Join(ts.MkAbs(args[0]), "mohor.db")
	for _, f := range []string{path + "-wal", path + "-shm"} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			ts.Fatalf("%v", err)
		}
	}
	ts.Check(writeFile(path, ts.ReadFile(args[1])))
}

// cmdHides looks into files for the PINs and keys of the story, in clear. Codes
// are left out: six digits stand anywhere by chance. hides FILE….
func cmdHides(ts *testscript.TestScript, _ bool, args []string) {
	s := of(ts)
	long := 0
	for _, f := range args {
		content := ts.ReadFile(f)
		if content == "" {
			ts.Fatalf("%s is empty", f)
		}
		s.mu.Lock()
		hidden := slices.Clone(s.hidden)
		s.mu.Unlock()
		for k, x := range hidden {
			if len(x) < 8 {
				continue
			}
			long++
			if strings.Contains(content, x) {
				ts.Fatalf("secret %d stands in %s", k, f)
			}
		}
	}
	if long == 0 {
		ts.Fatalf("there was no secret to look for")
	}
}

// cmdFileMode compares permissions: filemode 0600 FILE….
func cmdFileMode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: filemode MODE FILE…")
	}
	for _, f := range args[1:] {
		st, err := os.Stat(ts.MkAbs(f))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", st.Mode().Perm()); got != args[0] {
			ts.Fatalf("mode of %s is %s, want %s", f, got, args[0])
		}
	}
}

// member finds a.b.0.c in a JSON document; length is the number of members.
func member(ts *testscript.TestScript, file, path string) any {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile(file)), &v); err != nil {
		ts.Fatalf("%s is not JSON: %v", file, err)
	}
	if path == "." {
		return v
	}
	for step := range strings.SplitSeq(path, ".") {
		ok := false
		switch x := v.(type) {
		case map[string]any:
			v, ok = x[step]
			if step == "length" {
				v, ok = float64(len(x)), true
			}
		case []any:
			if step == "length" {
				v, ok = float64(len(x)), true
			} else if k, err := strconv.Atoi(step); err == nil && k >= 0 && k < len(x) {
				v, ok = x[k], true
			}
		}
		if !ok {
			ts.Fatalf("%s has no %s (at %s)", file, path, step)
		}
	}
	return v
}

// cmdJSONGet prints a member of a JSON file (or of stdout); with a fourth word
// it compares, with -env NAME it sets a variable:
//
//	jsonget [-env NAME] FILE PATH [WANT]
func cmdJSONGet(ts *testscript.TestScript, neg bool, args []string) {
	name := ""
	if len(args) > 2 && args[0] == "-env" {
		name, args = args[1], args[2:]
	}
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: jsonget [-env NAME] FILE PATH [WANT]")
	}
	got := fmt.Sprint(member(ts, args[0], args[1]))
	if len(args) == 3 && neg == (got == args[2]) {
		ts.Fatalf("%s is %q", args[1], got)
	}
	if name != "" {
		ts.Setenv(name, got)
	}
	if len(args) == 2 && name == "" {
		fmt.Fprintln(ts.Stdout(), got)
	}
}

// cmdJSONKeys compares the names of an object's members, sorted: jsonkeys FILE
// PATH NAME….
func cmdJSONKeys(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: jsonkeys FILE PATH NAME…")
	}
	object, ok := member(ts, args[0], args[1]).(map[string]any)
	if !ok {
		ts.Fatalf("%s is no object", args[1])
	}
	if got := slices.Sorted(maps.Keys(object)); !slices.Equal(got, slices.Sorted(slices.Values(args[2:]))) {
		ts.Fatalf("%s has %v", args[1], got)
	}
}

// cmdSnapshot lists a data folder, so that two can be compared: a line for
// each file with mode and digest, and for each row of the database one with
// the digest of its cells. Locks and SQLite's own files are left out:
// snapshot DIR FILE.
func cmdSnapshot(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: snapshot DIR FILE")
	}
	var b strings.Builder
	dir := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "mohor.db") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if name == "token.object" {
			content = nil // SoftHSM writes it at each log-in
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%v %x %s\n", st.Mode(), sha256.Sum256(content), strings.TrimPrefix(path, dir))
		return nil
	}))
	rows, err := facts(filepath.Join(dir, "mohor.db"))
	ts.Check(err)
	ts.Check(writeFile(ts.MkAbs(args[1]), b.String()+rows))
}

// facts is every row of every table.
func facts(path string) (string, error) {
	db, err := openDB(path)
	if err != nil {
		return "", err
	}
	defer db.Close()
	names, err := table(db, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for name := range strings.Lines(names) {
		name = strings.TrimSpace(name)
		rows, err := table(db, `SELECT * FROM "`+name+`"`)
		if err != nil {
			return "", err
		}
		for row := range strings.Lines(rows) {
			fmt.Fprintf(&b, "row %s %x\n", name, sha256.Sum256([]byte(row)))
		}
	}
	return b.String(), nil
}
