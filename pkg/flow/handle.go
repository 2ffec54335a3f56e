package flow

// Handle stands for a key to one Aggregator, which by it finds what it knows of
// the key without looking the key up: that costs more than counting.
type Handle struct {
	key      Key
	series   *series // nil: not looked up yet; only its Aggregator uses it
	gathered gathered
	inBatch  bool
}

// NewHandle makes a handle for use with one Aggregator only. It keeps nothing from being evicted: a flow that was
// evicted begins anew by its handle as by its key.
func NewHandle(k Key) *Handle { return &Handle{key: k} }

// Key is the key that the handle stands for, not to be changed.
func (h *Handle) Key() *Key { return &h.key }
