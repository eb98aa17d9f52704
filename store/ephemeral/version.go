package ephemeral

import "context"

// Version is the server's; "" when it does not say so to us.
func (r *Redis) Version(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	v, err := r.client.Do(ctx, "HELLO").Result()
	m, ok := v.(map[any]any)
	if err != nil || !ok {
		return ""
	}
	s, _ := m["version"].(string)
	return s
}
