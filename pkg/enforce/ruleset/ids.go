package ruleset

import (
	"strconv"
	"strings"
	"sync"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Reserved ids of refusals that no policy decided (S31, S23). Ids of policy
// hits start at firstHitID.
const (
	IDSpoofed uint32 = 1 // a known pod's interface, a foreign source address
	IDUnknown uint32 = 2 // a pod interface or address that nobody knows yet
	IDRouter  uint32 = 3 // a router advertisement made by a pod
	IDTunnel  uint32 = 4 // VXLAN, Geneve or IPIP made by a pod
	// A source port that the rules can't tell apart, of the pod's own policies
	// for egress and for ingress.
	IDSource   uint32 = 5
	IDSourceIn uint32 = 6

	firstHitID uint32 = 16
)

// reserved are the chains that refuse for a reserved id, by id.
var reserved = [...]struct{ name, comment string }{
	IDSpoofed:  {"drop-spoofed", "S31: not an address of the pod behind this interface"},
	IDUnknown:  {"drop-unknown", "S31: no pod known yet by this interface or address"},
	IDRouter:   {"drop-router", "S23: router advertisement from a pod"},
	IDTunnel:   {"drop-tunnel", "S31: VXLAN, Geneve or IPIP made by a pod"},
	IDSource:   {"drop-source", "source port 0, or one of more classes than are told apart"},
	IDSourceIn: {"drop-source-in", "source port 0, or one of more classes than are told apart"},
}

// Reserved is the name of a reserved id ("spoofed", "unknown", "router",
// "tunnel", "source"), and the direction in which it refuses; false for ids of
// policy hits and ids never given out.
func Reserved(id uint32) (string, policy.Direction, bool) {
	if id == 0 || int(id) >= len(reserved) {
		return "", 0, false
	}
	dir := policy.Egress
	if id == IDSourceIn {
		dir = policy.Ingress
	}
	return strings.TrimSuffix(strings.TrimPrefix(reserved[id].name, "drop-"), "-in"), dir, true
}

const prefixOfLogs = "netpol:"

// LogPrefix is the nflog prefix that carries an id.
func LogPrefix(id uint32) string { return prefixOfLogs + strconv.FormatUint(uint64(id), 10) }

// ParseLogPrefix is the id that an nflog prefix carries; false if it is not one
// of ours.
func ParseLogPrefix(s string) (uint32, bool) {
	rest, ok := strings.CutPrefix(s, prefixOfLogs)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(rest, 10, 32)
	return uint32(n), err == nil
}

// placedHit is a hit and the direction that it decided in.
type placedHit struct {
	hit policy.Hit
	dir policy.Direction
}

// history gives out ids. It only grows and never gives an id a second meaning,
// so a packet logged before a change can still be attributed after it. It is
// shared by every Compiled of one chain and safe for several goroutines.
type history struct {
	mu   sync.RWMutex
	ids  map[placedHit]uint32
	hits []placedHit // by id - firstHitID
}

func newHistory() *history { return &history{ids: map[placedHit]uint32{}} }

func (h *history) id(hit policy.Hit, dir policy.Direction) uint32 {
	key := placedHit{hit, dir}
	h.mu.Lock()
	defer h.mu.Unlock()
	id, ok := h.ids[key]
	if !ok {
		id = firstHitID + uint32(len(h.hits))
		h.hits = append(h.hits, key)
		h.ids[key] = id
	}
	return id
}

func (h *history) hit(id uint32) (placedHit, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if id < firstHitID || int(id-firstHitID) >= len(h.hits) {
		return placedHit{}, false
	}
	return h.hits[id-firstHitID], true
}
