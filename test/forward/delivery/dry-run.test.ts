import { expect, it } from 'vitest'
import { createCounters, total } from '../../../src/forward/accounting/counters.ts'
import { openDryRun } from '../../../src/forward/delivery/dry-run.ts'
import { createBatchPool } from '../../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../../src/forward/encoding/encoder.ts'
import { FatalError } from '../../../src/shared/errors.ts'
import { numberedAlert } from '../../support/fixtures.ts'

function setUp(failure?: Error) {
  const written: string[] = []
  const counters = createCounters()
  const pool = createBatchPool(4096)
  const output = {
    write: (bytes: string | Uint8Array) => void written.push(bytes.toString()),
    written: async () => failure,
  }
  const sink = openDryRun(output as never, pool, counters)
  const batch = pool.borrow()
  const lines = [0, 1].map((n) => numberedAlert(n))
  createEncoder(() => 'falco.test').addLines(batch, Buffer.from(lines.join('\n')))
  return { written, counters, pool, sink, batch, lines }
}

it('prints subject and line of each alert, and counts it as delivered', async () => {
  const { written, counters, pool, sink, batch, lines } = setUp()
  expect(sink.wants(false)).toBe(true)
  await sink.put(batch)
  expect(written).toEqual([lines.map((line) => `falco.test\t${line}\n`).join('')])
  expect([counters.delivered, total(counters.batchAlerts.counts)]).toEqual([2, 1])
  // It is given back.
  expect(pool.borrow()).toBe(batch)
})

it('ends the program when it cannot print, and counts nothing', async () => {
  const { counters, sink, batch } = setUp(new Error('EPIPE'))
  await expect(sink.put(batch)).rejects.toThrow(FatalError)
  expect(counters.delivered).toBe(0)
})
