// Faults of the disk under the spool, under load: full, read-only, spoiled.

import { execFileSync } from 'node:child_process'
import { statSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { mountDisk, smallDisk } from '../../support/disk.ts'
import {
  allHaveCome,
  expectOnce,
  LOAD,
  LONG,
  logged,
  report,
  SERVER_CONFIG,
  spooled,
  start,
  stopped,
  TIMEOUT_MS,
  underLoad,
  write,
} from '../../support/faults.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import { startNats, startSubscribed, subscribe } from '../../support/nats.ts'
import { haveRead } from '../../support/scrape.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

/** A disk with a journal, in a file: one that the kernel can be made to give up. */
function journaledDisk(path: string): Disposable | undefined {
  const image = `${path}.image`
  writeFileSync(image, Buffer.alloc(16 * 1024 * 1024))
  try {
    execFileSync('mkfs.ext4', ['-q', image], { stdio: 'pipe' })
  } catch (error) {
    console.info(`8: skipped, no mkfs.ext4 here: ${(error as Error).message.trim()}`)
    return undefined
  }
  return mountDisk(path, '-o', 'loop', image)
}

describe('the disk', () => {
  it(
    '8: full',
    async ({ skip }) => {
      const sent = 40_000
      using dir = tempDir()
      using disk = smallDisk(dir.file('spool'))
      if (!disk) return skip()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      await using running = start(dir, server.url)
      await running.logged('connected')
      server.freeze()
      await using writing = await write(dir, sent, 20_000)
      const full = await running.logged('the spool cannot be written; holding alerts in memory')
      expect(full.reason).toMatch(/full/)
      expect(await writing.done()).toBe(0)
      server.thaw()
      await allHaveCome(subscriber.messages, sent)
      const { code, last } = await stopped(running)
      expectOnce(report('8 disk full', subscriber.messages, sent), last)
      expect(last).toMatchObject({ read: sent, delivered: sent, left: 0 })
      expect(code).toBe(0)
    },
    TIMEOUT_MS,
  )

  it(
    '8: read-only for one run of three',
    async ({ skip }) => {
      using dir = tempDir()
      using disk = smallDisk(dir.file('spool'))
      if (!disk) return skip()
      await using server = await startNats(SERVER_CONFIG, { started: false })
      const third = Math.floor(LOAD / (LONG ? 10 : 3))
      const round = async (first: number, ...args: string[]) => {
        const lines = Array.from({ length: third }, (_, i) => `${numberedAlert(first + i)}\n`)
        writeFileSync(dir.file('lines'), lines.join(''))
        await using running = start(dir, server.url, { args })
        await using writing = await write(dir, dir.file('lines'))
        expect(await writing.done()).toBe(0)
        await haveRead(running, third)
        return { ...(await stopped(running)), log: running.log() }
      }
      expect(await round(0, '--drain-timeout', '300ms')).toMatchObject({
        code: 0,
        last: { spooled: third },
      })
      await server.start()
      await using subscriber = await subscribe(server.url)
      // A kernel refuses it while files are open for writing, so it is done between two runs.
      execFileSync('mount', ['-o', 'remount,ro', dir.file('spool')])
      const { code, log } = await round(third)
      expect(code).toBe(0)
      expect(logged(log, 'the spool cannot be used: going on without it, from memory')).toBe(1)
      execFileSync('mount', ['-o', 'remount,rw', dir.file('spool')])
      expect((await round(2 * third)).last).toMatchObject({ restored: third, left: 0 })
      await allHaveCome(subscriber.messages, 3 * third)
      const { missing, duplicates } = report('8 disk read-only', subscriber.messages, 3 * third)
      expect({ missing, duplicates }).toEqual({ missing: 0, duplicates: 0 })
    },
    TIMEOUT_MS,
  )

  it(
    '8: read-only from one moment to the next, while it is in use',
    async ({ skip }) => {
      using dir = tempDir()
      using disk = journaledDisk(dir.file('spool'))
      if (!disk) return skip()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      const { log, last, ...counted } = await underLoad(
        '8 disk given up by the kernel',
        server.url,
        subscriber,
        async (running) => {
          server.freeze()
          await until('it is spooling', async () => (await spooled(running)) > 0)
          execFileSync('mount', ['-o', 'remount,abort', dir.file('spool')])
          await running.logged('the spool cannot be written; holding alerts in memory')
          server.thaw()
        },
        { dir },
      )
      expectOnce(counted, last)
      expect(logged(log, 'the spool cannot be written')).toBe(1)
    },
    TIMEOUT_MS,
  )

  it(
    '8: spoiled while it is in use',
    async () => {
      using dir = tempDir()
      const sent = 40_000
      await using server = await startNats(SERVER_CONFIG, { started: false })
      await using running = start(dir, server.url, { args: ['--buffer-bytes', '512KiB'] })
      await using writing = await write(dir, sent, 20_000)
      expect(await writing.done()).toBe(0)
      const file = dir.file('spool/spool.db')
      const { size } = statSync(file)
      expect(size).toBeGreaterThan(1024 * 1024)
      writeFileSync(file, Buffer.alloc(size / 2, 7), { flag: 'r+' })
      await using subscriber = await startSubscribed(server, running.child)
      const { code, last } = await stopped(running)
      expect(code).toBe(1)
      const { delivered, unreadable, left } = last as Record<string, number>
      expect(unreadable).toBeGreaterThan(0)
      expect([delivered! + unreadable!, left]).toEqual([sent, 0])
      await subscriber.count(delivered!)
      const { missing, duplicates } = report('8 spool spoiled', subscriber.messages, sent)
      expect([missing, duplicates]).toEqual([unreadable, 0])
      // The next start moves it aside, and goes on.
      await using next = start(dir, server.url)
      await next.logged('the spool was damaged: moved aside, a new one begun')
      expect((await stopped(next)).code).toBe(0)
    },
    TIMEOUT_MS,
  )
})
