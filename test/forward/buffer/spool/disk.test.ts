// A disk under the spool that fails: real errors of the system calls, in a process of its own.

import { readdirSync, statSync } from 'node:fs'
import { expect, it, vi } from 'vitest'
import { falcoNats, type Running, stopped } from '../../../support/cli.ts'
import { type FailingDisk, failingDisk } from '../../../support/eio.ts'
import { type NatsServer, startNats, startSubscribed, subscribe } from '../../../support/nats.ts'
import { countNumbered, writePipe } from '../../../support/pipe.ts'
import { expectBalanced, SCRAPED } from '../../../support/scrape.ts'
import { type TempDir, tempDir } from '../../../support/temp.ts'
import { until } from '../../../support/wait.ts'

const LOAD = 40_000
/** A failed disk is tried again every 5 s, and a busy machine is slow. */
vi.setConfig({ testTimeout: 90_000 })

function start(dir: TempDir, server: NatsServer, disk: FailingDisk, ...more: string[]): Running {
  const args = ['-f', dir.file('nats'), '-s', server.url, '--spool-dir', dir.file('spool')]
  return falcoNats([...args, ...SCRAPED, ...more], { env: disk.env })
}

const spoolBytes = (dir: TempDir) =>
  readdirSync(dir.file('spool')).reduce(
    (sum, file) => sum + statSync(dir.file(`spool/${file}`)).size,
    0,
  )

const messages = (running: Running) => running.log().map(({ msg }) => msg)
const count = (running: Running, text: string) =>
  messages(running).filter((message) => message.startsWith(text)).length

it('forwards past a spool that cannot be read, and delivers it when it can be', async ({
  skip,
}) => {
  using dir = tempDir()
  const disk = failingDisk(dir)
  if (!disk) return skip()
  await using server = await startNats('', { started: false })
  await using running = start(dir, server, disk, '--buffer-bytes', '512KiB')
  {
    await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD}`, 65536)
    expect(await writing.done()).toBe(0)
  }
  await until('it is on disk', () => spoolBytes(dir) > 4 * 1024 * 1024)
  disk.fail('read')
  await using subscriber = await startSubscribed(server, running.child)
  const { reason } = await running.logged('the spool cannot be read')
  expect(reason).toMatch(/EIO/)
  await expectBalanced(running)
  const before = subscriber.messages.length
  {
    await using writing = await writePipe(dir.file('nats'), 'numbered:3000', 65536)
    expect(await writing.done()).toBe(0)
  }
  await until('what came later is delivered', () => subscriber.messages.length >= before + 3000)
  disk.recover()
  await running.logged('the spool can be read again')
  await subscriber.count(LOAD + 3000)
  await expectBalanced(running)
  const { code, last } = await stopped(running)
  expect(countNumbered(subscriber.messages, LOAD).missing).toBe(0)
  expect(last).toMatchObject({ read: LOAD + 3000, delivered: LOAD + 3000, left: 0 })
  expect(code).toBe(0)
  expect(count(running, 'the spool cannot be read')).toBe(1)
})

it.each([
  ['write', /I\/O error/],
  ['sync', /I\/O error/],
  ['full', /full/],
] as const)(
  'holds alerts in memory while the disk fails (%s), and spools again when it does not',
  async (what, expected) => {
    using dir = tempDir()
    const disk = failingDisk(dir)
    if (!disk) return
    await using server = await startNats('', { started: false })
    await using running = start(dir, server, disk, '--drain-timeout', '300ms')
    await running.logged('reading')
    disk.fail(what)
    await using writing = await writePipe(dir.file('nats'), 'numbered:5000', 65536)
    expect(await writing.done()).toBe(0)
    const { reason } = await running.logged('the spool cannot be written; holding alerts in memory')
    expect(reason).toMatch(expected)
    await expectBalanced(running)
    disk.recover()
    await running.logged('the spool can be written again')
    const { code, last } = await stopped(running)
    expect(last).toMatchObject({ read: 5000, spooled: 5000, left: 0 })
    expect(code).toBe(0)
    expect(count(running, 'the spool cannot be written')).toBe(1)
    await server.start()
    await using subscriber = await subscribe(server.url)
    await using next = start(dir, server, disk)
    await subscriber.count(5000)
    expect(countNumbered(subscriber.messages, 5000)).toMatchObject({ missing: 0, duplicates: 0 })
    expect((await stopped(next)).last).toMatchObject({ restored: 5000, delivered: 5000, left: 0 })
  },
)

it('does not take a spool for damaged that cannot be read when it is opened', async ({ skip }) => {
  using dir = tempDir()
  const disk = failingDisk(dir)
  if (!disk) return skip()
  await using server = await startNats('', { started: false })
  {
    await using running = start(dir, server, disk, '--drain-timeout', '300ms')
    await using writing = await writePipe(dir.file('nats'), 'numbered:5000', 65536)
    expect(await writing.done()).toBe(0)
    expect((await stopped(running)).last).toMatchObject({ spooled: 5000 })
  }
  disk.fail('read')
  {
    await using running = start(dir, server, disk)
    const { reason } = await running.logged('the spool cannot be used: going on without it')
    expect(reason).toMatch(/EIO|I\/O error/)
    expect((await stopped(running)).code).toBe(0)
  }
  disk.recover()
  await using running = start(dir, server, disk)
  await running.logged('the spool holds alerts of an earlier run')
  await server.start()
  expect((await stopped(running)).last).toMatchObject({ restored: 5000, delivered: 5000 })
})

it('ends with its sums when the disk fails in every way until the end', async ({ skip }) => {
  using dir = tempDir()
  const disk = failingDisk(dir)
  if (!disk) return skip()
  await using server = await startNats('', { started: false })
  const args = ['--buffer-bytes', '512KiB', '--drain-timeout', '300ms', '--when-full', 'drop']
  await using running = start(dir, server, disk, ...args)
  {
    await using writing = await writePipe(dir.file('nats'), 'numbered:20000', 65536)
    expect(await writing.done()).toBe(0)
  }
  disk.fail('read', 'write', 'sync')
  await using writing = await writePipe(dir.file('nats'), 'numbered:20000', 65536)
  expect(await writing.done()).toBe(0)
  await running.logged('the spool cannot be')
  await expectBalanced(running)
  const { code, last } = await stopped(running)
  expect(running.stderr()).not.toMatch(/bug/)
  expect(last.msg).toMatch(/^done: /)
  expect(code).toBe(1)
  const { read, spooled, left, dropped } = last as unknown as Record<string, number> & {
    dropped: object
  }
  const shed = Object.values(dropped ?? {}).reduce((sum, count) => sum + count, 0)
  expect(spooled! + left! + shed).toBe(read)
  disk.recover()
  await server.start()
  await using subscriber = await subscribe(server.url)
  await using next = start(dir, server, disk)
  await subscriber.count(spooled!)
  expect((await stopped(next)).last).toMatchObject({ left: 0 })
})
