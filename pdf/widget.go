package pdf

import (
	"fmt"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// pageOf returns the page of a new field: the first one without appearance.
func (d *Document) pageOf(v *Visible) (syntax.Page, *syntax.Object, error) {
	number := 1
	if v != nil {
		if number = v.Page; number == -1 {
			number = len(d.tree.Pages)
		}
	}
	if number < 1 || number > len(d.tree.Pages) {
		return syntax.Page{}, nil, refuse("no page %d", number)
	}
	page := d.tree.Pages[number-1]
	object, err := d.file.Load(page.Num, page.Gen)
	if err != nil {
		return page, nil, fmt.Errorf("reading page: %w", err)
	}
	return page, object, nil
}

// show gives the widget of an existing field an appearance. Place, flags and
// everything else of the widget stay.
func (d *Document) show(c *increment, t *target, v Visible) error {
	if v.Page != 0 || v.X != 0 || v.Y != 0 || v.Width != 0 || v.Height != 0 {
		return refuse("an existing field has its place: none can be given")
	}
	if t.widget == nil {
		return refuse("the field has no place on a page")
	}
	const hidden = 1<<1 | 1<<5 // Hidden, NoView: ISO 32000-2, Table 167
	flags, err := d.file.Resolve(t.widget.Value.Key("F"))
	if err != nil {
		return err
	}
	if flags.Value.Int&hidden != 0 {
		return refuse("the field is hidden")
	}
	page, object, err := d.pageWith(t.widget)
	if err != nil {
		return err
	}
	geometry, err := d.file.Geometry(page, object)
	if err != nil {
		return err
	}
	rect, err := d.rectangle(t.widget.Value.Key("Rect"))
	if err != nil {
		return err
	}
	v.take(rect, geometry)
	form, err := v.appear(c, geometry)
	if err != nil {
		return err
	}
	return c.set(t.widget, t.widget.Value, "AP", fmt.Sprintf("<</N %d 0 R>>", form))
}

// pageWith finds the page that shows a widget. /P is a hint only.
func (d *Document) pageWith(widget *syntax.Object) (syntax.Page, *syntax.Object, error) {
	hint := uint32(widget.Value.Key("P").Int)
	for _, hinted := range []bool{true, false} {
		for _, page := range d.tree.Pages {
			if (page.Num == hint) != hinted {
				continue
			}
			object, err := d.file.Load(page.Num, page.Gen)
			if err != nil {
				return page, nil, fmt.Errorf("reading page: %w", err)
			}
			annots, err := d.file.Resolve(object.Value.Key("Annots"))
			if err != nil {
				return page, nil, fmt.Errorf("reading annotations: %w", err)
			}
			for _, a := range annots.Value.Array {
				if a.Kind == syntax.Reference && a.Int == int64(widget.Num) {
					return page, object, nil
				}
			}
		}
	}
	return syntax.Page{}, nil, refuse("the field is on no page")
}

// rectangle reads a rectangle in normal order (ISO 32000-2, Section 7.9.5).
func (d *Document) rectangle(v syntax.Value) (r [4]float64, err error) {
	array, err := d.file.Resolve(v)
	if err != nil {
		return r, err
	}
	if len(array.Value.Array) != 4 {
		return r, syntax.Errorf(ErrInvalid, v.Start, "malformed rectangle")
	}
	for i, e := range array.Value.Array {
		n, err := d.file.Resolve(e)
		if err != nil {
			return r, err
		}
		if k := n.Value.Kind; k != syntax.Integer && k != syntax.Real {
			return r, syntax.Errorf(ErrInvalid, v.Start, "malformed rectangle")
		}
		r[i] = n.Value.Real
	}
	return [4]float64{min(r[0], r[2]), min(r[1], r[3]), max(r[0], r[2]), max(r[1], r[3])}, nil
}

// take makes a rectangle in user space the place, as displayed: the reverse of
// Visible.rectangle.
func (v *Visible) take(r [4]float64, g syntax.Geometry) {
	left, bottom, right, top := g.Crop[0], g.Crop[1], g.Crop[2], g.Crop[3]
	x, y, w, h := r[0]-left, r[1]-bottom, r[2]-r[0], r[3]-r[1]
	switch g.Rotate {
	case 90:
		x, y, w, h = r[1]-bottom, right-r[2], h, w
	case 180:
		x, y = right-r[2], top-r[3]
	case 270:
		x, y, w, h = top-r[3], r[0]-left, h, w
	}
	v.X, v.Y, v.Width, v.Height = x*g.UserUnit, y*g.UserUnit, w*g.UserUnit, h*g.UserUnit
}
