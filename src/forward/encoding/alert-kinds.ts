// Alerts by kind. All alerts that say the same in the few fields that we look at have the same subject,
// headers and place among the metrics: it is worked out for the first of them, and found again by the
// bytes of those fields for the others.

import {
  type Alert,
  isAlert,
  type LineReject,
  parseAlert,
  priorityIndex,
} from '../../shared/alert/alert.ts'
import type { EventSeries } from '../accounting/falco-events.ts'
import {
  createFound,
  type Found,
  HOSTNAME,
  NAMESPACE,
  POD,
  PRIORITY,
  RULE,
  SOURCE,
  scan,
  TAGS,
  TIME,
} from './scanner.ts'
import { lineView } from './structural-index.ts'
import { createClockReader } from './timestamp.ts'

export interface Kind {
  /** Index into PRIORITIES; what Falco does not know cannot be judged: it counts as most severe. */
  readonly severity: number
  /** The first words of a message, `PUB subject `; what follows is its size. */
  readonly frame: Buffer
  readonly headers: Buffer | undefined
  /** Where it was counted last, for `falco_events`. */
  series: EventSeries | undefined
}

export interface KindReader {
  /** What `bytes[start, end)` is, or why it is no alert. */
  read(bytes: Buffer, start: number, end: number): Kind | LineReject
  /** The alert that was read last, or no more of it than the fields that we look at. */
  alert(): Alert
  /** When that was raised: milliseconds since 1970, or NaN. */
  time(): number
}

/** A kind that was seen before. At `keys[at]` stand how long each of its fields is, then their bytes. */
interface Entry {
  readonly kind: Kind
  readonly keys: DataView
  readonly at: number
  readonly next: Entry | undefined
}

/** What is remembered: the bytes of the entries, and the objects for them, about so large. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024
const ENTRY_OBJECTS_BYTES = 384
/** When it is full, all is forgotten, but not sooner after the last time: to remember costs more than to read. */
const FORGET_INTERVAL_MS = 10_000
const KEY_BYTES_MAX = 2048
const LENGTH_BYTES = 4
const LENGTHS_BYTES = TIME * LENGTH_BYTES
/** Entries stand one behind the other in such: memory for each alone would cost more than what is in it. */
const CHUNK_BYTES = 64 * 1024
/** So many kinds may share a hash; more are no accident. */
const CHAIN_MAX = 8

