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
	if number == 0 {
		return syntax.Page{}, nil, refuse("there is no such field, and no place for a new one was given")
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

// place returns the entries of a new widget that depend on its appearance.
func (d *Document) place(c *increment, v *Visible, page syntax.Page, object *syntax.Object) (string, error) {
	if v == nil {
		return invisible(c, d.archive())
	}
	geometry, err := d.file.Geometry(page, object)
	if err != nil {
		return "", err
	}
	return v.appear(c, geometry, d.archive())
}

// show gives the widget of an existing field an appearance. Place, flags and
// everything else of the widget stay.
func (d *Document) show(c *increment, t *target, v Visible) error {
	if v.Page != 0 || v.X != 0 || v.Y != 0 || v.Width != 0 || v.Height != 0 || v.Anchor != "" {
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
	form, err := v.appearIn(c, geometry, t.widget, d.archive())
	if err != nil {
		return err
	}
	return c.set(t.widget, t.widget.Value, "AP", form)
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
