// A row of the spool as it is stored, and whether its lines are those that were written.

const NEWLINE = 0x0a
/** `{"rule":"r","priority":"p"}` and its newline. */
const ALERT_BYTES_MIN = 28

/**
 * The query for the oldest row of a kind, as numbers and bytes whatever is stored: JavaScript has no number
 * for every INTEGER. Ordered by `batches.id`: `id` is the number made of it, which no index has.
 */
export const oldestRow = (where: string): string =>
  `SELECT CAST(id AS REAL) id, ifnull(CAST(alerts AS REAL), 0) alerts,
    ifnull(CAST(lines AS BLOB), x'') lines, CAST(checksum AS REAL) checksum
    FROM batches WHERE ${where} ORDER BY batches.id LIMIT 1`

export interface StoredRow {
  readonly id: number
  readonly alerts: number
  readonly lines: Uint8Array
  /** None in a row of an earlier version. */
  readonly checksum: number | null
}

/** CRC-32. Loaded with the first row: most starts find none. */
export const checksumOf = (lines: Buffer): number =>
  process.getBuiltinModule('node:zlib').crc32(lines)

export const linesIn = ({ lines }: StoredRow): Buffer =>
  Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength)

/** How many alerts a row has; undefined when its lines are not those that were written. */
export function alertsIn(row: StoredRow): number | undefined {
  const lines = linesIn(row)
  if (lines.at(-1) !== NEWLINE) return undefined
  const count = newlinesIn(lines)
  const isIntact = row.checksum === null ? count === row.alerts : checksumOf(lines) === row.checksum
  return isIntact ? count : undefined
}

/** How many a damaged row had: its own number, where that can be. */
export function likelyAlerts(row: StoredRow): number {
  const canBe = row.alerts > 0 && row.alerts * ALERT_BYTES_MIN <= row.lines.length
  return canBe ? row.alerts : Math.max(1, newlinesIn(linesIn(row)))
}

function newlinesIn(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++
  return count
}
