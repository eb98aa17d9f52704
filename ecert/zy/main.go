package main

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"fmt"
	"os"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/pdf"
)

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func main() {
	r, err := ecert.NewRenderer(ecert.Options{})
	if err != nil {
		panic(err)
	}
	c := ecert.Candidate{Row: 2, Name: "NUR AISYAH BINTI MOHD YUSOF", IC: "010228991234", Number: "S102251979",
		ProgrammeCode: "TP-021-3:2013", ProgrammeName: "PEMBUATAN MAKANAN", Level: ecert.SKM3,
		CentreCode: "L01", CentreName: "PUSAT CONTOH", Batch: "2021/07", Month: time.July, Year: 2021, Language: ecert.Malay}
	draw := func() []byte {
		b, err := r.Render(c, "https://sahkan.example.gov.my/s/3Jt9Kq0ZxW7cLm2PfRvYdB#Yk7TqLz0hXr3VnMwE9sCaG", nil)
		if err != nil {
			panic(err)
		}
		return b
	}
	b := draw()
	const n = 4000
	measure := func(name string, f func()) {
		f()
		t := cpu()
		for range n {
			f()
		}
		fmt.Printf("%-10s %v\n", name, (cpu()-t)/n)
	}
	if len(os.Args) > 1 {
		f, _ := os.Create(os.Args[1])
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	measure("draw", func() { draw() })
	measure("sha256", func() { sha256.Sum256(b) })
	measure("copy", func() { x := make([]byte, len(b)); copy(x, b) })
	var d *pdf.Document
	measure("open", func() { d, _ = pdf.Open(bytes.NewReader(b), int64(len(b))) })
	var p *pdf.Prepared
	o := pdf.Options{Name: "X", Time: time.Now(), ContentsSize: 4096}
	measure("prepare", func() { p, err = d.Prepare(o) })
	measure("open+prep", func() {
		d, _ := pdf.Open(bytes.NewReader(b), int64(len(b)))
		p, err = d.Prepare(o)
	})
	if err != nil {
		panic(err)
	}
	measure("digest", func() { p.Digest(crypto.SHA256) })
	var w bytes.Buffer
	measure("complete", func() { w.Reset(); p.Complete(&w, make([]byte, 3000)) })
	fmt.Println(len(b), w.Len())
}
