// Faults of the server, under load: killed, frozen, a node of a cluster lost.

import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import {
  FREEZE_MS,
  JETSTREAM,
  LOAD,
  LONG,
  logged,
  missingNumbers,
  RATE,
  RESTARTS,
  report,
  SERVER_CONFIG,
  start,
  stopped,
  TIMEOUT_MS,
  underLoad,
  write,
} from '../../support/faults.ts'
import {
  createStream,
  readStream,
  startCluster,
  startNats,
  streamCount,
  subscribe,
} from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

/** Three servers, and by JetStream a stream that all of them keep. */
async function startFaultCluster(config = '') {
  const cluster = await startCluster(3, `${SERVER_CONFIG}\n${config}`)
  const create = () => createStream(cluster.nodes[0]!.url, { num_replicas: 3 })
  // They have to elect somebody first.
  if (JETSTREAM)
    await until('the stream is made', () =>
      create().then(
        () => true,
        () => false,
      ),
    )
  return cluster
}

describe('the server', () => {
  it(
    `1: killed and restarted ${RESTARTS} times`,
    async () => {
      using dir = tempDir()
      await using server = await startNats(`jetstream { store_dir: "${dir.file('jetstream')}" }`)
      await createStream(server.url)
      await using running = start(dir, server.url)
      await running.logged('connected')
      await using writing = await write(dir)
      for (let restarts = 1; restarts <= RESTARTS; restarts++) {
        const enough = (restarts * LOAD) / (RESTARTS + 2)
        await until(
          `${enough} are kept`,
          async () => (await streamCount(server.url)) >= enough,
          TIMEOUT_MS,
        )
        await server.stop('SIGKILL')
        await server.start()
      }
      expect(await writing.done()).toBe(0)
      const { code, last } = await stopped(running)
      expect(code).toBe(0)
      expect(last).toMatchObject({ read: LOAD, delivered: LOAD, left: 0 })
      const { missing } = report('1 server killed', await readStream(server.url), LOAD)
      expect(missing).toBe(0)
    },
    TIMEOUT_MS,
  )

  it(
    `2: frozen for ${FREEZE_MS} ms`,
    async () => {
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      const { log, missing, inOrder } = await underLoad(
        '2 server frozen',
        server.url,
        subscriber,
        async () => {
          server.freeze()
          await delay(FREEZE_MS)
          server.thaw()
        },
      )
      expect({ missing, inOrder }).toEqual({ missing: 0, inOrder: true })
      // It is let go of after 20 to 30 seconds, not before.
      if (!LONG) expect(logged(log, 'disconnected')).toBe(0)
    },
    TIMEOUT_MS,
  )

  it(
    '10: the node that we are on is killed, in a cluster of three',
    async () => {
      await using cluster = await startFaultCluster()
      const [first, , third] = cluster.nodes
      await using subscriber = await subscribe(third!.url)
      const { log, missing, duplicates } = await underLoad(
        '10 node killed',
        first!.url,
        subscriber,
        () => first!.stop('SIGKILL'),
        { losing: true, ...(JETSTREAM && { keptAt: () => third!.url }) },
      )
      expect(logged(log, 'connected')).toBe(2)
      if (JETSTREAM) {
        // Two of three nodes have what was acknowledged, and know its id.
        expect({ missing, duplicates }).toEqual({ missing: 0, duplicates: 0 })
        return
      }
      // The killed node may have confirmed what it had not passed on yet: a PONG in core NATS is
      // the word of one node. That is what was on its way in one moment, and no more.
      expect(missing).toBeLessThan(RATE / 10)
      const missed = missingNumbers(subscriber.messages)
      expect(missed.length === 0 || missed.at(-1)! - missed[0]! + 1 === missing).toBe(true)
    },
    2 * TIMEOUT_MS,
  )

  it(
    '11: the node that we are on becomes a lame duck',
    async () => {
      await using cluster = await startFaultCluster(
        'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"',
      )
      const [first, second] = cluster.nodes
      await using subscriber = await subscribe(second!.url)
      const { log, missing, inOrder } = await underLoad(
        '11 lame duck',
        first!.url,
        subscriber,
        async (running) => {
          first!.lameDuck()
          await until('it is on another node', () => logged(running.log(), 'connected') === 2)
        },
        JETSTREAM ? { keptAt: () => second!.url } : {},
      )
      expect(missing).toBe(0)
      if (!JETSTREAM) expect(inOrder).toBe(true)
      expect(log.filter(({ msg }) => msg === 'connected').at(-1)!.server).not.toBe(first!.url)
    },
    2 * TIMEOUT_MS,
  )
})
