// The last resort: an error that nothing catches, raised in the real program.

import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { falcoNats, type LogLine, preloaded, type Running, stopped } from '../../support/cli.ts'
import { startNats, subscribe } from '../../support/nats.ts'
import { countNumbered } from '../../support/pipe.ts'
import { expectBalanced, SCRAPED } from '../../support/scrape.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { numbered } from '../../support/writer.ts'

const COUNT = 20_000

/** Errors at a signal: nothing that comes from outside should be able to raise one. */
const BUGS = {
  'is thrown': `process.on('SIGUSR2', () => setTimeout(() => { throw new TypeError('boom') }))`,
  'rejects a promise': `process.on('SIGUSR2', () => Promise.reject(new TypeError('boom')))`,
}

const start = (url: string, code: string, args: readonly string[] = []): Running =>
  falcoNats(['-f', '-', '-s', url, '--buffer-bytes', '2MiB', ...SCRAPED, ...args], {
    program: preloaded(code),
  })

async function bugOf(running: Running): Promise<{ code: number | null; log: LogLine[] }> {
  running.child.kill('SIGUSR2')
  await until('it has ended', () => running.child.exitCode !== null)
  return { code: await running.exited(), log: running.log() }
}

describe.each(Object.entries(BUGS))('an error that %s', (_, code) => {
  it('leaves all alerts in the spool, and the sums in the log', async () => {
    using dir = tempDir()
    await using server = await startNats()
    const spool = ['--spool-dir', dir.file('spool')]
    await using running = start(server.url, code, spool)
    await running.logged('connected')
    // Some on their way, some in memory, some in the spool, some not in a batch yet.
    server.freeze()
    running.child.stdin.write(numbered(COUNT))
    const held = async () => {
      const samples = await expectBalanced(running)
      return samples.get('falco_nats_lines_read_total{result="alert"}') === COUNT
    }
    await until('all are read', held)
    const ended = await bugOf(running)
    expect(ended.code).toBe(70)
    expect(ended.log.at(-2)).toMatchObject({
      level: 'fatal',
      msg: 'this is a bug: boom',
      stack: expect.arrayContaining(['TypeError: boom']),
    })
    expect(ended.log.at(-1)).toMatchObject({
      level: 'error',
      msg: 'done: 0 alerts were lost (this is a bug: boom)',
      read: COUNT,
      spooled: COUNT,
      left: 0,
    })
    server.thaw()
    await using subscriber = await subscribe(server.url)
    await using again = falcoNats(['-f', dir.file('nats'), '-s', server.url, ...spool])
    await subscriber.count(COUNT)
    expect((await stopped(again)).last).toMatchObject({
      restored: COUNT,
      delivered: COUNT,
      left: 0,
    })
    expect(countNumbered(subscriber.messages, COUNT)).toEqual({
      missing: 0,
      duplicates: 0,
      inOrder: true,
    })
  })

  it('counts what is lost where there is no spool', async () => {
    await using running = start('nats://127.0.0.1:1', code)
    running.child.stdin.write(numbered(100))
    await until(
      'all are read',
      async () => (await expectBalanced(running)).get('falco_nats_buffer_alerts') === 100,
    )
    const { code: exitCode, log } = await bugOf(running)
    expect(exitCode).toBe(70)
    expect(log.at(-1)).toMatchObject({
      msg: 'done: 100 alerts were lost (this is a bug: boom, 100 not delivered in time)',
      read: 100,
      left: 100,
    })
  })
})

it('is the same for an error in the way of an alert', async () => {
  using dir = tempDir()
  await using server = await startNats()
  // The list of batches in flight has just got another.
  const code = `const { push } = Array.prototype
    process.on('SIGUSR2', () => {
      Array.prototype.push = function (...items) {
        const length = push.apply(this, items)
        if (!items[0]?.batch) return length
        Array.prototype.push = push
        throw new TypeError('boom')
      }
    })`
  await using running = start(server.url, code, ['--spool-dir', dir.file('spool')])
  await running.logged('connected')
  running.child.kill('SIGUSR2')
  await until('it is set', () => {
    running.child.stdin.write(numbered(1))
    return running.child.exitCode !== null
  })
  expect(running.child.exitCode).toBe(70)
  const last = running.log().at(-1)! as LogLine & {
    read: number
    delivered: number
    spooled: number
  }
  expect(last).toMatchObject({ msg: 'done: 0 alerts were lost (this is a bug: boom)', left: 0 })
  expect(last.spooled).toBeGreaterThan(0)
  expect(last.read).toBe(last.delivered + last.spooled)
})

it('ends with 70 although what it does about a bug has one, too', async () => {
  using dir = tempDir()
  const code = `process.on('SIGUSR2', () => {
    Date.prototype.toISOString = Array.prototype.push = () => { throw new TypeError('boom again') }
    setTimeout(() => { throw new TypeError('boom') })
  })`
  await using running = start('nats://127.0.0.1:1', code, ['--spool-dir', dir.file('spool')])
  running.child.stdin.write(numbered(10))
  await running.logged('reading')
  expect((await bugOf(running)).code).toBe(70)
})

it('ends a responder with 70 and its sums', async () => {
  using dir = tempDir()
  writeFileSync(
    dir.file('p.yaml'),
    'playbooks: [{ name: p, on: [falco.>], steps: [{ cordon-node: {} }] }]',
  )
  const main = new URL('../../../src/respond/main.ts', import.meta.url).pathname
  await using running = falcoNats(
    ['--config', dir.file('p.yaml'), '--server', 'nats://127.0.0.1:1'],
    {
      program: preloaded(BUGS['is thrown'], [main]),
    },
  )
  await running.logged('cannot connect')
  const { code, log } = await bugOf(running)
  expect(code).toBe(70)
  expect(log.at(-1)).toMatchObject({ msg: 'done: this is a bug: boom', done: 0 })
})
