package federation

import (
	"encoding/json"
	"time"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
)

// manifestLife is how long a manifest of this node's is valid. A new one is made
// every day.
const manifestLife = 90 * 24 * time.Hour

// Manifest returns the signed document that binds this node's id to its key and its
// URL (Stigmem wire §19.1). Nodes of the newer wire fetch it when they approve us
// and take no fact of ours without it. Its text is the same all day.
func (s *Service) Manifest() ([]byte, error) {
	issued := s.now().UTC().Truncate(24 * time.Hour)
	doc := map[string]any{
		"entities":        []string{s.cfg.NodeURL, s.cfg.NodeID},
		"entity_uri":      s.cfg.NodeURL,
		"expires_at":      issued.Add(manifestLife).Format(isoSeconds),
		"issued_at":       issued.Format(isoSeconds),
		"key_id":          s.key.Public().KeyID(),
		"public_key":      s.key.Public().String(),
		"rotation_events": []any{},
	}
	body, err := canon.Marshal(doc, canon.UTF8)
	if err != nil {
		return nil, errs.Wrap(err, "federation: manifest")
	}
	doc["signature"] = s.key.SignText(body)
	out, err := json.Marshal(doc)
	return out, errs.Wrap(err, "federation: manifest")
}

const isoSeconds = "2006-01-02T15:04:05+00:00"
