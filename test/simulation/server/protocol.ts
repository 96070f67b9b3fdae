// What a client sends, parsed byte for byte as nats-server does. It tolerates less: only what our code has to write.

/** What the server does with each command. */
export interface Commands {
  /** Asked at the command line, before the payload comes. False: too large, and nothing more is read. */
  fits(size: number): boolean
  /** `payload` and `headers` have one character a byte. */
  publish(message: Message): void
  subscribe(subject: string): void
  ping(): void
  /** The bytes are not the protocol. Nothing more is read. */
  wrong(detail: string): void
}

export interface Message {
  readonly subject: string
  readonly reply: string | undefined
  readonly headers: string | undefined
  readonly payload: string
  /** What max_payload limits: headers and payload. */
  readonly size: number
}

interface CommandLine {
  readonly subject: string
  readonly reply: string | undefined
  readonly headersSize: number
  readonly size: number
}

/** nats-server's max_control_line. */
const LINE_BYTES_MAX = 4096
const OPERATIONS = ['PUB ', 'HPUB ', 'SUB ', 'PING\r\n']
const VERSION_LINE = 'NATS/1.0\r\n'
const HEADERS_END = '\r\n\r\n'
const LITERAL_SUBJECT = /^[^\s.*>]+(\.[^\s.*>]+)*$/
const NOTHING: Buffer = Buffer.alloc(0)
const [LF, CR] = [10, 13]
const LINE_END_BYTES = 2

export function createParser(commands: Commands) {
  /** The begin of a command line, or of a payload. */
  let held = NOTHING
  /** Its payload is still to come. */
  let command: CommandLine | undefined
  let isOver = false

  function stop(): void {
    isOver = true
  }

  function fail(detail: string): void {
    stop()
    commands.wrong(detail)
  }

  /** Returns where the next command begins, or -1 where more bytes are needed. */
  function readMessage(
    bytes: Buffer,
    at: number,
    { subject, reply, headersSize, size }: CommandLine,
  ) {
    const end = at + size
    if (bytes.length < end + LINE_END_BYTES) return -1
    if (bytes[end] !== CR || bytes[end + 1] !== LF) fail(`no line end after ${size} bytes`)
    const payloadAt = at + headersSize
    const headers = headersSize > 0 ? bytes.toString('latin1', at, payloadAt) : undefined
    if (headers && !(headers.startsWith(VERSION_LINE) && headers.endsWith(HEADERS_END)))
      fail(`no headers: ${headers}`)
    if (isOver) return -1
    const payload = bytes.toString('latin1', payloadAt, end)
    commands.publish({ subject, reply, headers, payload, size })
    command = undefined
    return end + LINE_END_BYTES
  }

  function readCommand(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(LF, at)
    const length = (end < 0 ? bytes.length : end) - at
    if (length > LINE_BYTES_MAX) fail('a command line of over 4096 bytes')
    else if (end < 0) {
      const begin = bytes.toString('latin1', at)
      if (!OPERATIONS.some((each) => each.startsWith(begin) || begin.startsWith(each)))
        fail(`no operation: ${begin}`)
    } else if (bytes[end - 1] !== CR) fail('a line that ends without CR')
    else readLine(bytes.toString('latin1', at, end - 1))
    return end < 0 || isOver ? -1 : end + 1
  }

  function readLine(line: string): void {
    const words = line.split(' ')
    const [operation, subject = ''] = words
    if (line === 'PING') commands.ping()
    else if (operation === 'SUB' && words.length === 3) commands.subscribe(subject)
    else {
      command = commandOf(words)
      if (!command) fail(`no command: ${line}`)
      else if (!commands.fits(command.size)) stop()
    }
  }

  return {
    take(chunk: Buffer): void {
      if (isOver) return
      const bytes = held.length > 0 ? Buffer.concat([held, chunk]) : chunk
      let rest = 0
      for (let at = 0; at >= 0 && at <= bytes.length && !isOver; ) {
        rest = at
        if (!command && at === bytes.length) break
        at = command ? readMessage(bytes, at, command) : readCommand(bytes, at)
      }
      held = bytes.subarray(rest)
    },
    /** Reads no more: the connection is over. */
    stop,
  }
}

/** `PUB subject [reply] size`, `HPUB subject [reply] headers size`; undefined where it is neither. */
function commandOf(words: readonly string[]): CommandLine | undefined {
  const sizes = words[0] === 'HPUB' ? 2 : 1
  const [subject, reply] = words.length === 3 + sizes ? words.slice(1, 3) : words.slice(1, 2)
  const right =
    (words[0] === 'PUB' || words[0] === 'HPUB') &&
    (words.length === 2 + sizes || words.length === 3 + sizes) &&
    words.slice(-sizes).every(isNumber) &&
    LITERAL_SUBJECT.test(subject!) &&
    (reply === undefined || LITERAL_SUBJECT.test(reply))
  if (!right) return undefined
  const size = Number(words.at(-1))
  const headersSize = sizes === 2 ? Number(words.at(-2)) : 0
  return headersSize <= size ? { subject: subject!, reply, headersSize, size } : undefined
}

const isNumber = (text: string) => String(Number(text)) === text && Number(text) >= 0

/** The value of a header, undefined where it is missing. */
export function headerOf(headers: string | undefined, name: string): string | undefined {
  const start = headers?.indexOf(`\r\n${name}: `) ?? -1
  if (start < 0) return undefined
  const from = start + name.length + 4
  return headers!.slice(from, headers!.indexOf('\r\n', from))
}
