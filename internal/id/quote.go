package id

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns s as the wire's texts quote a string: between single quotes, or
// double ones when s holds a single and no double quote, with backslash, the
// quote, and whatever does not print escaped. The reference's language prints
// strings so, in error texts, in warnings and inside list and object values.
func Quote(s string) string { return string(AppendQuote(make([]byte, 0, len(s)+2), s)) }

// AppendQuote appends Quote(s) to dst.
func AppendQuote(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	quote := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		quote = '"'
	}
	dst = append(dst, quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < 0x20 || r == 0x7F:
			dst = append(dst, '\\', 'x', digits[r>>4], digits[r&15])
		case r < 0x7F:
			dst = append(dst, byte(r))
		case unicode.IsPrint(r):
			dst = utf8.AppendRune(dst, r)
		default:
			width, letter := 8, byte('U')
			if r <= 0xFF {
				width, letter = 2, 'x'
			} else if r <= 0xFFFF {
				width, letter = 4, 'u'
			}
			dst = append(dst, '\\', letter)
			for shift := 4 * (width - 1); shift >= 0; shift -= 4 {
				dst = append(dst, digits[r>>shift&15])
			}
		}
	}
	return append(dst, quote)
}
