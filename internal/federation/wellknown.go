package federation

// ReadWellKnown reads the well-known document of the node at a base URL, as adding
// it as a peer would. Nothing in it is proven. The error is of kind Invalid.
func ReadWellKnown(nodeURL string, document []byte) (Candidate, error) {
	base, err := baseURL(nodeURL)
	if err != nil {
		return Candidate{}, err
	}
	c, err := decodeWellKnown(document)
	c.NodeURL, c.Fingerprint = base, Fingerprint(c.PubKey)
	return c, err
}
