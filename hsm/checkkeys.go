package hsm

import "context"

// KeyState is a secret key the gateway needs.
type KeyState struct {
	Label string
	Err   error // nil when it is as EnsureKeys makes it; ErrNoKey, ErrKeyPolicy
}

// CheckKeys looks at the keys [Module.EnsureKeys] makes for that KEK and changes nothing. The error is for a
// module that does not answer.
func (m *Module) CheckKeys(ctx context.Context, kek string) ([]KeyState, error) {
	l, err := m.use()
	if err != nil {
		return nil, err
	}
	var states []KeyState
	err = l.pool.do(ctx, func(s *session) error {
		states = nil
		for _, spec := range specs(kek) {
			_, err := s.findSecret(spec)
			if fault := classify(err); fault == faultSession || fault == faultModule {
				return err
			}
			states = append(states, KeyState{spec.label, err})
		}
		return nil
	})
	return states, err
}
