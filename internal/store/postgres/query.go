package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"symbolon/internal/store/sqltext"
)

// queryer is a connection or a pool.
type queryer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func execute(ctx context.Context, q queryer, query string, args []any) (int64, error) {
	conv, err := sqltext.Args(args)
	if err != nil {
		return 0, err
	}
	tag, err := q.Exec(ctx, query, conv...)
	return tag.RowsAffected(), classify(err)
}

func start(ctx context.Context, q queryer, query string, args []any, done func() error) (*rows, error) {
	conv, err := sqltext.Args(args)
	if err != nil {
		return nil, err
	}
	pr, err := q.Query(ctx, query, conv...)
	if err != nil {
		return nil, classify(err)
	}
	return &rows{r: pr, done: done}, nil
}

func first(ctx context.Context, q queryer, query string, args []any) row {
	r, err := start(ctx, q, query, args, nil)
	if err != nil {
		return row{err: err}
	}
	return readFirst(r)
}

// readFirst keeps the first row and lets the statement finish.
func readFirst(rs *rows) row {
	var r row
	if rs.Next() {
		r.cols, r.err = columns(rs.r)
	} else {
		r.err = sqltext.ErrNoRows
	}
	rs.Close()
	if err := rs.Err(); err != nil {
		r.err = err
	}
	return r
}

type rows struct {
	r    pgx.Rows
	done func() error // called once, when the rows are closed
	err  error        // of done
}

func (r *rows) Next() bool {
	if r.r.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *rows) Scan(dest ...any) error {
	cols, err := columns(r.r)
	if err != nil {
		return err
	}
	return sqltext.Scan(cols, dest)
}

func (r *rows) Err() error {
	if err := r.r.Err(); err != nil {
		return classify(err)
	}
	return classify(r.err)
}

func (r *rows) Close() {
	r.r.Close()
	if r.done != nil {
		r.err = r.done()
		r.done = nil
	}
}

// row is a row already read.
type row struct {
	cols []any
	err  error
}

func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return sqltext.Scan(r.cols, dest)
}

// columns decodes the current row into the values that sqltext knows.
func columns(pr pgx.Rows) ([]any, error) {
	raw := pr.RawValues()
	out := make([]any, len(raw))
	for i, fd := range pr.FieldDescriptions() {
		if raw[i] == nil {
			continue
		}
		v, err := decode(fd.DataTypeOID, fd.Format == pgtype.BinaryFormatCode, raw[i])
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", fd.Name, err)
		}
		out[i] = v
	}
	return out, nil
}

func decode(oid uint32, bin bool, b []byte) (any, error) {
	switch oid {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.NameOID, pgtype.BPCharOID, pgtype.UnknownOID:
		return string(b), nil
	case pgtype.NumericOID:
		return decodeNumeric(bin, b)
	}
	if !bin {
		return nil, fmt.Errorf("type %d came as text", oid)
	}
	switch {
	case oid == pgtype.Int8OID && len(b) == 8:
		return int64(binary.BigEndian.Uint64(b)), nil
	case oid == pgtype.Int4OID && len(b) == 4:
		return int64(int32(binary.BigEndian.Uint32(b))), nil
	case oid == pgtype.Int2OID && len(b) == 2:
		return int64(int16(binary.BigEndian.Uint16(b))), nil
	case oid == pgtype.BoolOID && len(b) == 1:
		return b[0] != 0, nil
	case oid == pgtype.Float8OID && len(b) == 8:
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case oid == pgtype.Float4OID && len(b) == 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b))), nil
	case oid == pgtype.ByteaOID:
		return append([]byte{}, b...), nil
	case oid == pgtype.XID8OID && len(b) == 8:
		return int64(binary.BigEndian.Uint64(b)), nil
	}
	return nil, fmt.Errorf("type %d is not one that both engines have", oid)
}

// decodeNumeric reads what sums of BIGINT are: an integer, or a float when it
// has a fraction.
func decodeNumeric(bin bool, b []byte) (any, error) {
	var n pgtype.Numeric
	format := int16(pgtype.TextFormatCode)
	if bin {
		format = pgtype.BinaryFormatCode
	}
	if err := (pgtype.NumericCodec{}).PlanScan(nil, pgtype.NumericOID, format, &n).Scan(b, &n); err != nil {
		return nil, err
	}
	if i, err := n.Int64Value(); err == nil && i.Valid {
		return i.Int64, nil
	}
	f, err := n.Float64Value()
	if err != nil {
		return nil, err
	}
	return f.Float64, nil
}

// classify gives a driver's error its class.
func classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, sqltext.ErrNoRows) {
		return err
	}
	var known *sqltext.Error
	if errors.As(err, &known) {
		return err
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		var ne net.Error
		var ce *pgconn.ConnectError
		if errors.As(err, &ce) || errors.As(err, &ne) || pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed) || lost(err) {
			return &sqltext.Error{Class: sqltext.Unreachable, Err: err}
		}
		return err
	}
	return &sqltext.Error{Class: classOf(pe.Code), Constraint: pe.ConstraintName, Err: err}
}

func classOf(code string) sqltext.Class {
	switch code {
	case "23505":
		return sqltext.Unique
	case "23503":
		return sqltext.ForeignKey
	case "23502", "23514", "P0001":
		return sqltext.Check
	case "40001", "40P01":
		return sqltext.Retry
	case "55P03", "57014", "25P03":
		return sqltext.Busy
	case "42P01":
		return sqltext.NoTable
	case "25006":
		// A server that has become a standby: another one writes now.
		return sqltext.Unreachable
	}
	switch {
	case len(code) != 5:
		return sqltext.Other
	case code[:2] == "08", code[:3] == "57P", code == "53300":
		return sqltext.Unreachable
	case code[:2] == "53", code[:2] == "58":
		return sqltext.Full
	case code[:3] == "XX0" && code != "XX000":
		return sqltext.Corrupt
	}
	return sqltext.Other
}

// lost reports whether err is the end of a connection that the driver does not
// wrap in an error of its own.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
