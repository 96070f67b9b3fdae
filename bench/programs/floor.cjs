// The floor: what Node needs for the work itself. One fixed buffer to read into, the first `rule` and
// `priority` in sight, PUB frames by hand on a bare socket. No counts, no care, no way back after an
// error. usage: node floor.cjs PIPE URL

const { constants, openSync } = require('node:fs')
const { createConnection, Socket } = require('node:net')

const [, , path, url] = process.argv
const READ_BYTES = 64 * 1024
const FRAME_BYTES = 256
const LINE_BYTES_MAX = 1024 * 1024

const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
const carry = Buffer.allocUnsafeSlow(LINE_BYTES_MAX)
/** One is filled while the other is being written. */
const outs = [0, 1].map(() => Buffer.allocUnsafeSlow(4 * READ_BYTES + LINE_BYTES_MAX))
const subjects = new Map()
let carried = 0
let writing = 0
let turn = 0
let out = outs[0]
let used = 0

const { hostname, port } = new URL(url)
const server = createConnection(Number(port), hostname)
server.setNoDelay(true)
server.write('CONNECT {"verbose":false,"pedantic":false}\r\n')
server.on('data', (data) => data.includes('PING\r\n') && server.write('PONG\r\n'))

const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
const pipe = new Socket({ fd, onread: { buffer, callback: take } })
pipe.resume()

function take(length) {
  let start = 0
  for (;;) {
    const end = newline(start, length)
    if (end < 0) break
    if (carried === 0) publish(buffer, start, end)
    else {
      hold(start, end)
      publish(carry, 0, carried)
      carried = 0
    }
    start = end + 1
  }
  hold(start, length)
  if (used === 0) return true
  server.write(out.subarray(0, used), written)
  turn ^= 1
  out = outs[turn]
  used = 0
  return ++writing < 2
}

function newline(start, length) {
  const at = buffer.indexOf(10, start)
  return at < length ? at : -1
}

function hold(start, end) {
  carried += buffer.copy(carry, carried, start, end)
}

function written() {
  if (writing-- === 2) pipe.resume()
}

function publish(bytes, start, end) {
  const subject = subjectOf(text(bytes, '"priority":"', start), text(bytes, '"rule":"', start))
  used += out.latin1Write(`PUB ${subject} ${end - start}\r\n`, used, FRAME_BYTES)
  used += bytes.copy(out, used, start, end)
  out[used++] = 13
  out[used++] = 10
}

function text(bytes, key, start) {
  const from = bytes.indexOf(key, start, 'latin1') + key.length
  return bytes.latin1Slice(from, bytes.indexOf(34, from))
}

function subjectOf(priority, rule) {
  let subject = subjects.get(rule)
  if (subject === undefined) {
    subject = `falco.${priority.toLowerCase()}.${rule.toLowerCase().replace(/[^a-z0-9]+/g, '_')}`
    subjects.set(rule, subject)
  }
  return subject
}
