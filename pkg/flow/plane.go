package flow

// Plane says what kind of bucket a Cell is.
type Plane uint8

// The planes: buckets of 15 s, of an hour, and the parts of both that an Outbox
// has not handed out yet.
const (
	PlaneFine Plane = iota
	PlaneCoarse
	PlaneUntoldFine
	PlaneUntoldCoarse
	// Planes is how many there are.
	Planes
)

// noPlane is where nothing is counted.
const noPlane = Planes

// Coarse says that the plane's buckets are of an hour.
func (p Plane) Coarse() bool { return p == PlaneCoarse || p == PlaneUntoldCoarse }

// plane are the buckets of one plane.
func (s *series) plane(p Plane) []bucket {
	switch {
	case p == PlaneFine:
		return s.fine
	case p == PlaneCoarse:
		return s.coarse
	case s.untold == nil:
		return nil
	case p == PlaneUntoldFine:
		return s.untold.fine
	}
	return s.untold.coarse
}
