package verify

import (
	"fmt"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// roles are the objects of the newest revision that later revisions may
// touch, each in its own way: everything else must stay as it was signed.
type roles struct {
	catalog, form uint32         // object numbers; form is 0 when direct in the catalog
	pages         map[uint32]int // by object number, from 0
	annots        []uint32       // by page: number of the object that holds /Annots, 0 when direct or absent
	nodes         []*node        // of the field tree, parents before their kids
	byNum         map[uint32]*node
	// stray: there is a signature's widget that no form leads to.
	stray bool
}

// node is a node of the field tree: a field, a widget of one, or both.
type node struct {
	ref    syntax.Value
	parent *node
	kids   []*node
	index  int
	array  uint32 // object that holds /Kids, 0 when direct or absent
	part   string // own /T, empty for a widget
	name   string // fully qualified
	kind   string // /FT, inherited
}

// roles reads what the newest revision is made of. The order is that of
// syntax.Form, which has checked the tree: no cycle, nothing twice.
func (v *verifier) readRoles() (*roles, error) {
	catalog := v.tree.Catalog
	r := &roles{catalog: catalog.Num, pages: make(map[uint32]int, len(v.tree.Pages)), byNum: make(map[uint32]*node)}
	for i, p := range v.tree.Pages {
		if err := v.ctx.Err(); err != nil {
			return nil, err
		}
		r.pages[p.Num] = i
		page, err := v.file.Load(p.Num, p.Gen)
		if err != nil {
			return nil, err
		}
		refs, holder, err := list(v.file, page.Value.Key("Annots"))
		if err != nil {
			return nil, err
		}
		if !r.stray {
			if r.stray, err = v.strayWidget(refs); err != nil {
				return nil, err
			}
		}
		r.annots = append(r.annots, holder)
	}
	if v.form.Object == nil {
		return r, nil
	}
	if v.form.Object != catalog {
		r.form = v.form.Object.Num
	}
	refs, _, err := list(v.file, v.form.Dict.Key("Fields"))
	if err != nil {
		return nil, err
	}
	return r, v.readNodes(r, nil, refs)
}

// list resolves an array and says which object holds it.
func list(f *syntax.File, value syntax.Value) (refs []syntax.Value, holder uint32, err error) {
	o, err := f.Resolve(value)
	if err != nil {
		return nil, 0, err
	}
	if value.Kind == syntax.Reference && o.Value.Kind != syntax.Null {
		if o.Num != uint32(value.Int) {
			return nil, 0, syntax.Errorf(syntax.ErrUnsupported, value.Start, "array behind two references")
		}
		holder = o.Num
	}
	return o.Value.Array, holder, nil
}

func (v *verifier) readNodes(r *roles, parent *node, refs []syntax.Value) error {
	for i, ref := range refs {
		if ref.Kind != syntax.Reference || r.byNum[uint32(ref.Int)] != nil {
			return syntax.Errorf(syntax.ErrInvalid, ref.Start, "malformed field tree")
		}
		if err := v.ctx.Err(); err != nil {
			return err
		}
		n := &node{ref: ref, parent: parent, index: i}
		o, err := v.file.Load(uint32(ref.Int), ref.Gen)
		if err != nil {
			return err
		}
		if parent != nil {
			n.name, n.kind = parent.name, parent.kind
		}
		if t, err := v.file.Resolve(o.Value.Key("T")); err != nil {
			return err
		} else if t.Value.Kind == syntax.String {
			if n.part = syntax.Text(t.Value.Bytes); parent != nil {
				n.name += "."
			}
			n.name += n.part
		}
		if ft, err := v.file.Resolve(o.Value.Key("FT")); err != nil {
			return err
		} else if ft.Value.Kind == syntax.Name {
			n.kind = string(ft.Value.Bytes)
		}
		r.nodes = append(r.nodes, n)
		r.byNum[uint32(ref.Int)] = n
		kids, holder, err := list(v.file, o.Value.Key("Kids"))
		if err != nil {
			return err
		}
		n.array = holder
		from := len(r.nodes)
		if err := v.readNodes(r, n, kids); err != nil {
			return err
		}
		for _, kid := range r.nodes[from:] {
			if kid.parent == n {
				n.kids = append(n.kids, kid)
			}
		}
	}
	return nil
}

// apart says whether an object is judged by its role.
func (r *roles) apart(num uint32) bool {
	if num == r.catalog || num == r.form && num != 0 || r.byNum[num] != nil {
		return true
	}
	_, page := r.pages[num]
	return page
}

// String is the node's place in the field tree. It takes the depth of the tree
// to make, so it is made for what is reported alone.
func (n *node) String() string {
	if n.parent == nil {
		return fmt.Sprintf("AcroForm.Fields[%d]", n.index)
	}
	return fmt.Sprintf("%s.Kids[%d]", n.parent.String(), n.index)
}

func (r *roles) label(num uint32) string {
	if n := r.byNum[num]; n != nil {
		return n.String()
	}
	if i, ok := r.pages[num]; ok {
		return fmt.Sprintf("pages[%d]", i)
	}
	switch num {
	case r.catalog:
		return "catalog"
	case r.form:
		return "AcroForm"
	}
	return fmt.Sprintf("object %d", num)
}
