// Servers that send what is no NATS, or more of it than anybody needs: each is left in time and with a
// clear line, shows nothing unescaped, takes little memory, and the alerts go to the next server.

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { connectChecked } from '../../../src/shared/nats/checked-transport.ts'
import { falcoNats, memoryKiB, runFalcoNats } from '../../support/cli.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import {
  afterWelcome,
  type Behaviour,
  endlessly,
  info,
  startHostile,
} from '../../support/hostile.ts'
import { startNats, subscribe } from '../../support/nats.ts'
import { countNumbered } from '../../support/pipe.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const ALERTS = 100
const MEMORY_KIB = 64 * 1024
const MEBIBYTE = Buffer.alloc(1024 * 1024, 'x')
const HTTP = 'HTTP/1.1 400 Bad Request\r\nServer: \x1b]0;owned\x07\r\n\r\n'

let subjects = 0
const denials = () =>
  Array.from(
    { length: 100 },
    () => `-ERR 'Permissions Violation for Publish to "a.${subjects++}.${'x'.repeat(2000)}"'\r\n`,
  ).join('')

/** What it does, what the log gives as the reason. */
const SERVERS: Record<string, [Behaviour, RegExp]> = {
  'garbage instead of INFO': [
    (socket) => socket.write('\x1b[31mred\x07\r\n'),
    /not the NATS protocol: "\\u001b\[31mred\\u0007"/,
  ],
  'garbage without an end': [(socket) => socket.write('\x1b[31mred'), /not the NATS protocol/],
  'an answer of HTTP': [(socket) => socket.write(HTTP), /protocol: "HTTP\/1.1 400 Bad Request"/],
  'nothing, and closes': [(socket) => socket.end(), /the server closed the connection/],
  'INFO that is not JSON': [
    (socket) => socket.write('INFO {\x1b[31m\r\n'),
    /not the NATS protocol/,
  ],
  'INFO without end': [
    (socket) => {
      socket.write('INFO {"x":"')
      endlessly(socket, () => MEBIBYTE)
    },
    /a line of over 64 KiB/,
  ],
  'INFO byte by byte': [
    (socket) => {
      let at = 0
      const timer = setInterval(() => socket.write(info()[at++]!), 1000)
      socket.on('close', () => clearInterval(timer))
    },
    /timeout/,
  ],
  'INFO, and never a word again': [(socket) => socket.write(info()), /timeout/],
  'INFO with a terminal in it': [
    (socket) => {
      const urls = ['\x1b[31m:1', 'http://[::bad', 'a b:4222', 7]
      socket.write(info({ version: '2.10.0\x1b[31m', server_name: '\x1b[31m', connect_urls: urls }))
      socket.once('data', () => socket.end("PONG\r\n-ERR 'Odd \x1b[31m'\r\n"))
    },
    /^Odd \\u\{1b\}\[31m$/,
  ],
  'INFO of another version': [
    (socket) => socket.write(info({ version: '\x1b[31m' })),
    /not the NATS protocol/,
  ],
  'a reason of its own before INFO': [
    (socket) => socket.end("-ERR 'Maximum Connections \x1b[31mExceeded'\r\n"),
    /Maximum Connections \\u\{1b\}\[31mExceeded/,
  ],
  'a reason in the packet of the PONG, and a reset': [
    (socket) => {
      socket.write(info())
      socket.once('data', () => {
        socket.write("PONG\r\n-ERR 'Account Limits'\r\n", () => socket.resetAndDestroy())
      })
    },
    /^Account Limits$/,
  ],
  'garbage in the middle': [
    afterWelcome((socket) => setTimeout(() => socket.write(HTTP), 200)),
    /protocol: "HTTP\/1.1 400 Bad Request"/,
  ],
  'a huge message': [
    afterWelcome((socket) => {
      socket.write('MSG falco.x 1 60000000\r\n')
      endlessly(socket, () => MEBIBYTE)
    }),
    /a message of 60000000 bytes, which is too large/,
  ],
  'a reason without end': [
    afterWelcome((socket) => {
      socket.write('-ERR ')
      endlessly(socket, () => MEBIBYTE)
    }),
    /a line of over 64 KiB/,
  ],
  'PING without end, and reads no PONG': [
    afterWelcome((socket) => {
      socket.pause()
      endlessly(socket, () => 'PING\r\n'.repeat(10_000))
    }),
    /more PING, \+OK, INFO or -ERR than it has reason to/,
  ],
  '+OK without end': [
    afterWelcome((socket) => endlessly(socket, () => '+OK\r\n'.repeat(10_000))),
    /more PING, \+OK, INFO or -ERR than it has reason to/,
  ],
  'denials without end': [
    afterWelcome((socket) => endlessly(socket, denials)),
    /denies subjects on which nothing was published/,
  ],
}

/** The real server refuses us until the other one has shown what it does. */
const users = (...names: string[]) =>
  `authorization { users: [${names.map((name) => `{ user: ${name}, password: p }`).join()}] }`

describe.each(Object.entries(SERVERS))('a server that sends %s', (_, [behave, reason]) => {
  it('is left with a reason that can be shown, and loses nothing', async () => {
    await using hostile = await startHostile(behave)
    await using server = await startNats(users('subscriber'))
    await using subscriber = await subscribe(server.url, { user: 'subscriber', pass: 'p' })
    const url = server.url.replace('//', '//falco:p@')
    await using running = falcoNats(['-f', '-', '-s', `${hostile.url},${url}`])
    await running.logged('reading')
    const before = memoryKiB(running.child.pid!)
    for (let n = 0; n < ALERTS; n++) running.child.stdin.write(`${numberedAlert(n)}\n`)
    await running.loggedReason(reason)
    server.reload(users('subscriber', 'falco'))
    await subscriber.count(ALERTS)
    expect(countNumbered(subscriber.messages, ALERTS).missing).toBe(0)
    expect(memoryKiB(running.child.pid!, 'VmHWM') - before).toBeLessThan(MEMORY_KIB)
    running.child.stdin.end()
    expect(await running.exited()).toBe(0)
    expect(running.log().at(-1)).toMatchObject({ delivered: ALERTS, left: 0 })
    expect(running.stderr()).toMatch(/^[ -~\n]*$/)
    expect(running.stdout().toString()).toBe('')
  })
})

it.each([
  ['garbage', (socket) => socket.write(HTTP), /FAIL {2}server: .*"HTTP\/1.1 400 Bad Request"/],
  [
    'a reason with its PONG',
    (socket) => {
      socket.write(info())
      socket.once('data', () => socket.end("PONG\r\n-ERR 'Account \x1b[31m'\r\n"))
    },
    /FAIL {2}server: .*Account \\u\{1b\}\[31m/,
  ],
  [
    'garbage after its PONG',
    afterWelcome((socket) => socket.write('\x1b[31mred\x07\r\n')),
    /FAIL {2}server: .*not the NATS protocol/,
  ],
] satisfies [string, Behaviour, RegExp][])(
  '--check shows %s escaped, and ends',
  async (_, behave, shown) => {
    await using hostile = await startHostile(behave)
    const { code, stdout, stderr } = await runFalcoNats(['--check', '-f', '-', '-s', hostile.url])
    expect(code).toBe(1)
    expect(stdout.toString()).toMatch(shown)
    expect(stdout.toString() + stderr).toMatch(/^[ -~\n]*$/)
  },
)

it('dials more and more slowly a server that confirms and closes, again and again', async () => {
  let connections = 0
  await using hostile = await startHostile((socket) => {
    connections++
    socket.write(info())
    let pings = 0
    socket.on('data', (data) => {
      for (const _ of data.toString().matchAll(/PING/g))
        if (++pings === 1) socket.write('PONG\r\n')
        else socket.end('PONG\r\n')
    })
  })
  await using running = falcoNats(['-f', '-', '-s', hostile.url])
  await running.logged('connected')
  const startedAt = performance.now()
  await until('it was dialled sixteen times', () => {
    running.child.stdin.write(`${numberedAlert(0)}\n`)
    return connections >= 16
  })
  // At 100 ms each time, of which half is left to chance, it would be less than two seconds.
  expect(performance.now() - startedAt).toBeGreaterThan(3000)
})

it('survives a reset while the client reads its files for TLS', async () => {
  using dir = tempDir()
  // Reading it takes until it has a writer.
  execFileSync('mkfifo', [dir.file('ca')])
  await using hostile = await startHostile((socket) => {
    socket.write(info({ tls_required: true }))
    setTimeout(() => socket.resetAndDestroy(), 100)
  })
  const servers = new URL(hostile.url).host
  const connecting = connectChecked({ servers, reconnect: false, tls: { caFile: dir.file('ca') } })
  await expect(connecting).rejects.toThrow('ECONNRESET')
  writeFileSync(dir.file('ca'), '')
})
