// Standard output and standard error that nobody reads, full, closed, or read slowly.

import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { falcoNats, type LogLine, MAIN, preloaded } from '../../support/cli.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import { freePort, startNats, subscribe } from '../../support/nats.ts'
import { parseSamples } from '../../support/scrape.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { numbered } from '../../support/writer.ts'

const WARNINGS = 5000
/** A megabyte of log, at once: what Node.js warns of is logged. */
const CHATTY = `process.on('SIGUSR2', () => {
  for (let n = 0; n < ${WARNINGS}; n++) process.emitWarning('w'.repeat(100))
})`

/** A named pipe that is read only when it is told to. */
function openPipe(dir: TempDir) {
  const path = dir.file('output')
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const chunks: Buffer[] = []
  return {
    path,
    /** All that has come so far. */
    text(): string {
      const buffer = Buffer.alloc(65536)
      try {
        for (let size = readSync(fd, buffer); size > 0; size = readSync(fd, buffer))
          chunks.push(Buffer.from(buffer.subarray(0, size)))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      }
      return Buffer.concat(chunks).toString()
    },
    close: () => closeSync(fd),
    [Symbol.dispose]: () => closeSync(fd),
  }
}

const redirected = (redirection: string, program: readonly string[]) => [
  'sh',
  '-c',
  `exec "$@" ${redirection}`,
  'sh',
  ...program,
]

const get = async (port: number, path: string) => {
  const answer = fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(20_000) })
  return await (await answer).text()
}

describe.each(['pipe', 'socket'])('a standard error that is a full %s', (kind) => {
  it.each(['json', 'pretty'])(
    'keeps nothing from being forwarded, and loses lines that are counted: %s',
    async (format) => {
      using dir = tempDir()
      using pipe = openPipe(dir)
      const port = await freePort()
      await using server = await startNats()
      await using subscriber = await subscribe(server.url)
      const program = preloaded(CHATTY)
      await using running = falcoNats(
        [
          '-f',
          dir.file('nats'),
          '-s',
          server.url,
          '--metrics-address',
          `127.0.0.1:${port}`,
          '--log-format',
          format,
        ],
        { program: kind === 'pipe' ? redirected(`2>'${pipe.path}'`, program) : program },
      )
      const text = kind === 'pipe' ? pipe.text : running.stderr
      running.child.stderr.pause()
      await until(
        'it is ready',
        async () => (await get(port, '/readyz').catch(() => '')) === 'ok\n',
      )
      const dropped = async () =>
        parseSamples(await get(port, '/metrics')).get('falco_nats_log_lines_dropped_total')!
      running.child.kill('SIGUSR2')
      execFileSync('sh', ['-c', `echo '${numberedAlert(7)}' >'${dir.file('nats')}'`])
      await subscriber.count(1)
      expect(await get(port, '/livez')).toBe('ok\n')
      await until('lines are dropped', async () => (await dropped()) > 0)
      const lost = await dropped()
      expect(lost).toBeLessThan(WARNINGS)

      running.child.stderr.resume()
      const notice = `${lost} log lines were dropped because standard error was blocked`
      await until('it is said', () => text().includes(notice))
      expect(await dropped()).toBe(lost)
      running.child.kill('SIGTERM')
      expect(await running.exited()).toBe(0)
      const lines = text().trimEnd().split('\n')
      expect(lines.at(-1)).toContain('done: all alerts were delivered')
      // Each is there as a whole, or counted.
      const whole =
        format === 'json' ? /^\{.*"reason":"w{100}".*\}$/ : /WARN.*\{"reason":"w{100}"\}$/
      expect(lines.filter((line) => line.includes('www'))).toHaveLength(WARNINGS - lost)
      expect(lines.filter((line) => whole.test(line))).toHaveLength(WARNINGS - lost)
    },
  )

  it('does not keep it from ending', async () => {
    using dir = tempDir()
    using pipe = openPipe(dir)
    const program = preloaded(CHATTY)
    await using server = await startNats()
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url], {
      program: kind === 'pipe' ? redirected(`2>'${pipe.path}'`, program) : program,
    })
    await until('it reads', () => /reading/.test(kind === 'pipe' ? pipe.text() : running.stderr()))
    running.child.stderr.pause()
    running.child.kill('SIGUSR2')
    running.child.kill('SIGTERM')
    await until('it has ended', () => running.child.exitCode !== null)
    expect(running.child.exitCode).toBe(0)
    running.child.stderr.resume()
  })
})

it('goes on when standard error is closed', async () => {
  using dir = tempDir()
  const pipe = openPipe(dir)
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  await using running = falcoNats(['-f', '-', '-s', server.url], {
    program: redirected(`2>'${pipe.path}'`, [process.execPath, MAIN]),
  })
  await until('it is connected', () => pipe.text().includes('"connected"'))
  pipe.close()
  running.child.stdin.write('no alert\n')
  running.child.stdin.end(`${numberedAlert(7)}\n`)
  await subscriber.count(1)
  expect(await running.exited()).toBe(0)
})

describe('a dry run whose output nobody reads', () => {
  const COUNT = 20_000

  it.each([
    ['a second signal', ['SIGTERM', 'SIGTERM'], '1h'],
    ['the drain timeout', ['SIGTERM'], '100ms'],
  ] as const)('ends at %s', async (_, signals, timeout) => {
    await using running = falcoNats(['-f', '-', '--dry-run', '--drain-timeout', timeout])
    running.child.stdout.pause()
    running.child.stdin.write(numbered(COUNT))
    await running.logged('reading')
    await until('it waits', () => running.child.stdout.readableLength > 0)
    for (const signal of signals) {
      running.child.kill(signal)
      await running.logged('stopping')
    }
    await until('it has ended', () => running.child.exitCode !== null)
    expect(running.child.exitCode).toBe(1)
    const { read, delivered, left, msg } = running.log().at(-1)! as LogLine & Record<string, number>
    expect(msg).toMatch(/^done: \d+ alerts were lost \(\d+ not delivered in time\)$/)
    expect(left).toBeGreaterThan(0)
    expect(read).toBe(delivered! + left!)
    running.child.stdout.resume()
  })

  it('waits for a reader, and prints all when there is one', async () => {
    await using running = falcoNats(['-f', '-', '--dry-run'])
    running.child.stdout.pause()
    running.child.stdin.end(numbered(COUNT))
    await until('it waits', () => running.child.stdout.readableLength > 0)
    running.child.stdout.resume()
    expect(await running.exited()).toBe(0)
    const lines = running.stdout().toString().trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line.split('\t')[1]!).output_fields.n)).toEqual(
      Array.from({ length: COUNT }, (_, n) => n),
    )
  })
})
