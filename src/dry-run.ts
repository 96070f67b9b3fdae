// --dry-run: prints `subject<TAB>line` where the publisher would publish.

import type { Writable } from 'node:stream'
import { type Batch, type BatchPool, payloadAt } from './batch.ts'
import { FatalError, messageOf } from './errors.ts'
import { observe } from './histogram.ts'
import type { Sink } from './publisher.ts'
import type { Stats } from './stats.ts'

const TAB = Buffer.from('\t')
const NEWLINE = Buffer.from('\n')

export function openDryRun(output: Writable, pool: BatchPool, stats: Stats): Sink {
  output.on('error', () => {}) // heard by whoever writes
  return {
    wants: () => true,
    async put(batch: Batch) {
      const parts: Buffer[] = []
      for (let index = 0; index < batch.count; index++)
        parts.push(Buffer.from(batch.kinds[index]!.subject), TAB, payloadAt(batch, index), NEWLINE)
      await written(output, Buffer.concat(parts))
      stats.delivered += batch.count
      observe(stats.batchAlerts, batch.count)
      pool.giveBack(batch)
    },
    async drain() {},
    async [Symbol.asyncDispose]() {},
  }
}

function written(output: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    output.write(bytes, (error) => {
      if (error) reject(new FatalError(`cannot write to standard output: ${messageOf(error)}`))
      else resolve()
    })
  })
}
