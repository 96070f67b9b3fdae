// The program when it is stopped.

import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { falcoNats, stopped } from '../support/cli.ts'
import { startNats, subscribe } from '../support/nats.ts'
import { countNumbered, writePipe } from '../support/pipe.ts'
import { haveRead, SCRAPED } from '../support/scrape.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { numbered } from '../support/writer.ts'

const LOAD = 100_000

/** All that the process has read so far, its own code included. */
const readBytes = (pid: number) =>
  Number(/rchar: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))![1])

describe('when it is stopped', () => {
  it('loses nothing that it read in mid-flow, and ends in time', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url])
    await running.logged('connected')
    await using _writing = await writePipe(dir.file('nats'), `numbered:${LOAD * 3}`, 1000)
    await subscriber.count(20_000)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    const read = last.read as number
    expect(last).toMatchObject({ delivered: read, rejected: 0, left: 0 })
    await subscriber.count(read)
    expect(countNumbered(subscriber.messages, read)).toEqual({
      missing: 0,
      duplicates: 0,
      inOrder: true,
    })
  })

  it('reads what is still in the pipe, up to the end of a line that is being written', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url])
    await using writing = await writePipe(dir.file('nats'), 'numbered:300000', 1)
    await subscriber.count(100)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({ rejected: 0, left: 0 })
    await subscriber.count(last.read as number)
    expect(await writing.done()).not.toBe(0)
  })

  it('ends although a writer never ends its line and never pauses', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url])
    await using writing = await writePipe(dir.file('nats'), 'zeros', 4096)
    await until('it has read much', () => readBytes(running.child.pid!) > 4 * 1024 ** 2)
    const { code, last } = await stopped(running)
    expect(last).toMatchObject({ delivered: 0, reasons: { too_long: 1 }, left: 0 })
    expect(code).toBe(0)
    expect(await writing.done()).not.toBe(0)
  })

  it('ends at the end of a line of a file', async () => {
    using dir = tempDir()
    writeFileSync(dir.file('in'), numbered(LOAD * 5))
    const main = `exec ${process.execPath} ${new URL('../../src/forward/main.ts', import.meta.url).pathname}`
    const shell = `${main} -f - --dry-run < ${dir.file('in')}`
    await using running = falcoNats(['-c', shell], { program: ['/bin/sh'] })
    await until('something has come', () => running.stdout().length > 0)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({ delivered: last.read, rejected: 0 })
    expect(last.read).toBeLessThan(LOAD * 5)
  })

  it('says how many were left when the drain timeout is over', async () => {
    using dir = tempDir()
    await using running = falcoNats([
      '-f',
      dir.file('nats'),
      '-s',
      'nats://127.0.0.1:1',
      '--drain-timeout',
      '300ms',
      ...SCRAPED,
    ])
    await using writing = await writePipe(dir.file('nats'), 'numbered:5', 0)
    expect(await writing.done()).toBe(0)
    await haveRead(running, 5)
    await running.logged('cannot connect')
    const { code, last } = await stopped(running)
    expect(code).toBe(1)
    expect(last).toMatchObject({
      level: 'error',
      msg: 'done: 5 alerts were lost (5 not delivered in time)',
      read: 5,
      delivered: 0,
      left: 5,
    })
  })

  it('ends at once at the second signal', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using running = falcoNats([
      '-f',
      dir.file('nats'),
      '-s',
      server.url,
      '--drain-timeout',
      '1h',
      ...SCRAPED,
    ])
    await running.logged('connected')
    server.freeze()
    await using writing = await writePipe(dir.file('nats'), 'numbered:5', 0)
    expect(await writing.done()).toBe(0)
    await haveRead(running, 5)
    running.child.kill('SIGTERM')
    await running.logged('stopping')
    const { code, last } = await stopped(running)
    expect(code).toBe(1)
    expect(last).toMatchObject({ left: 5 })
  })
})
