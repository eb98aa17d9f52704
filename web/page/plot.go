package page

import (
	"fmt"
	"math"
)

// Plot is a set of bars, one above each label, stacked where there are several series.
type Plot struct {
	Title  string
	Of     string // what the labels are: "Hari"
	Labels []string
	Series []Series // at most six
}

// Series is one colour of a [Plot]: a number for each label.
type Series struct {
	Name   string
	Values []int64
}

func (s *Series) at(k int) int64 {
	if k < len(s.Values) {
		return s.Values[k]
	}
	return 0
}

// The picture, in units of its own.
const (
	plotWide, plotHigh = 760, 260
	plotLeft           = 64
	plotTop, plotFoot  = 12, 228
)

func (*Plot) box() string { return fmt.Sprintf("0 0 %d %d", plotWide, plotHigh) }

func (*Plot) tint(series int) string { return fmt.Sprintf("tint%d", series%6) }

// top is the height of the picture, not below the highest stack: four times a round number.
func (p *Plot) top() int64 {
	var highest int64 = 4
	for k := range p.Labels {
		var sum int64
		for _, s := range p.Series {
			sum += max(0, s.at(k))
		}
		highest = max(highest, sum)
	}
	quarter := (highest + 3) / 4
	for step := int64(1); ; step *= 10 {
		for _, round := range []int64{1, 2, 3, 4, 5, 6, 8} {
			if round*step >= quarter {
				return 4 * round * step
			}
		}
	}
}

type mark struct {
	X, Y float64
	Text string
}

func (p *Plot) y(value, top int64) float64 {
	return plotFoot - float64(value)/float64(top)*(plotFoot-plotTop)
}

// levels are the lines across, from nothing to the top.
func (p *Plot) levels() (out []mark) {
	top := p.top()
	for k := range int64(5) {
		v := top * k / 4
		out = append(out, mark{Y: p.y(v, top), Text: Number(v)})
	}
	return out
}

type bar struct {
	X, Y, Wide, High float64
	Series           int
	Text             string
}

func (p *Plot) slot() float64 {
	return (plotWide - plotLeft) / float64(max(1, len(p.Labels)))
}

func (p *Plot) bars() (out []bar) {
	top, slot := p.top(), p.slot()
	wide := min(48, slot*0.72)
	for k, label := range p.Labels {
		var below int64
		for n, s := range p.Series {
			v := max(0, s.at(k))
			if v == 0 {
				continue
			}
			y := p.y(below+v, top)
			text := label + ": " + Number(v)
			if len(p.Series) > 1 {
				text = label + ", " + s.Name + ": " + Number(v)
			}
			out = append(out, bar{X: plotLeft + slot*(float64(k)+0.5) - wide/2, Y: y, Wide: wide, High: p.y(below, top) - y, Series: n, Text: text})
			below += v
		}
	}
	return out
}

// labels are as many of them as there is room for.
func (p *Plot) labels() (out []mark) {
	longest := 1
	for _, l := range p.Labels {
		longest = max(longest, len([]rune(l)))
	}
	slot := p.slot()
	every := max(1, int(math.Ceil(float64(longest)*7.2/slot)))
	for k, l := range p.Labels {
		if k%every == 0 {
			out = append(out, mark{X: plotLeft + slot*(float64(k)+0.5), Text: l})
		}
	}
	return out
}
