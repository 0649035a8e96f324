package canon

import "unicode/utf8"

// A Form says how a canonical text spells what JSON leaves open.
type Form uint8

const (
	// UTF8 escapes only the quote, the backslash and the control characters
	// below U+0020: content ids, manifests, capability tokens, responses.
	UTF8 Form = iota
	// ASCII also escapes everything outside printable ASCII, in UTF-16 code
	// units: peer declarations, peer tokens.
	ASCII
)

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string in the given form. s must be valid
// UTF-8.
func AppendString(dst []byte, s string, f Form) []byte {
	dst = append(dst, '"')
	plain := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7F && c != '"' && c != '\\' || f == UTF8 && c >= 0x7F {
			i++
			continue
		}
		dst = append(dst, s[plain:i]...)
		n := 1
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c == '\f':
			dst = append(dst, `\f`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < utf8.RuneSelf:
			dst = appendUnit(dst, uint16(c))
		default:
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			if r > 0xFFFF {
				r -= 0x10000
				dst = appendUnit(dst, 0xD800|uint16(r>>10))
				r = 0xDC00 | r&0x3FF
			}
			dst = appendUnit(dst, uint16(r))
		}
		i += n
		plain = i
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}

func appendUnit(dst []byte, u uint16) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}
