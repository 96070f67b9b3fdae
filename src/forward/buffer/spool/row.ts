// What a row of the spool holds: one batch, and how its damage is found.

/** `{"rule":"r","priority":"p"}` and its newline. */
const ALERT_BYTES_MIN = 28
const NEWLINE = 0x0a

export interface Row {
  readonly id: number
  readonly alerts: number
  readonly bytes: number
}

/** With the lines of its batch as Falco wrote them, each with its newline. */
export type SpooledBatch = Row & { readonly lines: Buffer }

/** A row as it is in the file, perhaps damaged. */
export interface StoredRow {
  readonly id: number
  readonly alerts: number
  readonly lines: Uint8Array
  /** Null in a row of an earlier version. */
  readonly checksum: number | null
}

/** CRC-32. Loads zlib with the first row: most starts find none. */
export const checksumOf = (lines: Buffer): number =>
  process.getBuiltinModule('node:zlib').crc32(lines)

/** Undefined when the lines are not those that were written. */
export function intactBatch({ id, checksum, ...row }: StoredRow): SpooledBatch | undefined {
  const lines = Buffer.from(row.lines.buffer, row.lines.byteOffset, row.lines.byteLength)
  if (lines.at(-1) !== NEWLINE) return undefined
  const alerts = newlinesIn(lines)
  const isIntact = checksum === null ? alerts === row.alerts : checksum === checksumOf(lines)
  return isIntact ? { id, alerts, bytes: lines.length, lines } : undefined
}

/** The number of alerts that a damaged row had: as stored, if plausible. */
export function likelyAlerts({ alerts, lines }: StoredRow): number {
  const canBe = alerts > 0 && alerts * ALERT_BYTES_MIN <= lines.length
  return canBe ? alerts : Math.max(1, newlinesIn(lines))
}

function newlinesIn(bytes: Uint8Array): number {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++
  return count
}
