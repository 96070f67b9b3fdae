// Faults of the network, under load: connections cut, and a slow one.

import { describe, expect, it } from 'vitest'
import { falcoNats, memoryKiB } from '../../support/cli.ts'
import {
  allHaveCome,
  LONG,
  logged,
  NONE_LOST,
  RESTARTS,
  report,
  SERVER_CONFIG,
  stopped,
  TIMEOUT_MS,
  underLoad,
  write,
} from '../../support/faults.ts'
import { startNats, subscribe } from '../../support/nats.ts'
import { startProxy } from '../../support/proxy.ts'
import { SCRAPED } from '../../support/scrape.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

describe('the network', () => {
  it.each([
    ['in the middle of a PUB line', 'cutWithin', 'PUB falco.notice.terminal'],
    ['in the middle of an alert', 'cutWithin', '"source":"syscall"}'],
    ['in the middle of a PING', 'cutWithin', 'PING\r\n'],
    ['right before the PONG', 'cutBefore', 'PONG'],
  ] as const)(
    '3: cut %s',
    async (where, cut, text) => {
      await using server = await startNats(SERVER_CONFIG)
      await using proxy = await startProxy(server.port)
      await using subscriber = await subscribe(server.url)
      const { log, last, missing, duplicates, inOrder } = await underLoad(
        `3 cut ${where}`,
        proxy.url,
        subscriber,
        async (running) => {
          let sprung = proxy[cut](text)
          for (let cuts = 1; cuts <= RESTARTS; cuts++) {
            await sprung
            const back = until('it is back', () => logged(running.log(), 'connected') > cuts)
            // What was cut is sent again, although nothing more may come. A PING comes by itself,
            // and with each connection: that one must not be cut.
            if (/^P[IO]NG/.test(text)) await back
            if (cuts < RESTARTS) sprung = proxy[cut](text)
            await back
          }
        },
      )
      expect({ missing, inOrder }).toEqual({ missing: 0, inOrder: true })
      expect(duplicates).toBeLessThanOrEqual(last.resent as number)
      expect(logged(log, 'disconnected')).toBe(RESTARTS)
    },
    TIMEOUT_MS,
  )

  it(
    '12: slow, 200 kB/s and 50 ms late',
    async () => {
      const sent = LONG ? 30_000 : 10_000
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG)
      await using proxy = await startProxy(server.port, { delayMs: 50, bytesPerSecond: 200_000 })
      await using subscriber = await subscribe(server.url)
      const args = ['--buffer-bytes', '512KiB', ...SCRAPED]
      await using running = falcoNats(['-f', dir.file('nats'), '-s', proxy.url, ...args])
      await running.logged('connected')
      const before = memoryKiB(running.child.pid!)
      // Ten times as much as gets through.
      await using writing = await write(dir, sent, 15_000)
      await allHaveCome(subscriber.messages, sent)
      const grown = memoryKiB(running.child.pid!, 'VmHWM') - before
      expect(await writing.done()).toBe(0)
      expect((await stopped(running)).code).toBe(0)
      expect(report('12 slow network', subscriber.messages, sent)).toEqual(NONE_LOST)
      console.info(`12 slow network: RSS grew by ${grown} KiB at most, the buffer is 512 KiB`)
      // The constant is README's, for a flood against a frozen server.
      expect(grown).toBeLessThan(512 + 24 * 1024)
    },
    TIMEOUT_MS,
  )
})
