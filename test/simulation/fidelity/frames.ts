// The messages in one direction of a connection, whole: what a proxy needs to know of the protocol.

export interface Frame {
  readonly bytes: Buffer
  /** `PUB`, `HMSG`, `PING`, … */
  readonly operation: string
  readonly subject: string
  /** Headers included, one character a byte. */
  readonly payload: string
}

const [LINE_END, LF] = ['\r\n', 0x0a]
/** Those with a payload, whose size is the last word. */
const WITH_PAYLOAD = new Set(['PUB', 'HPUB', 'MSG', 'HMSG'])

/** The frames that are whole, and the begin of the next one. */
export function splitFrames(bytes: Buffer): { readonly frames: Frame[]; readonly rest: Buffer } {
  const frames: Frame[] = []
  let at = 0
  for (;;) {
    const lineEnd = bytes.indexOf(LF, at)
    if (lineEnd < 0) break
    const words = bytes.toString('latin1', at, lineEnd - 1).split(' ')
    const [operation = '', subject = ''] = words
    const size = WITH_PAYLOAD.has(operation) ? Number(words.at(-1)) + LINE_END.length : 0
    const end = lineEnd + 1 + size
    if (end > bytes.length) break
    const payload = bytes.toString('latin1', lineEnd + 1, Math.max(lineEnd + 1, end - 2))
    frames.push({ bytes: bytes.subarray(at, end), operation, subject, payload })
    at = end
  }
  return { frames, rest: bytes.subarray(at) }
}
