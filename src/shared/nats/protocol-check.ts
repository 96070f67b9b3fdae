// What a server sends, checked before the client sees it. The client prints what it cannot parse on
// standard output, unescaped, and goes on without reading; it holds lines and messages of any length.

import type { ServerInfo } from 'nats'
import { quoted } from '../errors.ts'

/** One connection, from the server to us. */
export interface Wire {
  /** The newest INFO: it is the first line, and may come again. */
  info?: ServerInfo
  /** The text of the newest -ERR, but for those that deny one subject. */
  serverError?: string
  /** Whether all that came is the first INFO. */
  isOnlyInfo(): boolean
  /** Returns the bytes for the client: whole lines, an INFO as understood, payload as it comes. An error is final. */
  take(chunk: Buffer): Buffer
}

/** INFO with a thousand addresses. A subject, the longest that is in other lines, has 4 KiB. */
const LINE_BYTES_MAX = 64 * 1024
const PAYLOAD_BYTES_DEFAULT = 1024 * 1024
/** The highest limit that a server can be given, and the client's own. A server without a limit gives -1. */
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
/** PING, +OK, INFO and -ERR in so long a time. A server pings once in two minutes. */
const UNASKED_MAX = 10_000
const UNASKED_WINDOW_MS = 10_000
const EXCERPT_BYTES = 60

const OPERATIONS = ['MSG ', 'HMSG ', 'PONG', 'PING', '+OK', '-ERR ', 'INFO ']
const DENIES_SUBJECT = /^'Permissions Violation/i
const NOTHING: Buffer = Buffer.alloc(0)
const DIGITS_MAX = 15
const [LF, CR, SPACE, ZERO, H, M] = [10, 13, 32, 48, 72, 77]

export function createWire(payloadBytesMax = PAYLOAD_BYTES_MAX): Wire {
  const wire: Wire = {
    isOnlyInfo: () => wire.info !== undefined && lines === 1 && held.length === 0,
    take,
  }
  /** A line that has not ended yet. */
  let held = NOTHING
  /** Of a message: how many bytes of the payload are still to come, and of the line end behind it. */
  let payload = 0
  let lineEnd = 0
  let lines = 0
  let unasked = 0
  let unaskedSince = performance.now()

  function take(chunk: Buffer): Buffer {
    const bytes = held.length > 0 ? Buffer.concat([held, chunk]) : chunk
    const passed: Buffer[] = []
    let passedTo = 0
    let at = 0
    while (at < bytes.length) {
      if (payload > 0) {
        const step = Math.min(payload, bytes.length - at)
        payload -= step
        at += step
      } else if (lineEnd > 0) {
        if (bytes[at] !== (lineEnd === 2 ? CR : LF)) throw strange(bytes, at)
        lineEnd--
        at++
      } else {
        const end = bytes.indexOf(LF, at)
        if (end < 0) break
        if (readLine(bytes, at, bytes[end - 1] === CR ? end - 1 : end) === 'INFO ') {
          const info = Buffer.from(`INFO ${JSON.stringify(wire.info)}\r\n`)
          passed.push(bytes.subarray(passedTo, at), info)
          passedTo = end + 1
        }
        at = end + 1
      }
    }
    held = bytes.subarray(at)
    if (held.length > LINE_BYTES_MAX) throw new Error('the server sends a line of over 64 KiB')
    if (held.length > 0 && !OPERATIONS.some((each) => isAt(each, held, 0, held.length)))
      throw strange(held, 0)
    const rest = bytes.subarray(passedTo, at)
    return passed.length > 0 ? Buffer.concat([...passed, rest]) : rest
  }

  /** Returns the operation, where it has no payload. */
  function readLine(bytes: Buffer, at: number, end: number): string | undefined {
    lines++
    if (wire.info !== undefined && (bytes[at] === M || bytes[at] === H)) {
      payload = sizeOfMessage(bytes, at, end)
      lineEnd = 2
      if (payload > payloadBytesMax)
        throw new Error(`the server sends a message of ${payload} bytes, which is too large`)
      return undefined
    }
    const isWhole = (each: string) => end - at >= each.length && isAt(each, bytes, at, end)
    const operation = OPERATIONS.find(isWhole)
    if (operation === '-ERR ') {
      const text = bytes.toString('utf8', at + 5, end).trim()
      if (DENIES_SUBJECT.test(text)) return operation
      wire.serverError = text.replace(/^'(.*)'$/s, '$1')
    } else if (operation === 'INFO ') wire.info = parseInfo(bytes, at, end)
    else if (operation === undefined || wire.info === undefined) throw strange(bytes, at)
    if (operation !== 'PONG') countUnasked()
    return operation
  }

  function countUnasked(): void {
    if (++unasked <= UNASKED_MAX) return
    const now = performance.now()
    if (now - unaskedSince < UNASKED_WINDOW_MS)
      throw new Error('the server sends more PING, +OK, INFO or -ERR than it has reason to')
    unasked = 0
    unaskedSince = now
  }

  return wire
}

