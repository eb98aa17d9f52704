package ecert

import "strconv"

// unitTable is the place of Competency Units: three columns, one row a unit, more
// rows than fit going on overleaf.
type unitTable struct {
	*element
	heads [3]string
	more  string
}

func (d *design) addUnits(e *element, expand func(string) string) error {
	t := &unitTable{element: e, more: expand(e.More)}
	for i, h := range e.Heads {
		t.heads[i] = expand(h)
		if err := d.uses(e.Label.Font, t.heads[i]); err != nil {
			return err
		}
	}
	if err := d.uses(e.Label.Font, t.more); err != nil {
		return err
	}
	d.units = t
	return d.uses(e.Font, "0123456789"+string(fieldMark)+"A")
}

// unitRows are units set in one size.
type unitRows struct {
	size        float64
	codes       []block
	titles      []block
	heights     []float64
	pages       [2]int
	top         float64 // of the table on the first page
	place, code float64 // widths of the columns
}

const (
	unitLeading = 1.2 // of the size
	unitPadding = 0.62
	unitGutter  = 10.0
)

// set breaks the titles in a size.
func (t *unitTable) set(d *design, units []Unit, size float64) unitRows {
	r := unitRows{size: size, place: 22}
	for _, u := range units {
		f := d.face(t.Font, u.Code)
		r.code = max(r.code, min(breadth(f, size, 0, u.Code), t.Width*0.34))
	}
	for _, u := range units {
		code := fit(d.face(t.Font, u.Code), u.Code, r.code, step{1, size, size * 0.75}, step{2, size * 0.9, 2})
		title := fit(d.face(t.Font, u.Title), u.Title, t.Width-r.place-r.code-2*unitGutter, step{1, size, size}, step{2, size, size}, step{3, size, size}, step{4, size, size}, step{6, size, 2})
		r.codes, r.titles = append(r.codes, code), append(r.titles, title)
		lines := max(float64(len(code.lines))*code.size, float64(len(title.lines))*title.size)
		r.heights = append(r.heights, lines*unitLeading+unitPadding*size)
	}
	return r
}

// fill counts the rows that fit from the i-th on.
func (r *unitRows) fill(i int, room float64) (n int) {
	for _, h := range r.heights[i:] {
		if room -= h; room < 0 {
			break
		}
		n++
	}
	return n
}

func (t *unitTable) headHeight() float64 { return t.Label.Size*unitLeading + 5 }

// fit sets the units in the largest size in which they fit on the page; where the
// smallest of the layout is not enough they go on overleaf.
func (t *unitTable) fit(d *design, top float64, units []Unit) unitRows {
	steps := t.setting()
	largest, least := steps[0].max, steps[len(steps)-1].min
	if len(t.Steps) == 0 {
		least = largest
	}
	room := top - t.Bottom - t.headHeight()
	for size := largest; size >= least; size -= 0.5 {
		if r := t.set(d, units, size); r.fill(0, room) == len(units) {
			r.pages, r.top = [2]int{len(units)}, top
			return r
		}
	}
	room -= t.Label.Size * 1.6 // the line that says so
	for size := largest; ; size *= 0.95 {
		r := t.set(d, units, size)
		n := r.fill(0, room)
		if n+r.fill(n, t.NextY-t.NextTo-t.headHeight()) >= len(units) || size < 1 {
			r.pages, r.top = [2]int{n, len(units) - n}, top
			return r
		}
	}
}

// draw sets the rows of a page, with the heads above.
func (t *unitTable) draw(d *design, c *canvas, r unitRows, page int) {
	from, y := 0, r.top
	if page == 1 {
		from, y = r.pages[0], t.NextY
	}
	label, mcid := d.fonts[t.Label.Font], len(d.nodes[page])
	x := [3]float64{t.X, t.X + r.place, t.X + r.place + r.code + unitGutter}
	if r.pages[page] > 0 {
		c.artifact(func() {
			c.stroke(d.colours[t.Colour])
			c.line(t.X, t.X+t.Width, y-t.headHeight()+2.5, 0.7)
		})
		for i, h := range t.heads {
			c.tagged(mcid, "TH", func() {
				c.fill(d.colours[t.Label.Colour])
				c.text(label, t.Label.Size, 0.2, x[i], y-t.Label.Size, h)
			})
			mcid++
		}
		y -= t.headHeight()
	}
	for i := from; i < from+r.pages[page]; i++ {
		base := y - r.size*1.02 - unitPadding*r.size/2
		for k, b := range [3]block{{[]string{strconv.Itoa(i + 1)}, r.size}, r.codes[i], r.titles[i]} {
			c.tagged(mcid, "TD", func() {
				c.fill(d.colours[t.Colour])
				for j, l := range b.lines {
					c.text(d.face(t.Font, l), b.size, 0, x[k], base-b.size*unitLeading*float64(j), l)
				}
			})
			mcid++
		}
		y -= r.heights[i]
		c.artifact(func() {
			c.stroke(d.colours[t.Accent])
			c.line(t.X, t.X+t.Width, y, 0.35)
		})
	}
	if page == 0 && r.pages[1] > 0 && t.more != "" {
		c.artifact(func() {
			c.fill(d.colours[t.Label.Colour])
			s := breadth(label, t.Label.Size, 0, t.more)
			c.text(label, t.Label.Size, 0, t.X+t.Width-s, y-t.Label.Size*1.35, t.more)
		})
	}
}
