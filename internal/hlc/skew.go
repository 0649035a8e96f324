package hlc

import (
	"fmt"
	"time"

	"symbolon/epoch"
)

// Limits bound how far a peer's wall time may lie from ours. Zero switches a
// side off; a time of another unit, or one after the year 2099, is refused even
// then.
type Limits struct {
	Future time.Duration
	Past   time.Duration
}

// DefaultLimits are the reference's: 300 s ahead, 30 days behind.
var DefaultLimits = Limits{Future: 300 * time.Second, Past: 30 * 24 * time.Hour}

// latestWall is 2100-01-01, before which every wall time of a fact lies.
const latestWall epoch.Millis = 4_102_444_800_000

// A SkewError says that a peer's value is out of bounds.
type SkewError struct {
	Remote HLC
	Local  epoch.Millis // our wall time
	Limits Limits
	// LooksLike is the unit in which the remote wall number is plausible when
	// that is not milliseconds, and UnitUnknown otherwise.
	LooksLike epoch.Unit
}

// SkewMillis is how many milliseconds the remote wall time is ahead of ours;
// negative when it is behind.
func (e *SkewError) SkewMillis() int64 { return int64(e.Remote.Wall) - int64(e.Local) }

// Direction is "future" or "past".
func (e *SkewError) Direction() string {
	if e.SkewMillis() > 0 {
		return "future"
	}
	return "past"
}

// Error says which bound was passed, and for a mistaken unit which unit the
// number looks like.
func (e *SkewError) Error() string {
	if e.LooksLike != epoch.UnitUnknown {
		return fmt.Sprintf("hlc: the remote wall time looks like %v, not milliseconds", e.LooksLike)
	}
	return fmt.Sprintf("hlc: the remote wall time is %d ms in the %s", max(e.SkewMillis(), -e.SkewMillis()), e.Direction())
}

func (l Limits) check(remote HLC, now epoch.Millis) error {
	unit, mistaken := epoch.Mistaken(float64(remote.Wall), epoch.UnitMillis)
	switch skew := int64(remote.Wall) - int64(now); {
	case mistaken:
	case l.Future > 0 && skew > l.Future.Milliseconds():
	case l.Past > 0 && -skew > l.Past.Milliseconds():
	case skew > 0 && remote.Wall >= latestWall:
	default:
		return nil
	}
	if !mistaken {
		unit = epoch.UnitUnknown
	}
	return &SkewError{Remote: remote, Local: now, Limits: l, LooksLike: unit}
}
