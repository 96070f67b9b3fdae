// --dry-run: prints `subject<TAB>line` where the publisher would publish.

import { FatalError, messageOf } from '../../shared/errors.ts'
import type { Output } from '../../shared/process/output.ts'
import { type Counters, observe } from '../accounting/counters.ts'
import type { BatchPool } from '../encoding/batch.ts'
import { payloadAt, subjectAt } from '../encoding/messages.ts'
import type { Sink } from './sink.ts'

const TAB = Buffer.from('\t')
const NEWLINE = Buffer.from('\n')

export function openDryRun(output: Output, pool: BatchPool, counters: Counters): Sink {
  return {
    wants: () => true,
    async put(batch) {
      const parts: Buffer[] = []
      for (let index = 0; index < batch.count; index++)
        parts.push(subjectAt(batch, index), TAB, payloadAt(batch, index), NEWLINE)
      output.write(Buffer.concat(parts))
      const failure = await output.written()
      if (failure) throw new FatalError(`cannot write to standard output: ${messageOf(failure)}`)
      counters.delivered += batch.count
      observe(counters.batchAlerts, batch.count)
      pool.giveBack(batch)
    },
    async drain() {},
    salvage() {},
    async [Symbol.asyncDispose]() {},
  }
}
