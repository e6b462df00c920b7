package telemetry

import (
	"context"
	"database/sql"
	"strings"
)

// rowsAtOnce is how many rows one statement writes: 32 take 60 % of the processor
// time that as many statements of one row do, and more gain nothing.
const rowsAtOnce = 32

// inserter writes rows into one table within a transaction. Rows are written in
// the order in which they were added; those of the last incomplete statement by
// finish.
type inserter struct {
	tx      *sql.Tx
	insert  string // up to the first row
	row     string
	columns int
	many    *sql.Stmt // of rowsAtOnce rows; nil until so many came together
	args    []any
}

// newInserter returns an inserter. The names are the program's own.
func newInserter(tx *sql.Tx, table string, columns ...string) *inserter {
	return &inserter{
		tx: tx, insert: "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES ",
		row: "(?" + strings.Repeat(",?", len(columns)-1) + ")", columns: len(columns),
	}
}

// add takes the values of one row.
func (i *inserter) add(ctx context.Context, values ...any) (err error) {
	if i.args == nil {
		i.args = make([]any, 0, rowsAtOnce*i.columns)
	}
	i.args = append(i.args, values...)
	if len(i.args) < rowsAtOnce*i.columns {
		return nil
	}
	if i.many == nil {
		if i.many, err = i.tx.PrepareContext(ctx, i.statement(rowsAtOnce)); err != nil {
			return err
		}
	}
	_, err = i.many.ExecContext(ctx, i.args...)
	i.args = i.args[:0]
	return err
}

// finish writes what is left. The statements end with the transaction.
func (i *inserter) finish(ctx context.Context) error {
	if len(i.args) == 0 {
		return nil
	}
	_, err := i.tx.ExecContext(ctx, i.statement(len(i.args)/i.columns), i.args...)
	return err
}

func (i *inserter) statement(rows int) string {
	return i.insert + i.row + strings.Repeat(","+i.row, rows-1)
}
