// An alert kind: all alerts that agree in the fields that subject, headers and metrics are made of. It is worked out
// for the first alerts, and found again by the bytes of those fields for the others.

import type { LineReject } from '../../shared/alert/alert.ts'
import type { EventSeries } from '../accounting/falco-events.ts'
import type { Report } from '../accounting/falco-reports.ts'
import { type Found, TIME } from './scanner.ts'

export interface Kind {
  /** Index into PRIORITIES; an unknown priority counts as most severe. */
  readonly severity: number
  /** Of Falco's internal alerts: what it is about. */
  readonly report: Report | undefined
  /** `PUB subject ` or `HPUB subject 123 `; the size follows. */
  readonly protocolPrefix: Buffer
  readonly headers: Buffer | undefined
  /** Where it was counted last, for `falco_events`. */
  series: EventSeries | undefined
}

/** A kind that is remembered. `key`: the lengths of its fields, then their bytes. */
interface Entry {
  readonly kind: Kind
  readonly key: DataView
  readonly next: Entry | undefined
}

/** For the bytes of all entries, and the objects of each, about so large. */
const [KEPT_BYTES_MAX, ENTRY_OBJECTS_BYTES] = [8 * 1024 * 1024, 384]
/** A full table is cleared, but no more often than this: to remember costs more than to read. */
const CLEAR_INTERVAL_MS = 10_000
const LENGTH_BYTES = 4
const LENGTHS_BYTES = TIME * LENGTH_BYTES
/** Entries share chunks: memory for each alone would cost more than what is in it. */
const [CHUNK_BYTES, ENTRY_BYTES_MAX] = [64 * 1024, 8 * 1024]
/** More kinds than this with one hash are no accident. */
const CHAIN_MAX = 8
const [SEEN_SETS, SEEN_WAYS] = [16_384, 4]

/** `describe`, which works a kind out, is called for those that are not remembered. */
export function createKindTable<Reject extends LineReject>(
  describe: (found: Found) => Kind | Reject,
): (found: Found) => Kind | Reject {
  const seen = new Int32Array(SEEN_SETS * SEEN_WAYS)
  let entries = new Map<number, Entry>()
  let kept = 0
  let clearedAt = Number.NEGATIVE_INFINITY
  let chunk = Buffer.alloc(0)
  let chunkUsed = 0

  /** Recently: so a flood of kinds that come once each neither fills the table nor clears it. */
  function wasSeen(hash: number): boolean {
    const set = (hash & (SEEN_SETS - 1)) * SEEN_WAYS
    for (let way = set; way < set + SEEN_WAYS; way++) if (seen[way] === hash) return true
    seen.copyWithin(set + 1, set, set + SEEN_WAYS - 1)
    seen[set] = hash
    return false
  }

  function hasRoom(): boolean {
    if (kept <= KEPT_BYTES_MAX) return true
    if (performance.now() - clearedAt < CLEAR_INTERVAL_MS) return false
    clearedAt = performance.now()
    entries = new Map()
    kept = 0
    chunkUsed = chunk.length
    return true
  }

  /** The same kind, its bytes in a chunk; or as it was, where it cannot be remembered. */
  function remember(kind: Kind, hash: number, { line, starts, ends }: Found): Kind {
    const { severity, report, protocolPrefix, headers } = kind
    let keyBytes = 0
    for (let slot = 0; slot < TIME; slot++) keyBytes += ends[slot]! - starts[slot]!
    let chain = 0
    for (let entry = entries.get(hash); entry; entry = entry.next) chain++
    const size = LENGTHS_BYTES + keyBytes + protocolPrefix.length + (headers?.length ?? 0)
    if (size > ENTRY_BYTES_MAX || chain >= CHAIN_MAX || !hasRoom()) return kind
    kept += size + ENTRY_OBJECTS_BYTES
    if (chunkUsed + size > chunk.length) {
      chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      chunkUsed = 0
    }
    const key = new DataView(chunk.buffer, chunkUsed, LENGTHS_BYTES + keyBytes)
    chunkUsed += LENGTHS_BYTES
    for (let slot = 0; slot < TIME; slot++) {
      const field = put(line.subarray(starts[slot], ends[slot]))
      key.setInt32(slot * LENGTH_BYTES, field.length)
    }
    const own = {
      severity,
      report,
      protocolPrefix: put(protocolPrefix),
      headers: headers && put(headers),
      series: undefined,
    }
    entries.set(hash, { kind: own, key, next: entries.get(hash) })
    return own
  }

  /** A copy at the end of the chunk. */
  function put(bytes: Buffer): Buffer {
    const start = chunkUsed
    chunkUsed += bytes.copy(chunk, start)
    return chunk.subarray(start, chunkUsed)
  }

  return (found) => {
    const hash = hashOf(found)
    for (let entry = entries.get(hash); entry; entry = entry.next)
      if (isSame(entry, found)) return entry.kind
    const kind = describe(found)
    return typeof kind !== 'string' && wasSeen(hash) ? remember(kind, hash, found) : kind
  }
}

/** Of the lengths, and of a few bytes from both ends of each field: what differs elsewhere shares a chain. */
function hashOf({ view, starts, ends }: Found): number {
  let hash = 0
  for (let slot = 0; slot < TIME; slot++) {
    const start = starts[slot]!
    const length = ends[slot]! - start
    if (length === 0) continue
    hash = mix(hash, (slot << 16) ^ length)
    if (length < 4) continue
    hash = mix(hash, view.getInt32(start))
    hash = mix(hash, view.getInt32(start + length - 4))
    if (length > 12) hash = mix(hash, view.getInt32(start + length - 8))
  }
  return hash
}

function mix(hash: number, more: number): number {
  const mixed = Math.imul(hash ^ more, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

/**
 * Compares eight bytes at a time as a float64; the last read may overlap the one before. Equal floats mean equal
 * bytes, except 0 and -0, whose bytes cannot occur in JSON. NaN never matches: such a kind is worked out again.
 */
function isSame({ key }: Entry, { view, starts, ends }: Found): boolean {
  let at = LENGTHS_BYTES
  for (let slot = 0; slot < TIME; slot++) {
    const start = starts[slot]!
    const length = ends[slot]! - start
    if (key.getInt32(slot * LENGTH_BYTES) !== length) return false
    if (length < 8) {
      for (let index = 0; index < length; index++)
        if (key.getUint8(at + index) !== view.getUint8(start + index)) return false
    } else {
      for (let index = 0; index < length - 8; index += 8)
        if (key.getFloat64(at + index) !== view.getFloat64(start + index)) return false
      if (key.getFloat64(at + length - 8) !== view.getFloat64(start + length - 8)) return false
    }
    at += length
  }
  return true
}
