// --dry-run: prints `subject<TAB>line` where the publisher would publish.

import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { type Batch, type BatchPool, payloadAt } from './batch.ts'
import { FatalError, messageOf } from './errors.ts'
import type { Sink } from './publisher.ts'
import type { Stats } from './stats.ts'

const TAB = Buffer.from('\t')
const NEWLINE = Buffer.from('\n')

export function openDryRun(output: Writable, pool: BatchPool, stats: Stats): Sink {
  const failed = once(output, 'error').then(([error]) => {
    throw new FatalError(`cannot write to standard output: ${messageOf(error)}`)
  })
  failed.catch(() => {})
  return {
    async publish(batch: Batch) {
      const parts: Buffer[] = []
      for (let index = 0; index < batch.count; index++)
        parts.push(Buffer.from(batch.subjects[index]!), TAB, payloadAt(batch, index), NEWLINE)
      const written = Promise.withResolvers<void>()
      output.write(Buffer.concat(parts), () => written.resolve())
      await Promise.race([written.promise, failed])
      stats.delivered += batch.count
      stats.batches++
      pool.giveBack(batch)
    },
    async drain() {},
    async [Symbol.asyncDispose]() {},
  }
}
