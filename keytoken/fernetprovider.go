package keytoken

import (
	"symbolon/fernet"
	"symbolon/token"
)

// A fernetProvider carries claims in Fernet tokens.
type fernetProvider struct {
	keys  Keyring
	codec *codec
}

func (p *fernetProvider) mint(c *Claims) (string, error) {
	payload, err := p.codec.appendPayload(make([]byte, 0, 256), c, float64(c.ExpiresAt))
	if err != nil {
		return "", err
	}
	return p.keys.Ring().Seal(c.IssuedAt, payload)
}

func (p *fernetProvider) decode(text string, d *Decoded) *token.Rejection {
	return p.keys.Ring().Borrow(text, func(o *fernet.Opened) *token.Rejection { return p.codec.decodeToken(o, d) })
}

func (p *fernetProvider) ready() error {
	if p.keys.Ring().Empty() {
		return fernet.ErrNoKeys
	}
	return nil
}
