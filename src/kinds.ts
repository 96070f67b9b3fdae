// Alerts by kind. All alerts that say the same in the few fields that we look at have the same subject,
// headers and place among the metrics: it is worked out for the first of them, and found again by the
// bytes of those fields for the others.

import { type Alert, type LineReject, parseAlert, pickFields, priorityIndex } from './alert.ts'
import type { EventSeries } from './falco-events.ts'
import { lineView } from './marks.ts'
import { type Found, SLOTS, scan, TIME } from './scan.ts'
import { createClockReader } from './time.ts'

export interface Kind {
  /** The fields that we look at, and no others. */
  readonly alert: Alert
  /** Index into PRIORITIES; what Falco does not know cannot be judged: it counts as most severe. */
  readonly severity: number
  readonly subject: string
  readonly headers: Buffer | undefined
  /** The first words of a message, `PUB subject `; what follows is its size. */
  readonly frame: Buffer
  /** Where it was counted last, for `falco_events`. */
  series: EventSeries | undefined
}

export interface KindReader {
  /** What `bytes[start, end)` is, or why it is no alert. */
  read(bytes: Buffer, start: number, end: number): Kind | LineReject
  /** Milliseconds since 1970 of the alert that was read last, or NaN. */
  time(): number
}

/** A kind that was seen before: the bytes of its fields one after the other, and how long each is. */
interface Entry {
  readonly kind: Kind
  readonly key: DataView
  readonly lengths: Int32Array
  readonly next: Entry | undefined
}

const KINDS_MAX = 16_384
const KEY_BYTES_MAX = 2048
/** So many kinds may share a hash; more are no accident. */
const CHAIN_MAX = 8

export function createKinds(
  subjectFor: (alert: Alert) => string,
  headersFor: ((alert: Alert) => Buffer) | undefined,
): KindReader {
  const found: Found = { starts: new Int32Array(SLOTS), ends: new Int32Array(SLOTS) }
  const readClock = createClockReader()
  let entries = new Map<number, Entry>()
  let kinds = 0
  let time = Number.NaN

  function describe(whole: Alert): Kind {
    const alert = pickFields(whole)
    const severity = priorityIndex(alert.priority) ?? 0
    const subject = subjectFor(alert)
    const headers = headersFor?.(alert)
    const frame = Buffer.from(
      headers === undefined ? `PUB ${subject} ` : `HPUB ${subject} ${headers.length} `,
    )
    return { alert, severity, subject, headers, frame, series: undefined }
  }

  function parse(bytes: Buffer, start: number, end: number): Kind | LineReject {
    const alert = parseAlert(bytes, start, end)
    if (typeof alert === 'string') return alert
    time = typeof alert.time === 'string' ? Date.parse(alert.time) : Number.NaN
    return describe(alert)
  }

  function remember(kind: Kind, hash: number, bytes: Buffer): void {
    const lengths = Int32Array.from({ length: TIME }, (_, slot) => lengthOf(found, slot))
    const total = lengths.reduce((sum, length) => sum + length, 0)
    let next = entries.get(hash)
    let chain = 0
    for (let entry = next; entry; entry = entry.next) chain++
    if (total > KEY_BYTES_MAX || chain >= CHAIN_MAX) return
    if (kinds++ >= KINDS_MAX) {
      entries = new Map()
      kinds = 1
      next = undefined
    }
    const key = new Uint8Array(total)
    for (let slot = 0, at = 0; slot < TIME; at += lengths[slot++]!)
      key.set(bytes.subarray(found.starts[slot], found.starts[slot]! + lengths[slot]!), at)
    entries.set(hash, { kind, key: new DataView(key.buffer), lengths, next })
  }

  return {
    read(bytes, start, end) {
      if (!scan(bytes, start, end, found)) return parse(bytes, start, end)
      // The scanner has left the line in `lineView`.
      const hash = hashOf(start, found)
      for (let entry = entries.get(hash); entry; entry = entry.next)
        if (isSame(entry, start, found)) {
          time = readClock(bytes, found.starts[TIME]!, found.ends[TIME]!)
          return entry.kind
        }
      const kind = parse(bytes, start, end)
      if (typeof kind !== 'string') remember(kind, hash, bytes)
      return kind
    },
    time: () => time,
  }
}

const lengthOf = ({ starts, ends }: Found, slot: number): number =>
  starts[slot]! < 0 ? 0 : ends[slot]! - starts[slot]!

/** Of lengths and a few bytes from both ends of each field; what differs elsewhere shares a chain. */
function hashOf(lineStart: number, { starts, ends }: Found): number {
  let hash = 0
  for (let slot = 0; slot < TIME; slot++) {
    const start = starts[slot]! - lineStart
    if (start < 0) continue
    const length = ends[slot]! - lineStart - start
    hash = mix(hash, (slot << 16) ^ length)
    if (length < 4) continue
    hash = mix(hash, lineView.getInt32(start))
    hash = mix(hash, lineView.getInt32(start + length - 4))
    if (length > 12) hash = mix(hash, lineView.getInt32(start + length - 8))
  }
  return hash
}

function mix(hash: number, more: number): number {
  const mixed = Math.imul(hash ^ more, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

/**
 * Eight bytes at a time, as one number: of a field's last eight some may be looked at twice. No two of such numbers are
 * equal that are not the same bytes but for -0, which has bytes that JSON has not; and NaN, which equals nothing, is
 * only parsed.
 */
function isSame({ key, lengths }: Entry, lineStart: number, { starts, ends }: Found): boolean {
  let at = 0
  for (let slot = 0; slot < TIME; slot++) {
    const start = starts[slot]! - lineStart
    const length = start < 0 ? 0 : ends[slot]! - lineStart - start
    if (lengths[slot] !== length) return false
    if (length < 8) {
      for (let index = 0; index < length; index++)
        if (key.getUint8(at + index) !== lineView.getUint8(start + index)) return false
    } else {
      for (let index = 0; index < length - 8; index += 8)
        if (key.getFloat64(at + index) !== lineView.getFloat64(start + index)) return false
      if (key.getFloat64(at + length - 8) !== lineView.getFloat64(start + length - 8)) return false
    }
    at += length
  }
  return true
}
