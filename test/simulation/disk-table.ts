// The two tables of a spool's file as plain data, with the pages that SQLite would need for them. Each change
// returns what undoes it.

import type { StoredRow } from '../../src/forward/buffer/spool/row.ts'
import { numberIn } from './alerts.ts'

export interface TableRow extends StoredRow {
  alerts: number
  leastSevere: number
  lines: Buffer
  checksum: number
  /** False from when its bytes are not those that were written. */
  isIntact: boolean
  /** Of the alerts in the lines that were written; made when asked for. */
  numbers: readonly number[] | undefined
}

export interface KeptCopy {
  readonly found: string
  readonly alerts: number
  readonly lines: Buffer
}

export type Undo = () => void

export type Table = ReturnType<typeof createTable>

export const PAGE_BYTES = 4096
/** Of the schema, and the root of each table and index. */
const PAGES_MIN = 5
/** A record has as much beside its lines. */
const RECORD_BYTES = 22
/** What a leaf holds, what it holds of a longer record at least, and what the pages behind it hold (fileformat2.html). */
const [LEAF_BYTES, LOCAL_BYTES_MIN, OVERFLOW_BYTES] = [4061, 489, 4092]
const INDEX_BYTES = 12

export function createTable() {
  /** By their ids. */
  const rows: TableRow[] = []
  let kept: KeptCopy[] = []
  /** What the rows and copies take of leaves, and of pages of their own. */
  let leafBytes = 0
  let overflowPages = 0

  function count(length: number, sign: 1 | -1): void {
    const record = length + RECORD_BYTES
    let local = record
    if (record > LEAF_BYTES) {
      local = LOCAL_BYTES_MIN + ((record - LOCAL_BYTES_MIN) % OVERFLOW_BYTES)
      if (local > LEAF_BYTES) local = LOCAL_BYTES_MIN
      overflowPages += sign * Math.ceil((record - local) / OVERFLOW_BYTES)
    }
    leafBytes += sign * (local + INDEX_BYTES)
  }

  /** Where the first row behind `id` is. */
  function behind(id: number): number {
    let low = 0
    for (let high = rows.length; low < high; ) {
      const middle = (low + high) >> 1
      if (rows[middle]!.id > id) high = middle
      else low = middle + 1
    }
    return low
  }

  function put(row: TableRow): void {
    rows.splice(behind(row.id), 0, row)
    count(row.lines.length, 1)
  }

  function take(row: TableRow): void {
    rows.splice(rows.indexOf(row), 1)
    count(row.lines.length, -1)
  }

  const find = (id: number): TableRow | undefined => {
    const row = rows[behind(id) - 1]
    return row?.id === id ? row : undefined
  }

  function setKept(copies: KeptCopy[]): Undo {
    const before = kept
    for (const { lines } of before) count(lines.length, -1)
    for (const { lines } of copies) count(lines.length, 1)
    kept = copies
    return () => void setKept(before)
  }

  return {
    rows: rows as readonly TableRow[],
    kept: (): readonly KeptCopy[] => kept,
    pages: () => PAGES_MIN + overflowPages + Math.ceil(leafBytes / LEAF_BYTES),
    find,
    firstBehind: (id: number): TableRow | undefined => rows[behind(id)],
    insert(row: TableRow): Undo {
      put(row)
      return () => take(row)
    },
    update(row: TableRow, change: Partial<TableRow>): Undo {
      const before = { ...row }
      count(row.lines.length, -1)
      Object.assign(row, change)
      count(row.lines.length, 1)
      return () => {
        count(row.lines.length, -1)
        Object.assign(row, before)
        count(row.lines.length, 1)
      }
    },
    drop(row: TableRow): Undo {
      take(row)
      return () => put(row)
    },
    keep: (copy: KeptCopy): Undo => setKept([...kept, copy]),
    trimKept(bytes: number): Undo {
      let first = kept.length
      for (let sum = 0; first > 0; first--) {
        sum += kept[first - 1]!.lines.length
        if (sum > bytes) break
      }
      return setKept(kept.slice(first))
    },
  }
}

/** The numbers of the alerts in a row. */
export const numbersOf = (row: TableRow): readonly number[] => {
  row.numbers ??= numbersIn(row.lines)
  return row.numbers
}

export const numbersIn = (lines: Buffer): number[] =>
  lines
    .toString('latin1')
    .split('\n')
    .map(numberIn)
    .filter((number) => number !== undefined)