export function createKinds(
  subjectFor: (alert: Alert) => string,
  headersFor: ((alert: Alert) => Buffer) | undefined,
): KindReader {
  const found = createFound()
  const readClock = createClockReader()
  const wasSeen = createDoorkeeper()
  let entries = new Map<number, Entry>()
  let kept = 0
  let forgottenAt = Number.NEGATIVE_INFINITY
  let chunk = NOTHING
  let chunkUsed = 0
  let line: Buffer = NOTHING
  let alert: Alert | undefined
  let time = Number.NaN

  function describe(alert: Alert): Kind {
    const severity = priorityIndex(alert.priority) ?? 0
    const subject = subjectFor(alert)
    const headers = headersFor?.(alert)
    const frame = Buffer.from(
      headers === undefined ? `PUB ${subject} ` : `HPUB ${subject} ${headers.length} `,
    )
    return { severity, frame, headers, series: undefined }
  }

  function parse(bytes: Buffer, start: number, end: number): Kind | LineReject {
    const parsed = parseAlert(bytes, start, end)
    if (typeof parsed === 'string') return parsed
    alert = parsed
    time = typeof parsed.time === 'string' ? Date.parse(parsed.time) : Number.NaN
    return describe(parsed)
  }

  /** As JSON.parse of the whole line has it. */
  function fieldAt(slot: number): unknown {
    const start = found.starts[slot]!
    return start < 0 ? undefined : JSON.parse(line.toString('utf8', start, found.ends[slot]))
  }

  function alertFound(): Partial<Alert> {
    return {
      priority: fieldAt(PRIORITY) as string,
      rule: fieldAt(RULE) as string,
      source: fieldAt(SOURCE),
      hostname: fieldAt(HOSTNAME),
      tags: fieldAt(TAGS),
      output_fields: { 'k8s.ns.name': fieldAt(NAMESPACE), 'k8s.pod.name': fieldAt(POD) },
    }
  }

  /** The kind as it is from now on, its bytes in a chunk; as it was, where there is no place for it. */
  function remember(kind: Kind, hash: number): Kind {
    const { severity, frame, headers = NOTHING } = kind
    let keyBytes = 0
    for (let slot = 0; slot < TIME; slot++) keyBytes += lengthOf(found, slot)
    let chain = 0
    for (let entry = entries.get(hash); entry; entry = entry.next) chain++
    const size = LENGTHS_BYTES + keyBytes + frame.length + headers.length
    if (keyBytes > KEY_BYTES_MAX || chain >= CHAIN_MAX || size > CHUNK_BYTES) return kind
    if (kept > KEPT_BYTES_MAX) {
      if (performance.now() - forgottenAt < FORGET_INTERVAL_MS) return kind
      forgottenAt = performance.now()
      entries = new Map()
      kept = 0
      chunkUsed = chunk.length
    }
    kept += size + ENTRY_OBJECTS_BYTES
    if (chunkUsed + size > chunk.length) {
      chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      chunkUsed = 0
    }
    const at = chunkUsed
    for (let slot = 0; slot < TIME; slot++)
      chunk.writeInt32BE(lengthOf(found, slot), at + slot * LENGTH_BYTES)
    chunkUsed += LENGTHS_BYTES
    for (let slot = 0; slot < TIME; slot++)
      if (found.starts[slot]! >= 0) put(line.subarray(found.starts[slot], found.ends[slot]))
    const own = {
      severity,
      frame: put(frame),
      headers: kind.headers && put(headers),
      series: undefined,
    }
    const keys = new DataView(chunk.buffer)
    entries.set(hash, { kind: own, keys, at, next: entries.get(hash) })
    return own
  }

  /** A copy at the end of the chunk. */
  function put(bytes: Buffer): Buffer {
    const start = chunkUsed
    chunkUsed += bytes.copy(chunk, start)
    return chunk.subarray(start, chunkUsed)
  }

  return {
    read(bytes, start, end) {
      alert = undefined
      if (!scan(bytes, start, end, found)) return parse(bytes, start, end)
      line = bytes
      time = readClock(bytes, found.starts[TIME]!, found.ends[TIME]!)
      // The scanner has left the line in `lineView`.
      const hash = hashOf(start, found)
      for (let entry = entries.get(hash); entry; entry = entry.next)
        if (isSame(entry, start, found)) return entry.kind
      const looked = alertFound()
      if (!isAlert(looked)) return 'not_an_alert'
      alert = looked
      const kind = describe(looked)
      return wasSeen(hash) ? remember(kind, hash) : kind
    },
    alert() {
      alert ??= alertFound() as Alert
      return alert
    },
    time: () => time,
  }
}

const NOTHING: Buffer<ArrayBuffer> = Buffer.alloc(0)

const [SEEN_SETS, SEEN_WAYS] = [16_384, 4]

/**
 * Whether a hash has been seen, not too many others ago. What comes once is not worth remembering: of a flood of kinds that
 * are all different nothing is kept, and nothing has to go for it.
 */
function createDoorkeeper(): (hash: number) => boolean {
  const seen = new Int32Array(SEEN_SETS * SEEN_WAYS)
  return (hash) => {
    const set = (hash & (SEEN_SETS - 1)) * SEEN_WAYS
    for (let way = set; way < set + SEEN_WAYS; way++) if (seen[way] === hash) return true
    seen.copyWithin(set + 1, set, set + SEEN_WAYS - 1)
    seen[set] = hash
    return false
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
function isSame(entry: Entry, lineStart: number, { starts, ends }: Found): boolean {
  const { keys } = entry
  let at = entry.at + LENGTHS_BYTES
  for (let slot = 0; slot < TIME; slot++) {
    const start = starts[slot]! - lineStart
    const length = start < 0 ? 0 : ends[slot]! - lineStart - start
    if (keys.getInt32(entry.at + slot * LENGTH_BYTES) !== length) return false
    if (length < 8) {
      for (let index = 0; index < length; index++)
        if (keys.getUint8(at + index) !== lineView.getUint8(start + index)) return false
    } else {
      for (let index = 0; index < length - 8; index += 8)
        if (keys.getFloat64(at + index) !== lineView.getFloat64(start + index)) return false
      if (keys.getFloat64(at + length - 8) !== lineView.getFloat64(start + length - 8)) return false
    }
    at += length
  }
  return true
}