/** Whether a line begins with it, as far as the line goes. */
function isAt(operation: string, bytes: Buffer, at: number, end: number): boolean {
  const length = Math.min(operation.length, end - at)
  let same = 0
  while (same < length && bytes[at + same] === operation.charCodeAt(same)) same++
  return same === length
}

/** `MSG subject sid [reply] size`, `HMSG subject sid [reply] headers size`: the size, or it throws. */
function sizeOfMessage(bytes: Buffer, at: number, end: number): number {
  const withHeaders = bytes[at] === H
  const operation = withHeaders ? 'HMSG ' : 'MSG '
  let fields = 0
  /** Of the second, the last but one and the last, as numbers. */
  let [sid, before, last] = [-1, -1, -1]
  for (let index = at + operation.length; index < end; index++) {
    // Servers leave two spaces where there is no reply subject.
    if (bytes[index] === SPACE) continue
    const start = index
    while (index < end && bytes[index]! > SPACE) index++
    if (index < end && bytes[index] !== SPACE) throw strange(bytes, at)
    before = last
    last = numberIn(bytes, start, index)
    if (++fields === 2) sid = last
  }
  const min = withHeaders ? 4 : 3
  const headers = withHeaders ? before : 0
  const right =
    isAt(operation, bytes, at, end) &&
    (fields === min || fields === min + 1) &&
    sid >= 0 &&
    headers >= 0 &&
    last >= headers
  if (!right) throw strange(bytes, at)
  return last
}

/** -1: it is no number, or has more digits than the client takes. */
function numberIn(bytes: Buffer, start: number, end: number): number {
  if (end - start > DIGITS_MAX) return -1
  let number = 0
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - ZERO
    if (digit < 0 || digit > 9) return -1
    number = number * 10 + digit
  }
  return number
}

/** Refuses an INFO that the client would trip over, and corrects fields of a wrong type. */
function parseInfo(bytes: Buffer, at: number, end: number): ServerInfo {
  let info: Record<keyof ServerInfo, unknown> | null
  try {
    info = JSON.parse(bytes.toString('utf8', at + 5, end))
  } catch {
    throw strange(bytes, at)
  }
  const { version, max_payload: max, connect_urls: urls, nonce = '' } = info ?? {}
  const known = typeof version === 'string' && /\d+.\d+.\d+/.test(version)
  if (!known || typeof nonce !== 'string') throw strange(bytes, at)
  return {
    ...(info as ServerInfo),
    max_payload: typeof max === 'number' ? limitOf(max) : PAYLOAD_BYTES_DEFAULT,
    connect_urls: Array.isArray(urls) ? urls.filter(isAddress) : [],
  }
}

/** As a cluster announces its servers, and nothing else that a server could write there. */
const ADDRESS = /^(\[[\da-f:.]{2,45}\]|[\w.-]{1,253}):\d{1,5}$/i

const isAddress = (url: unknown) =>
  typeof url === 'string' && ADDRESS.test(url) && URL.canParse(`ftp://${url}`)

const limitOf = (max: number) => Math.min(max < 0 ? PAYLOAD_BYTES_MAX : max, PAYLOAD_BYTES_MAX)

function strange(bytes: Buffer, at: number): Error {
  const line = bytes.toString('latin1', at, at + EXCERPT_BYTES).replace(/\r?\n.*/s, '')
  return new Error(`not the NATS protocol: ${quoted(line)}`)
}
